// The address bar as a store: reading the view, and going to another one.
import { createStore, useStore } from '../lib/store';
import { formatView, parseView, type Query, type View } from './view';

const view = createStore<View>(parseView(window.location.search));

window.addEventListener('popstate', () => view.set(parseView(window.location.search)));

export function useView(): View {
  return useStore(view);
}

export const currentView = view.get;

/** Shows a view; `replace` keeps the history entry, as while somebody is still typing. */
export function go(next: View, replace = false): void {
  const path = `${window.location.pathname}${formatView(next)}`;
  const sameQuery = formatView({ ...next, image: null }) === formatView({ ...view.get(), image: null });
  if (formatView(next) === formatView(view.get())) return;
  if (replace) window.history.replaceState(window.history.state, '', path);
  // The mark tells that going back stays on this page.
  else window.history.pushState({ within: true }, '', path);
  view.set(next);
  if (!sameQuery) window.scrollTo(0, 0);
}

export function changeQuery(change: Partial<Query>, replace = false): void {
  const { query } = view.get();
  go({ query: { ...query, ...change }, image: null }, replace);
}

export function openImage(image: string): void {
  // Stepping from picture to picture is one step back.
  go({ ...view.get(), image }, view.get().image !== null);
}

/** Back to the grid: the step back that the visitor would make, or a plain close after a direct link. */
export function closeImage(): void {
  const state: unknown = window.history.state;
  const within = typeof state === 'object' && state !== null && 'within' in state;
  if (within) window.history.back();
  else go({ ...view.get(), image: null }, true);
}

export function linkTo(image: string): string {
  return formatView({ ...view.get(), image }) || '/';
}
