// A stream's recordings as one line of wall-clock time: what is there, what was lost, where nobody sent.

import type { Gap, Recording, TimelineSpan } from './api';

/** What a span of time is: recorded whole, recorded with losses, or a pause of the sender. What is in no span is nothing. */
export type SpanKind = 'media' | 'lost' | 'pause';

export interface Span {
  from: number; // Unix milliseconds
  to: number;
  kind: SpanKind;
  cause: string; // of a gap, as the ledger has it; '' of media
  degraded: boolean; // something is missing in the recording
}

/** Causes of gaps in which nothing was sent, or not yet; all others lost something. */
const pauses = new Set(['pause', 'paused', 'reconnect', 'absent']);

/** When a recording begins and ends, in Unix milliseconds; one that runs ends now. */
export function extent(recording: Recording, now: number): [number, number] {
  const from = Date.parse(recording.start);
  const to = from + recording.duration * 1000;
  return [from, recording.status === 'recording' ? Math.max(to, now) : to];
}

/** The spans of recordings, earliest first: each recording's own, and over it those of its gaps. */
export function spansOf(recordings: readonly Recording[], now: number): Span[] {
  const spans: Span[] = [];
  for (const recording of recordings) {
    const [from, to] = extent(recording, now);
    if (!(to > from)) continue;
    const degraded = recording.status === 'degraded';
    spans.push({ from, to, kind: recording.status === 'failed' ? 'lost' : 'media', cause: '', degraded });
    for (const gap of gapsOf(recording)) {
      const begin = from + gap.start * 1000;
      const kind = pauses.has(gap.cause) ? 'pause' : 'lost';
      spans.push({ from: begin, to: Math.min(to, begin + gap.duration * 1000), kind, cause: gap.cause, degraded });
    }
  }
  return spans.sort((a, b) => a.from - b.from || a.to - b.to);
}

/** The spans of a stream's archive as the server tells it: what it calls gaps between recordings are in none. */
export function spansOfTimeline(told: readonly TimelineSpan[]): Span[] {
  return told.flatMap(({ from, to, kind, cause = '', status, missing }) => {
    const ends = { from: Date.parse(from), to: Date.parse(to) };
    if (kind === 'media') {
      const lost = missing?.some((part) => !pauses.has(part.cause) && part.cause !== 'layer') ?? false;
      return [{ ...ends, kind: lost ? 'lost' : 'media', cause: '', degraded: lost || status === 'degraded' || status === 'failed' } as Span];
    }
    if (cause === 'none') return [];
    return [{ ...ends, kind: pauses.has(cause) ? 'pause' : 'lost', cause, degraded: false } as Span];
  });
}

/** The gaps of a recording, each once: a layer that was not sent is none as long as others were. */
function gapsOf(recording: Recording): Gap[] {
  const gaps = new Map<string, Gap>();
  for (const track of recording.tracks ?? []) {
    if (track.recorded === false) continue;
    for (const gap of track.gaps ?? []) {
      if (gap.cause !== 'layer') gaps.set(`${gap.start.toFixed(1)} ${gap.cause}`, gap);
    }
  }
  return [...gaps.values()];
}

/** A place at which playing can begin: a recording, and the seconds into it. */
export interface Spot {
  recording: Recording;
  offset: number;
}

/**
 * Where to play for a moment: in the recording that has it, else at the start of the next one, else near the end of the
 * last. Of several that have it the one that has begun last: it is the one that goes on. Undefined where nothing is recorded.
 */
export function spotAt(recordings: readonly Recording[], moment: number, now: number): Spot | undefined {
  const playable = recordings.filter((recording) => recording.duration > 0 || recording.status === 'recording');
  const sorted = playable.toSorted((a, b) => Date.parse(a.start) - Date.parse(b.start));
  const having = sorted.findLast((recording) => {
    const [from, to] = extent(recording, now);
    return from <= moment && moment < to;
  });
  if (having) return { recording: having, offset: (moment - Date.parse(having.start)) / 1000 };
  const next = sorted.find((recording) => Date.parse(recording.start) > moment);
  if (next) return { recording: next, offset: 0 };
  const last = sorted.at(-1);
  return last && { recording: last, offset: Math.max(0, last.duration - 1) };
}

/** The recording that playing goes on in after one has ended: the first that begins later and is no copy of its time. */
export function following(recordings: readonly Recording[], ended: Recording): Recording | undefined {
  const end = Date.parse(ended.start) + ended.duration * 1000;
  const later = recordings.filter(
    (recording) => recording.mpd_path !== ended.mpd_path && Date.parse(recording.start) >= end - 1000 && (recording.duration > 0 || recording.status === 'recording'),
  );
  return later.toSorted((a, b) => Date.parse(a.start) - Date.parse(b.start))[0];
}

/** A time in which a stream has no media of its own, and why. */
export interface Hole {
  from: number;
  to: number;
  cause: string; // as the ledger has it, or 'nothing' where nothing was recorded
}

const shortest = 500; // ms of a time between recordings that is worth going to: a rotation has less

/** All holes: the gaps of the ledgers, and the times between recordings. */
export function holesOf(spans: readonly Span[]): Hole[] {
  const holes: Hole[] = spans.filter((span) => span.cause).map(({ from, to, cause }) => ({ from, to, cause }));
  let end = Number.POSITIVE_INFINITY;
  for (const span of spans) {
    if (span.cause) continue;
    if (span.from - end > shortest) holes.push({ from: end, to: span.from, cause: 'nothing' });
    end = end === Number.POSITIVE_INFINITY ? span.to : Math.max(end, span.to);
  }
  return holes.sort((a, b) => a.from - b.from);
}

/** The next hole after a moment, or the one before it. */
export function nextHole(holes: readonly Hole[], moment: number, forward: boolean): Hole | undefined {
  return forward ? holes.find((hole) => hole.from > moment + 100) : holes.findLast((hole) => hole.from < moment - 2000);
}

/** How much of each day of a span is recorded, 0 to 1; days are the reader's own. */
export function coverage(spans: readonly Span[], days: readonly Date[]): { share: number; lost: boolean }[] {
  return days.map((day) => {
    const from = day.getTime();
    const next = new Date(day);
    next.setDate(next.getDate() + 1);
    const to = next.getTime();
    const within = spans.filter((span) => span.from < to && span.to > from);
    let covered = 0;
    let end = from;
    for (const span of within) {
      if (span.cause) continue;
      const begin = Math.max(span.from, end);
      const stop = Math.min(span.to, to);
      if (stop > begin) covered += stop - begin;
      end = Math.max(end, stop);
    }
    const lost = within.some((span) => span.kind === 'lost' || span.degraded);
    return { share: covered / (to - from), lost };
  });
}
