import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { t } from './i18n';
import { ApiError } from './lib/http';
import { onSession } from './lib/session';
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

/** Any thrown value as words. */
export function words(reason: unknown): string {
  if (reason instanceof ApiError && reason.status === 0) return t('unreachable');
  return reason instanceof Error ? reason.message : String(reason);
}
