import { expect, test } from 'vitest';
import { chooseLanguage, t, tOr } from '../src/i18n';
import { codecNames, notRecorded } from '../src/lib/api';
import { problemAdvice, problemText } from '../src/parts/problems';
import { bitrate, bytes, dateTime, duration, pictureSizes, seen } from '../src/lib/format';

test.each([
  [['zh-CN', 'en'], 'zh'],
  [['zh'], 'zh'],
  [['de', 'zh-TW'], 'zh'],
  [['en-GB', 'zh'], 'en'],
  [['de'], 'en'],
  [[], 'en'],
])('language of %j is %s', (preferred, want) => {
  expect(chooseLanguage(preferred)).toBe(want);
});

test('texts', () => {
  expect(t('shown', { n: 2, total: 7 })).toBe('2 of 7');
  expect(tOr('status.complete', 'x')).toBe('complete');
  expect(tOr('status.odd', 'odd')).toBe('odd');
});

test.each([
  [0, '0:00'],
  [61.9, '1:01'],
  [3600, '1:00:00'],
  [86_399.5, '23:59:59'],
  [-1, '0:00'],
  [Number.NaN, '0:00'],
])('duration of %d s is %s', (seconds, want) => {
  expect(duration(seconds)).toBe(want);
});

test('sizes', () => {
  expect([0, 999, 1000, 1_234_567, 999_999, 5e12].map(bytes)).toEqual(['0 B', '999 B', '1 kB', '1.23 MB', '1 MB', '5 TB']);
  expect(bitrate(1_954_000)).toBe('1.95 Mbit/s');
});

test('dates that are none are empty', () => {
  expect(dateTime('', 'en')).toBe('');
  expect(dateTime('0001-01-01T00:00:00Z', 'en')).toBe('');
  expect(dateTime('2026-11-22T12:00:00Z', 'en')).toContain('2026');
});

test('sizes of pictures, the biggest first', () => {
  const layers = [
    { width: 320, height: 180 },
    { width: 1280, height: 720 },
    {},
    { width: 320, height: 180 },
  ];
  expect(pictureSizes(layers)).toBe('1280×720, 320×180');
  expect(pictureSizes([{ width: 0, height: 0 }])).toBe('');
});

test('layers have one codec, and one that was never sent is not missing', () => {
  const layer = (recorded: boolean) => ({ kind: 'video', codec: 'VP9', recorded });
  const sound = { kind: 'audio', codec: 'G722', recorded: false };
  expect(codecNames([sound, layer(true), layer(true)])).toBe('VP9 + G722');
  expect(notRecorded([layer(true), layer(false), sound])).toEqual([sound]);
  expect(notRecorded([layer(false), layer(false)])).toHaveLength(2);
  expect(notRecorded(undefined)).toEqual([]);
});

test('names show what is not seen', () => {
  expect(seen('camera 1 · 相机 👩‍🚒é')).toBe('camera 1 · 相机 👩\\u{200d}🚒é');
  expect(seen('a\u202Egpj.b\u2066\u200B\u2028\u{E0041}\u0007')).toBe('a\\u{202e}gpj.b\\u{2066}\\u{200b}\\u{2028}\\u{e0041}\\u{0007}');
  expect(seen('')).toBe('');
});

test.each([
  ['storage', true],
  ['storage', false],
  ['spool', true],
  ['spool', false],
  ['recordings', false],
  ['catalogue', true],
  ['catalogue', false],
])('what is wrong with %s (serious: %s) has words, and says what to do', (place, serious) => {
  const problem = { place, serious, text: 'odd', since: '2026-11-22T12:00:00Z' };
  expect(problemText(problem)).toMatch(/^[A-Z][a-z ]+: odd \(since .*2026.*\)$/);
  expect(problemAdvice(problem)).toMatch(/\.$/);
});

test('what is wrong with a place of a later version is told as it is', () => {
  const problem = { place: 'attic', serious: true, text: 'odd\u202e', since: '' };
  expect(problemText(problem)).toBe('attic: odd\\u{202e}');
  expect(problemAdvice(problem)).toBe('');
});
