import { hasFilters, NO_FILTERS } from '../query/filters';
import { changeQuery, go } from '../query/navigation';
import { HOME, type Query } from '../query/view';
import styles from './States.module.css';

/** A query that nothing matches: what to change. */
export function NothingFound({ query }: { query: Query }) {
  const isFiltered = hasFilters(query.filters);
  return (
    <section className={styles.state}>
      <h2>Nothing found</h2>
      <p>
        {isFiltered
          ? 'No picture passes these filters. Fewer filters find more.'
          : 'There are no pictures to search yet, or none fits. Other words may help.'}
      </p>
      <div className={styles.actions}>
        {isFiltered && (
          <button type="button" className="primary" onClick={() => changeQuery({ filters: NO_FILTERS })}>
            Clear filters
          </button>
        )}
        <button type="button" className="button" onClick={() => go(HOME)}>
          Show all pictures
        </button>
      </div>
    </section>
  );
}
