// Plays a stream by wall-clock time in a video element: spans of its archive, one after the other, over whatever is between.

import { t } from '../i18n';
import { nearest } from './api';
import { spanURL } from './clip';
import { announceUnauthorized } from './http';
import type { Player, PlayerError } from './shaka';
import { backoff } from './sse';

const hour = 3_600_000;
const span = { before: hour / 4, after: 3 * hour }; // of the moment that is asked for, in ms: as much as one manifest has
const recent = 3000; // ms before now that count as now
const attempts = 20; // of a span that a running recording has not written yet
const attemptPause = 2000; // ms
const nextPause = 1500; // ms between looks for what goes on after what has ended
const nextLooks = 12;
const shortest = 1500; // ms of a hole that is told of, and waited out
const skipped = 5000; // ms of a pause with pictures in it that is skipped
const tick = 250; // ms

export type PlayState = 'empty' | 'loading' | 'waiting' | 'playing' | 'reconnecting' | 'error';

/** A time in which there is nothing to play. */
export interface Stretch {
  from: number;
  to: number;
}

/** What the page shows of a timeline that is played. */
export interface PlayView {
  state: PlayState;
  error: string;
  live: boolean;
  retryAt: number;
  hole: Stretch | undefined; // that is waited out, or was skipped a moment ago
}

export const nothing: PlayView = { state: 'empty', error: '', live: false, retryAt: 0, hole: undefined };

/** What a player knows of the stream that it plays. */
export interface Source {
  stream: string;
  running: () => boolean; // is it being recorded?
  pauses: () => readonly Stretch[]; // that have pictures which nobody sent
  skips: () => boolean; // are holes skipped, not waited out?
  ended: () => void; // asks for news of the archive
}

