import { useEffect } from 'react';
import { askForAddresses, isAddressList } from './addresses';

/** Addresses pasted where nobody types are offered to be added. */
export function usePastedAddresses(): void {
  useEffect(() => {
    const onPaste = (event: ClipboardEvent) => {
      if (event.defaultPrevented || isBusy(event.target)) return;
      const text = event.clipboardData?.getData('text/plain') ?? '';
      if (event.clipboardData?.files.length === 0 && isAddressList(text)) askForAddresses(text);
    };
    document.addEventListener('paste', onPaste);
    return () => document.removeEventListener('paste', onPaste);
  }, []);
}

function isBusy(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('input, textarea, [role=dialog]') !== null;
}
