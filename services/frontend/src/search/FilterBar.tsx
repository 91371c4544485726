import { ChevronDown, X } from 'lucide-react';
import { Popover } from 'radix-ui';
import { FILTER_WORDS, NO_FILTERS, withoutFilter, type FilterName, type Filters } from '../query/filters';
import { changeQuery } from '../query/navigation';
import { FilterChoice } from './FilterChoice';
import styles from './FilterBar.module.css';

const LABELS: Record<FilterName, string> = {
  types: 'Type',
  orientation: 'Orientation',
  size: 'Size',
  added: 'Date added',
  tags: 'Tag',
};
const NAMES = Object.keys(LABELS) as FilterName[];

export interface FilterBarProps {
  filters: Filters;
  /** Tags of the pictures at hand, offered for choosing. */
  knownTags: readonly string[];
}

/** A chip for each filter: its name while it is off, its choice in plain words while it is on. */
export default function FilterBar({ filters, knownTags }: FilterBarProps) {
  const change = (next: Filters) => changeQuery({ filters: next });
  const anySet = NAMES.some((name) => FILTER_WORDS[name](filters) !== null);
  return (
    <div className={styles.filters} role="group" aria-label="Filters">
      {NAMES.map((name) => (
        <FilterChip key={name} name={name} filters={filters} knownTags={knownTags} onChange={change} />
      ))}
      {anySet && (
        <button type="button" className={styles.clear} onClick={() => change(NO_FILTERS)}>
          Clear filters
        </button>
      )}
    </div>
  );
}

interface ChipProps extends FilterBarProps {
  name: FilterName;
  onChange: (filters: Filters) => void;
}

function FilterChip({ name, filters, knownTags, onChange }: ChipProps) {
  const words = FILTER_WORDS[name](filters);
  return (
    <span className={styles.chip} data-on={words !== null || undefined}>
      <Popover.Root>
        <Popover.Trigger className={styles.open}>
          {words ?? LABELS[name]}
          {words === null && <ChevronDown size={15} aria-hidden="true" />}
        </Popover.Trigger>
        <Popover.Portal>
          <Popover.Content
            className={styles.popover}
            align="start"
            sideOffset={8}
            collisionPadding={12}
            aria-label={LABELS[name]}
          >
            <FilterChoice name={name} filters={filters} knownTags={knownTags} onChange={onChange} />
          </Popover.Content>
        </Popover.Portal>
      </Popover.Root>
      {words !== null && (
        <button
          type="button"
          className={styles.remove}
          aria-label={`Remove filter: ${words}`}
          onClick={() => onChange(withoutFilter(filters, name))}
        >
          <X size={14} aria-hidden="true" />
        </button>
      )}
    </span>
  );
}
