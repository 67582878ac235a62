import { afterEach, expect, test, vi } from 'vitest';
import { fileOf, findFile } from '../src/lib/file';

afterEach(() => vi.unstubAllGlobals());

const track = (kind: string, codec: string) => ({ kind, codec });

test.each([
  [[track('video', 'H264'), track('audio', 'opus')], 'file.mp4'],
  [[track('video', 'VP8'), track('audio', 'opus')], 'file.webm'],
  [[track('audio', 'opus')], 'file.mp4'],
  [null, 'file.mp4'],
])('the file of a recording follows from its tracks (%#)', (tracks, want) => {
  expect(fileOf({ tracks })).toBe(want);
});

/** A server that answers requests for files with these statuses. */
function serve(answers: Record<string, number>): string[] {
  const asked: string[] = [];
  vi.stubGlobal('fetch', async (url: string) => {
    asked.push(url);
    return new Response(`{"error":"no ${url}"}`, { status: answers[url] ?? 404 });
  });
  return asked;
}

test.each([
  ['an MP4 is not asked for twice', { '/file.mp4': 206 }, undefined, 'file.mp4', 1],
  ['what cannot be MP4 is WebM', { '/file.mp4': 409, '/file.webm': 206 }, undefined, 'file.webm', 2],
  ['what cannot be WebM is MP4', { '/file.mp4': 206, '/file.webm': 409 }, 'file.webm', 'file.mp4', 2],
])('%s', async (_, answers, first, want, requests) => {
  const asked = serve(answers as Record<string, number>);
  await expect(findFile((name) => `/${name}`, first)).resolves.toBe(want);
  expect(asked).toHaveLength(requests);
});

test('where there is no file, the server says why of the first', async () => {
  serve({ '/file.mp4': 409, '/file.webm': 409 });
  await expect(findFile((name) => `/${name}`)).rejects.toMatchObject({ status: 409, message: 'no /file.mp4' });
});

test('other errors are not asked about again', async () => {
  const asked = serve({ '/file.mp4': 404 });
  await expect(findFile((name) => `/${name}`)).rejects.toMatchObject({ status: 404 });
  expect(asked).toHaveLength(1);
});
