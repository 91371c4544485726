import { Plus } from 'lucide-react';
import { useEffect, useId, useRef, useState } from 'react';
import { AddPickers } from './AddPickers';
import styles from './AddButton.module.css';

/** The button that adds pictures, with its choice of files or a folder. */
export function AddButton() {
  const [isOpen, setIsOpen] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  const menu = useId();
  useEffect(() => {
    if (!isOpen) return;
    const onPointer = (event: PointerEvent) => {
      if (!place.current?.contains(event.target as Node)) setIsOpen(false);
    };
    document.addEventListener('pointerdown', onPointer);
    return () => document.removeEventListener('pointerdown', onPointer);
  }, [isOpen]);
  return (
    <div
      ref={place}
      className={styles.place}
      onKeyDown={(event) => {
        if (event.key === 'Escape') setIsOpen(false);
      }}
    >
      <button
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
        <AddPickers className="button" onPicked={() => setIsOpen(false)} />
        <p>Or drop them anywhere on this page.</p>
      </div>
    </div>
  );
}
