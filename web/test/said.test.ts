import { afterAll, beforeAll, expect, test } from 'vitest';
import { setLanguage } from '../src/i18n';
import { readError } from '../src/lib/http';
import { problemText } from '../src/parts/problems';

beforeAll(() => setLanguage('zh'));
afterAll(() => setLanguage('en'));

test.each([
  [{ error: 'wait 3 seconds', code: 'login_wait', params: { seconds: 3 } }, '失败次数过多，请 3 秒后再试。'],
  [{ error: 'odd\u202e', code: 'not_found' }, '未找到：odd\\u{202e}'],
  [{ error: 'the server’s own words', code: 'of_a_later_version' }, 'the server’s own words'],
  [{ error: 'the server’s own words', code: 'constructor' }, 'the server’s own words'],
  [{ error: 'of an older node' }, 'of an older node'],
  [{ error: 'x', code: 'node_down' }, '节点“{node}”没有响应。'],
])('the server is heard in Chinese: %j', async (body, want) => {
  expect((await readError(new Response(JSON.stringify(body), { status: 409 }))).message).toBe(want);
});

test('times are told as people read them', async () => {
  const body = { error: 'x', code: 'recorded_until', params: { before: '2026-11-22T12:00:00Z' } };
  expect((await readError(new Response(JSON.stringify(body), { status: 404 }))).message).toMatch(/录制在 2026.*11.*22.* 结束/);
});

test('problems are told in Chinese', () => {
  const problem = { place: 'spool', serious: true, since: '', text: 'it is full', code: 'spool_full' };
  expect(problemText(problem)).toBe('待上传队列：待上传队列已满：远程存储取走一些之前，不能再开始录制。');
});
