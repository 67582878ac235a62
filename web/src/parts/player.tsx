import { useEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';
import { locale, t, tOr } from '../i18n';
import type { Span } from '../lib/archive';
import { duration, seen } from '../lib/format';
import { nothing, type PlayView, type Source, Timeline } from '../lib/timeline';
import { useSecondsUntil } from './watch';

/** A timeline in a video element, for as long as it is shown. */
export function useTimeline(video: { current: HTMLVideoElement | null }, source: Source): [Timeline | undefined, PlayView] {
  const [view, setView] = useState(nothing);
  const [timeline, setTimeline] = useState<Timeline>();
  const now = useRef(source);
  now.current = source;
  useEffect(() => {
    if (!video.current) return;
    const source: Source = {
      stream: now.current.stream,
      running: () => now.current.running(),
      pauses: () => now.current.pauses(),
      skips: () => now.current.skips(),
      ended: () => now.current.ended(),
    };
    const made = new Timeline(video.current, source, setView);
    setTimeline(made);
    return () => made.close();
  }, [video, source.stream]);
  return [timeline, view];
}

/** The moment that is shown, renewed a few times a second. */
export function useMoment(timeline: Timeline | undefined, video: { current: HTMLVideoElement | null }): number | undefined {
  const [, tick] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    const element = video.current;
    if (!element || !timeline) return;
    const look = () => tick(undefined);
    const names = ['timeupdate', 'seeked', 'seeking'] as const;
    for (const name of names) element.addEventListener(name, look);
    return () => names.forEach((name) => element.removeEventListener(name, look));
  }, [timeline, video]);
  return timeline?.moment;
}

const speeds = [0.25, 0.5, 1, 2, 4, 8, 16];
const frame = 1 / 30; // s that a step moves by

interface StageProps {
  stream: string;
  video: { current: HTMLVideoElement | null };
  timeline: Timeline | undefined;
  view: PlayView;
  moment: number | undefined;
  running: boolean; // is the stream recorded now?
  here: Span | undefined; // what the moment is in, as the ledger has it
  onStart: (() => void) | undefined; // goes to the beginning of the recording that is played
}

/** The large player: the picture, the time on it, and what one can do with it by mouse and by key. */
export function Stage({ stream, video, timeline, view, moment, running, here, onStart }: StageProps) {
  const { state, error, live, retryAt, hole } = view;
  const [speed, setSpeed] = useState(1);
  const [height, setHeight] = useState(0);
  const seconds = useSecondsUntil(retryAt);
  const held = hole !== undefined && moment !== undefined && moment >= hole.from && moment < hole.to;
  const heights = useMemo(() => (state === 'playing' ? (timeline?.heights() ?? []) : []), [state, timeline]);
  const behind = live && moment !== undefined ? Math.max(0, (Date.now() - moment) / 1000) : 0;
  const setRate = (rate: number) => {
    setSpeed(rate);
    if (!video.current) return;
    video.current.defaultPlaybackRate = rate;
    video.current.playbackRate = rate;
  };
  useKeys(video, timeline, speed, setRate);
  const name = seen(stream);
  return (
    <div class="view" data-testid="player" data-state={state} data-live={live} data-error={error} data-moment={moment === undefined ? '' : Math.round(moment)}>
      <div class="stage" data-held={held}>
        <video
          ref={video}
          class="screen"
          controls
          autoplay
          playsInline
          aria-label={t('player', { id: name, time: moment === undefined ? '' : new Date(moment).toLocaleString(locale) })}
          data-testid="player-video"
        />
        {live && (
          <span class={state === 'playing' ? 'live-mark' : 'live-mark off'} data-testid="player-live">
            {state === 'playing' ? t('playerBehind', { seconds: Math.round(behind) }) : t('playerAway')}
          </span>
        )}
        {moment !== undefined && (
          <time class="moment" data-testid="player-moment" dateTime={new Date(moment).toISOString()}>
            {new Date(moment).toLocaleString(locale, { dateStyle: 'medium', timeStyle: 'medium' })}
          </time>
        )}
      </div>
      {hole ? (
        <p class="note" role="status" data-testid="player-hole">
          {t(held ? 'holeWait' : 'holeSkipped', { length: duration((hole.to - hole.from) / 1000), time: new Date(hole.to).toLocaleTimeString(locale) })}
        </p>
      ) : (
        here?.cause && (
          <p class="note" data-testid="player-cause">
            {tOr(`cause.${here.cause}`, here.cause)}
          </p>
        )
      )}
      <div class="buttons controls">
        <label class="switch">
          <span class="unseen">{t('speed')}</span>
          <select value={speed} onChange={(event) => setRate(Number(event.currentTarget.value))} data-testid="player-speed">
            {speeds.map((value) => (
              <option key={value} value={value}>
                {value} ×
              </option>
            ))}
          </select>
        </label>
        {heights.length > 1 && (
          <label class="switch">
            <span class="unseen">{t('quality')}</span>
            <select
              value={height}
              onChange={(event) => {
                const chosen = Number(event.currentTarget.value);
                setHeight(chosen);
                timeline?.chooseHeight(chosen);
              }}
              data-testid="player-quality"
            >
              <option value={0}>{t('qualityAuto')}</option>
              {heights.map((value) => (
                <option key={value} value={value}>
                  {value}p
                </option>
              ))}
            </select>
          </label>
        )}
        {live && (
          <button type="button" onClick={onStart} disabled={!onStart} data-testid="player-to-start">
            {t('fromStart')}
          </button>
        )}
        {running && (
          <button type="button" onClick={() => timeline?.toLive()} data-testid="player-to-live">
            {t('toLive')}
          </button>
        )}
        <button type="button" onClick={() => video.current && savePicture(video.current, stream, moment)} data-testid="player-picture">
          {t('savePicture')}
        </button>
        {document.pictureInPictureEnabled && (
          <button type="button" onClick={() => void togglePictureInPicture(video.current)} data-testid="player-pip">
            {t('pictureInPicture')}
          </button>
        )}
      </div>
      {(state === 'loading' || state === 'waiting' || state === 'reconnecting') && (
        <p class="note" role="status" data-testid="player-note">
          {state === 'reconnecting' ? `${error} · ${t('reconnecting', { seconds })}` : t(state === 'waiting' ? 'playerWaiting' : 'playerLoading')}
        </p>
      )}
      {state === 'error' && (
        <p class="error" role="alert" data-testid="player-error">
          {t('playerError', { error })}
        </p>
      )}
    </div>
  );
}

