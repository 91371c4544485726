import { Check, Copy, ExternalLink, Images, Pencil, Trash2 } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import type { ImageDocument } from '../api/types';
import { copyText } from '../lib/clipboard';
import { formatBytes, formatDate, formatType } from '../lib/format';
import { go } from '../query/navigation';
import { NO_FILTERS } from '../query/filters';
import styles from './Details.module.css';
import { EditForm } from './EditForm';
import { SimilarStrip } from './SimilarStrip';

interface Props {
  image: ImageDocument;
  onDelete: () => void;
}

/** What is known of a picture and what can be done with it. */
export function Details({ image, onDelete }: Props) {
  const [editing, setEditing] = useState<'not_yet' | 'now' | 'done'>('not_yet');
  return (
    <div className={styles.details}>
      {editing === 'now' ? (
        <EditForm image={image} onDone={() => setEditing('done')} />
      ) : (
        <Tags image={image} onEdit={() => setEditing('now')} hasFocus={editing === 'done'} />
      )}
      <div className={styles.actions}>
        <button type="button" className="primary" onClick={() => searchLike(image.image_id)}>
          <Images size={18} aria-hidden="true" /> More like this
        </button>
        <a className="button" href={image.url} target="_blank" rel="noreferrer">
          <ExternalLink size={17} aria-hidden="true" /> Original
        </a>
      </div>
      <Facts image={image} />
      <SimilarStrip imageId={image.image_id} />
      <button type="button" className={styles.delete} onClick={onDelete}>
        <Trash2 size={17} aria-hidden="true" /> Delete picture
      </button>
    </div>
  );
}

function searchLike(imageId: string): void {
  go({ query: { text: '', like: imageId, filters: NO_FILTERS }, image: null });
}

function searchTag(tag: string): void {
  go({ query: { text: '', like: null, filters: { ...NO_FILTERS, tags: [tag] } }, image: null });
}

interface TagsProps {
  image: ImageDocument;
  onEdit: () => void;
  /** The focus comes back from the form. */
  hasFocus: boolean;
}

function Tags({ image, onEdit, hasFocus }: TagsProps) {
  return (
    <div className={styles.tags}>
      {image.tags?.map((tag) => (
        <button key={tag} type="button" className="tag" onClick={() => searchTag(tag)}>
          <span className="sr-only">Pictures tagged </span>
          {tag}
        </button>
      ))}
      <button type="button" className={styles.edit} onClick={onEdit} autoFocus={hasFocus}>
        <Pencil size={14} aria-hidden="true" />
        {image.tags?.length || image.caption ? 'Edit' : 'Add tags and a caption'}
      </button>
    </div>
  );
}

function Facts({ image }: { image: ImageDocument }) {
  const { facts } = image;
  return (
    <dl className={styles.facts}>
      {image.name !== undefined && <Fact term="Name">{image.name}</Fact>}
      {facts !== undefined && (
        <Fact term="Size">
          {facts.width} × {facts.height} px, {formatBytes(image.size_bytes)}
        </Fact>
      )}
      <Fact term="Type">{formatType(image.content_type)}</Fact>
      {facts?.partial && <Fact term="Note">The file is damaged; only a part of it could be read.</Fact>}
      {(image.captured ?? facts?.exif_date) !== undefined && (
        <Fact term="Taken">{formatDate(image.captured ?? facts?.exif_date ?? '')}</Fact>
      )}
      <Fact term="Added">{formatDate(image.created)}</Fact>
      {facts?.latitude !== undefined && facts.longitude !== undefined && (
        <Fact term="Place">
          {facts.latitude.toFixed(4)}, {facts.longitude.toFixed(4)}
        </Fact>
      )}
      {image.relevance !== undefined && <Fact term="Relevance">{image.relevance.toFixed(2)}</Fact>}
      {image.score !== undefined && <Fact term="Similarity">{image.score.toFixed(3)}</Fact>}
      {Object.entries(image.fields ?? {}).map(([name, value]) => (
        <Fact key={name} term={name}>
          {String(value)}
        </Fact>
      ))}
      <Fact term="Id">
        <CopyId id={image.image_id} />
      </Fact>
    </dl>
  );
}

function Fact({ term, children }: { term: string; children: ReactNode }) {
  return (
    <div className={styles.fact}>
      <dt>{term}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function CopyId({ id }: { id: string }) {
  const [isCopied, setIsCopied] = useState(false);
  const copy = async () => {
    setIsCopied(await copyText(id));
    setTimeout(() => setIsCopied(false), 2000);
  };
  return (
    <button type="button" className={styles.id} onClick={() => void copy()} title={id}>
      <code>{id.slice(0, 16)}…</code>
      {isCopied ? <Check size={15} aria-hidden="true" /> : <Copy size={15} aria-hidden="true" />}
      <span className="sr-only" aria-live="polite">
        {isCopied ? 'Copied' : 'Copy id'}
      </span>
    </button>
  );
}
