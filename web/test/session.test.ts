import { afterEach, expect, test, vi } from 'vitest';
import { onUnauthorized } from '../src/lib/http';
import { login, logout, may, mayForAll, onSession, signRecording } from '../src/lib/session';
import { getToken, setToken } from '../src/lib/token';

afterEach(() => {
  vi.unstubAllGlobals();
  setToken('');
});

function answer(...responses: Response[]) {
  const fetch = vi.fn().mockImplementation(async () => responses.shift());
  vi.stubGlobal('fetch', fetch);
  return fetch;
}

test('a login forgets the token and is told', async () => {
  setToken('old');
  const told = vi.fn();
  const off = onSession(told);
  const fetch = answer(new Response('{"token":"t"}'), new Response(null, { status: 204 }));
  await login('anna', 'correct horse');
  expect(getToken()).toBe('');
  expect(told).toHaveBeenCalledOnce();
  const [url, init] = fetch.mock.calls[0] as [string, RequestInit];
  expect([url, init.method, init.body]).toEqual(['/api/login', 'POST', '{"name":"anna","password":"correct horse"}']);
  await logout();
  expect(told).toHaveBeenCalledTimes(2);
  off();
});

test('a wrong password is an error in words, and keeps the token', async () => {
  setToken('old');
  const told = vi.fn();
  const off = [onSession(told), onUnauthorized(told)];
  answer(new Response('{"error":"wait 3 seconds"}', { status: 429 }), new Response('<p>', { status: 502, headers: { 'content-type': 'text/html' } }));
  await expect(login('anna', 'wrong')).rejects.toMatchObject({ status: 429, message: 'wait 3 seconds' });
  await expect(login('anna', 'wrong')).rejects.toMatchObject({ status: 502, message: 'HTTP 502' });
  expect(getToken()).toBe('old');
  expect(told).not.toHaveBeenCalled();
  for (const end of off) end();
});

test('rights', () => {
  const me = { kind: 'account', name: 'anna', rights: ['view'], streams: ['*'] };
  expect([may(undefined, 'record'), may(me, 'view'), may(me, 'record')]).toEqual([true, true, false]);
  const some = { ...me, streams: ['room-*'] };
  expect([mayForAll(undefined, 'view'), mayForAll(me, 'view'), mayForAll(me, 'record')]).toEqual([true, true, false]);
  expect([may(some, 'view'), mayForAll(some, 'view')]).toEqual([true, false]);
});

test('a link is absolute, and its path encoded', async () => {
  vi.stubGlobal('document', { baseURI: 'https://node.example/studio/' });
  const fetch = answer(new Response('{"url":"/api/play/x/a%20b/1/manifest.mpd","expires":"2026-01-01T00:00:00Z"}'));
  expect((await signRecording('a b/1')).url).toBe('https://node.example/studio/api/play/x/a%20b/1/manifest.mpd');
  expect(fetch.mock.calls[0]?.[0]).toBe('https://node.example/studio/api/sign/a%20b/1');
});
