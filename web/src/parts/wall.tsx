import { useEffect, useRef, useState } from 'preact/hooks';
import { useNow } from '../hooks';
import { locale, t, tOr } from '../i18n';
import { codecNames, type Stream, type StreamRecordings } from '../lib/api';
import { bitrate, duration, seen } from '../lib/format';
import { change, hrefOf } from '../lib/route';
import { useApp } from '../state';
import { Sparkline, useSecondsUntil, useWatch } from './watch';

interface WallProps {
  streams: readonly Stream[];
  missing: readonly StreamRecordings[]; // that were expected
  size: number;
}

/** The first streams as pictures beside each other; those that are scrolled out of sight are not received. */
export function Wall({ streams, missing, size }: WallProps) {
  if (streams.length + missing.length === 0) return <p class="note">{t('wallEmpty')}</p>;
  const gone = missing.slice(0, size); // first: they are what somebody has to look after
  const shown = streams.slice(0, size - gone.length);
  const total = streams.length + missing.length;
  return (
    <>
      <ul class="wall" style={{ '--across': Math.sqrt(size) }} data-testid="wall">
        {gone.map((sum) => (
          <li key={`missing ${sum.stream}`}>
            <Missing sum={sum} />
          </li>
        ))}
        {shown.map((stream) => (
          <li key={stream.id}>
            <Tile key={codecNames(stream.tracks)} stream={stream} small={size > 1} />
          </li>
        ))}
      </ul>
      {total > size && <p class="note">{t('wallMore', { n: shown.length + gone.length, total })}</p>}
    </>
  );
}

/** The place of a stream that ought to be there. */
function Missing({ sum }: { sum: StreamRecordings }) {
  const name = seen(sum.stream);
  const last = new Date(sum.last);
  const today = last.toDateString() === new Date().toDateString();
  return (
    <figure class="tile missing" data-testid={`tile-missing-${sum.stream}`}>
      <div class="screen" />
      <figcaption>
        <span class="name">{name}</span>
        <a href={hrefOf('recordings', sum.stream, { t: `${last.getTime() - 10_000}` })}>{t('toRecordings')}</a>
      </figcaption>
      <p class="tile-state" role="status">
        {t('missingSince', { time: today ? last.toLocaleTimeString(locale, { hour: '2-digit', minute: '2-digit' }) : last.toLocaleString(locale, { dateStyle: 'medium', timeStyle: 'short' }) })}
      </p>
    </figure>
  );
}

/** A live picture; of a simulcast the smallest layer where there are several. */
function Tile({ stream, small }: { stream: Stream; small: boolean }) {
  const { me, recorder } = useApp();
  const video = useRef<HTMLVideoElement>(null);
  const visible = useVisible(video);
  const { state, error, retryAt, stats, losses } = useWatch(video, stream.id, visible, small ? 'smallest' : 'biggest');
  const seconds = useSecondsUntil(retryAt);
  const now = useNow(stream.recording ?? false);
  const since = stream.recordingSince;
  const name = seen(stream.id);
  return (
    <figure class="tile" data-testid={`tile-${stream.id}`} data-state={state} data-size={stats ? `${stats.width}x${stats.height}` : ''}>
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
        {stats && (
          <span class="tile-rate" data-testid="tile-rate">
            {bitrate(stats.bitrate)}
          </span>
        )}
        <Sparkline values={losses ?? []} />
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
