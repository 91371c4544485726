import { ApiError, AwayError, KeyDeclinedError } from '../api/errors';
import { connection } from '../connection/connection';
import { Grid } from '../grid/Grid';
import { useStore } from '../lib/store';
import { hasFilters } from '../query/filters';
import type { Query } from '../query/view';
import { isSearch } from '../search/pages';
import { queryClient } from '../search/cache';
import type { Results } from '../search/useResults';
import { summarise } from '../upload/machine';
import { tray } from '../upload/uploads';
import { EmptyCollection } from './EmptyCollection';
import { NothingFound } from './NothingFound';
import styles from './States.module.css';

interface Props {
  query: Query;
  results: Results;
  onOpen: (imageId: string) => void;
  onDelete: (imageId: string) => void;
  onEscape: () => void;
}

/** The grid, or the state that helps instead of it. */
export function Content({ query, results, onOpen, onDelete, onEscape }: Props) {
  const { away } = useStore(connection);
  const uploads = summarise(useStore(tray));
  const { images, error, isFirstLoad, isOld } = results;

  if (images.length > 0 && (error === null || error instanceof AwayError)) {
    return (
      <Grid
        images={images}
        isOld={isOld}
        onOpen={onOpen}
        onDelete={onDelete}
        onEscape={onEscape}
        onNearEnd={results.loadMore}
      />
    );
  }
  if (error !== null && !(error instanceof AwayError)) return <Refused error={error} query={query} />;
  if (isFirstLoad && (away || error !== null)) {
    return (
      <State title="The server isn’t answering">This page tries again by itself and goes on from here.</State>
    );
  }
  if (isFirstLoad || isOld) return null;
  if (isSearch(query) || hasFilters(query.filters)) return <NothingFound query={query} />;
  return <EmptyCollection isAdding={uploads.ended < uploads.total} />;
}

export function State({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <section className={styles.state}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function Refused({ error, query }: { error: Error; query: Query }) {
  if (error instanceof KeyDeclinedError) {
    return (
      <State title="A key is needed to see these pictures">
        <p>Ask whoever runs this server for one.</p>
        <button
          type="button"
          className="primary"
          onClick={() => void queryClient.refetchQueries({ type: 'active' })}
        >
          Enter a key
        </button>
      </State>
    );
  }
  if (error instanceof ApiError && error.slug === 'not-found' && query.like !== null) {
    return (
      <State title="The picture of this search isn’t here">
        <p>
          It was deleted, or it was only on somebody else’s screen. Drop it into the field to search by it
          again.
        </p>
      </State>
    );
  }
  return (
    <State title="This search didn’t work">
      <p>{error.message}</p>
      <button
        type="button"
        className="button"
        onClick={() => void queryClient.refetchQueries({ type: 'active' })}
      >
        Try again
      </button>
    </State>
  );
}
