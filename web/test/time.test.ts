import { afterEach, expect, test, vi } from 'vitest';
import type { TimelineSpan } from '../src/lib/api';
import { coverage, findHole, holesOf, nextHole, spansOfTimeline } from '../src/lib/archive';
import { marks, moved, parseMoment, showing, zoomed } from '../src/lib/ruler';
import { inStep } from '../src/lib/step';

const start = new Date(2026, 10, 20, 12, 0, 0).getTime(); // in the zone of whoever runs it
const second = 1000;
const hour = 3600 * second;

/** A span as the server tells it, of seconds after start. */
function told(from: number, to: number, cause = '', missing = ''): TimelineSpan {
  const at = (s: number) => new Date(start + s * second).toISOString();
  return {
    from: at(from), to: at(to), kind: cause ? 'gap' : 'media',
    ...(cause ? { cause } : { status: missing ? 'degraded' : 'complete' }),
    ...(missing && { missing: [{ cause: missing, seconds: 1 }] }),
  };
}

const all = [
  told(0, 10), told(10, 15, 'loss'), told(15, 50), told(50, 70, 'pause'), told(70, 100),
  told(100, 200), told(200, 300, 'none'), told(300, 450),
];

test('holes are gaps, and what is between recordings; a rotation is none', () => {
  const holes = holesOf(spansOfTimeline(all));
  expect(holes.map((hole) => [(hole.from - start) / second, hole.cause])).toEqual([[10, 'loss'], [50, 'pause'], [200, 'nothing']]);
  expect(nextHole(holes, start + 20 * second, true)?.cause).toBe('pause');
  expect(nextHole(holes, start + 20 * second, false)?.cause).toBe('loss');
  expect(nextHole(holes, start + 400 * second, true)).toBeUndefined();
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test('a hole is looked for near the moment first, and where a span is told to have some, in that span', async () => {
  vi.useFakeTimers({ now: start + 100 * hour });
  const asked: [number, number][] = [];
  vi.stubGlobal('fetch', async (url: string) => {
    const query = new URL(url, 'http://server').searchParams;
    const [from, to] = [Number(query.get('from')) - start / second, Number(query.get('to')) - start / second];
    asked.push([from, to]);
    const coarse = [told(0, 40_000, '', 'loss'), told(40_000, 400_000)];
    const exact = [told(0, 30_000), told(30_000, 30_001, 'loss'), told(30_001, 40_000)];
    const spans = (to - from > 40_000 ? coarse : exact).filter((span) => Date.parse(span.to) > start + from * second && Date.parse(span.from) < start + to * second);
    return new Response(JSON.stringify({ spans }), { headers: { 'content-type': 'application/json' } });
  });
  const hole = await findHole('cam', start + 60 * second, true, new AbortController().signal);
  expect([(hole?.from ?? 0) - start, hole?.cause]).toEqual([30_000 * second, 'loss']);
  expect(asked.map(([from, to]) => Math.round(to - from))).toEqual([7200, 86_400, 39_940]);
});

test('players in step', () => {
  const clocks = { lead: start, own: start, moving: true, rate: 1, has: true };
  expect(inStep(clocks)).toEqual({ rate: 1, play: true });
  expect(inStep({ ...clocks, own: start - 200 }).rate).toBeCloseTo(1.1); // behind: it hurries
  expect(inStep({ ...clocks, own: start + 200 }).rate).toBeCloseTo(0.9);
  expect(inStep({ ...clocks, own: start - 10_000 }).seek).toBeGreaterThanOrEqual(start);
  expect(inStep({ ...clocks, own: start - 200, moving: false })).toEqual({ seek: start, rate: 1, play: false });
  expect(inStep({ ...clocks, has: false })).toEqual({ rate: 1, play: false }); // nothing was recorded: it waits
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
  const halves = spansOfTimeline([told(-6 * 3600, -3 * 3600), told(-4 * 3600, -3600, '', 'loss')]); // an hour of both
  expect(coverage(halves, [day, new Date(2026, 10, 21)])).toEqual([
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
