import { useEffect, useRef, useState } from 'preact/hooks';
import { words } from '../hooks';
import { t, tOr } from '../i18n';
import { seen } from '../lib/format';
import { watchSession } from '../lib/wish';
import { noMediaWords } from './publisher';

/** Plays a live stream by WHEP for as long as it is shown; live says whether somebody publishes it. */
export function WatchView({ id, live }: { id: string; live: boolean }) {
  const video = useRef<HTMLVideoElement>(null);
  const [state, setState] = useState<string>('new');
  const [error, setError] = useState('');
  useEffect(() => {
    const { session, media } = watchSession();
    const { connection } = session;
    let shown = true;
    let connected = false;
    if (video.current) video.current.srcObject = media;
    setError('');
    setState('new');
    connection.addEventListener('connectionstatechange', () => {
      if (!shown) return;
      connected ||= connection.connectionState === 'connected';
      setState(connection.connectionState);
      if (connection.connectionState === 'failed' && !connected) setError(noMediaWords(session));
    });
    session.negotiate(`/whep/${encodeURIComponent(id)}`).catch((reason: unknown) => {
      if (!shown) return;
      setState('closed');
      setError(words(reason));
    });
    return () => {
      shown = false;
      void session.end();
    };
  }, [id]);
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
      {live && state !== 'connected' && !error && (
        <p class="note" role="status" data-testid="watch-state" data-state={state}>
          {tOr(`state.${state}`, state)}
        </p>
      )}
      {error && (
        <p class="error" role="alert" data-testid="watch-error">
          {error}
        </p>
      )}
    </div>
  );
}
