// Dragging over the page: one picture on the search field is a search, anything else anywhere is added. A picture or a
// link of another page comes as its address.
import { useEffect, useState } from 'react';
import { searchByPicture } from '../search/SearchBar';
import { askForAddresses, isAddressList } from './addresses';
import { filesOfDrop } from './files';
import { takeFiles } from './takeFiles';

/** What is being dragged over the page: one picture, or several things. */
export type Dragged = 'picture' | 'files';

export function useDropZone(): Dragged | null {
  const [dragged, setDragged] = useState<Dragged | null>(null);
  useEffect(() => {
    const events = dragEvents(setDragged);
    for (const [name, listener] of events) window.addEventListener(name, listener);
    return () => {
      for (const [name, listener] of events) window.removeEventListener(name, listener);
    };
  }, []);
  return dragged;
}

type Listener = readonly [
  name: 'dragstart' | 'dragend' | 'dragenter' | 'dragover' | 'dragleave' | 'drop',
  (event: DragEvent) => void,
];

function dragEvents(setDragged: (dragged: Dragged | null) => void): Listener[] {
  // Entering a child comes before leaving its parent, so that only a count tells when the page is left.
  let depth = 0;
  // This page's own pictures are links, too.
  let isOwn = false;
  const isTaken = ({ dataTransfer }: DragEvent) =>
    !isOwn && ['Files', 'text/uri-list'].some((type) => dataTransfer?.types.includes(type));
  const over = (event: DragEvent) => {
    if (event.dataTransfer === null || !isTaken(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
  };
  return [
    ['dragstart', () => (isOwn = true)],
    ['dragend', () => (isOwn = false)],
    [
      'dragenter',
      (event) => {
        over(event);
        if (event.dataTransfer === null || !isTaken(event)) return;
        depth += 1;
        setDragged(draggedIn(event.dataTransfer));
      },
    ],
    ['dragover', over],
    [
      'dragleave',
      () => {
        depth = Math.max(0, depth - 1);
        if (depth === 0) setDragged(null);
      },
    ],
    [
      'drop',
      (event) => {
        depth = 0;
        setDragged(null);
        if (event.dataTransfer === null || !isTaken(event)) return;
        event.preventDefault();
        drop(event.dataTransfer, event.target);
      },
    ],
  ];
}

function draggedIn(data: DataTransfer): Dragged {
  const [first, ...rest] = data.items;
  return rest.length === 0 && first?.type.startsWith('image/') ? 'picture' : 'files';
}

function drop(data: DataTransfer, target: EventTarget | null): void {
  if (data.files.length === 0) {
    // A list of addresses may have comments.
    const list = data.getData('text/uri-list').replace(/^#.*$/gm, '');
    if (isAddressList(list)) askForAddresses(list.trim());
    return;
  }
  const isOnField = target instanceof Element && target.closest('[data-drop=search], [role=search]') !== null;
  const picture = data.files[0];
  if (isOnField && data.files.length === 1 && picture?.type.startsWith('image/'))
    void searchByPicture(picture);
  else void filesOfDrop(data).then(takeFiles);
}
