// Deletions that can still be taken back. They wait on the server, so that they go on without this page, and another one can undo them.

import { deleteRecording, listDeletions, undeleteRecording } from './api';

/** A deletion that waits, or that the server has refused. */
export interface Deletion {
  path: string;
  name: string; // for people
  until: number; // Unix milliseconds
  error: string;
}

const grace = 10; // s

type Listener = () => void;
const listeners = new Set<Listener>();
const waiting = new Map<string, Deletion & { timer?: ReturnType<typeof setTimeout>; asked?: Promise<void> }>();
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

/** Shows a deletion until the server carries it out. */
function show(path: string, name: string, until: number): void {
  const timer = setTimeout(() => {
    waiting.delete(path);
    done.add(path);
    tell();
  }, Math.max(0, until - Date.now()));
  waiting.set(path, { path, name, until, error: '', timer });
  tell();
}

/** Deletes a recording in a while, unless that is taken back; words turns what goes wrong into a text. */
export async function deleteSoon(path: string, name: string, words: (reason: unknown) => string): Promise<void> {
  if (waiting.get(path)?.error === '') return;
  const until = Date.now() + grace * 1000;
  const asked = deleteRecording(path, grace);
  waiting.set(path, { path, name, until, error: '', asked }); // at once, for whoever has clicked
  tell();
  try {
    await asked;
    if (waiting.get(path)?.error === '') show(path, name, until);
  } catch (reason) {
    waiting.set(path, { path, name, until, error: words(reason) });
    tell();
  }
}

/** Takes a deletion back, or puts away what was said of one that has failed. */
export async function undo(path: string, words: (reason: unknown) => string): Promise<void> {
  const entry = waiting.get(path);
  clearTimeout(entry?.timer);
  waiting.delete(path);
  tell();
  if (!entry || entry.error) return;
  try {
    if (entry.asked) await entry.asked; // or the server would hear of it after it was taken back
    await undeleteRecording(path);
  } catch (reason) {
    waiting.set(path, { ...entry, error: words(reason) });
    tell();
  }
}

/** Shows what was deleted a moment ago, by this page before it was loaded again, or by others. */
export async function readDeletions(nameOf: (path: string) => string): Promise<void> {
  for (const { record_dir: path, at } of await listDeletions()) {
    if (!waiting.has(path)) show(path, nameOf(path), Date.parse(at));
  }
}