/** Keys of editors and of players: J K L, the arrows, full stop and comma for frames, M, F. Not while somebody types. */
function useKeys(video: { current: HTMLVideoElement | null }, timeline: Timeline | undefined, speed: number, setRate: (rate: number) => void) {
  const now = useRef({ speed, setRate, timeline });
  now.current = { speed, setRate, timeline };
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const v = video.current;
      const target = event.target as Element;
      if (!v || event.ctrlKey || event.metaKey || event.altKey || target.closest('input, select, textarea, dialog, [role="slider"]')) return;
      const { speed, setRate, timeline } = now.current;
      const by = (seconds: number) => timeline?.moment !== undefined && timeline.seek(timeline.moment + seconds * 1000);
      const keys: Record<string, () => void> = {
        k: () => void (v.paused ? v.play() : v.pause()),
        j: () => by(-10),
        l: () => (v.paused ? void v.play() : setRate(speeds.find((rate) => rate > speed) ?? speed)),
        ',': () => (v.pause(), by(-frame)),
        '.': () => (v.pause(), by(frame)),
        '<': () => setRate(speeds.findLast((rate) => rate < speed) ?? speed),
        '>': () => setRate(speeds.find((rate) => rate > speed) ?? speed),
        m: () => (v.muted = !v.muted),
        f: () => void (document.fullscreenElement ? document.exitFullscreen() : v.requestFullscreen?.()),
      };
      // The video element has arrows and the space bar of its own while it has the focus.
      if (!target.closest('video, button, a')) keys[' '] = keys['k'] as () => void;
      if (!target.closest('video')) {
        keys['ArrowLeft'] = () => by(event.shiftKey ? -60 : -5);
        keys['ArrowRight'] = () => by(event.shiftKey ? 60 : 5);
      }
      const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [video]);
}

/** Saves the picture that is shown as a file. */
function savePicture(video: HTMLVideoElement, stream: string, moment: number | undefined): void {
  if (!video.videoWidth) return;
  const canvas = Object.assign(document.createElement('canvas'), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext('2d')?.drawImage(video, 0, 0);
  canvas.toBlob((blob) => {
    if (!blob) return;
    const url = URL.createObjectURL(blob);
    const time = new Date(moment ?? Date.now()).toISOString().replace(/[:.]/g, '-');
    Object.assign(document.createElement('a'), { href: url, download: `${stream} ${time}.png` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }, 'image/png');
}

async function togglePictureInPicture(video: HTMLVideoElement | null): Promise<void> {
  if (document.pictureInPictureElement) await document.exitPictureInPicture().catch(() => undefined);
  else await video?.requestPictureInPicture().catch(() => undefined); // the browser refuses while nothing is loaded
}
