import { Suspense, useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { keyQuestion } from './auth/key';
import { AwayBanner } from './connection/AwayBanner';
import { deleteWithUndo } from './deletion/askDelete';
import { useStore } from './lib/store';
import { openImage, useView } from './query/navigation';
import { hasFilters } from './query/filters';
import { gridFocus } from './grid/Grid';
import { isSearch } from './search/pages';
import { SearchBar, usePastedPicture } from './search/SearchBar';
import { useResults } from './search/useResults';
import { Content } from './states/Content';
import { Examples } from './states/Examples';
import { StatusLine } from './states/StatusLine';
import styles from './App.module.css';
import { AddButton } from './upload/AddButton';
import { addressQuestion } from './upload/addresses';
import { useDropZone } from './upload/useDropZone';
import { usePastedAddresses } from './upload/usePastedAddresses';
import { tray } from './upload/uploads';
import { Notices } from './ui/Notices';
import { PartBoundary } from './ui/PartBoundary';
import {
  AddressDialog,
  fetchPartsWhenIdle,
  FilterBar,
  HelpDialog,
  ImageDialog,
  KeyDialog,
  Tray,
} from './ui/parts';
import { useShortcuts } from './ui/useShortcuts';

export function App() {
  const { query, image } = useView();
  const results = useResults(query);
  const field = useRef<HTMLInputElement>(null);
  const focusField = useCallback(() => field.current?.focus(), []);
  const dragging = useDropZone();
  const [isHelpOpen, setIsHelpOpen] = useState(false);
  usePastedPicture();
  usePastedAddresses();
  useEffect(() => {
    document.title = query.text === '' ? 'imagesearch' : `${query.text} – imagesearch`;
  }, [query.text]);
  useShortcuts({ onSearch: focusField, onHelp: () => setIsHelpOpen(true) });

  const { images, isFirstLoad } = results;
  useEffect(() => {
    if (!isFirstLoad) fetchPartsWhenIdle();
  }, [isFirstLoad]);
  const knownTags = useMemo(() => tagsOf(images), [images]);
  const focusFirst = () => {
    if (images[0] !== undefined) gridFocus.set({ imageId: images[0].image_id });
  };
  const isPlain = !isSearch(query) && !hasFilters(query.filters);

  return (
    <>
      <header className={styles.header}>
        <div className={styles.top}>
          <a className={styles.brand} href="/">
            imagesearch
          </a>
          <SearchBar
            query={query}
            inputRef={field}
            onLeaveDown={focusFirst}
            isDropTarget={dragging === 'picture'}
          />
          <AddButton />
        </div>
        <div className={styles.second}>
          <Part>
            <FilterBar filters={query.filters} knownTags={knownTags} />
          </Part>
          <StatusLine query={query} results={results} onHelp={() => setIsHelpOpen(true)} />
        </div>
      </header>
      <main className={styles.main} data-dragging={dragging !== null || undefined}>
        <h1 className="sr-only">Find pictures</h1>
        {isPlain && <Examples />}
        <Content
          query={query}
          results={results}
          onOpen={openImage}
          onDelete={deleteWithUndo}
          onEscape={focusField}
        />
        {dragging !== null && <p className={styles.dropHint}>Drop anywhere to add to your collection</p>}
      </main>
      <Panels />
      <Part>
        {image !== null && <ImageDialog imageId={image} images={images} onNearEnd={results.loadMore} />}
        {isHelpOpen && <HelpDialog onClose={() => setIsHelpOpen(false)} />}
      </Part>
      <Notices />
      <AwayBanner />
    </>
  );
}

/** Something that is loaded later than the page. */
function Part({ children }: { children: ReactNode }) {
  return (
    <PartBoundary>
      <Suspense>{children}</Suspense>
    </PartBoundary>
  );
}

/** What shows up only when there is something to say; its code is loaded then. */
function Panels() {
  const hasUploads = useStore(tray).length > 0;
  const addresses = useStore(addressQuestion);
  const isKeyAsked = useStore(keyQuestion) === 'asked';
  return (
    <Part>
      {hasUploads && <Tray />}
      {addresses !== null && <AddressDialog initial={addresses} />}
      {isKeyAsked && <KeyDialog />}
    </Part>
  );
}

const TAGS_KNOWN = 60;

/** The commonest tags of the pictures at hand. */
function tagsOf(images: readonly { tags?: string[] }[]): string[] {
  const counts = new Map<string, number>();
  for (const tag of images.flatMap((image) => image.tags ?? [])) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  const byCount = [...counts].sort(([, one], [, other]) => other - one);
  return byCount.slice(0, TAGS_KNOWN).map(([tag]) => tag);
}
