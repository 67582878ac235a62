import { useEffect, useRef, useState } from 'preact/hooks';
import { locale, t } from '../i18n';
import { objectURL, type Recording } from '../lib/api';
import { dateTime, seen } from '../lib/format';
import { announceUnauthorized } from '../lib/http';
import type { Player, PlayerError } from '../lib/shaka';

const attempts = 20; // of a manifest that a running recording has not written yet
const attemptPause = 2000; // ms
const edgeDistance = 3; // s that "to the live edge" stays behind what the manifest names

type State = 'loading' | 'waiting' | 'playing' | 'error';

/** Plays a recording, a running one too, for as long as it is shown. */
export function PlayerView({ recording }: { recording: Recording }) {
  const video = useRef<HTMLVideoElement>(null);
  const { state, error, live, player } = usePlayer(video, recording);
  const seek = (to: 'start' | 'end') => {
    const range = player.current?.seekRange();
    if (!range || !video.current) return;
    const edge = Math.max(range.start, range.end - edgeDistance);
    video.current.currentTime = to === 'start' ? range.start : edge;
    void video.current.play();
  };
  return (
    <div class="view" data-testid="player" data-state={state} data-live={live} data-error={error}>
      <div class="stage">
        <video
          ref={video}
          class="screen"
          controls
          autoplay
          playsInline
          aria-label={t('player', { id: seen(recording.stream), time: dateTime(recording.start, locale) })}
          data-testid="player-video"
        />
        {live && (
          <span class="live-mark" data-testid="player-live">
            {t('playerLive')}
          </span>
        )}
      </div>
      {live && (
        <div class="buttons">
          <button type="button" onClick={() => seek('start')} data-testid="player-to-start">
            {t('fromStart')}
          </button>
          <button type="button" onClick={() => seek('end')} data-testid="player-to-live">
            {t('toLive')}
          </button>
        </div>
      )}
      {(state === 'loading' || state === 'waiting') && (
        <p class="note" role="status">
          {t(state === 'waiting' ? 'playerWaiting' : 'playerLoading')}
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

function usePlayer(video: { current: HTMLVideoElement | null }, recording: Recording) {
  const [state, setState] = useState<State>('loading');
  const [error, setError] = useState('');
  const [live, setLive] = useState(false);
  const player = useRef<Player | undefined>(undefined);
  const running = useRef(false);
  running.current = recording.status === 'recording';

  useEffect(() => {
    const element = video.current;
    if (!element) return;
    const abort = new AbortController();
    const { signal } = abort;
    const fail = (failure: PlayerError) => {
      if (signal.aborted) return;
      if (failure.status === 401) announceUnauthorized();
      setState('error');
      setError(failureWords(failure));
    };
    const opened = open(element, objectURL(recording.mpd_path), {
      signal,
      running: () => running.current,
      onWaiting: () => setState('waiting'),
      onError: fail,
    });
    opened.then(
      (made) => {
        if (signal.aborted || !made) return;
        player.current = made;
        setState('playing');
        setLive(made.isLive());
      },
      async (reason: unknown) => fail((await import('../lib/shaka')).playerError(reason)),
    );
    // A running recording that is sealed turns from live to finished while it is played.
    const follow = () => setLive(player.current?.isLive() ?? false);
    element.addEventListener('timeupdate', follow, { signal });
    element.addEventListener('durationchange', follow, { signal });
    return () => {
      abort.abort();
      player.current = undefined;
    };
  }, [video, recording.mpd_path]);
  return { state, error, live, player };
}

function failureWords({ status, unreachable, message }: PlayerError): string {
  if (status === 404) return t('playerGone');
  return unreachable ? t('unreachable') : message;
}

interface OpenOptions {
  signal: AbortSignal;
  running: () => boolean; // is the recording still being written?
  onWaiting: () => void;
  onError: (error: PlayerError) => void;
}

/** Loads a manifest into video; waits for that of a recording that has only just begun. */
async function open(video: HTMLVideoElement, uri: string, options: OpenOptions): Promise<Player | undefined> {
  const { signal } = options;
  const { createPlayer, playerError } = await import('../lib/shaka');
  if (signal.aborted) return undefined;
  const player = await createPlayer(video, options.onError);
  const destroy = () => void player.destroy();
  if (signal.aborted) {
    destroy();
    return undefined;
  }
  signal.addEventListener('abort', destroy, { once: true });
  for (let attempt = 1; ; attempt++) {
    try {
      await player.load(uri);
      return player;
    } catch (reason) {
      const error = playerError(reason);
      if (signal.aborted || error.interrupted) return undefined;
      if (!error.manifest || !options.running() || attempt >= attempts) throw error;
    }
    options.onWaiting();
    await pause(attemptPause, signal);
    if (signal.aborted) return undefined;
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
