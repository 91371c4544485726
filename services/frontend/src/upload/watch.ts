// Following tasks on the server: by its event stream, and by asking while the stream is down.
import { getTask } from '../api/endpoints';
import { ApiError } from '../api/errors';
import type { Task } from '../api/types';

interface Watched {
  /** Ids of the tasks that haven't ended. */
  alive: () => string[];
  onTask: (task: Task) => void;
  /** The server doesn't know of the task. */
  onGone: (taskId: string) => void;
}

/** Milliseconds between two rounds of asking while the stream is down, and while it is up (nothing should be missed). */
const DOWN_MS = 2000;
const UP_MS = 15_000;
/** Tasks asked for in one round, oldest first: they end first. */
const ASKED_AT_ONCE = 12;

export class TaskWatch {
  readonly #watched: Watched;
  #stream: EventSource | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  /** Starts or stops following, as there are tasks to follow. */
  update(): void {
    const isNeeded = this.#watched.alive().length > 0;
    if (isNeeded && this.#stream === null) this.#start();
    else if (!isNeeded && this.#stream !== null) this.#stop();
  }

  #start(): void {
    const stream = new EventSource('/api/v1/ingest/events');
    this.#stream = stream;
    stream.addEventListener('task', (event: MessageEvent<string>) => {
      this.#watched.onTask(JSON.parse(event.data) as Task);
    });
    // What happened before the stream was open is not in it.
    stream.onopen = () => this.#askIn(0);
    stream.onerror = () => {
      this.#askIn(DOWN_MS);
      // The browser comes again by itself, but not after an answer other than 200.
      if (stream.readyState === EventSource.CLOSED) this.#reopenLater(stream);
    };
    this.#askIn(DOWN_MS);
  }

  #stop(): void {
    this.#stream?.close();
    this.#stream = null;
    clearTimeout(this.#timer);
  }

  #reopenLater(closed: EventSource): void {
    setTimeout(() => {
      if (this.#stream !== closed) return;
      this.#stream = null;
      this.update();
    }, DOWN_MS * 2);
  }

  #askIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(), ms);
  }

  async #ask(): Promise<void> {
    const asked = this.#watched.alive().slice(0, ASKED_AT_ONCE);
    await Promise.all(asked.map((taskId) => this.#askFor(taskId)));
    if (this.#stream === null) return;
    const alive = new Set(this.#watched.alive());
    if (alive.size > 0 && asked.every((taskId) => !alive.has(taskId))) {
      // All of them had ended unheard, and so may have those behind them.
      this.#askIn(0);
      return;
    }
    const isUp = this.#stream.readyState === EventSource.OPEN;
    this.#askIn(isUp ? UP_MS : DOWN_MS);
  }

  async #askFor(taskId: string): Promise<void> {
    try {
      this.#watched.onTask(await getTask(taskId));
    } catch (error) {
      // Whatever else went wrong, the next round asks again.
      if (error instanceof ApiError && error.slug === 'not-found') this.#watched.onGone(taskId);
    }
  }
}
