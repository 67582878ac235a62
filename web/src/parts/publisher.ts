import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { words } from '../hooks';
import { type Key, t } from '../i18n';
import { type CaptureOptions, capture, release } from '../lib/capture';
import { sendableCodecs } from '../lib/codecs';
import { onlyLoopback, type OutgoingStats, outgoingMeter, publishSession, type WishSession } from '../lib/wish';

export interface PublishWish extends CaptureOptions {
  id: string;
  codec: string;
  simulcast: boolean;
}

/** 'idle', 'capturing', or a connection state. */
export type PublisherState = 'idle' | 'capturing' | RTCPeerConnectionState;

/** What goes on between start and stop. */
class Run {
  session: WishSession | undefined;
  media: MediaStream | undefined;
  meter: ReturnType<typeof setInterval> | undefined;
  stopped = false;
  connected = false;
}

/** One publication at a time, with its state for the page. */
export function usePublisher() {
  const [state, setState] = useState<PublisherState>('idle');
  const [media, setMedia] = useState<MediaStream>();
  const [stats, setStats] = useState<OutgoingStats>();
  const [error, setError] = useState('');
  const current = useRef<Run | undefined>(undefined);

  const stop = useCallback(async (why = '') => {
    const run = current.current;
    if (!run) return;
    current.current = undefined;
    run.stopped = true;
    clearInterval(run.meter);
    release(run.media);
    setMedia(undefined);
    setStats(undefined);
    setError(why);
    await run.session?.end();
    if (!current.current) setState('idle');
  }, []);

  const start = useCallback(
    async (wish: PublishWish) => {
      if (current.current) return;
      const refused = refusal(wish);
      setError(refused);
      if (refused) return;
      const run = new Run();
      current.current = run;
      setState('capturing');
      try {
        run.media = await capture(wish);
        if (run.stopped) return release(run.media);
        setMedia(run.media);
        for (const track of run.media.getTracks()) {
          track.addEventListener('ended', () => run === current.current && void stop(t('sourceEnded')));
        }
        run.session = publishSession({ media: run.media, codec: usableCodec(wish.codec), simulcast: wish.simulcast });
        follow(run, (next) => {
          if (run !== current.current) return;
          if (next === 'connected') run.connected = true;
          if (next === 'failed' || next === 'closed') void stop(run.connected ? t('lostConnection') : noMediaWords(run.session));
          else setState(next);
        });
        await run.session.negotiate(`/whip/${encodeURIComponent(wish.id)}`);
        const measure = outgoingMeter(run.session.connection);
        await measure(); // the first reading has nothing to look back to
        if (!run.stopped) run.meter = setInterval(() => void measure().then((s) => !run.stopped && setStats(s)), 1000);
      } catch (reason) {
        if (run === current.current) await stop(captureWords(reason));
      }
    },
    [stop],
  );

  useEffect(() => () => void stop(), [stop]);
  return { state, media, stats, error, start, stop: useCallback(() => stop(), [stop]) };
}

function follow(run: Run, onState: (state: RTCPeerConnectionState) => void) {
  const connection = run.session?.connection;
  if (!connection) return;
  onState(connection.connectionState);
  connection.addEventListener('connectionstatechange', () => onState(connection.connectionState));
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
