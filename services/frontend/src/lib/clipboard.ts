/** Copies text; false when the browser doesn't allow it. */
export async function copyText(text: string): Promise<boolean> {
  if (window.isSecureContext) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  return copyBySelection(text);
}

/** Pages on plain HTTP have no clipboard, only the old command on a selection. */
function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea');
  area.value = text;
  area.style.position = 'fixed';
  area.style.opacity = '0';
  // Inside an open dialog, or its focus trap takes the selection away.
  (document.querySelector('[role=dialog]') ?? document.body).append(area);
  area.select();
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- there is no other way on plain HTTP
  const isCopied = document.execCommand('copy');
  area.remove();
  return isCopied;
}
