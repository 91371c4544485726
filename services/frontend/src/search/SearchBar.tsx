import { ImagePlus, Search, X } from 'lucide-react';
import { useEffect, useRef, type ClipboardEvent, type KeyboardEvent, type Ref } from 'react';
import { changeQuery } from '../query/navigation';
import type { Query } from '../query/view';
import { LikeChip } from './LikeChip';
import { takePicture } from './pictures';
import styles from './SearchBar.module.css';
import { useDraft } from './useDraft';

interface Props {
  query: Query;
  inputRef: Ref<HTMLInputElement>;
  /** Moves the focus to the first picture. */
  onLeaveDown: () => void;
  /** A picture is being dragged over the page. */
  isDropTarget: boolean;
}

/** Begins a search by a picture; what is typed then refines it. */
export async function searchByPicture(file: File): Promise<void> {
  changeQuery({ text: '', like: await takePicture(file) });
}

/** The field for words, and for a picture as a chip in it. */
export function SearchBar({ query, inputRef, onLeaveDown, isDropTarget }: Props) {
  const { draft, type, flush, endTyping } = useDraft(query.text);
  const isEmpty = draft === '' && query.like === null;

  const clear = () => {
    type('');
    flush('');
    changeQuery({ text: '', like: null });
  };
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'Enter') flush(draft);
    else if (event.key === 'ArrowDown') onLeaveDown();
    else if (event.key === 'Escape' && !isEmpty) clear();
    else if (event.key === 'Escape') event.currentTarget.blur();
    else if (event.key === 'Backspace' && draft === '' && query.like !== null) changeQuery({ like: null });
    else return;
    if (event.key !== 'Backspace') event.preventDefault();
  };

  return (
    <form
      role="search"
      className={styles.bar}
      data-drop={isDropTarget ? 'search' : undefined}
      onSubmit={(event) => event.preventDefault()}
    >
      <Search className={styles.glass} size={20} aria-hidden="true" />
      {query.like !== null && <LikeChip id={query.like} onRemove={() => changeQuery({ like: null })} />}
      <input
        ref={inputRef}
        type="search"
        className={styles.input}
        aria-label="Search pictures"
        aria-describedby="search-hint"
        placeholder={query.like === null ? 'Words or a picture' : 'Refine with words'}
        value={draft}
        autoComplete="off"
        spellCheck={false}
        enterKeyHint="search"
        onChange={(event) => type(event.target.value)}
        onKeyDown={onKeyDown}
        onPaste={pastePicture}
        onBlur={endTyping}
      />
      <span id="search-hint" className="sr-only">
        Results appear as you type. Paste or drop a picture to search by it.
      </span>
      {!isEmpty && (
        <button type="button" className="icon" aria-label="Clear search" onClick={clear}>
          <X size={18} aria-hidden="true" />
        </button>
      )}
      <PicturePicker />
      {isDropTarget && <span className={styles.drop}>Drop here to search by this picture</span>}
    </form>
  );
}

function PicturePicker() {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button
        type="button"
        className="icon"
        aria-label="Search by a picture"
        title="Search by a picture"
        onClick={() => input.current?.click()}
      >
        <ImagePlus size={20} aria-hidden="true" />
      </button>
      <input
        ref={input}
        type="file"
        accept="image/*"
        hidden
        aria-label="Picture to search by"
        onChange={(event) => {
          const file = event.target.files?.[0];
          event.target.value = '';
          if (file !== undefined) void searchByPicture(file);
        }}
      />
    </>
  );
}

function pastePicture(event: ClipboardEvent): void {
  const file = pictureIn(event.clipboardData);
  if (file === null) return;
  event.preventDefault();
  event.stopPropagation();
  void searchByPicture(file);
}

function pictureIn(data: DataTransfer): File | null {
  return Array.from(data.files).find((file) => file.type.startsWith('image/')) ?? null;
}

/** A picture pasted anywhere on the page is searched by, too. */
export function usePastedPicture(): void {
  useEffect(() => {
    const onPaste = (event: globalThis.ClipboardEvent) => {
      const file = event.clipboardData === null ? null : pictureIn(event.clipboardData);
      if (file !== null && !event.defaultPrevented) void searchByPicture(file);
    };
    document.addEventListener('paste', onPaste);
    return () => document.removeEventListener('paste', onPaste);
  }, []);
}
