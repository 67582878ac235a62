// Which streams ought to be there: those that were recorded in the last days.

import type { Stream, StreamRecordings } from './api';

const remembered = 3 * 86_400_000; // ms for which a stream that is gone is missed

export interface Expected {
  recording: number; // streams that are recorded now
  expected: number; // streams that are, or were in the last days
  missing: StreamRecordings[]; // those that nobody publishes now
}

/** Compares what is there with what was recorded in the days before now, in ms. */
export function expectedStreams(streams: readonly Stream[], sums: readonly StreamRecordings[], now: number): Expected {
  const live = new Set(streams.filter((stream) => stream.publish.sessions.length > 0).map((stream) => stream.id));
  const recording = new Set(streams.filter((stream) => stream.recording).map((stream) => stream.id));
  const recent = sums.filter((sum) => now - Date.parse(sum.last) < remembered || recording.has(sum.stream));
  const missing = recent.filter((sum) => !live.has(sum.stream) && !recording.has(sum.stream));
  const known = new Set([...recent.map((sum) => sum.stream), ...recording]);
  return { recording: recording.size, expected: known.size, missing };
}
