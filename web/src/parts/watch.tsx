import { useEffect, useRef, useState } from 'preact/hooks';
import { useNow, words } from '../hooks';
import { t, tOr } from '../i18n';
import { bitrate, duration, seen } from '../lib/format';
import { backoff } from '../lib/sse';
import { incomingMeter, type IncomingStats, watchSession } from '../lib/wish';
import { useApp } from '../state';
import { Lazy } from './lazy';
import { noMediaWords } from './publisher';

const patience = 3000; // ms that an interrupted connection may take to come back by itself

/** What a viewer knows of its connection. */
export interface Watching {
  state: string; // an RTCPeerConnectionState, or 'reconnecting'
  error: string;
  retryAt: number; // Unix milliseconds of the next attempt, 0 where none is to come
  stats?: IncomingStats | undefined;
  losses?: readonly number[]; // shares of the packets, second by second, the newest last
}

const beginning: Watching = { state: 'new', error: '', retryAt: 0 };

/** Which layer of a simulcast is to come. */
export type Layer = 'biggest' | 'smallest';

const readings = 60; // of losses that are kept, one a second

/** Shows a live stream in a video element while on; it comes back by itself after whatever has ended it. */
export function useWatch(video: { current: HTMLVideoElement | null }, id: string, on: boolean, layer: Layer = 'biggest'): Watching {
  const [watching, setWatching] = useState(beginning);
  useEffect(() => {
    if (!on) return;
    return watch(video, id, layer, setWatching);
  }, [video, id, on, layer]);
  return on ? watching : beginning;
}

function watch(video: { current: HTMLVideoElement | null }, id: string, layer: Layer, tell: (state: Watching) => void): () => void {
  let session: ReturnType<typeof watchSession>['session'] | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let shown = true;
  let failures = 0;
  let meter: ReturnType<typeof setInterval> | undefined;
  const losses: number[] = [];

  const measure = (session: ReturnType<typeof watchSession>['session']) => {
    clearInterval(meter);
    const read = incomingMeter(session.connection);
    meter = setInterval(() => {
      void read().then((stats) => {
        if (!shown || !stats || session.connection.connectionState !== 'connected') return;
        losses.push(stats.lost);
        if (losses.length > readings) losses.shift();
        tell({ state: 'connected', error: '', retryAt: 0, stats, losses: [...losses] });
      });
    }, 1000);
  };
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
        measure(made.session);
      } else if (state === 'failed' || state === 'closed') {
        again(connected ? '' : noMediaWords(made.session), backoff(++failures));
      } else if (state === 'disconnected') {
        again('', patience);
      } else if (failures === 0) {
        tell({ state, error: '', retryAt: 0 });
      }
    });
    made.session.negotiate(`/whep/${encodeURIComponent(id)}${layer === 'smallest' ? '?layer=smallest' : ''}`).catch((reason: unknown) => {
      if (own()) again(words(reason), backoff(++failures));
    });
  };

  connect();
  return () => {
    shown = false;
    clearTimeout(timer);
    clearInterval(meter);
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

/** Plays a live stream by WHEP for as long as it is shown; live says whether somebody publishes it. The bar below goes back into the recording. */
export function WatchView({ id, live }: { id: string; live: boolean }) {
  const { me, recorder, sums } = useApp();
  const video = useRef<HTMLVideoElement>(null);
  const [wanted, setWanted] = useState(0); // a moment that was gone back to, in Unix milliseconds; 0 is now
  const [shown, setShown] = useState(0); // the moment of its picture
  const now = useNow(true);
  const back = wanted === 0 ? 0 : Math.max(1, Math.round((now - (shown || wanted)) / 1000));
  const goBack = (seconds: number) => {
    setShown(0);
    setWanted(seconds < nearNow ? 0 : Date.now() - seconds * 1000);
  };
  const { state, error, retryAt, stats, losses } = useWatch(video, id, live && back === 0);
  const seconds = useSecondsUntil(retryAt);
  const since = Date.parse(sums?.find((sum) => sum.stream === id)?.first ?? '') || 0;
  const rewinds = recorder && me?.rights.includes('view') === true;
  return (
    <div class="view" data-testid="watch" data-back={back}>
      {back > 0 ? (
        <Lazy load={loadRewound} props={{ id, moment: wanted, onMoment: setShown }} />
      ) : (
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
      )}
      {rewinds && <Back most={since ? Math.max(10, Math.min(furthest, Math.round((now - since) / 1000))) : furthest} back={back} onBack={goBack} />}
      {back === 0 && stats && (
        <p class="note facts-line" data-testid="watch-stats">
          {[stats.width > 0 && `${stats.width}×${stats.height}`, bitrate(stats.bitrate), stats.lost > 0 && t('lostShare', { percent: (stats.lost * 100).toFixed(1) })].filter(Boolean).join(' · ')}
          <Sparkline values={losses ?? []} />
        </p>
      )}
      {!live && back === 0 && (
        <p class="note" role="status" data-testid="watch-idle">
          {t('watchIdle')}
        </p>
      )}
      {live && back === 0 && state !== 'connected' && (
        <p class="note" role="status" data-testid="watch-state" data-state={state}>
          {state === 'reconnecting' ? t('reconnecting', { seconds }) : tOr(`state.${state}`, state)}
        </p>
      )}
      {live && back === 0 && error && (
        <p class="error" role="alert" data-testid="watch-error">
          {error}
        </p>
      )}
    </div>
  );
}

const loadRewound = () => import('./rewound').then((module) => module.Rewound);

const furthest = 3600; // s that the bar goes back

/** The time bar of a live picture: its right end is now, and left of it is what was recorded. */
function Back({ most, back, onBack }: { most: number; back: number; onBack: (seconds: number) => void }) {
  const [pulled, pull] = useState<number>(); // while the bar is held
  const seconds = pulled ?? back;
  const text = seconds === 0 ? t('backNow') : t('backBy', { time: duration(seconds) });
  return (
    <div class="row rewind">
      <input
        type="range"
        min={-Math.max(most, back)}
        max={0}
        step={1}
        value={-seconds}
        aria-label={t('backBar')}
        aria-valuetext={text}
        onInput={(event) => pull(-Number(event.currentTarget.value))}
        onChange={(event) => {
          pull(undefined);
          onBack(-Number(event.currentTarget.value));
        }}
        data-testid="watch-back"
      />
      <span class="note" data-testid="watch-behind">
        {text}
      </span>
      <button type="button" class="quiet" disabled={back === 0} onClick={() => onBack(0)} data-testid="watch-now">
        {t('toLive')}
      </button>
    </div>
  );
}

const nearNow = 3; // s before now that are now
const spark = { width: 60, height: 14, full: 0.1 }; // pixels, and the share that reaches the top

/** Losses of the last minute as a small curve; nothing where there were none. */
export function Sparkline({ values }: { values: readonly number[] }) {
  if (!values.some((value) => value > 0)) return null;
  const x = (i: number) => (spark.width * (i + readings - values.length)) / (readings - 1);
  const y = (value: number) => spark.height - 1 - Math.min(1, value / spark.full) * (spark.height - 2);
  const worst = Math.max(...values);
  return (
    <svg class="spark" viewBox={`0 0 ${spark.width} ${spark.height}`} role="img" aria-label={t('lossesOf', { percent: (worst * 100).toFixed(1) })} data-testid="losses">
      <polyline points={values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(' ')} />
    </svg>
  );
}
