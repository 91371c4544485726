import { useEffect, useState } from 'react';
import { useStore } from '../lib/store';
import { connection, tryNow } from './connection';
import styles from './AwayBanner.module.css';

/** Says that the server is away and when it is asked again. */
export function AwayBanner() {
  const { away, nextTry } = useStore(connection);
  return (
    <div role="status" className={styles.place}>
      {away && (
        <div className={styles.banner} data-testid="away">
          <p>
            The server isn’t answering. This page keeps trying by itself.{' '}
            <span aria-hidden="true" className={styles.when}>
              <Countdown key={nextTry} until={nextTry} />
            </span>
          </p>
          <button type="button" className="quiet" onClick={tryNow}>
            Try now
          </button>
        </div>
      )}
    </div>
  );
}

function Countdown({ until }: { until: number | null }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  if (until === null) return 'Trying…';
  return `Next try in ${Math.max(1, Math.ceil((until - now) / 1000))} s.`;
}
