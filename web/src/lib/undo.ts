// Deletions that can still be taken back: the server is told when their time is over, or the page is left.

import { below } from './http';
import { deleteRecording, encodePath } from './api';
import { authHeaders } from './token';

/** A deletion that waits, or that the server has refused. */
export interface Deletion {
  path: string;
  name: string; // for people
  until: number; // Unix milliseconds
  error: string;
}

export const grace = 10_000; // ms

type Listener = () => void;
const listeners = new Set<Listener>();
const waiting = new Map<string, Deletion & { timer: ReturnType<typeof setTimeout> }>();
const done = new Set<string>(); // that the lists do not know of yet

/** Calls listener after every change until the returned function is called. */
export function onDeletions(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The deletions that wait, or have failed. */
export function deletions(): Deletion[] {
  return [...waiting.values()];
}

/** Is a recording deleted, as far as the reader is concerned? */
export function isDeleted(path: string): boolean {
  return done.has(path) || waiting.get(path)?.error === '';
}

const tell = () => {
  for (const listener of listeners) listener();
};

/** Deletes a recording in a while, unless that is taken back; words turns what goes wrong into a text. */
export function deleteSoon(path: string, name: string, words: (reason: unknown) => string): void {
  if (waiting.get(path)?.error === '') return;
  const carryOut = async () => {
    try {
      await deleteRecording(path);
      waiting.delete(path);
      done.add(path);
    } catch (reason) {
      const entry = waiting.get(path);
      if (entry) entry.error = words(reason);
    }
    tell();
  };
  const timer = setTimeout(() => void carryOut(), grace);
  waiting.set(path, { path, name, until: Date.now() + grace, error: '', timer });
  tell();
}

/** Takes a deletion back, or puts away what was said of one that has failed. */
export function undo(path: string): void {
  clearTimeout(waiting.get(path)?.timer);
  waiting.delete(path);
  tell();
}

// Who leaves the page has not taken it back.
globalThis.addEventListener?.('pagehide', () => {
  for (const { path, error } of waiting.values()) {
    if (error) continue;
    void fetch(below(`/api/recordings/${encodePath(path)}`), { method: 'DELETE', headers: authHeaders(), keepalive: true }).catch(() => undefined);
  }
});
