import { useMutation } from '@tanstack/react-query';
import { addSamplePictures } from '../upload/uploads';
import { AddPickers } from '../upload/AddPickers';
import { askForAddresses } from '../upload/addresses';
import { rememberSamples } from './samples';
import styles from './States.module.css';

/** Before there is any picture: how to begin. */
export function EmptyCollection({ isAdding }: { isAdding: boolean }) {
  const samples = useMutation({ mutationFn: addSamplePictures, onSuccess: rememberSamples });
  if (isAdding) {
    return (
      <section className={styles.state}>
        <h2>Your pictures are on their way</h2>
        <p>Each appears here as soon as a search can find it.</p>
      </section>
    );
  }
  return (
    <section className={styles.state}>
      <h2>No pictures yet</h2>
      <p>Drop pictures or a whole folder anywhere on this page, then find them by saying what is in them.</p>
      <div className={styles.actions}>
        <AddPickers className="primary" />
      </div>
      <p className={styles.or}>
        Found some elsewhere?{' '}
        <button type="button" className={styles.link} onClick={() => askForAddresses()}>
          Add from the web
        </button>
      </p>
      <p>
        Just looking?{' '}
        <button
          type="button"
          className={styles.link}
          disabled={samples.isPending}
          onClick={() => samples.mutate()}
        >
          Add sample photos
        </button>
      </p>
      {samples.error !== null && (
        <p role="alert" className="error">
          The samples could not be added: {samples.error.message}.
        </p>
      )}
    </section>
  );
}
