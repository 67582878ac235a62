import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { t } from './i18n';
import { ApiError } from './lib/http';
import { onSession } from './lib/session';
import { backoff } from './lib/sse';
import { getToken, onToken } from './lib/token';

/** The token in use; renders again when it changes. */
export function useToken(): string {
  const [token, set] = useState(getToken);
  useEffect(() => onToken(() => set(getToken())), []);
  return token;
}

/** A number that changes with every login and logout. */
export function useSession(): number {
  const [count, set] = useState(0);
  useEffect(() => onSession(() => set((before) => before + 1)), []);
  return count;
}

/** An action that a control starts: whether it runs now, and what went wrong the last time. */
export interface Action {
  busy: boolean;
  error: string;
  run: (work: () => Promise<void>) => Promise<void>;
}

/** Runs one piece of work at a time and keeps its error as words. */
export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const running = useRef(false);
  const run = useCallback(async (work: () => Promise<void>) => {
    if (running.current) return;
    running.current = true;
    setBusy(true);
    setError('');
    try {
      await work();
    } catch (reason) {
      setError(words(reason));
    } finally {
      running.current = false;
      setBusy(false);
    }
  }, []);
  return { busy, error, run };
}

/** The current time, renewed each second while active. */
export function useNow(active: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!active) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [active]);
  return now;
}

/** What is read from the server again and again. */
export interface Polled<T> {
  value: T | undefined; // what it said last, which stays while it does not answer
  error: string; // why there is nothing newer
  refresh: () => void;
}

/**
 * Reads at once, interval milliseconds after each answer (0 never), which may depend on it, and sooner after an error, later with each that follows.
 * What was read of something else, by its key, is forgotten; no key reads nothing.
 */
export function usePolled<T>(key: string, interval: number | ((value: T) => number), read: (signal: AbortSignal) => Promise<T>): Polled<T> {
  const [state, setState] = useState<{ key: string; value?: T; error: string }>({ key, error: '' });
  const [reads, setReads] = useState(0);
  const now = useRef({ read, interval });
  now.current = { read, interval };
  useEffect(() => {
    if (!key) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;
    let known: T | undefined;
    const pause = () => {
      const { interval } = now.current;
      if (typeof interval === 'number') return interval;
      return known && interval(known);
    };
    const turn = async () => {
      let wait = 0;
      try {
        const value = await now.current.read(abort.signal);
        known = value;
        wait = pause() ?? 0;
        failures = 0;
        if (!abort.signal.aborted) setState({ key, value, error: '' });
      } catch (reason) {
        if (abort.signal.aborted) return;
        wait = backoff(++failures);
        setState((before) => ({ ...(before.key === key ? before : {}), key, error: words(reason) }));
        if (reason instanceof ApiError && reason.status >= 400 && reason.status < 500) wait = pause() ?? wait;
      }
      if (!abort.signal.aborted && wait > 0) timer = setTimeout(() => void turn(), wait);
    };
    void turn();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, reads]);
  const own = state.key === key;
  return {
    value: own ? state.value : undefined,
    error: own ? state.error : '',
    refresh: useCallback(() => setReads((before) => before + 1), []),
  };
}

/** Any thrown value as words. */
export function words(reason: unknown): string {
  if (reason instanceof ApiError && reason.status === 0) return t('unreachable');
  return reason instanceof Error ? reason.message : String(reason);
}
