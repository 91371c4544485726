// Keys that work wherever nobody is typing.
import { useEffect } from 'react';
import { undoLatest } from './notices';

export function useShortcuts({ onSearch, onHelp }: { onSearch: () => void; onHelp: () => void }): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.defaultPrevented || isBusy(event.target)) return;
      const isUndo = event.key === 'z' && (event.ctrlKey || event.metaKey);
      if (isUndo && undoLatest()) event.preventDefault();
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === '/') onSearch();
      else if (event.key === '?') onHelp();
      else return;
      event.preventDefault();
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, [onSearch, onHelp]);
}

/** Somebody types, or a dialog has the keyboard. */
function isBusy(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('input, textarea, [role=dialog]') !== null;
}
