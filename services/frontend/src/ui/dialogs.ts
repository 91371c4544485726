// The small dialogs, fetched together: one by one they would weigh more.
export { AddressDialog } from '../upload/AddressDialog';
export { KeyDialog } from '../auth/KeyDialog';
export { HelpDialog } from './HelpDialog';
