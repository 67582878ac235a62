// The HLS playlists that packages manifest and span hold as golden files, of recordings and of spans, read by a parser that refuses what RFC 8216 does not allow.

import HLS from 'hls-parser';
import { expect, test } from 'vitest';

HLS.setOptions({ strictMode: true });

const recordings = import.meta.glob<string>('../../internal/record/manifest/testdata/*.m3u8.txt', { query: '?raw', import: 'default', eager: true });
const spans = import.meta.glob<string>('../../internal/library/span/testdata/*.m3u8.txt', { query: '?raw', import: 'default', eager: true });
const files = { ...recordings, ...spans };

/** The playlists of a golden file by their names, of which each begins with a line of its own. */
function playlists(text: string): [string, string][] {
  return text
    .split(/^===== /m)
    .slice(1)
    .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]);
}

for (const [file, text] of Object.entries(files)) {
  const all = playlists(text);
  test.each(all)(`${file.replace(/^.*\//, '')}: %s`, (name, playlist) => {
    const parsed = HLS.parse(playlist);
    expect(parsed.isMasterPlaylist).toBe(name === 'index.m3u8');
    if (parsed.isMasterPlaylist) {
      const { variants } = parsed as HLS.types.MasterPlaylist;
      const named = variants.flatMap((v) => [v.uri, ...v.audio.map((a) => a.uri)]);
      expect(new Set(named)).toEqual(new Set(all.map(([other]) => other).filter((other) => other !== name)));
      for (const v of variants) expect(v.bandwidth).toBeGreaterThanOrEqual(v.averageBandwidth ?? Infinity);
      return;
    }
    const { segments, targetDuration, endlist, playlistType } = parsed as HLS.types.MediaPlaylist;
    expect(segments.length).toBeGreaterThan(0);
    expect(endlist).toBe(playlistType === 'VOD');
    for (const s of segments.filter((s) => s.uri)) expect(Math.round(s.duration)).toBeLessThanOrEqual(targetDuration); // or it is open
    expect(segments[0]?.programDateTime).toBeInstanceOf(Date);
  });
}

test('there are playlists', () => {
  expect(Object.keys(recordings).length).toBeGreaterThan(5);
  expect(Object.keys(spans).length).toBeGreaterThan(4);
});

test('the parser is strict', () => {
  expect(() => HLS.parse('#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:9,\nx.m4s\n')).toThrow();
});
