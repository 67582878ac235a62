import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Stream, StreamRecordings } from '../src/lib/api';
import { expectedStreams } from '../src/lib/expected';
import { matches, natural } from '../src/lib/natural';
import { hrefOf, pathOf, placeOf } from '../src/lib/route';
import { deletions, deleteSoon, isDeleted, readDeletions, undo } from '../src/lib/undo';
import { verdict } from '../src/lib/verdict';
import { withStartBitrate } from '../src/lib/wish';
import { daysLeft } from '../src/parts/frame';

test('names in the order of people', () => {
  expect(['cam10', 'cam2', 'Cam1', 'cam2b', 'cam02'].toSorted(natural)).toEqual(['Cam1', 'cam02', 'cam2', 'cam2b', 'cam10']);
});

test('a search finds names that have all of its words', () => {
  expect(matches('Door camera 3', 'CAM door')).toBe(true);
  expect(matches('Door camera 3', 'cam 4')).toBe(false);
  expect(matches('x', ' ')).toBe(true);
});

test('places and their URLs', () => {
  const href = hrefOf('recordings', 'a/b 3', { t: '12', q: undefined });
  expect(href).toBe('?t=12#/recordings/a%2Fb%203');
  const place = placeOf('/recordings/a%2Fb%203', '?t=12');
  expect([place.view, place.subject, place.query.get('t')]).toEqual(['recordings', 'a/b 3', '12']);
  expect(pathOf('live')).toBe('/live?');
  expect(placeOf('/nonsense/%', '').view).toBe('live');
});

const day = 86_400_000;
const now = Date.UTC(2026, 10, 22);

test('streams of the last days are expected', () => {
  const stream = (id: string, live: boolean, recording: boolean) =>
    ({ id, recording, publish: { sessions: live ? [{}] : [] } }) as unknown as Stream;
  const sum = (id: string, days: number): StreamRecordings => ({ stream: id, recordings: 1, last_start: new Date(0).toISOString(), last: new Date(now - days * day).toISOString(), duration: 1, bytes: 1 });
  const streams = [stream('a', true, true), stream('b', true, false), stream('c', false, false)];
  const { recording, expected, missing } = expectedStreams(streams, [sum('a', 30), sum('b', 1), sum('c', 1), sum('d', 2), sum('e', 9)], now);
  expect([recording, expected, missing.map((m) => m.stream)]).toEqual([1, 4, ['c', 'd']]);
});

test('days until the disk is full', () => {
  const then = { at: now, free: 100e9 };
  expect(daysLeft(then, { at: now + day, free: 80e9 })).toBe(4);
  expect(daysLeft(then, { at: now + 60_000, free: 80e9 })).toBeUndefined(); // too soon to tell
  expect(daysLeft(then, { at: now + day, free: 100e9 })).toBeUndefined();
});

test('a verdict is told by the ledger', () => {
  const base = { status: 'degraded', reason: 'the words of the server' };
  const of = (tracks: object[]) => verdict({ ...base, tracks } as never);
  expect(of([{ packets_lost: 3 }, { packets_lost: 2, frames_dropped: 4, gaps: [{ cause: 'node' }] }])).toBe(
    '5 packets were lost · 4 pictures were left out · the node stood still or was dead',
  );
  expect(of([{}])).toBe('the words of the server');
});

test('the video of an answer begins at a bit rate', () => {
  const sdp = ['m=audio 9', 'a=fmtp:111 minptime=10', 'm=video 9', 'a=fmtp:96 profile-id=0', 'a=fmtp:97 apt=96', ''].join('\r\n');
  expect(withStartBitrate(sdp, 800).split('\r\n')).toEqual([
    'm=audio 9', 'a=fmtp:111 minptime=10', 'm=video 9', 'a=fmtp:96 profile-id=0;x-google-start-bitrate=800', 'a=fmtp:97 apt=96', '',
  ]);
});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A server that answers as told, and what it was asked. */
function server(...answers: Response[]): string[] {
  const asked: string[] = [];
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    asked.push(`${init.method} ${url} ${init.body ?? ''}`.trim());
    return answers.shift();
  });
  return asked;
}

test('a deletion can be taken back', async () => {
  const asked = server(new Response('{}'), new Response('{}'));
  void deleteSoon('cam/1', 'one', String);
  expect(isDeleted('cam/1')).toBe(true);
  await undo('cam/1', String); // before the server has answered
  await vi.advanceTimersByTimeAsync(60_000);
  expect([isDeleted('cam/1'), deletions()]).toEqual([false, []]);
  expect(asked).toEqual(['DELETE /api/recordings/cam/1?grace=10s', 'PATCH /api/recordings/cam/1 {"deleted":false}']);
});

test('a deletion is carried out after a while, and a refusal brings the recording back', async () => {
  const words = (reason: unknown) => (reason as Error).message;
  server(new Response('{}'), new Response('{"error":"it is protected"}', { status: 409 }));
  await deleteSoon('cam/2', 'two', words);
  expect(deletions()).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(10_000);
  expect([isDeleted('cam/2'), deletions()]).toEqual([true, []]);
  await deleteSoon('cam/3', 'three', words);
  expect([isDeleted('cam/3'), deletions()[0]?.error]).toEqual([false, 'it is protected']);
  await undo('cam/3', words);
});

test('deletions of before the page was loaded can be taken back too', async () => {
  server(new Response(JSON.stringify({ deletions: [{ record_dir: 'cam/4', stream: 'cam', at: new Date(Date.now() + 5000).toISOString() }] })), new Response('{}'));
  await readDeletions(String);
  expect(isDeleted('cam/4')).toBe(true);
  await undo('cam/4', String);
  expect(isDeleted('cam/4')).toBe(false);
});
