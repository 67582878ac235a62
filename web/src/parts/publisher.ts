import { useEffect, useMemo, useState } from 'preact/hooks';
import { words } from '../hooks';
import { type Key, t } from '../i18n';
import { type CaptureOptions, capture, release, startBitrates } from '../lib/capture';
import { sendableCodecs } from '../lib/codecs';
import { backoff } from '../lib/sse';
import { keepSize, onlyLoopback, type OutgoingStats, outgoingMeter, publishSession, type WishSession } from '../lib/wish';

export interface PublishWish extends CaptureOptions {
  id: string;
  codec: string;
  simulcast: boolean;
}

/** 'idle', 'capturing', 'reconnecting', or a connection state. */
export type PublisherState = 'idle' | 'capturing' | 'reconnecting' | RTCPeerConnectionState;

/** What the page knows of its publication. */
export interface PublisherView {
  state: PublisherState;
  id: string;
  media: MediaStream | undefined;
  stats: OutgoingStats | undefined;
  error: string;
  retryAt: number; // Unix milliseconds of the next attempt to come back, 0 where there is none
}

export interface Publisher extends PublisherView {
  start: (wish: PublishWish) => Promise<void>;
  stop: () => Promise<void>;
}

const idle: PublisherView = { state: 'idle', id: '', media: undefined, stats: undefined, error: '', retryAt: 0 };

/** When a connection that has stopped is given up for another, in ms, and how long a server may take to answer. */
const patience = { disconnected: 2000, silent: 5000, answer: 8000 };

/** One publication at a time. It outlives the view that has started it, and servers that go away. */
export class Publication {
  view = idle;
  readonly #changed: (view: PublisherView) => void;
  #run: Run | undefined;

  constructor(changed: (view: PublisherView) => void) {
    this.#changed = changed;
  }

