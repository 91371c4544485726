/**
 * Gives the keyboard to a dialog's field (`data-first-focus`), or else to the dialog itself, not to whichever button comes
 * first in it. React's own autofocus is too early: the dialog could not give the focus back to where it was.
 */
export function focusDialog(event: Event): void {
  event.preventDefault();
  const dialog = event.currentTarget as HTMLElement;
  (dialog.querySelector<HTMLElement>('[data-first-focus]') ?? dialog).focus();
}
