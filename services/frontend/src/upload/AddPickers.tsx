import { FolderPlus, ImagePlus } from 'lucide-react';
import { useRef, type ChangeEvent } from 'react';
import { filesOfInput } from './files';
import { takeFiles } from './takeFiles';

/** Two buttons: pick pictures, pick a folder. */
export function AddPickers({ className, onPicked }: { className: string; onPicked?: () => void }) {
  const pictures = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const onChange = (event: ChangeEvent<HTMLInputElement>) => {
    const { files } = event.target;
    if (files !== null && files.length > 0) takeFiles(filesOfInput(files));
    event.target.value = '';
    onPicked?.();
  };
  return (
    <>
      <button type="button" className={className} onClick={() => pictures.current?.click()}>
        <ImagePlus size={18} aria-hidden="true" /> Choose pictures
      </button>
      <button type="button" className="button" onClick={() => folder.current?.click()}>
        <FolderPlus size={18} aria-hidden="true" /> Choose a folder
      </button>
      <input ref={pictures} type="file" multiple hidden aria-label="Pictures to add" onChange={onChange} />
      <input
        ref={folder}
        type="file"
        webkitdirectory=""
        hidden
        aria-label="Folder to add"
        onChange={onChange}
      />
    </>
  );
}
