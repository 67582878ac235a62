import { useEffect, useRef, useState } from 'preact/hooks';
import { useNow } from '../hooks';
import { t, tOr } from '../i18n';
import { codecNames, type Stream } from '../lib/api';
import { duration, seen } from '../lib/format';
import { change, hrefOf } from '../lib/route';
import { useApp } from '../state';
import { useSecondsUntil, useWatch } from './watch';

export const wallSizes = [1, 4, 9, 16] as const;

interface WallProps {
  streams: readonly Stream[];
  size: number;
}

/** The first streams as pictures beside each other; those that are scrolled out of sight are not received. */
export function Wall({ streams, size }: WallProps) {
  if (streams.length === 0) return <p class="note">{t('wallEmpty')}</p>;
  const shown = streams.slice(0, size);
  return (
    <>
      <ul class="wall" style={{ '--across': Math.sqrt(size) }} data-testid="wall">
        {shown.map((stream) => (
          <li key={stream.id}>
            <Tile key={codecNames(stream.tracks)} stream={stream} />
          </li>
        ))}
      </ul>
      {streams.length > size && <p class="note">{t('wallMore', { n: shown.length, total: streams.length })}</p>}
    </>
  );
}

function Tile({ stream }: { stream: Stream }) {
  const { me, recorder } = useApp();
  const video = useRef<HTMLVideoElement>(null);
  const visible = useVisible(video);
  const { state, error, retryAt } = useWatch(video, stream.id, visible);
  const seconds = useSecondsUntil(retryAt);
  const now = useNow(stream.recording ?? false);
  const since = stream.recordingSince;
  const name = seen(stream.id);
  return (
    <figure class="tile" data-testid={`tile-${stream.id}`} data-state={state}>
      <video ref={video} class="screen" autoplay muted playsInline aria-label={t('watching', { id: name })} />
      <figcaption>
        <button type="button" class="tile-name" onClick={() => change({ tiles: undefined, watch: stream.id }, false)} aria-label={t('enlarge', { id: name })}>
          {name}
        </button>
        {stream.recording && (
          <span class="rec">
            {t('recordingFor', { time: since ? duration((now - since) / 1000) : '' }).trim()}
          </span>
        )}
        {recorder && me?.rights.includes('view') && <a href={hrefOf('recordings', stream.id)}>{t('toRecordings')}</a>}
      </figcaption>
      {visible && state !== 'connected' && (
        <p class="tile-state" role="status">
          {error || (state === 'reconnecting' ? t('reconnecting', { seconds }) : tOr(`state.${state}`, state))}
        </p>
      )}
    </figure>
  );
}

/** Can an element be seen now? */
function useVisible(element: { current: Element | null }): boolean {
  const [visible, setVisible] = useState(false);
  useEffect(() => {
    if (!element.current) return;
    const observer = new IntersectionObserver((entries) => setVisible(entries.at(-1)?.isIntersecting ?? false));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return visible;
}
