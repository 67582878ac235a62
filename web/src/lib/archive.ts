// A stream's recordings as one line of wall-clock time: what is there, what was lost, where nobody sent.

import { readTimeline, type TimelineSpan } from './api';

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
    if (!span.cause && span.from - end > shortest) holes.push({ from: end, to: span.from, cause: 'nothing' });
    end = end === Number.POSITIVE_INFINITY ? span.to : Math.max(end, span.to);
  }
  return holes.sort((a, b) => a.from - b.from);
}

/** How far to look for a hole at a time, in ms, and into how many parts a look is divided: 2000 are the most that the server gives. */
const looks = [2 * 3_600_000, 86_400_000, 31 * 86_400_000] as const;
const parts = 2000;

/** Looks in the whole archive of a stream for the next hole after a moment, or the one before it: near it first, and exactly. */
export async function findHole(stream: string, moment: number, forward: boolean, signal: AbortSignal): Promise<Hole | undefined> {
  let at = moment;
  for (const length of looks) {
    const range = forward ? { from: at, to: Math.min(at + length, Date.now()) } : { from: at - length, to: at };
    if (range.to - range.from < 1) return undefined;
    const hole = await holeIn(stream, range, moment, forward, signal);
    if (hole) return hole;
    at = forward ? range.to : range.from;
  }
  return undefined;
}

/** The first hole of a range, or the last; where a part of it is told to have some, it looks there again. */
async function holeIn(stream: string, range: { from: number; to: number }, moment: number, forward: boolean, signal: AbortSignal): Promise<Hole | undefined> {
  const spans = spansOfTimeline(await readTimeline(stream, range.from, range.to, parts, signal));
  const exact = nextHole(holesOf(spans), moment, forward);
  const within = spans.filter((span) => !span.cause && span.kind === 'lost' && span.to - span.from < range.to - range.from);
  const coarse = forward
    ? within.find((span) => span.to > moment + 100 && (!exact || span.from < exact.from))
    : within.findLast((span) => span.from < moment - 2000 && (!exact || span.from > exact.from));
  if (!coarse) return exact;
  const closer = { from: forward ? Math.max(coarse.from, moment + 100) : coarse.from, to: forward ? coarse.to : Math.min(coarse.to, moment - 2000) };
  if (closer.to - closer.from < 1) return exact;
  return (await holeIn(stream, closer, moment, forward, signal)) ?? exact;
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
