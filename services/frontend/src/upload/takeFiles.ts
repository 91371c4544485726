import { count } from '../lib/format';
import { notify } from '../ui/notices';
import type { Picked } from './files';
import { addFiles } from './uploads';

/** Adds what was dropped or picked, and says what was left out. */
export function takeFiles(picked: Picked): void {
  addFiles(picked);
  const { leftOut } = picked;
  if (picked.files.length === 0) notify('There are no pictures in that folder.');
  else if (leftOut > 0)
    notify(`${count(leftOut, 'file')} left out: not ${leftOut === 1 ? 'a picture' : 'pictures'}.`);
}
