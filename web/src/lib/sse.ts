// Server-sent events over fetch: EventSource cannot send an Authorization header.

import { ApiError, request } from './http';

/** Turns text chunks, cut anywhere, into the data of whole events. */
export class EventParser {
  #rest = '';
  #data: string[] = [];

  /** Takes the next chunk and returns the data of the events that it completes. */
  push(chunk: string): string[] {
    const events: string[] = [];
    this.#rest += chunk;
    // A lone CR at the end may be the first half of CRLF: it waits for the next chunk.
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length > 0) events.push(this.#data.join('\n'));
        this.#data = [];
      } else if (line === 'data' || line.startsWith('data:')) {
        this.#data.push(line.slice(5).replace(/^ /, ''));
      }
    }
    return events;
  }
}

export type FeedState =
  | { kind: 'connecting' }
  | { kind: 'open' }
  | { kind: 'waiting'; error: string; status: number };

export interface FeedOptions {
  url: string;
  onData: (data: string) => void;
  onState: (state: FeedState) => void;
}

const firstDelay = 500; // ms
const longestDelay = 10_000; // ms

/** The pause before the next attempt: doubling from 0.5 s to 10 s, a quarter of it random. */
export function backoff(failures: number, random = Math.random): number {
  const base = Math.min(longestDelay, firstDelay * 2 ** Math.max(0, failures - 1));
  return base * (0.75 + 0.25 * random());
}

/** Reads events until the returned function is called, connecting again whenever it must. */
export function openFeed(options: FeedOptions): () => void {
  const abort = new AbortController();
  void run(options, abort.signal);
  return () => abort.abort();
}

async function run({ url, onData, onState }: FeedOptions, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    if (failures === 0) onState({ kind: 'connecting' });
    let status = 0;
    let error = 'the connection ended';
    try {
      await readOnce(url, signal, (data) => {
        failures = 0;
        onState({ kind: 'open' });
        onData(data);
      });
    } catch (reason) {
      status = reason instanceof ApiError ? reason.status : 0;
      error = reason instanceof Error ? reason.message : String(reason);
    }
    if (signal.aborted) return;
    failures++;
    onState({ kind: 'waiting', error, status });
    if (status === 401) return; // a new token opens a new feed
    await pause(backoff(failures), signal);
  }
}

async function readOnce(url: string, signal: AbortSignal, onData: (data: string) => void) {
  const response = await request(url, { signal, headers: { Accept: 'text/event-stream' } });
  if (!response.body) return;
  const parser = new EventParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    for (const data of parser.push(value)) onData(data);
  }
}

/** Waits; ends early when aborted or when the network comes back. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.('online', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    globalThis.addEventListener?.('online', end, { once: true });
    signal.addEventListener('abort', end, { once: true });
  });
}
