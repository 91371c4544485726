import { X } from 'lucide-react';
import { useStore } from '../lib/store';
import { changeQuery } from '../query/navigation';
import { forgetSamples, hasSamples } from './samples';
import styles from './States.module.css';

/** Each finds its like first among the sample photos. */
const SEARCHES = ['a castle', 'a red panda', 'a bird'] as const;

/** Three searches to try on the sample photos. */
export function Examples() {
  if (!useStore(hasSamples)) return null;
  return (
    <div className={styles.examples}>
      <span>Try</span>
      {SEARCHES.map((text) => (
        <button key={text} type="button" className="tag" onClick={() => changeQuery({ text })}>
          {text}
        </button>
      ))}
      <button type="button" className="icon" aria-label="Hide example searches" onClick={forgetSamples}>
        <X size={15} aria-hidden="true" />
      </button>
    </div>
  );
}
