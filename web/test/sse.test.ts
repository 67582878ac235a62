import { afterEach, expect, test, vi } from 'vitest';
import { backoff, EventParser, type FeedState, openFeed } from '../src/lib/sse';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function parseAll(text: string, cut: number): string[] {
  const parser = new EventParser();
  const events: string[] = [];
  for (let i = 0; i < text.length; i += cut) events.push(...parser.push(text.slice(i, i + cut)));
  return events;
}

test.each([
  ['one event', 'data: a\n\n', ['a']],
  ['no space after the colon', 'data:a\n\n', ['a']],
  ['only the first space goes', 'data:  a\n\n', [' a']],
  ['lines of one event', 'data: a\ndata: b\n\n', ['a\nb']],
  ['empty data', 'data\n\n', ['']],
  ['CRLF', 'data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']],
  ['comments and other fields', ': ping\n\nevent: x\nid: 1\nretry: 2\ndata: a\n\n', ['a']],
  ['a blank line without data', '\n\n\ndata: a\n\n', ['a']],
  ['an unfinished event', 'data: a\n\ndata: b\n', ['a']],
])('parses %s, cut anywhere', (_name, text, want) => {
  for (const cut of [1, 2, 3, text.length]) expect(parseAll(text, cut)).toEqual(want);
});

test('backoff doubles, has a limit and some chance', () => {
  const slowest = [1, 2, 3, 4, 5, 6, 20].map((n) => backoff(n, () => 1));
  expect(slowest).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  expect(backoff(1, () => 0)).toBe(375);
});

function feedBody(...chunks: string[]): Response {
  return new Response(chunks.join(''), { headers: { 'content-type': 'text/event-stream' } });
}

test('the feed connects again after the connection ends and after an error', async () => {
  vi.useFakeTimers();
  const fetch = vi
    .fn()
    .mockResolvedValueOnce(feedBody('data: 1\n\n'))
    .mockResolvedValueOnce(new Response('{"error":"starting"}', { status: 503 }))
    .mockResolvedValueOnce(feedBody('data: 2\n\n', 'data: 3\n\n'))
    .mockImplementation(() => new Promise(() => {}));
  vi.stubGlobal('fetch', fetch);
  const data: string[] = [];
  const states: FeedState[] = [];
  const close = openFeed({ url: 'http://h/sse', onData: (d) => data.push(d), onState: (s) => states.push(s) });
  await vi.advanceTimersByTimeAsync(5000);
  close();
  expect(data).toEqual(['1', '2', '3']);
  expect(states).toContainEqual({ kind: 'waiting', error: 'starting', status: 503 });
  expect(fetch).toHaveBeenCalledTimes(4);
});

test('the feed stops at 401, for only a new token can help', async () => {
  vi.useFakeTimers();
  const fetch = vi.fn().mockImplementation(async () => new Response('{"error":"no token"}', { status: 401 }));
  vi.stubGlobal('fetch', fetch);
  openFeed({ url: 'http://h/sse', onData: () => {}, onState: () => {} });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(fetch).toHaveBeenCalledTimes(1);
});
