// The access token: one value for every request of the page.

const storageKey = 'live777-token';

type Listener = () => void;

const listeners = new Set<Listener>();
let current = read();

function read(): string {
  try {
    return sessionStorage.getItem(storageKey) ?? localStorage.getItem(storageKey) ?? '';
  } catch {
    return ''; // storage is off in this browser: the token lives as long as the page
  }
}

/** The token in use, or '' where there is none. */
export function getToken(): string {
  return current;
}

/** Sets the token for this tab, and for later visits too when remember is set; '' forgets it. */
export function setToken(token: string, remember = false): void {
  current = token.trim();
  try {
    sessionStorage.removeItem(storageKey);
    localStorage.removeItem(storageKey);
    if (current) (remember ? localStorage : sessionStorage).setItem(storageKey, current);
  } catch {
    // See read.
  }
  for (const listener of listeners) listener();
}

/** Calls listener after every setToken until the returned function is called. */
export function onToken(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The headers that carry the token: none where there is no token. */
export function authHeaders(): Record<string, string> {
  return current ? { Authorization: `Bearer ${current}` } : {};
}
