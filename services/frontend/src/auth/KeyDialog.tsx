import { useMutation } from '@tanstack/react-query';
import { useState, type SubmitEvent } from 'react';
import { signIn } from '../api/endpoints';
import { AwayError } from '../api/errors';
import { Modal } from '../ui/Modal';
import styles from '../ui/Modal.module.css';
import { keyDeclined, keyGiven } from './key';

/** Asks for the key once; the server keeps it in a cookie. */
export function KeyDialog() {
  const [key, setKey] = useState('');
  const entry = useMutation({ mutationFn: () => signIn(key.trim()), onSuccess: keyGiven });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (key.trim() !== '') entry.mutate();
  };
  return (
    <Modal title="A key is needed" onClose={keyDeclined}>
      <form className={styles.form} onSubmit={submit}>
        <p>These pictures are private. Enter an API key; this browser stays signed in.</p>
        <input
          className="field"
          type="password"
          aria-label="API key"
          autoComplete="current-password"
          value={key}
          onChange={(event) => setKey(event.target.value)}
          autoFocus
        />
        {entry.error !== null && (
          <p role="alert" className="error">
            {entry.error instanceof AwayError
              ? 'The server isn’t answering. Try again in a moment.'
              : 'This key isn’t valid. Check that it is complete and was not revoked.'}
          </p>
        )}
        <button type="submit" className="primary" disabled={entry.isPending}>
          Continue
        </button>
        <p className={styles.note}>
          Whoever runs this server makes keys with <code>imagesearch keys create</code>.
        </p>
      </form>
    </Modal>
  );
}
