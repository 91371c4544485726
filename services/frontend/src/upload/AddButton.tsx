import { Link, Plus } from 'lucide-react';
import { useEffect, useId, useRef, useState } from 'react';
import { AddPickers } from './AddPickers';
import { askForAddresses } from './addresses';
import styles from './AddButton.module.css';

/** The button that adds pictures, with its choice of files, a folder or addresses. */
export function AddButton() {
  const [isOpen, setIsOpen] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const menu = useId();
  useEffect(() => {
    if (!isOpen) return;
    const onPointer = (event: PointerEvent) => {
      if (!place.current?.contains(event.target as Node)) setIsOpen(false);
    };
    document.addEventListener('pointerdown', onPointer);
    return () => document.removeEventListener('pointerdown', onPointer);
  }, [isOpen]);
  const close = () => {
    // What has the focus is about to be hidden.
    button.current?.focus();
    setIsOpen(false);
  };
  return (
    <div
      ref={place}
      className={styles.place}
      onKeyDown={(event) => {
        if (event.key === 'Escape' && isOpen) close();
      }}
      onBlur={({ relatedTarget }) => {
        if (relatedTarget !== null && !place.current?.contains(relatedTarget)) setIsOpen(false);
      }}
    >
      <button
        ref={button}
        type="button"
        className={styles.add}
        aria-expanded={isOpen}
        aria-controls={menu}
        onClick={() => setIsOpen(!isOpen)}
      >
        <Plus size={20} aria-hidden="true" />
        <span>Add</span>
      </button>
      <div id={menu} className={styles.menu} hidden={!isOpen}>
        <AddPickers className="button" onPicked={close} />
        <button
          type="button"
          className="button"
          onClick={() => {
            close();
            askForAddresses();
          }}
        >
          <Link size={18} aria-hidden="true" /> Add from the web
        </button>
        <p>Or drop them anywhere on this page.</p>
      </div>
    </div>
  );
}