/** Plays a stream by wall-clock time in one video element; it goes on after the server was away. */
export class Timeline {
  view = nothing;
  readonly #video: HTMLVideoElement;
  readonly #source: Source;
  readonly #changed: (view: PlayView) => void;
  #player: Player | undefined;
  #making: Promise<Player> | undefined;
  #loaded: { from: number; to: number | undefined } | undefined; // without an end it goes on
  #epoch: number | undefined; // Unix milliseconds of the video's zero
  #target: number | undefined; // the moment that is to be shown, while it cannot be yet
  #held: { from: number; to: number; at: number; timer: ReturnType<typeof setInterval> } | undefined; // a hole that is waited out
  #last = 0; // video time of the last picture
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
      if (live !== this.view.live && this.view.state === 'playing') this.#set({ live });
    };
    // What runs turns from live to finished when it is sealed.
    for (const name of ['timeupdate', 'durationchange']) video.addEventListener(name, follow, { signal });
    video.addEventListener('timeupdate', () => this.#played(), { signal });
    video.addEventListener('play', () => this.#release(), { signal }); // who does not want to wait presses play
    video.addEventListener('ended', () => void this.#goOn(), { signal });
  }

  /** The wall-clock time of the picture, in Unix milliseconds; undefined where there is none. */
  get moment(): number | undefined {
    if (this.#target !== undefined) return this.#target;
    const held = this.#held;
    if (held) return Math.min(held.to, held.from + (performance.now() - held.at) * this.#video.defaultPlaybackRate);
    return this.#epoch === undefined ? undefined : this.#epoch + this.#video.currentTime * 1000;
  }

  /** Whether time goes on: pictures are shown, or a hole is waited out. */
  get moving(): boolean {
    return this.#held !== undefined || !this.#video.paused;
  }

  /** Shows what was recorded at a moment, or what comes next. */
  seek(moment: number): void {
    this.#release();
    if (moment > Date.now() - recent) return this.toLive();
    const { from, to } = this.#loaded ?? { from: 0, to: 0 };
    const within = this.view.state === 'playing' && moment >= from && moment < (to ?? Number.POSITIVE_INFINITY);
    if (!within || this.#epoch === undefined || !this.#player) return void this.#open(moment);
    const range = this.#player.seekRange();
    const place = (moment - this.#epoch) / 1000;
    if (to !== undefined && place > range.end) return void this.#open(moment); // what has ended here may go on by now
    this.#video.currentTime = Math.min(Math.max(place, range.start), Math.max(range.start, range.end - 0.05));
  }

  /** Plays from the beginning of a recording on, and nothing that was before. */
  begin(start: number): void {
    this.#release();
    void this.#open(start + 1, start + 1); // times are told without their parts of milliseconds: not from what was before
  }

  /** Goes to the newest picture that the player can have without waiting; what is recorded since then can be gone back to. */
  toLive(since?: number): void {
    this.#release();
    const { from, to } = this.#loaded ?? {};
    if (this.#player && this.view.live && this.view.state === 'playing' && to === undefined && (since === undefined || (from ?? 0) <= since)) {
      this.#video.currentTime = this.#player.seekRange().end;
      void this.#video.play().catch(() => undefined);
      return;
    }
    void this.#open(undefined, since === undefined ? Date.now() - hour : Math.max(since + 1, Date.now() - hour));
  }

  heights(): number[] {
    return this.#player?.heights() ?? [];
  }

  chooseHeight(height: number): void {
    this.#player?.chooseHeight(height);
  }

  close(): void {
    this.#release();
    this.#gone.abort();
    this.#abort.abort();
    void this.#making?.then((player) => player.destroy());
  }

  #set(part: Partial<PlayView>): void {
    if (this.#gone.signal.aborted) return;
    this.view = { ...this.view, ...part };
    this.#changed(this.view);
  }

  /** Plays from a moment on, or the newest; from says how far back one can go without another manifest. */
  async #open(moment: number | undefined, from?: number): Promise<void> {
    this.#abort.abort();
    const { signal } = (this.#abort = new AbortController());
    const again = this.#failures > 0;
    this.#target = moment;
    if (moment === undefined) this.#epoch = undefined;
    this.#set({ state: again ? 'reconnecting' : 'loading', error: again ? this.view.error : '', retryAt: 0, hole: undefined });
    const { createPlayer, playerError } = await import('./shaka');
    try {
      const target = moment === undefined ? undefined : await this.#mediaAt(moment, signal);
      if (signal.aborted) return;
      this.#target = target;
      this.#making ??= createPlayer(this.#video, { onError: (error) => this.#fail(error), onGap: () => this.#jumped() });
      const player = (this.#player = await this.#making);
      const end = target === undefined || target + span.after > Date.now() ? undefined : target + span.after;
      const loaded = { from: from ?? (target ?? Date.now()) - span.before, to: end };
      if (!(await this.#load(player, loaded, target, signal))) return;
      this.#loaded = loaded;
      this.#epoch = player.epoch();
      this.#failures = 0;
      this.#target = target; // until there is a picture
      this.#last = this.#video.currentTime;
      this.#set({ state: 'playing', error: '', live: player.isLive() });
      void this.#video.play().catch(() => undefined); // the browser wants a click first
    } catch (reason) {
      if (!signal.aborted) this.#fail(playerError(reason));
    }
  }

  /** The moment itself if something was recorded then, else the beginning of what comes next, else the end of what was last. */
  async #mediaAt(moment: number, signal: AbortSignal): Promise<number> {
    const { here, before, after } = await nearest(this.#source.stream, moment, signal);
    if (here) return moment;
    return after ?? (before === undefined ? moment : before - 1000);
  }

  /** Loads a span; waits for that of a recording that has only just begun. False where something else was loaded meanwhile. */
  async #load(player: Player, { from, to }: { from: number; to: number | undefined }, target: number | undefined, signal: AbortSignal): Promise<boolean> {
    const { playerError } = await import('./shaka');
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await player.load(spanURL(this.#source.stream, from, to, 'manifest.mpd'), target);
        return !signal.aborted;
      } catch (reason) {
        const error = playerError(reason);
        if (signal.aborted || error.interrupted) return false;
        if (!error.manifest || to !== undefined || !this.#source.running() || attempt >= attempts) throw error;
      }
      this.#set({ state: 'waiting' });
      await pause(attemptPause, signal);
    }
    return false;
  }

  /** What cannot be played says so; a server that is away is waited for, at the same moment. */
  #fail({ status, unreachable, message, interrupted }: PlayerError): void {
    const { live } = this.view;
    const { signal } = this.#abort;
    if (interrupted || signal.aborted) return;
    if (status === 401) announceUnauthorized();
    if (!unreachable && status < 500) return this.#set({ state: 'error', error: status === 404 ? t('playerGone') : message });
    if (this.#waiting === signal) return;
    this.#waiting = signal;
    this.#target = this.moment;
    const from = this.#loaded?.from;
    const wait = backoff(++this.#failures);
    this.#set({ state: 'reconnecting', error: unreachable ? t('unreachable') : message, retryAt: Date.now() + wait });
    void pause(wait, signal).then(() => {
      if (!signal.aborted) void this.#open(live ? undefined : this.#target, from);
    });
  }

  /** Goes on behind the end of a span: in the next one, or in what begins soon. */
  async #goOn(): Promise<void> {
    const { signal } = this.#abort;
    const end = this.moment;
    if (end === undefined || this.view.state !== 'playing') return;
    const known = this.#loaded?.to ?? end;
    for (let look = 0; look < nextLooks && !signal.aborted; look++) {
      const next = await nearest(this.#source.stream, Math.max(end, known) + 1, signal).catch(() => undefined);
      const at = next?.here ? Math.max(end, known) + 1 : next?.after;
      if (signal.aborted) return;
      if (at !== undefined) return this.#cross(end, at, () => void this.#open(at));
      // A rotation is told a moment after the recording that was sealed; what has long been finished has no such moment.
      if (Date.now() - end > 60_000) return;
      this.#source.ended();
      await pause(nextPause, signal);
    }
  }

  /** Goes over a hole: at once, or when it is over. */
  #cross(from: number, to: number, go: () => void): void {
    if (to - from < shortest) return go();
    const hole = { from, to };
    if (this.#source.skips()) {
      go();
      return this.#set({ hole });
    }
    const timer = setInterval(() => {
      this.#changed((this.view = { ...this.view })); // time goes on
      if ((this.moment ?? to) < to) return;
      this.#release();
      go();
    }, tick);
    this.#held = { from, to, at: performance.now(), timer };
    this.#set({ hole });
  }

  /** The player has gone over a hole between recordings: that is taken back while it is waited out. */
  #jumped(): void {
    if (this.#epoch === undefined || this.#held) return;
    const [from, to] = [this.#epoch + this.#last * 1000, this.#epoch + this.#video.currentTime * 1000];
    if (to - from < shortest) return;
    if (!this.#source.skips()) this.#video.pause();
    this.#cross(from, to, () => void this.#video.play().catch(() => undefined));
  }

  /** Waits no more. */
  #release(): void {
    if (!this.#held) return;
    clearInterval(this.#held.timer);
    this.#held = undefined;
    this.#set({ hole: undefined });
  }

  /** Looks at each new picture: whether a pause begins that is to be skipped. */
  #played(): void {
    if (this.#held) return;
    if (this.view.state === 'playing' && !this.#video.seeking && this.#video.readyState >= 2) this.#target = undefined;
    const { moment } = this;
    if (!this.#video.seeking) this.#last = this.#video.currentTime;
    if (moment === undefined || this.view.state !== 'playing') return;
    const { hole } = this.view;
    if (hole && (moment > hole.to + 5000 || moment < hole.from - 1000)) this.#set({ hole: undefined });
    if (!this.#source.skips() || this.#video.paused || this.#video.seeking) return;
    const pause = this.#source.pauses().find(({ from, to }) => from <= moment && moment < to - skipped);
    if (!pause || pause.to > Date.now() - 30_000) return; // what is not over has no end to go to
    this.seek(pause.to);
    this.#set({ hole: pause });
  }
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

