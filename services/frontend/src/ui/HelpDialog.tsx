import { useMutation, useQuery } from '@tanstack/react-query';
import { getSession, signOut } from '../api/endpoints';
import { Modal } from './Modal';
import styles from './Modal.module.css';

const KEYS: readonly (readonly [keys: readonly string[], does: string])[] = [
  [['/'], 'Go to the search field'],
  [['↓'], 'From the field to the pictures'],
  [['←', '→', '↑', '↓'], 'Move between pictures'],
  [['Enter'], 'Open the picture'],
  [['Esc'], 'Back'],
  [['Del'], 'Delete the picture'],
  [['Ctrl', 'Z'], 'Undo a delete'],
  [['Ctrl', 'V'], 'Search by a copied picture'],
  [['?'], 'Show these keys'],
];

/** The keys, and leaving when a key was used to sign in. */
export function HelpDialog({ onClose }: { onClose: () => void }) {
  return (
    <Modal title="Keys" onClose={onClose}>
      <dl className={styles.keys}>
        {KEYS.map(([keys, does]) => (
          <div key={does} style={{ display: 'contents' }}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <SignOut />
    </Modal>
  );
}

function SignOut() {
  const session = useQuery({ queryKey: ['session'], queryFn: getSession });
  const leave = useMutation({ mutationFn: signOut, onSuccess: () => window.location.reload() });
  if (session.data?.auth !== 'signed_in') return null;
  return (
    <button type="button" className="button" onClick={() => leave.mutate()}>
      Sign out
    </button>
  );
}
