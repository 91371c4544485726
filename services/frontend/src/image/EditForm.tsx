import { useMutation } from '@tanstack/react-query';
import { useState, type SubmitEvent, type KeyboardEvent } from 'react';
import { updateImage } from '../api/endpoints';
import type { ImageDocument } from '../api/types';
import { replaceImage } from '../search/cache';
import styles from './Details.module.css';

/** Changes the tags and the caption of a picture. */
export function EditForm({ image, onDone }: { image: ImageDocument; onDone: () => void }) {
  const [tags, setTags] = useState((image.tags ?? []).join(', '));
  const [caption, setCaption] = useState(image.caption ?? '');
  const change = useMutation({
    mutationFn: () => updateImage(image.image_id, { tags: splitTags(tags), caption: caption.trim() || null }),
    onSuccess: (changed) => {
      replaceImage(changed);
      onDone();
    },
  });
  const save = (event: SubmitEvent) => {
    event.preventDefault();
    change.mutate();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') onDone();
  };
  return (
    <form className={styles.form} onSubmit={save} onKeyDown={onKeyDown}>
      <label>
        Caption
        <textarea
          className="field"
          rows={2}
          value={caption}
          onChange={(event) => setCaption(event.target.value)}
          autoFocus
        />
      </label>
      <label>
        Tags, with commas between
        <input className="field" type="text" value={tags} onChange={(event) => setTags(event.target.value)} />
      </label>
      {change.error !== null && (
        <p role="alert" className="error">
          Not saved: {change.error.message}. Try again.
        </p>
      )}
      <div className={styles.actions}>
        <button type="submit" className="primary" disabled={change.isPending}>
          {change.isPending ? 'Saving…' : 'Save'}
        </button>
        <button type="button" className="button" onClick={onDone}>
          Cancel
        </button>
      </div>
    </form>
  );
}

function splitTags(text: string): string[] {
  const tags = text.split(',').map((tag) => tag.trim());
  return [...new Set(tags.filter((tag) => tag !== ''))];
}
