// Every endpoint that the page uses, by name.
import { request, requestOnce } from './client';
import type {
  ImageDocument,
  IngestEntry,
  ListPage,
  MetadataPatch,
  ModelStatus,
  SearchPage,
  Session,
  Task,
} from './types';

export interface SearchWindow {
  limit: number;
  offset: number;
  /** In the filter language; empty for none. */
  filter: string;
}

/** What a search by picture is made with: one in the collection, or bytes. */
export type Example = { imageId: string } | { picture: Blob };

export function searchByText(text: string, window: SearchWindow, signal?: AbortSignal): Promise<SearchPage> {
  return request(`/api/v1/image/search?${parameters({ text, ...window })}`, { signal, action: 'search' });
}

export function searchByExample(
  example: Example,
  text: string,
  window: SearchWindow,
  signal?: AbortSignal,
): Promise<SearchPage> {
  const fields = Object.entries({ text, ...window }).filter(([, value]) => value !== '');
  if ('imageId' in example) {
    const body = { image_id: example.imageId, ...Object.fromEntries(fields) };
    return request('/api/v1/image/search', { method: 'POST', body, signal, action: 'search' });
  }
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, String(value));
  body.append('file', example.picture, 'query');
  return request('/api/v1/image/search', { method: 'POST', body, signal, action: 'search' });
}

/** Like the search by an image of the collection, which is itself left out. */
export function similarTo(imageId: string, window: SearchWindow, signal?: AbortSignal): Promise<SearchPage> {
  return request(`${imagePath(imageId)}/similar?${parameters({ ...window })}`, { signal, action: 'search' });
}

/** Newest first. */
export function listImages(
  list: { filter: string; limit: number; cursor: string },
  signal?: AbortSignal,
): Promise<ListPage> {
  return request(`/api/v1/image?${parameters({ order: 'created desc', ...list })}`, { signal });
}

export function getImage(imageId: string, signal?: AbortSignal): Promise<ImageDocument> {
  return request(imagePath(imageId), { signal });
}

export function updateImage(imageId: string, patch: MetadataPatch): Promise<ImageDocument> {
  return request(`/api/v1/ingest/images/${encodeURIComponent(imageId)}`, {
    method: 'PATCH',
    body: patch,
    contentType: 'application/merge-patch+json',
  });
}

export function deleteImage(imageId: string, keepalive = false): Promise<void> {
  const path = `/api/v1/ingest/images/${encodeURIComponent(imageId)}`;
  return request(path, { method: 'DELETE', keepalive });
}

export function addSamples(): Promise<{ tasks: IngestEntry[] }> {
  return request('/api/v1/ingest/samples', { method: 'POST' });
}

export function getTask(taskId: string, signal?: AbortSignal): Promise<Task> {
  return request(`/api/v1/ingest/${encodeURIComponent(taskId)}`, { signal });
}

/** What a server says of its model; an error where the key may not ask. */
export function getModel(signal?: AbortSignal): Promise<ModelStatus> {
  return requestOnce('/api/v1/ingest/model', { signal });
}

export function getSession(): Promise<Session> {
  return requestOnce('/api/v1/session');
}

export function signIn(key: string): Promise<void> {
  return requestOnce('/api/v1/session', { method: 'POST', body: { key } });
}

export function signOut(): Promise<void> {
  return requestOnce('/api/v1/session', { method: 'DELETE' });
}

function imagePath(imageId: string): string {
  return `/api/v1/image/${encodeURIComponent(imageId)}`;
}

function parameters(values: Record<string, string | number>): URLSearchParams {
  const given = Object.entries(values).filter(([, value]) => value !== '');
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
}
