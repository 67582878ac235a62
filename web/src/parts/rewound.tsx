import { useEffect, useRef } from 'preact/hooks';
import { locale, t } from '../i18n';
import { seen } from '../lib/format';
import { useMoment, useTimeline } from './player';
import { useSecondsUntil } from './watch';

interface RewoundProps {
  id: string;
  moment: number; // Unix milliseconds, that is to be shown first
  onMoment: (moment: number) => void; // once a second, what is shown
}

/** A live stream as it was: its recording, in the place of the live picture. */
export function Rewound({ id, moment: wanted, onMoment }: RewoundProps) {
  const video = useRef<HTMLVideoElement>(null);
  const [timeline, view] = useTimeline(video, { stream: id, running: () => true, pauses: () => [], skips: () => true, ended: () => undefined });
  const moment = useMoment(timeline, video);
  const seconds = useSecondsUntil(view.retryAt);
  useEffect(() => timeline?.seek(wanted), [timeline, wanted]);
  const second = moment === undefined ? 0 : Math.round(moment / 1000);
  useEffect(() => {
    if (view.state === 'playing' && second > 0) onMoment(second * 1000);
  }, [second, view.state]);
  return (
    <>
      <div class="stage">
        <video ref={video} class="screen" controls autoplay playsInline aria-label={t('player', { id: seen(id), time: '' })} data-testid="back-video" />
        {moment !== undefined && (
          <time class="moment" dateTime={new Date(moment).toISOString()} data-testid="back-moment" data-moment={Math.round(moment)}>
            {new Date(moment).toLocaleTimeString(locale)}
          </time>
        )}
      </div>
      {view.state === 'error' && (
        <p class="error" role="alert">
          {t('playerError', { error: view.error })}
        </p>
      )}
      {view.state !== 'error' && view.state !== 'playing' && (
        <p class="note" role="status">
          {view.state === 'reconnecting' ? t('reconnecting', { seconds }) : t('playerLoading')}
        </p>
      )}
    </>
  );
}
