// The files in what was dropped or picked, whole folders too.

export interface PickedFile {
  file: File;
  /** With its folders, when it came with some. */
  path: string;
}

export interface Picked {
  files: PickedFile[];
  /** Files of folders that aren't pictures and were left out. */
  leftOut: number;
}

const PICTURE_NAME =
  /\.(jpe?g|jpe|jfif|png|webp|gif|bmp|dib|tiff?|avif|hei[cf]|svg|jp2|jxl|psd|raw|dng|cr[23]|nef|arw|orf|rw2)$/i;

/**
 * In a folder anything may lie around, so only its pictures are taken (also of types that the server refuses: it says
 * why). A file that somebody chose is always taken.
 */
export function isPicture(name: string, type: string): boolean {
  return !name.startsWith('.') && (type.startsWith('image/') || PICTURE_NAME.test(name));
}

/** Reads a drop. Must be called while the event is handled: its items are gone afterwards. */
export async function filesOfDrop(data: DataTransfer): Promise<Picked> {
  const entries = Array.from(data.items, (item) => (item.kind === 'file' ? item.webkitGetAsEntry() : null));
  const plain = Array.from(data.files, (file) => ({ file, path: file.name }));
  if (!entries.some((entry) => entry?.isDirectory)) return { files: plain, leftOut: 0 };
  const picked: Picked = { files: [], leftOut: 0 };
  for (const entry of entries) {
    if (entry !== null) await collect(entry, picked, false);
  }
  return picked;
}

/** Reads what a file or folder picker gave. */
export function filesOfInput(list: FileList): Picked {
  const picked: Picked = { files: [], leftOut: 0 };
  for (const file of list) take({ file, path: file.webkitRelativePath || file.name }, picked);
  return picked;
}

function take(picked: PickedFile, into: Picked): void {
  const isInFolder = picked.path.includes('/');
  if (!isInFolder || isPicture(picked.file.name, picked.file.type)) into.files.push(picked);
  else into.leftOut += 1;
}

async function collect(entry: FileSystemEntry, into: Picked, isInside: boolean): Promise<void> {
  if (entry.isFile) {
    const file = await fileOf(entry as FileSystemFileEntry).catch(() => null);
    if (file !== null) take({ file, path: isInside ? entry.fullPath.replace(/^\//, '') : file.name }, into);
    return;
  }
  for (const child of await childrenOf(entry as FileSystemDirectoryEntry)) await collect(child, into, true);
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** A folder's reader gives its entries in portions; the last one is empty. */
async function childrenOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const children: FileSystemEntry[] = [];
  for (;;) {
    const portion = await new Promise<FileSystemEntry[]>((resolve) =>
      reader.readEntries(resolve, () => resolve([])),
    );
    if (portion.length === 0) return children;
    children.push(...portion);
  }
}
