import { useState, type SubmitEvent } from 'react';
import {
  IMAGE_TYPES,
  ORIENTATIONS,
  PERIODS,
  SIZES,
  type FilterName,
  type Filters,
  type ImageType,
} from '../query/filters';
import styles from './FilterBar.module.css';

interface Props {
  name: FilterName;
  filters: Filters;
  knownTags: readonly string[];
  onChange: (filters: Filters) => void;
}

/** What one filter offers. */
export function FilterChoice({ name, filters, knownTags, onChange }: Props) {
  switch (name) {
    case 'types':
      return <TypeChoice filters={filters} onChange={onChange} />;
    case 'orientation':
      return (
        <OneOf
          legend="Orientation"
          choices={ORIENTATIONS}
          chosen={filters.orientation}
          onChoose={(orientation) => onChange({ ...filters, orientation })}
        />
      );
    case 'size':
      return (
        <OneOf
          legend="Size"
          choices={SIZES}
          hints={{ large: '2000 px and more', medium: '800 to 2000 px', small: 'under 800 px' }}
          chosen={filters.size}
          onChoose={(size) => onChange({ ...filters, size })}
        />
      );
    case 'added':
      return <DateChoice filters={filters} onChange={onChange} />;
    case 'tags':
      return <TagChoice filters={filters} knownTags={knownTags} onChange={onChange} />;
  }
}

type ChoiceProps = Pick<Props, 'filters' | 'onChange'>;

interface OneOfProps<K extends string> {
  legend: string;
  choices: Readonly<Record<K, string>>;
  hints?: Readonly<Record<K, string>>;
  chosen: K | null;
  onChoose: (choice: K | null) => void;
}

function OneOf<K extends string>({ legend, choices, hints, chosen, onChoose }: OneOfProps<K>) {
  return (
    <fieldset className={styles.choices}>
      <legend className="sr-only">{legend}</legend>
      <Choice name={legend} label="Any" checked={chosen === null} onCheck={() => onChoose(null)} />
      {(Object.keys(choices) as K[]).map((key) => (
        <Choice
          key={key}
          name={legend}
          label={choices[key]}
          hint={hints?.[key]}
          checked={chosen === key}
          onCheck={() => onChoose(key)}
        />
      ))}
    </fieldset>
  );
}

interface OneChoiceProps {
  name: string;
  label: string;
  hint?: string | undefined;
  checked: boolean;
  onCheck: () => void;
  many?: boolean;
}

function Choice({ name, label, hint, checked, onCheck, many = false }: OneChoiceProps) {
  return (
    <label className={styles.choice}>
      <input type={many ? 'checkbox' : 'radio'} name={name} checked={checked} onChange={onCheck} />
      <span>{label}</span>
      {hint !== undefined && <span className={styles.hint}>{hint}</span>}
    </label>
  );
}

function TypeChoice({ filters, onChange }: ChoiceProps) {
  const toggle = (type: ImageType) => {
    const has = filters.types.includes(type);
    const types = has ? filters.types.filter((other) => other !== type) : [...filters.types, type];
    onChange({ ...filters, types });
  };
  return (
    <fieldset className={styles.choices}>
      <legend className="sr-only">Type</legend>
      {(Object.keys(IMAGE_TYPES) as ImageType[]).map((type) => (
        <Choice
          key={type}
          many
          name={type}
          label={IMAGE_TYPES[type]}
          checked={filters.types.includes(type)}
          onCheck={() => toggle(type)}
        />
      ))}
    </fieldset>
  );
}

function DateChoice({ filters, onChange }: ChoiceProps) {
  const setDay = (side: 'from' | 'to', day: string) =>
    onChange({ ...filters, period: null, [side]: day === '' ? null : day });
  return (
    <>
      <OneOf
        legend="Date added"
        choices={PERIODS}
        chosen={filters.period}
        onChoose={(period) => onChange({ ...filters, period, from: null, to: null })}
      />
      <div className={styles.days}>
        <label>
          From
          <input
            type="date"
            value={filters.from ?? ''}
            onChange={(event) => setDay('from', event.target.value)}
          />
        </label>
        <label>
          To
          <input
            type="date"
            value={filters.to ?? ''}
            onChange={(event) => setDay('to', event.target.value)}
          />
        </label>
      </div>
    </>
  );
}

const TAGS_OFFERED = 12;

function TagChoice({ filters, knownTags, onChange }: Omit<Props, 'name'>) {
  const [text, setText] = useState('');
  const set = (tags: readonly string[]) => onChange({ ...filters, tags: [...new Set(tags)] });
  const add = (event: SubmitEvent) => {
    event.preventDefault();
    const tag = text.trim();
    if (tag !== '') set([...filters.tags, tag]);
    setText('');
  };
  const offered = [...new Set([...filters.tags, ...knownTags])]
    .filter((tag) => tag.toLowerCase().includes(text.trim().toLowerCase()))
    .slice(0, TAGS_OFFERED);
  return (
    <form onSubmit={add} className={styles.tags}>
      <input
        type="text"
        className="field"
        aria-label="Tag"
        placeholder="Type a tag, then Enter"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <div className={styles.offered}>
        {offered.map((tag) => {
          const isOn = filters.tags.includes(tag);
          const next = isOn ? filters.tags.filter((other) => other !== tag) : [...filters.tags, tag];
          return (
            <button key={tag} type="button" className="tag" aria-pressed={isOn} onClick={() => set(next)}>
              {tag}
            </button>
          );
        })}
      </div>
    </form>
  );
}