  #set(part: Partial<PublisherView>): void {
    this.view = { ...this.view, ...part };
    this.#changed(this.view);
  }

  async start(wish: PublishWish): Promise<void> {
    if (this.#run) return;
    const refused = refusal(wish);
    if (refused) return this.#set({ error: refused });
    const run = new Run(wish, (part) => run === this.#run && this.#set(part), (why) => void this.#end(run, why));
    this.#run = run;
    this.#set({ ...idle, state: 'capturing', id: wish.id });
    await run.begin();
  }

  stop(): Promise<void> {
    return this.#end(this.#run, '');
  }

  async #end(run: Run | undefined, why: string): Promise<void> {
    if (!run || run !== this.#run) return;
    this.#run = undefined;
    this.#set({ media: undefined, stats: undefined, error: why, retryAt: 0 });
    await run.end();
    if (!this.#run) this.#set({ state: 'idle' });
  }
}

/** What goes on between start and stop: one session after the other, with the same media. */
class Run {
  readonly #wish: PublishWish;
  readonly #tell: (part: Partial<PublisherView>) => void;
  readonly #fail: (why: string) => void;
  #media: MediaStream | undefined;
  #session: WishSession | undefined;
  #meter: ReturnType<typeof setInterval> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  #connected = false;
  #failures = 0;

  constructor(wish: PublishWish, tell: (part: Partial<PublisherView>) => void, fail: (why: string) => void) {
    this.#wish = wish;
    this.#tell = tell;
    this.#fail = fail;
  }

  async begin(): Promise<void> {
    try {
      const media = await capture(this.#wish);
      if (this.#stopped) return release(media);
      this.#media = media;
      this.#tell({ media });
      for (const track of media.getTracks()) track.addEventListener('ended', () => this.#fail(t('sourceEnded')));
      await this.#connect();
    } catch (reason) {
      this.#fail(captureWords(reason));
    }
  }

  async end(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#meter);
    clearTimeout(this.#timer);
    release(this.#media);
    await this.#session?.end();
  }

  /** Makes a session, which takes the place of the one before as soon as the server has answered. */
  async #connect(signal?: AbortSignal): Promise<void> {
    if (!this.#media) return;
    const { codec, simulcast, id } = this.#wish;
    const session = publishSession({ media: this.#media, codec: usableCodec(codec), simulcast });
    session.startBitrate = startBitrates[this.#wish.resolution];
    const before = this.#session;
    if (!before) this.#follow(session);
    await session.negotiate(`/whip/${encodeURIComponent(id)}`, signal);
    if (this.#stopped) return session.end();
    await keepSize(session.connection);
    if (before) {
      this.#follow(session);
      await before.end();
    }
    const measure = outgoingMeter(session.connection);
    await measure(); // the first reading has nothing to look back to
    clearInterval(this.#meter);
    if (this.#stopped || session !== this.#session) return;
    this.#meter = setInterval(() => void measure().then((stats) => this.#measured(session, stats)), 1000);
  }

  #follow(session: WishSession): void {
    this.#session = session;
    const { connection } = session;
    const look = () => session === this.#session && !this.#stopped && this.#state(connection.connectionState);
    connection.addEventListener('connectionstatechange', look);
    look();
  }

  #state(state: RTCPeerConnectionState): void {
    if (state === 'connected') {
      this.#connected = true;
      this.#failures = 0;
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#tell({ state, error: '', retryAt: 0 });
      return;
    }
    if (!this.#connected && (state === 'failed' || state === 'closed')) return this.#fail(noMediaWords(this.#session));
    if (this.#connected && (state === 'failed' || state === 'closed')) return this.#again(0);
    if (state === 'disconnected') this.#again(patience.disconnected);
    if (!this.#timer) this.#tell({ state });
  }

  #measured(session: WishSession, stats: OutgoingStats): void {
    if (this.#stopped || session !== this.#session) return;
    this.#tell({ stats });
    // A server that is dead says nothing; that is known before the browser calls it disconnected.
    if (this.#connected && stats.silent > patience.silent) this.#again(0);
  }

  /** Comes back in wait ms, unless the connection does so by itself. */
  #again(wait: number): void {
    if (this.#timer || this.#stopped) return;
    const pause = wait + (this.#failures > 0 ? backoff(this.#failures) : 0);
    this.#tell({ state: 'reconnecting', retryAt: Date.now() + pause });
    this.#timer = setTimeout(() => void this.#attempt(), pause);
  }

  async #attempt(): Promise<void> {
    try {
      await this.#connect(AbortSignal.timeout(patience.answer));
      this.#timer = undefined;
      // A connection that is answered and does not come is tried again.
      if (this.#session?.connection.connectionState !== 'connected') this.#failures++;
    } catch (reason) {
      this.#timer = undefined;
      this.#failures++;
      if (this.#stopped || this.#session?.connection.connectionState === 'connected') return;
      this.#tell({ error: words(reason) });
      this.#again(0);
    }
  }
}

/** The page's publication, with its state; it ends with the page. */
export function usePublisher(): Publisher {
  const [view, setView] = useState<PublisherView>(idle);
  const publication = useMemo(() => new Publication(setView), []);
  useEffect(() => () => void publication.stop(), [publication]);
  return useMemo(
    () => ({ ...view, start: (wish: PublishWish) => publication.start(wish), stop: () => publication.stop() }),
    [view, publication],
  );
}

/** What leaves the browser now, as attributes of an element. */
export function statsData(stats: OutgoingStats | undefined): Record<string, string | number> {
  if (!stats) return {};
  return {
    'data-bitrate': Math.round(stats.bitrate),
    'data-layers': stats.layers.length,
    'data-width': stats.width,
    'data-height': stats.height,
    'data-fps': stats.fps,
    'data-frames': stats.framesSent,
    'data-codec': stats.codec,
  };
}

/** The codec to offer: what a browser can send may change, Firefox's H264 comes after its start. */
function usableCodec(wanted: string): string {
  const sendable: string[] = sendableCodecs();
  return sendable.includes(wanted) ? wanted : (sendable[0] ?? wanted);
}

/** Why a wish cannot be carried out, in words; '' when it can. */
function refusal({ id, source, microphone }: PublishWish): string {
  if (!id) return t('needStream');
  if (/[/\\]|^\.|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(id)) return t('badStream');
  if (source === 'none' && !microphone) return t('needSource');
  return '';
}

/** Why a session has not connected, in words. */
export function noMediaWords(session: WishSession | undefined): string {
  const addresses = session?.addresses ?? [];
  return t(onlyLoopback(addresses) ? 'noMediaLoopback' : 'noMedia', { addresses: addresses.join(', ') });
}

const deviceErrors: Record<string, Key> = {
  NotAllowedError: 'denied',
  NotFoundError: 'noDevice',
  OverconstrainedError: 'noDevice',
  NotReadableError: 'busyDevice',
  SecurityError: 'insecure',
};

function captureWords(reason: unknown): string {
  const key = reason instanceof DOMException ? deviceErrors[reason.name] : undefined;
  return key ? t(key) : words(reason);
}
