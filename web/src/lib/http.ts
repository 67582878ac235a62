// HTTP with the token and with errors in words.

import { learn, said, type Said } from './said';
import { authHeaders } from './token';

/** An answer that is not a success, in the reader's language where the server has told a code; or none. */
export class ApiError extends Error {
  override name = 'ApiError';
  constructor(
    readonly status: number, // 0 where no answer came
    message: string,
  ) {
    super(message);
  }
}

/** Where the page is: what the server has lies below it, whatever a proxy has put before. */
const home = () => globalThis.document?.baseURI ?? '';

/** The URL of a path of the server, such as '/api/info'; other URLs stay as they are. */
export function below(path: string, base = home()): string {
  return base && path.startsWith('/') ? new URL(`.${path}`, base).href : path;
}

/** The same for a path from an answer of the server, which knows what is before it, or does not. */
export function fromServer(path: string, base = home()): string {
  if (!base) return path;
  return path.startsWith(new URL('.', base).pathname) ? new URL(path, base).href : below(path, base);
}

type Listener = () => void;
const unauthorized = new Set<Listener>();

/** Calls listener whenever the server answers 401, until the returned function is called. */
export function onUnauthorized(listener: Listener): () => void {
  unauthorized.add(listener);
  return () => unauthorized.delete(listener);
}

/** Tells the listeners of onUnauthorized about a 401 that did not pass through request. */
export function announceUnauthorized(): void {
  for (const listener of unauthorized) listener();
}

/** Reads an error answer: what a JSON body says, else a short text, else the status. */
export async function readError(response: Response): Promise<ApiError> {
  const fallback = `HTTP ${response.status} ${response.statusText}`.trim();
  const body = await response.text().catch(() => '');
  let message = '';
  try {
    const { error, ...rest } = (JSON.parse(body) ?? {}) as Omit<Said, 'text'> & { error?: unknown };
    if (rest.code) await learn();
    if (error !== undefined) message = said({ ...rest, text: String(error) });
  } catch {
    // A proxy's HTML page says nothing to a person here; a short plain text does.
    const plain = response.headers.get('content-type')?.startsWith('text/plain') ?? false;
    if (plain && body.length < 300) message = body.trim();
  }
  return new ApiError(response.status, message || fallback);
}

/** fetch with the token; throws ApiError for every status outside 200 to 299, and where no answer comes. */
export async function request(url: string | URL, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  for (const [name, value] of Object.entries(authHeaders())) headers.set(name, value);
  const response = await fetch(typeof url === 'string' ? below(url) : url, { ...init, headers }).catch((reason: unknown) => {
    if (init.signal?.aborted) throw reason;
    throw new ApiError(0, reason instanceof Error ? reason.message : String(reason)); // each browser has words of its own
  });
  if (response.ok) return response;
  if (response.status === 401) announceUnauthorized();
  throw await readError(response);
}
