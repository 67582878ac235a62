import { useEffect, useRef, useState } from 'preact/hooks';
import { words } from '../hooks';
import { t, tOr } from '../i18n';
import { seen } from '../lib/format';
import { backoff } from '../lib/sse';
import { watchSession } from '../lib/wish';
import { noMediaWords } from './publisher';

const patience = 3000; // ms that an interrupted connection may take to come back by itself

/** What a viewer knows of its connection. */
export interface Watching {
  state: string; // an RTCPeerConnectionState, or 'reconnecting'
  error: string;
  retryAt: number; // Unix milliseconds of the next attempt, 0 where none is to come
}

const beginning: Watching = { state: 'new', error: '', retryAt: 0 };

/** Shows a live stream in a video element while on; it comes back by itself after whatever has ended it. */
export function useWatch(video: { current: HTMLVideoElement | null }, id: string, on: boolean): Watching {
  const [watching, setWatching] = useState(beginning);
  useEffect(() => {
    if (!on) return;
    return watch(video, id, setWatching);
  }, [video, id, on]);
  return on ? watching : beginning;
}

function watch(video: { current: HTMLVideoElement | null }, id: string, tell: (state: Watching) => void): () => void {
  let session: ReturnType<typeof watchSession>['session'] | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let shown = true;
  let failures = 0;

  const again = (error: string, wait: number) => {
    if (!shown) return;
    clearTimeout(timer);
    tell({ state: 'reconnecting', error, retryAt: Date.now() + wait });
    timer = setTimeout(connect, wait);
  };
  const connect = () => {
    void session?.end();
    const made = watchSession();
    session = made.session;
    const { connection } = made.session;
    let connected = false;
    const own = () => shown && made.session === session;
    if (failures === 0) tell(beginning);
    connection.addEventListener('connectionstatechange', () => {
      if (!own()) return;
      const state = connection.connectionState;
      if (state === 'connected') {
        connected = true;
        failures = 0;
        clearTimeout(timer);
        if (video.current) video.current.srcObject = made.media;
        tell({ state, error: '', retryAt: 0 });
      } else if (state === 'failed' || state === 'closed') {
        again(connected ? '' : noMediaWords(made.session), backoff(++failures));
      } else if (state === 'disconnected') {
        again('', patience);
      } else if (failures === 0) {
        tell({ state, error: '', retryAt: 0 });
      }
    });
    made.session.negotiate(`/whep/${encodeURIComponent(id)}`).catch((reason: unknown) => {
      if (own()) again(words(reason), backoff(++failures));
    });
  };

  connect();
  return () => {
    shown = false;
    clearTimeout(timer);
    void session?.end();
  };
}

/** Seconds until a time, counted down each second. */
export function useSecondsUntil(at: number): number {
  const [, tick] = useState(0);
  useEffect(() => {
    if (at === 0) return;
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, [at]);
  return Math.max(0, Math.ceil((at - Date.now()) / 1000));
}

/** Plays a live stream by WHEP for as long as it is shown; live says whether somebody publishes it. */
export function WatchView({ id, live }: { id: string; live: boolean }) {
  const video = useRef<HTMLVideoElement>(null);
  const { state, error, retryAt } = useWatch(video, id, live);
  const seconds = useSecondsUntil(retryAt);
  return (
    <div class="view">
      <video
        ref={video}
        class="screen"
        autoplay
        muted
        controls
        playsInline
        aria-label={t('watching', { id: seen(id) })}
        data-testid="watch-video"
      />
      {!live && (
        <p class="note" role="status" data-testid="watch-idle">
          {t('watchIdle')}
        </p>
      )}
      {live && state !== 'connected' && (
        <p class="note" role="status" data-testid="watch-state" data-state={state}>
          {state === 'reconnecting' ? t('reconnecting', { seconds }) : tOr(`state.${state}`, state)}
        </p>
      )}
      {live && error && (
        <p class="error" role="alert" data-testid="watch-error">
          {error}
        </p>
      )}
    </div>
  );
}
