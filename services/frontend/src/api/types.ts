// What the server sends and takes. Names are the API's own.

export interface ImageFacts {
  width: number;
  height: number;
  /** Base64, see https://evanw.github.io/thumbhash/ */
  thumbhash: string;
  partial?: boolean;
  latitude?: number;
  longitude?: number;
  exif_date?: string;
}

export type FieldValue = string | number | boolean;

export interface ImageDocument {
  /** SHA-256 of the bytes, hexadecimal. */
  image_id: string;
  size_bytes: number;
  content_type: string;
  name?: string;
  created: string;
  tags?: string[];
  caption?: string;
  captured?: string;
  fields?: Record<string, FieldValue>;
  /** Absent until the picture has been decoded. */
  facts?: ImageFacts;
  /** Path of the original on this origin. */
  url: string;
  /** Cosine similarity; only in search results. */
  score?: number;
  /** 0 to 1, whatever the model; only in search results, and only once scores were measured. */
  relevance?: number;
}

export interface SearchPage {
  results: ImageDocument[];
  limit: number;
  offset: number;
}

export interface ListPage {
  images: ImageDocument[];
  next_cursor?: string;
  total: number;
}

/** The model that searches use, as far as the page shows it. */
export interface ModelStatus {
  change?: ModelChange;
}

export interface ModelChange {
  phase: 'loading' | 'indexing' | 'switching' | 'failed';
  indexed: number;
  images: number;
  seconds_left?: number;
  reason?: string;
}

/** RFC 9457 problem details. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  request_id?: string;
}

export type TaskStatus = 'queued' | 'processing' | 'indexed' | 'failed' | 'duplicate' | 'superseded';

export type FailureCode =
  | 'unsupported_type'
  | 'too_large'
  | 'corrupt'
  | 'unusable_vector'
  | 'address_refused'
  | 'fetch_failed'
  | 'original_missing'
  | 'retries_exhausted'
  | 'internal';

export interface Task {
  task_id: string;
  status: TaskStatus;
  name?: string;
  image_id?: string;
  result?: { image_id: string; url: string };
  error?: { code: FailureCode; detail: string };
}

/** One file's part of the answer to an upload. */
export interface IngestEntry {
  task_id?: string;
  status: 'queued' | 'duplicate' | 'failed';
  name?: string;
  image_id?: string;
  error?: Problem;
}

/** A JSON merge patch (RFC 7396): null removes. */
export interface MetadataPatch {
  tags?: string[] | null;
  caption?: string | null;
}

export interface Session {
  auth: 'open' | 'key_needed' | 'signed_in' | 'public_read';
  scopes: string[];
}
