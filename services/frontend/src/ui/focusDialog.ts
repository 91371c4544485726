/** Gives the keyboard to a dialog itself, not to whichever button comes first in it. */
export function focusDialog(event: Event): void {
  event.preventDefault();
  (event.currentTarget as HTMLElement).focus();
}
