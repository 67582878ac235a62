import { useEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';
import { locale, t } from '../i18n';
import { objectURL, type Recording } from '../lib/api';
import { following, spotAt } from '../lib/archive';
import { seen } from '../lib/format';
import { announceUnauthorized } from '../lib/http';
import type { Player, PlayerError } from '../lib/shaka';
import { backoff } from '../lib/sse';
import { useSecondsUntil } from './watch';

const attempts = 20; // of a manifest that a running recording has not written yet
const attemptPause = 2000; // ms
const nextPause = 1500; // ms between looks for the recording that goes on after one that was sealed
const nextLooks = 12;

export type PlayState = 'empty' | 'loading' | 'waiting' | 'playing' | 'reconnecting' | 'error';

/** What the page shows of a timeline that is played. */
export interface PlayView {
  state: PlayState;
  error: string;
  live: boolean;
  recording: Recording | undefined; // that is played now
  retryAt: number;
}

const nothing: PlayView = { state: 'empty', error: '', live: false, recording: undefined, retryAt: 0 };

/** Where the player gets recordings from, as they are known now. */
export interface Source {
  recordings: () => readonly Recording[];
  refresh: () => void; // asks for newer ones
}

/** Plays a stream by wall-clock time in one video element: from recording to recording, and on after the server was away. */
export class Timeline {
  view = nothing;
  readonly #video: HTMLVideoElement;
  readonly #source: Source;
  readonly #changed: (view: PlayView) => void;
  #player: Player | undefined;
  #making: Promise<Player> | undefined;
  #target: number | undefined; // the moment that is to be shown, while it cannot be yet
  #waiting: AbortSignal | undefined; // of what is waited for, since it has failed
  #abort = new AbortController(); // of what is played now
  readonly #gone = new AbortController(); // of everything
  #failures = 0;

  constructor(video: HTMLVideoElement, source: Source, changed: (view: PlayView) => void) {
    this.#video = video;
    this.#source = source;
    this.#changed = changed;
    const { signal } = this.#gone;
    const follow = () => {
      const live = this.#player?.isLive() ?? false;
      if (live !== this.view.live) this.#set({ live });
    };
    // A running recording that is sealed turns from live to finished while it is played.
    for (const name of ['timeupdate', 'durationchange']) video.addEventListener(name, follow, { signal });
    video.addEventListener('ended', () => void this.#goOn(), { signal });
  }

  /** The wall-clock time of the picture, in Unix milliseconds; undefined where there is none. */
  get moment(): number | undefined {
    const { recording } = this.view;
    return this.#target ?? (recording && Date.parse(recording.start) + this.#video.currentTime * 1000);
  }

  /** Shows what was recorded at a moment, or what comes next. */
  seek(moment: number): void {
    const spot = spotAt(this.#source.recordings(), moment, Date.now());
    if (spot) this.show(spot.recording, spot.offset);
  }

  /** Shows a recording from so many seconds on; without, from its start or near its live edge. */
  show(recording: Recording, offset?: number): void {
    if (this.#player && this.view.recording?.mpd_path === recording.mpd_path && this.view.state === 'playing') {
      const range = this.#player.seekRange();
      if (offset !== undefined) this.#video.currentTime = Math.min(Math.max(offset, range.start), Math.max(range.start, range.end - 0.05));
      else if (this.view.live) this.#video.currentTime = range.end;
      return;
    }
    void this.#open(recording, offset);
  }

  /** Goes to the newest picture that the player can have without waiting. */
  toLive(): void {
    const newest = this.#source.recordings().find((recording) => recording.status === 'recording');
    if (newest) this.show(newest);
    void this.#video.play().catch(() => undefined);
  }

  heights(): number[] {
    return this.#player?.heights() ?? [];
  }

  chooseHeight(height: number): void {
    this.#player?.chooseHeight(height);
  }

  close(): void {
    this.#gone.abort();
    this.#abort.abort();
    void this.#making?.then((player) => player.destroy());
  }

  #set(part: Partial<PlayView>): void {
    if (this.#gone.signal.aborted) return;
    this.view = { ...this.view, ...part };
    this.#changed(this.view);
  }

  async #open(recording: Recording, offset?: number): Promise<void> {
    this.#abort.abort();
    const { signal } = (this.#abort = new AbortController());
    const again = this.#failures > 0;
    this.#target = Date.parse(recording.start) + (offset ?? 0) * 1000;
    this.#set({ state: again ? 'reconnecting' : 'loading', error: again ? this.view.error : '', live: false, recording, retryAt: 0 });
    const { createPlayer, playerError } = await import('../lib/shaka');
    if (signal.aborted) return;
    try {
      this.#making ??= createPlayer(this.#video, (error) => this.#fail(error));
      const player = (this.#player = await this.#making);
      if (!(await this.#load(player, recording, offset, signal))) return;
      this.#failures = 0;
      this.#target = undefined;
      this.#set({ state: 'playing', error: '', live: player.isLive() });
      void this.#video.play().catch(() => undefined); // the browser wants a click first
    } catch (reason) {
      if (!signal.aborted) this.#fail(playerError(reason));
    }
  }

  /** Loads a manifest; waits for that of a recording that has only just begun. False where something else was loaded meanwhile. */
  async #load(player: Player, recording: Recording, offset: number | undefined, signal: AbortSignal): Promise<boolean> {
    const { playerError } = await import('../lib/shaka');
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await player.load(objectURL(recording.mpd_path), offset);
        return !signal.aborted;
      } catch (reason) {
        const error = playerError(reason);
        if (signal.aborted || error.interrupted) return false;
        if (!error.manifest || this.#current(recording).status !== 'recording' || attempt >= attempts) throw error;
      }
      this.#set({ state: 'waiting' });
      await pause(attemptPause, signal);
    }
    return false;
  }

  /** A recording as it is known now. */
  #current(recording: Recording): Recording {
    return this.#source.recordings().find((known) => known.mpd_path === recording.mpd_path) ?? recording;
  }

  /** What cannot be played says so; a server that is away is waited for, at the same moment. */
  #fail({ status, unreachable, message, interrupted }: PlayerError): void {
    const { recording, live } = this.view;
    const { signal } = this.#abort;
    if (interrupted || signal.aborted || !recording) return;
    if (status === 401) announceUnauthorized();
    if (!unreachable && status < 500) return this.#set({ state: 'error', error: status === 404 ? t('playerGone') : message });
    if (this.#waiting === signal) return;
    this.#waiting = signal;
    this.#target = this.moment;
    const offset = this.#target === undefined ? undefined : (this.#target - Date.parse(recording.start)) / 1000;
    const wait = backoff(++this.#failures);
    this.#set({ state: 'reconnecting', error: unreachable ? t('unreachable') : message, retryAt: Date.now() + wait });
    void pause(wait, signal).then(() => {
      if (!signal.aborted) void this.#open(this.#current(recording), live ? undefined : offset);
    });
  }

  /** Goes on in the recording that follows the one that has ended, if there is one or it comes soon. */
  async #goOn(): Promise<void> {
    const ended = this.view.recording;
    const { signal } = this.#abort;
    if (!ended) return;
    for (let look = 0; look < nextLooks && !signal.aborted; look++) {
      const now = this.#current(ended);
      const next = following(this.#source.recordings(), now);
      if (next) return void this.#open(next, 0);
      // A rotation is told a moment after the recording that was sealed; what has long been finished has no such moment.
      const end = Date.parse(now.start) + now.duration * 1000;
      if (now.status !== 'recording' && Date.now() - end > 60_000) return;
      this.#source.refresh();
      await pause(nextPause, signal);
    }
  }
}

/** A timeline in a video element, for as long as it is shown. */
export function useTimeline(video: { current: HTMLVideoElement | null }, source: Source): [Timeline | undefined, PlayView] {
  const [view, setView] = useState(nothing);
  const [timeline, setTimeline] = useState<Timeline>();
  const now = useRef(source);
  now.current = source;
  useEffect(() => {
    if (!video.current) return;
    const made = new Timeline(
      video.current,
      { recordings: () => now.current.recordings(), refresh: () => now.current.refresh() },
      setView,
    );
    setTimeline(made);
    return () => made.close();
  }, [video]);
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
}

/** The large player: the picture, the time on it, and what one can do with it by mouse and by key. */
export function Stage({ stream, video, timeline, view, moment, running }: StageProps) {
  const { state, error, live, retryAt } = view;
  const [speed, setSpeed] = useState(1);
  const [height, setHeight] = useState(0);
  const seconds = useSecondsUntil(retryAt);
  const heights = useMemo(() => (state === 'playing' ? (timeline?.heights() ?? []) : []), [state, timeline, view.recording]);
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
      <div class="stage">
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
          <button type="button" onClick={() => view.recording && timeline?.show(view.recording, 0)} data-testid="player-to-start">
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

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
