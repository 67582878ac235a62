// Who the page speaks for: the session that the server's cookie stands for, or the token.

import { encodePath } from './api';
import { below, fromServer, readError, request } from './http';
import { setToken } from './token';

/** Who the server takes the page for, and what they may do. */
export interface Me {
  kind: string; // anonymous, token, jwt or account
  name: string;
  rights: string[];
  streams: string[];
  expires?: string;
}

type Listener = () => void;

const listeners = new Set<Listener>();

/** Calls listener after every login and logout until the returned function is called. */
export function onSession(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function announce(): void {
  for (const listener of listeners) listener();
}

/** Who the page speaks for. */
export async function getMe(): Promise<Me> {
  return (await (await request('/api/me')).json()) as Me;
}

/** Logs in; the session is in a cookie that no script can read. A token in use is forgotten. */
export async function login(name: string, password: string): Promise<void> {
  // Not through request: a wrong password is no news to who waits for the session's end.
  const response = await fetch(below('/api/login'), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ name, password }),
  });
  if (!response.ok) throw await readError(response);
  setToken('');
  announce();
}

/** Ends the session. */
export async function logout(): Promise<void> {
  await request('/api/logout', { method: 'POST' });
  announce();
}

/** Whether me may do something: everything as long as nobody knows better, for the server decides. */
export function may(me: Me | undefined, right: string): boolean {
  return me === undefined || me.rights.includes(right);
}

/** A URL that plays a recording without credentials, and until when. */
export async function signRecording(recordDir: string): Promise<{ url: string; expires: string }> {
  const response = await request(`/api/sign/${encodePath(recordDir)}`, { method: 'POST' });
  const { url, expires } = (await response.json()) as { url: string; expires: string };
  return { url: fromServer(url), expires };
}

/** The same for what concerns all streams, as the nodes of a manager do. */
export function mayForAll(me: Me | undefined, right: string): boolean {
  return may(me, right) && (me === undefined || me.streams.includes('*'));
}
