import { Keyboard } from 'lucide-react';
import { count } from '../lib/format';
import { useStore } from '../lib/store';
import type { Query } from '../query/view';
import { isSearch } from '../search/pages';
import { hasNews, refreshNow } from '../search/refresh';
import type { Results } from '../search/useResults';
import { ModelProgress } from './ModelProgress';
import styles from './States.module.css';

interface Props {
  query: Query;
  results: Results;
  onHelp: () => void;
}

/** What the grid shows, in a few quiet words that screen readers hear. */
export function StatusLine({ query, results, onHelp }: Props) {
  const isNewsWaiting = useStore(hasNews);
  const showNews = () => {
    window.scrollTo(0, 0);
    refreshNow();
  };
  return (
    <div className={styles.status}>
      <ModelProgress />
      {isNewsWaiting && (
        <button type="button" className="quiet" onClick={showNews}>
          Show new pictures
        </button>
      )}
      <p role="status">{wordsFor(query, results)}</p>
      <button type="button" className="icon" aria-label="Show keys" title="Keys (?)" onClick={onHelp}>
        <Keyboard size={19} aria-hidden="true" />
      </button>
    </div>
  );
}

function wordsFor(query: Query, { images, total, isFirstLoad, isOld }: Results): string {
  if (isFirstLoad || isOld) return '';
  if (images.length === 0) return isSearch(query) ? 'Nothing found' : '';
  // A search ranks everything; how many it ranks says nothing.
  if (isSearch(query)) return 'Best matches first';
  return count(Math.max(images.length, total ?? 0), 'picture');
}
