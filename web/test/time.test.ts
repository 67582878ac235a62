import { expect, test } from 'vitest';
import type { Gap, Recording } from '../src/lib/api';
import { coverage, following, holesOf, nextHole, spansOf, spansOfTimeline, spotAt } from '../src/lib/archive';
import { marks, moved, parseMoment, showing, zoomed } from '../src/lib/ruler';

const start = new Date(2026, 10, 20, 12, 0, 0).getTime(); // in the zone of whoever runs it
const second = 1000;
const hour = 3600 * second;

/** A recording that begins so many seconds after start. */
function recording(at: number, duration: number, gaps: Gap[] = [], status = 'complete'): Recording {
  const dir = `cam/${at}`;
  return {
    stream: 'cam', record_id: `${at}`, record_dir: dir, mpd_path: `${dir}/manifest.mpd`, start: new Date(start + at * second).toISOString(),
    duration, bytes: 1, status, tracks: [{ kind: 'video', codec: 'H264', gaps }],
  };
}

const all = [
  recording(0, 100, [{ start: 10, duration: 5, cause: 'loss' }, { start: 50, duration: 20, cause: 'pause' }, { start: 80, duration: 5, cause: 'layer' }]),
  recording(100, 100),
  recording(300, 100, [], 'recording'),
];

test('spans of recordings, and what is missing in them', () => {
  const spans = spansOf(all, start + 450 * second);
  const shown = spans.map((span) => [(span.from - start) / second, (span.to - start) / second, span.kind, span.cause]);
  expect(shown).toEqual([
    [0, 100, 'media', ''],
    [10, 15, 'lost', 'loss'],
    [50, 70, 'pause', 'pause'],
    [100, 200, 'media', ''],
    [300, 450, 'media', ''],
  ]);
});

test('holes are gaps, and what is between recordings; a rotation is none', () => {
  const holes = holesOf(spansOf(all, start + 450 * second));
  expect(holes.map((hole) => [(hole.from - start) / second, hole.cause])).toEqual([[10, 'loss'], [50, 'pause'], [200, 'nothing']]);
  expect(nextHole(holes, start + 20 * second, true)?.cause).toBe('pause');
  expect(nextHole(holes, start + 20 * second, false)?.cause).toBe('loss');
  expect(nextHole(holes, start + 400 * second, true)).toBeUndefined();
});

test.each([
  [50, 0, 50],
  [150, 100, 50],
  [250, 300, 0], // nothing was recorded then: the next one
  [420, 300, 120], // which still runs
  [-10, 0, 0],
])('what is played for second %d is of recording %d', (moment, at, offset) => {
  const spot = spotAt(all, start + moment * second, start + 430 * second);
  expect([spot?.recording.record_id, spot?.offset]).toEqual([`${at}`, offset]);
});

test('after the end the last one is played, and of nothing nothing', () => {
  expect(spotAt(all.slice(0, 2), start + hour, start + hour)).toMatchObject({ recording: { record_id: '100' }, offset: 99 });
  expect(spotAt([], start, start)).toBeUndefined();
});

test('playing goes on in the next recording', () => {
  expect(following(all, all[0] as Recording)?.record_id).toBe('100');
  expect(following(all, all[1] as Recording)?.record_id).toBe('300');
  expect(following(all, all[2] as Recording)).toBeUndefined();
  const copy = { ...(all[0] as Recording), mpd_path: '@node/cam/0/manifest.mpd' };
  expect(following([copy, ...all], all[0] as Recording)?.record_id).toBe('100');
});

test('the archive as the server tells it', () => {
  const at = (s: number) => new Date(start + s * second).toISOString();
  const spans = spansOfTimeline([
    { from: at(0), to: at(10), kind: 'media', status: 'complete' },
    { from: at(10), to: at(20), kind: 'gap', cause: 'pause' },
    { from: at(20), to: at(30), kind: 'media', status: 'degraded', missing: [{ cause: 'loss', seconds: 1 }] },
    { from: at(30), to: at(40), kind: 'gap', cause: 'none' },
    { from: at(40), to: at(50), kind: 'gap', cause: 'node' },
  ]);
  expect(spans.map(({ from, kind, cause, degraded }) => [(from - start) / second, kind, cause, degraded])).toEqual([
    [0, 'media', '', false],
    [10, 'pause', 'pause', false],
    [20, 'lost', '', true],
    [40, 'lost', 'node', false],
  ]);
});

test('days with what is recorded of them', () => {
  const day = new Date(2026, 10, 20);
  const halves = [recording(-6 * 3600, 3 * 3600), recording(-4 * 3600, 3 * 3600, [], 'degraded')]; // an hour of both
  expect(coverage(spansOf(halves, start), [day, new Date(2026, 10, 21)])).toEqual([
    { share: 5 / 24, lost: true },
    { share: 0, lost: false },
  ]);
});

test('zooming keeps the moment in its place, within bounds', () => {
  const range = { from: start, to: start + 4 * hour };
  expect(zoomed(range, start + hour, 0.5)).toEqual({ from: start + hour / 2, to: start + 2.5 * hour });
  const closest = zoomed(range, start, 1e-9);
  expect(closest.to - closest.from).toBe(10 * second);
  const widest = zoomed(range, start, 1e9);
  expect((widest.to - widest.from) / hour).toBe(40 * 24);
  expect(moved(range, hour).from).toBe(start + hour);
  expect(showing(range, start + hour)).toBe(range);
  expect(showing(range, start + 10 * hour)).toEqual({ from: start + 9 * hour, to: start + 13 * hour });
});

test('marks stand at round times', () => {
  const found = marks({ from: start - 13 * hour, to: start + hour }, 8);
  expect(found.step).toBe(2 * hour);
  expect(found.marks.map(({ at }) => new Date(at).getHours())).toEqual([0, 2, 4, 6, 8, 10, 12]);
  expect(found.marks.map(({ day }) => day)).toEqual([true, false, false, false, false, false, false]);
  expect(marks({ from: start, to: start + 10 * second }, 10).marks).toHaveLength(10);
});

const now = new Date(2026, 10, 22, 9, 30).getTime();

test.each([
  ['14:32', [2026, 10, 20, 14, 32, 0]],
  ['14:32:10', [2026, 10, 20, 14, 32, 10]],
  ['yesterday 14:32', [2026, 10, 21, 14, 32, 0]],
  ['昨天14：32', [2026, 10, 21, 14, 32, 0]],
  ['today 0:05', [2026, 10, 22, 0, 5, 0]],
  ['2026-11-03 07:00', [2026, 10, 3, 7, 0, 0]],
  ['11-03 7:00', [2026, 10, 3, 7, 0, 0]],
  ['2026年11月3日 7:00', [2026, 10, 3, 7, 0, 0]],
  ['2026-11-03', [2026, 10, 3, 0, 0, 0]],
])('%s is a moment', (text, [year, month, day, h, m, s]) => {
  expect(new Date(parseMoment(text, start, now) ?? 0)).toEqual(new Date(year as number, month as number, day, h, m, s));
});

test.each(['', 'noon', '25:00', '14:60', '14', '12:30:61'])('%j is no moment', (text) => {
  expect(parseMoment(text, start, now)).toBeUndefined();
});
