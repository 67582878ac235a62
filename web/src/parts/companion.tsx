import { useEffect, useRef } from 'preact/hooks';
import { t, tOr } from '../i18n';
import { seen } from '../lib/format';
import { inStep } from '../lib/step';
import type { Timeline } from '../lib/timeline';
import { useTimeline } from './player';
import type { Lane } from './ruler';

const look = 400; // ms between two looks at the clock

interface CompanionProps {
  lane: Lane;
  running: boolean;
  lead: Timeline | undefined;
  leadVideo: { current: HTMLVideoElement | null };
  onClose: () => void;
}

/** Another stream beside the one that is played: at the same moment of the wall clock, whatever that one does. */
export function Companion({ lane, running, lead, leadVideo, onClose }: CompanionProps) {
  const { stream } = lane;
  const video = useRef<HTMLVideoElement>(null);
  const [timeline, view] = useTimeline(video, { stream, running: () => running, pauses: () => [], skips: () => true, ended: () => undefined });
  const now = useRef({ lane, lead });
  now.current = { lane, lead };
  useEffect(() => {
    const element = video.current;
    if (!element || !timeline) return;
    const timer = setInterval(() => {
      const { lane, lead } = now.current;
      const moment = lead?.moment;
      if (!lead || moment === undefined || lead.view.state !== 'playing') return element.pause();
      const has = lane.spans.some((span) => !span.cause && span.from <= moment && moment < span.to);
      const { state } = timeline.view;
      if (state === 'loading' || state === 'waiting' || state === 'reconnecting') return;
      const step = inStep({ lead: moment, own: timeline.moment, moving: lead.moving, rate: leadVideo.current?.defaultPlaybackRate ?? 1, has });
      if (step.seek !== undefined) timeline.seek(step.seek);
      // The player holds the picture by a rate of 0 while it has nothing to show.
      if (element.playbackRate !== 0 && Math.abs(element.playbackRate - step.rate) > 0.01) element.playbackRate = step.rate;
      if (step.play && element.paused) void element.play().catch(() => undefined);
      if (!step.play && !element.paused) element.pause();
      element.dataset.behind = `${Math.round(moment - (timeline.moment ?? 0))}`;
      element.dataset.has = `${has}`;
    }, look);
    return () => clearInterval(timer);
  }, [timeline, leadVideo]);
  return (
    <figure class="companion" data-testid={`companion-${stream}`} data-state={view.state}>
      <video ref={video} class="screen" muted playsInline aria-label={t('player', { id: seen(stream), time: '' })} data-testid="companion-video" />
      <figcaption>
        <span class="name">{seen(stream)}</span>
        {view.state !== 'playing' && <span>{view.error || tOr(`play.${view.state}`, '')}</span>}
        <button type="button" class="quiet" onClick={onClose} aria-label={t('besideClose', { id: seen(stream) })} data-testid="companion-close">
          ×
        </button>
      </figcaption>
    </figure>
  );
}
