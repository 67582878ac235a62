import { afterEach, expect, test, vi } from 'vitest';
import { words } from '../src/hooks';
import { codecNames, encodePath, listPlayback, listRecordings, objectURL, startRecording, stopRecording } from '../src/lib/api';
import { ApiError, onUnauthorized, readError, request } from '../src/lib/http';
import { setToken } from '../src/lib/token';

afterEach(() => {
  vi.unstubAllGlobals();
  setToken('');
});

test.each([
  [new Response('{"error":"the stream has no publisher"}', { status: 409 }), 'the stream has no publisher'],
  [new Response('<p>gateway', { status: 502, statusText: 'Bad Gateway', headers: { 'content-type': 'text/html' } }), 'HTTP 502 Bad Gateway'],
  [new Response('not now', { status: 503, headers: { 'content-type': 'text/plain; charset=utf-8' } }), 'not now'],
  [new Response('null', { status: 500 }), 'HTTP 500'],
  [new Response('', { status: 404 }), 'HTTP 404'],
])('an error answer becomes words (%#)', async (response, want) => {
  const error = await readError(response);
  expect(error).toBeInstanceOf(ApiError);
  expect([error.status, error.message]).toEqual([response.status, want]);
});

test('the token goes with every request, and none without a token', async () => {
  const fetch = vi.fn().mockImplementation(async () => new Response('{}'));
  vi.stubGlobal('fetch', fetch);
  await request('/a', { headers: { Accept: 'x' } });
  setToken('  secret ');
  await request('/b');
  const sent = fetch.mock.calls.map(([, init]) => new Headers((init as RequestInit).headers));
  expect(sent[0]?.get('Authorization')).toBeNull();
  expect(sent[0]?.get('Accept')).toBe('x');
  expect(sent[1]?.get('Authorization')).toBe('Bearer secret');
});

test('401 is announced, other errors are not', async () => {
  const told = vi.fn();
  const off = onUnauthorized(told);
  const answers = [403, 401].map((status) => new Response('{"error":"no"}', { status }));
  vi.stubGlobal('fetch', vi.fn().mockImplementation(async () => answers.shift()));
  await expect(request('/a')).rejects.toMatchObject({ status: 403, message: 'no' });
  expect(told).not.toHaveBeenCalled();
  await expect(request('/a')).rejects.toMatchObject({ status: 401 });
  expect(told).toHaveBeenCalledOnce();
  off();
});

test('no answer is an error of status 0, an aborted request stays what it is', async () => {
  vi.stubGlobal('fetch', vi.fn().mockRejectedValue(new TypeError('Failed to fetch')));
  await expect(request('/a')).rejects.toMatchObject({ name: 'ApiError', status: 0 });
  await expect(request('/a').catch(words)).resolves.toBe('the server does not answer');
  const abort = new AbortController();
  abort.abort();
  await expect(request('/a', { signal: abort.signal })).rejects.toBeInstanceOf(TypeError);
});

test('ids and paths are encoded element by element', async () => {
  expect(encodePath('a b/ü/c?d#e%f')).toBe('a%20b/%C3%BC/c%3Fd%23e%25f');
  expect(objectURL('cam/1700000000/manifest.mpd')).toBe('/api/record/object/cam/1700000000/manifest.mpd');
  const fetch = vi.fn().mockImplementation(async () => new Response('{}'));
  vi.stubGlobal('fetch', fetch);
  await startRecording('a b');
  await stopRecording('a?b');
  expect(fetch.mock.calls.map(([url, init]) => `${(init as RequestInit).method} ${url}`)).toEqual([
    'POST /api/record/a%20b',
    'DELETE /api/record/a%3Fb',
  ]);
});

test('codecs are named picture first', () => {
  const tracks = [
    { kind: 'audio', codec: 'opus' },
    { kind: 'video', codec: 'VP9' },
  ];
  expect(codecNames(tracks)).toBe('VP9 + opus');
  expect(codecNames(null)).toBe('');
});

/** A server of a list that gives at most `most` at once, and what was asked of it. */
function pages(names: string[], most: number, answer: (page: string[], next: string | undefined) => Response) {
  const asked: string[] = [];
  vi.stubGlobal('fetch', vi.fn().mockImplementation(async (url: string) => {
    const query = new URL(url, 'http://here').searchParams;
    asked.push(`${query.get('limit')} after ${query.get('after')}`);
    const from = query.get('after') ? names.indexOf(query.get('after') as string) + 1 : 0;
    const page = names.slice(from, from + Math.min(Number(query.get('limit')), most));
    return answer(page, from + page.length < names.length ? page.at(-1) : undefined);
  }));
  return asked;
}

test('recordings are read from as many pages as it takes', async () => {
  const names = Array.from({ length: 600 }, (_, i) => `cam/${i}`);
  const asked = pages(names, 200, (page, next) =>
    Response.json({ stream: 'cam', total: 600, recordings: page.map((record_dir) => ({ record_dir })), next }));
  const some = await listRecordings('cam', 20);
  expect([some.rows.length, some.more, some.total]).toEqual([20, true, 600]);
  const all = await listRecordings('cam', 620);
  expect(all.rows.map((r) => r.record_dir)).toEqual(names);
  expect([all.more, all.total]).toEqual([false, 600]);
  expect(asked).toEqual(['20 after ', '200 after ', '200 after cam/199', '200 after cam/399']);
});

test('streams are read by the links from page to page', async () => {
  const names = ['a&b', 'room 1', 'room 2', 'x'];
  const asked = pages(names, 2, (page, next) =>
    Response.json(page.map((stream) => ({ stream })), next ? { headers: { link: `</api/playback?after=${encodeURIComponent(next)}>; rel="next"` } } : {}));
  const some = await listPlayback(3);
  expect([some.rows.map((s) => s.stream), some.more]).toEqual([['a&b', 'room 1', 'room 2'], true]);
  const all = await listPlayback(100);
  expect([all.rows.map((s) => s.stream), all.more]).toEqual([names, false]);
  expect(asked).toEqual(['3 after ', '1 after room 1', '100 after ', '98 after room 1']);
});
