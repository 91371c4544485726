import { X } from 'lucide-react';
import { variantUrl } from '../lib/images';
import { linkTo, openImage } from '../query/navigation';
import { queryPicture } from './pictures';
import styles from './SearchBar.module.css';

/** The picture that is searched by. One of the collection opens when it is clicked. */
export function LikeChip({ id, onRemove }: { id: string; onRemove: () => void }) {
  const own = queryPicture(id);
  const thumbnail = <img src={own?.url ?? variantUrl(id, 128)} alt="" className={styles.chipPicture} />;
  const open = (event: React.MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    openImage(id);
  };
  return (
    <span className={styles.chip} data-testid="like-chip">
      {own === undefined ? (
        <a href={linkTo(id)} onClick={open} aria-label="Open the picture that this search is by">
          {thumbnail}
        </a>
      ) : (
        thumbnail
      )}
      <span>Like this</span>
      <button type="button" aria-label="Don’t search by this picture" onClick={onRemove}>
        <X size={14} aria-hidden="true" />
      </button>
    </span>
  );
}
