import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { getModel } from '../api/endpoints';
import type { ModelChange } from '../api/types';
import { count } from '../lib/format';
import { roughTime } from '../lib/time';
import { IMAGES_KEY } from '../search/useResults';
import styles from './States.module.css';

const WHILE_CHANGING_MS = 2_000;
const OTHERWISE_MS = 60_000;

/** How far a change of the model is; nothing when there is none, or when the key may not ask. */
export function ModelProgress() {
  const { data } = useQuery({
    queryKey: ['model'],
    queryFn: ({ signal }) => getModel(signal),
    refetchInterval: ({ state }) => (isUnderWay(state.data?.change) ? WHILE_CHANGING_MS : OTHERWISE_MS),
    retry: false,
  });
  const change = data?.change;
  const isChanging = isUnderWay(change);
  const client = useQueryClient();
  // What is shown when it ends was found by the other model.
  useEffect(() => {
    if (!isChanging) return undefined;
    return () => void client.invalidateQueries({ queryKey: [IMAGES_KEY] });
  }, [isChanging, client]);
  if (change === undefined || !isChanging) return null;
  const { images, indexed } = change;
  return (
    <div className={styles.model} data-testid="model" title={change.reason}>
      <progress aria-label="New model" {...(images > 0 && { value: indexed, max: images })} />
      <span>{wordsFor(change)}</span>
    </div>
  );
}

function isUnderWay(change: ModelChange | undefined): boolean {
  return change !== undefined && change.phase !== 'failed';
}

function wordsFor({ phase, images, indexed, seconds_left }: ModelChange): string {
  if (phase === 'loading' || images === 0) return 'New model: loading';
  const left = Math.max(0, images - indexed);
  const time = seconds_left === undefined || left === 0 ? '' : `, ${roughTime(seconds_left)}`;
  return `New model: ${count(left, 'picture')} to go${time}`;
}
