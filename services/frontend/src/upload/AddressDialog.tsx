import { useId, useState, type KeyboardEvent, type SubmitEvent } from 'react';
import { count } from '../lib/format';
import { Modal } from '../ui/Modal';
import styles from '../ui/Modal.module.css';
import { addressesIn, addressQuestion } from './addresses';
import { addUrls } from './uploads';

/** Shown of what is no address. */
const SHOWN_CHARS = 60;

/** Takes addresses of pictures on the web, one or a whole list. */
export function AddressDialog({ initial }: { initial: string }) {
  const [text, setText] = useState(initial);
  const [isRefused, setIsRefused] = useState(false);
  const hint = useId();
  const close = () => addressQuestion.set(null);
  const { urls, wrong } = addressesIn(text);
  const add = () => {
    if (urls.length === 0 || wrong.length > 0) {
      setIsRefused(true);
      return;
    }
    addUrls(urls);
    close();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    add();
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    add();
  };
  return (
    <Modal title="Add from the web" onClose={close}>
      <form className={styles.form} onSubmit={submit}>
        <textarea
          className={`field ${styles.addresses}`}
          aria-label="Addresses of pictures"
          aria-describedby={hint}
          aria-invalid={isRefused}
          placeholder="https://example.org/giraffe.jpg"
          rows={5}
          value={text}
          spellCheck={false}
          autoCapitalize="off"
          onChange={(event) => {
            setText(event.target.value);
            setIsRefused(false);
          }}
          onKeyDown={onKeyDown}
          autoFocus
        />
        {isRefused && (
          <p role="alert" className="error">
            {faultOf(wrong)}
          </p>
        )}
        <p id={hint} className={styles.note}>
          One address or several, each on its own line. The server fetches the pictures and keeps them.
        </p>
        <button type="submit" className="primary">
          {urls.length > 1 ? `Add ${count(urls.length, 'picture')}` : 'Add'}
        </button>
      </form>
    </Modal>
  );
}

function faultOf([first]: readonly string[]): string {
  if (first === undefined) return 'Enter the address of a picture.';
  const shown = first.length > SHOWN_CHARS ? `${first.slice(0, SHOWN_CHARS)}…` : first;
  return `“${shown}” isn’t a web address. It begins with https:// or http://.`;
}
