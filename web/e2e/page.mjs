// Looks at the built page with made-up answers: token, lists, errors in words, names of all
// controls, narrow and dark. usage: node web/e2e/page.mjs [--out DIR] (after npm run build)

import { downloads } from './download.mjs';
import { events } from './events.mjs';
import { check, id, openPage, option, recordingsOf as openRecordings, runScript, Steps, stopRecording, view } from './lib.mjs';
import { clipKeeping } from './keep.mjs';
import { checkLayout, shows, token, unlock } from './looks.mjs';
import { startMock } from './mock.mjs';

/** Goes to the recordings of a stream, and waits for them. */
async function recordingsOf(page, stream) {
  await openRecordings(page, stream);
  await id(page, 'recording-row').first().waitFor({ timeout: 60_000 });
}

async function desktop(browser, base, out) {
  const { page, problems } = await openPage(browser, base, { colorScheme: 'light' });
  const steps = new Steps(page, out);
  await steps.run('ask for the token', async () => {
    await page.goto(base, { timeout: 60_000 });
    await shows(id(page, 'token-form'), 'token');
    check((await id(page, 'streams-list').count()) === 0, 'streams are listed to who may see nothing yet');
    await id(page, 'token-input').fill('wrong');
    await id(page, 'token-save').click();
    await shows(id(page, 'token-form'), 'did not accept');
    await steps.picture('page-token');
    await unlock(page);
  });
  const row = id(page, 'stream-row-door-camera');
  await steps.run('streams', async () => {
    await shows(id(page, 'strip-recording'), 'Recording 1 of 2 expected');
    await shows(id(page, 'missing-row-gate'), 'Missing since');
    await checkLayout(page);
    await steps.picture('page-wide');
  });
  await steps.run('recordings', async () => {
    await recordingsOf(page, 'door-camera');
    await id(page, 'recording-row').nth(3).waitFor({ timeout: 60_000 });
    await shows(id(page, 'recording-facts').first(), 'H264 + opus · 1280×720, 640×360, 320×180');
    await shows(id(page, 'recording-row').nth(2), '3 packets were lost');
    await checkLayout(page);
    await steps.picture('page-recordings');
  });
  await steps.run('older recordings', async () => {
    await shows(page.locator('.more'), '20 of 24');
    await id(page, 'recordings-more').click();
    await id(page, 'recording-row').nth(23).waitFor({ timeout: 10_000 });
    check((await id(page, 'recordings-more').count()) === 0, 'more is offered where there is none');
  });
  await steps.run('playing fails in words', async () => {
    await id(id(page, 'recording-row').nth(1), 'recording-watch').click();
    await shows(id(page, 'player-error'), 'HTTP 404');
    await steps.picture('page-errors');
  });
  await steps.run('publishing fails in words', async () => {
    await view(page, 'publish');
    await id(page, 'publish-start').click();
    await shows(id(page, 'publish-error'), 'has a publisher');
    await page.locator('[data-testid="publish-state"][data-state="idle"]').waitFor({ timeout: 60_000 });
    await checkLayout(page);
    await steps.picture('page-publish');
  });
  await steps.run('recording fails in words', async () => {
    await view(page, 'live');
    await id(row, 'record-stop').click();
    await id(page, 'confirm-no').click();
    await stopRecording(page, row);
    await id(row, 'record-start').click({ timeout: 60_000 });
    await shows(id(row, 'record-error'), 'no space is left');
  });
  await steps.run('a clip', async () => {
    const from = 1795262400_000 + 60_000;
    await page.goto(`${base}/?t=${from}&span=3600000&from=${from}&to=${from + 30_000}#/recordings/door-camera`, { timeout: 60_000 });
    await shows(id(page, 'clip'), '0:30');
    const end = id(page, 'handle-to');
    await end.press('ArrowRight');
    check(Number(await id(page, 'clip').getAttribute('data-to')) > from + 30_000, 'the end of the clip does not move');
    const handle = await end.boundingBox();
    await page.mouse.move(handle.x + 7, handle.y + 20);
    await page.mouse.down();
    await page.mouse.move(handle.x + 107, handle.y + 20);
    await page.mouse.up();
    check(Number(await id(page, 'clip').getAttribute('data-to')) > from + 120_000, 'the end of the clip cannot be pulled');
    await id(page, 'guests').click();
    await id(page, 'guests-url').waitFor({ timeout: 60_000 });
    const url = await id(page, 'guests-url').inputValue();
    check(url.startsWith(`${base}/api/play/abc/door-camera/${from / 1000}/`) && url.endsWith('/manifest.mpd'), `the link for guests is ${url}`);
    await checkLayout(page);
    await steps.picture('page-clip');
  });
  await steps.run('downloads', () => downloads(page, base));
  await steps.run('the ruler', async () => {
    const ruler = id(page, 'ruler');
    const length = async () => Number(await ruler.getAttribute('data-to')) - Number(await ruler.getAttribute('data-from'));
    const before = await length();
    await ruler.evaluate((element) => element.scrollIntoView({ block: 'center' }));
    await ruler.hover({ position: { x: 30, y: 40 } });
    await shows(id(page, 'ruler-hover'), 'nothing recorded');
    await page.mouse.wheel(0, 500);
    await page.waitForFunction((b) => {
      const { from, to } = document.querySelector('[data-testid=ruler]').dataset;
      return to - from > 2 * b;
    }, before, { timeout: 60_000 });
    await page.keyboard.type('2026-11-20 12:11');
    await page.keyboard.press('Enter');
    const t = Number(await id(page, 'player').getAttribute('data-moment'));
    check(new Date(t).toString().includes('Nov 20 2026 12:11:00'), `a time that is typed goes to ${new Date(t)}`);
    await id(page, 'hole-after').click();
    await shows(id(page, 'hole'), 'the sender paused');
    await page.keyboard.press('p');
    await id(page, 'hole').filter({ hasText: 'packets were lost' }).waitFor({ timeout: 60_000 });
    await checkLayout(page);
    await steps.picture('page-ruler');
  });
  await steps.run('system', async () => {
    await view(page, 'system');
    await shows(id(page, 'system-facts'), 'v0.1.0');
    await page.locator('.plot canvas').nth(3).waitFor({ timeout: 60_000 });
    await shows(id(page, 'config'), 'tokens = ["********"]');
    await shows(id(page, 'receiver').first(), '1 held up');
    const wrong = await id(page, 'receiver-error').innerText();
    check(/^422 Unprocessable Entity · next try /.test(wrong), `of the receiver that takes not all it says ${wrong}`);
    check(/3 wait, the first since .+/.test(await id(page, 'receiver').first().innerText()), 'it does not say what waits');
    await shows(id(page, 'receiver').nth(1), 'nothing told since the start');
    check((await id(page, 'delivery').count()) === 3, 'the attempts are not listed');
    await id(page, 'deliveries-of').selectOption('https://example.com/hooks/live777');
    await id(page, 'delivery').nth(2).waitFor({ state: 'detached', timeout: 60_000 });
    const attempt = (await id(page, 'delivery').nth(1).innerText()).replace(/\s+/g, ' ');
    check(attempt.endsWith('failed stream.started: silent · attempt 4 · 30 ms · 422 Unprocessable Entity'), `an attempt says ${attempt}`);
    await checkLayout(page);
    await steps.picture('page-system');
  });
  await steps.run('end a session', async () => {
    const second = page.locator('[data-testid=session-row][data-stream=door-camera][data-side=viewer]').nth(1);
    await id(second, 'session-end').press('Enter', { timeout: 60_000 });
    await id(page, 'confirm-yes').click();
    await second.waitFor({ state: 'detached', timeout: 60_000 });
  });
  await steps.run('events', () => events(page, base, steps));
  await steps.run('a theme and a language by a switch', async () => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await id(page, 'theme').selectOption('dark');
    check((await ground()) !== light, 'the dark theme is as light as the other');
    await id(page, 'language').selectOption('zh');
    await id(page, 'nav-live').filter({ hasText: '直播' }).waitFor({ timeout: 60_000 }); // once it is loaded
    await page.reload({ timeout: 60_000 });
    await shows(id(page, 'nav-live'), '直播');
    check((await page.locator('html').getAttribute('lang')) === 'zh-CN', 'html has no lang=zh-CN');
    check((await ground()) !== light, 'the theme is forgotten');
  });
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
}

const since = '2026-11-22T12:00:00Z';
const full = { place: 'storage', text: 'recorder.storage.root: no space is left', since, serious: true };

/** The problems that are shown within root, by place: what is said, whether it is serious, and whether it is marked so. */
async function problemsIn(root) {
  const all = await id(root, 'problem').all();
  return new Map(
    await Promise.all(
      all.map(async (problem) => [
        await problem.getAttribute('data-place'),
        {
          text: await problem.innerText(),
          serious: (await problem.getAttribute('data-serious')) === 'true',
          marked: (await problem.getAttribute('class')).includes('error'),
        },
      ]),
    ),
  );
}

/** Each problem says where it is, what it is, since when, and what to do, and stands out if it is serious. */
async function checkProblems(root, want) {
  await id(root, 'problem').nth(want.length - 1).waitFor({ timeout: 60_000 });
  const shown = await problemsIn(root);
  check(shown.size === want.length, `${shown.size} problems are shown, not ${want.length}`);
  for (const { place, says, serious } of want) {
    const problem = shown.get(place);
    check(problem !== undefined, `nothing is said of ${place}`);
    for (const part of says) check(problem.text.includes(part), `of ${place} it says ${JSON.stringify(problem.text)}, not ${JSON.stringify(part)}`);
    check(problem.serious === serious && problem.marked === serious, `${place} is shown as ${problem.marked ? '' : 'not '}serious`);
  }
}

/** What is wrong with a node comes, is told in words, and goes. */
async function problemsOfNode(browser, mock, out) {
  const { page, problems } = await openPage(browser, mock.base);
  const steps = new Steps(page, out);
  await page.clock.install();
  await page.goto(mock.base, { timeout: 60_000 });
  await unlock(page);
  await steps.run('nothing is wrong', async () => {
    check((await id(page, 'problem').count()) === 0, 'something is said to be wrong');
  });
  await steps.run('what is wrong is told within seconds', async () => {
    mock.wrong([
      full,
      { place: 'spool', text: '7 objects are gone from the spool', since, serious: false },
      { place: 'recordings', text: 'objects that were stored are gone', since, serious: false },
      { place: 'catalogue', text: 'it does not answer', since, serious: true },
      { place: 'attic', text: 'a place of a later version\u202e', since, serious: false },
    ]);
    await page.clock.fastForward(6_000);
    await checkProblems(id(page, 'problems'), [
      { place: 'storage', says: ['Storage: recorder.storage.root: no space is left (since ', '2026', 'make room on the disk'], serious: true },
      { place: 'spool', says: ['Spool: 7 objects are gone', 'delete those that are of no use'], serious: false },
      { place: 'recordings', says: ['Recordings that run: objects', 'a rule of the bucket'], serious: false },
      { place: 'catalogue', says: ['Catalogue: it does not answer', 'until the database answers'], serious: true },
      { place: 'attic', says: ['attic: a place of a later version\\u{202e}'], serious: false },
    ]);
    check((await id(page, 'problems').getAttribute('role')) === 'alert', 'it is not read out by who reads the page to others');
    await checkLayout(page);
    await steps.picture('page-problems');
  });
  await steps.run('what is mended is told no more', async () => {
    mock.wrong([]);
    await page.clock.fastForward(6_000);
    await id(page, 'problem').first().waitFor({ state: 'detached', timeout: 60_000 });
  });
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
}

const load = { time: since, streams: 1, publishers: 1, viewers: 0, recordings: 1 };
const fleet = [
  { alias: 'roof', state: 'up', storage: 'local', load: { ...load, storage: { type: 'fs', failing: true, failed_recordings: 1 }, problems: [full] } },
  { alias: 'cellar', state: 'up', storage: 'shared', load },
  { alias: 'gate', state: 'down', since, seen_at: since, storage: 'shared', error: 'connection refused', load: { ...load, streams: 0, recordings: 0 } },
];

/** What is wrong with a manager is told apart from what is wrong with its nodes. */
async function problemsOfManager(browser, mock, out) {
  const { page, problems } = await openPage(browser, mock.base, { viewport: { width: 400, height: 900 } });
  const steps = new Steps(page, out);
  mock.wrong([{ place: 'catalogue', text: 'the database does not answer', since, serious: true }]);
  await page.goto(mock.base, { timeout: 60_000 });
  await unlock(page);
  await steps.run('what is wrong with the manager', () =>
    checkProblems(id(page, 'problems'), [{ place: 'catalogue', says: ['Catalogue: the database does not answer', 'until the database answers'], serious: true }]),
  );
  await steps.run('what is wrong with its nodes', async () => {
    await view(page, 'nodes');
    await checkProblems(id(page, 'node-row-roof'), [{ place: 'storage', says: ['no space is left', 'make room on the disk'], serious: true }]);
    await shows(id(page, 'node-row-roof'), 'Storage does not take recordings');
    await shows(id(page, 'node-row-gate'), 'connection refused');
    check((await id(id(page, 'node-row-cellar'), 'problem').count()) === 0, 'a node without problems has some');
    await checkLayout(page);
    await steps.picture('page-manager-problems');
  });
  await steps.run('a page of a node', async () => {
    await shows(id(id(page, 'node-row-gate'), 'node-since'), 'since Nov 22, 2026');
    await id(id(page, 'node-row-gate'), 'node-open').press('Enter');
    await id(page, 'node-row-roof').waitFor({ state: 'detached', timeout: 60_000 });
    await checkLayout(page);
    await steps.picture('page-node');
  });
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
}

/** A manager's catalogue hears of the end of a recording long after its list of streams: its row ends by itself. */
async function lateCatalogue(browser, mock) {
  const { page, problems } = await openPage(browser, mock.base);
  const steps = new Steps(page, '');
  await page.clock.install();
  await page.goto(mock.base, { timeout: 60_000 });
  await unlock(page);
  await recordingsOf(page, 'door-camera');
  const reads = () => mock.asked().filter((asked) => asked === 'GET /api/playback/door-camera').length;
  const readAgain = async () => {
    const before = reads();
    for (let i = 0; reads() === before; i++) {
      check(i < 40, 'the recordings are not read again, and a row still says that it is being recorded');
      await page.clock.fastForward(6_000); // longer than the page waits for a catalogue that is quick
    }
  };
  await steps.run('a catalogue that hears late', async () => {
    await page.locator('[data-testid=recording-row][data-status=recording]').waitFor({ timeout: 60_000 });
    mock.stop();
    for (let i = 0; i < 3; i++) await readAgain();
    check((await id(page, 'recording-row').first().getAttribute('data-status')) === 'recording', 'a row ends before the catalogue says so');
    mock.seal();
    await readAgain();
    await page.locator('[data-testid=recording-row][data-status=recording]').waitFor({ state: 'detached', timeout: 60_000 });
  });
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
}

/** What changes while the page is open: sums, publishers, and whether the server answers. */
async function changes(browser, mock) {
  const { page, problems } = await openPage(browser, mock.base);
  const steps = new Steps(page, '');
  await page.clock.install();
  await page.goto(mock.base, { timeout: 60_000 });
  await unlock(page);
  await view(page, 'recordings');
  const sums = id(page, 'recordings-stream-door-camera').locator('.note');
  await steps.run('sums of what is recorded', async () => {
    for (let i = 0; i < 4; i++) { // more often than the page reads when it opens
      const before = await sums.innerText({ timeout: 60_000 });
      await page.clock.fastForward(16_000);
      await sums.filter({ hasNotText: before }).waitFor({ timeout: 20_000 });
    }
  });
  const row = id(page, 'stream-row-door-camera');
  await steps.run('watch publishers that change', async () => {
    await view(page, 'live');
    const asked = () => page.waitForRequest((r) => r.method() === 'POST' && r.url().endsWith('/whep/door-camera'), { timeout: 60_000 });
    const first = asked();
    await id(row, 'stream-watch').click();
    await first;
    mock.publish([]);
    await shows(id(row, 'watch-idle'), 'The publisher has left');
    const again = asked();
    mock.publish(['VP9', 'opus']);
    await again;
    await id(row, 'watch-idle').waitFor({ state: 'detached', timeout: 60_000 });
  });
  await steps.run('a server that does not answer', async () => {
    await view(page, 'recordings');
    await page.route('**/api/archive?*', (route) => route.abort());
    await id(page, 'recordings-refresh').click();
    await shows(id(page, 'recordings-error'), 'the server does not answer');
    await page.unroute('**/api/archive?*');
  });
  await steps.run('a player whose server does not answer', async () => {
    await recordingsOf(page, 'door-camera');
    await page.route('**/api/archive/*/*/*/manifest.mpd', (route) => route.abort());
    await id(id(page, 'recording-row').nth(1), 'recording-watch').click();
    for (let i = 0; i < 8; i++) await page.clock.fastForward(8_000); // the player's own attempts
    await shows(id(page, 'player-note'), 'the server does not answer · Reconnecting');
  });
  await steps.run('a server that is back', async () => {
    mock.endFeeds();
    await id(page, 'recordings-error').waitFor({ state: 'detached', timeout: 60_000 });
  });
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
}

/** Bytes of script that a page has loaded, but for the player. */
const scriptBytes = (page) =>
  page.evaluate(() =>
    performance
      .getEntriesByType('resource')
      .filter(({ name }) => name.endsWith('.js') && !/shaka|longrows|uPlot/.test(name))
      .reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0),
  );
const mostScript = 120_000;

/** Two hundred streams with five hundred recordings each: few requests, and rows for what is seen alone. */
async function manyStreams(browser, mock, out) {
  const { page, problems } = await openPage(browser, mock.base);
  const steps = new Steps(page, out);
  await page.addInitScript((value) => sessionStorage.setItem('live777-token', value), token);
  await steps.run('the first view', async () => {
    await page.goto(mock.base, { timeout: 60_000 });
    await id(page, 'stream-row-cam2').waitFor({ timeout: 60_000 });
    await id(page, 'strip-disk').waitFor({ timeout: 60_000 });
    const asked = mock.asked();
    check(asked.length <= 10, `${asked.length} requests: ${asked.join(', ')}`);
    check((await page.locator('[data-testid^=stream-row-]').count()) < 60, 'there is a row for each stream');
  });
  await steps.run('names in the order of people', async () => {
    const names = await page.locator('[data-testid=streams-list] .name').allInnerTexts();
    check(names.indexOf('cam10') > names.indexOf('cam9') && names.indexOf('cam2') > 0, `they are ${names.join(', ')}`);
  });
  await steps.run('the end of the list', async () => {
    // Who scrolls before what shows long lists is loaded scrolls on.
    await page.waitForFunction(
      () => {
        scrollTo(0, document.body.scrollHeight);
        return document.querySelector('[data-testid="stream-row-cam200"]');
      },
      null,
      { timeout: 60_000 },
    );
  });
  await steps.run('search', async () => {
    await page.keyboard.press('/');
    await page.keyboard.type('cam17');
    await id(page, 'stream-row-cam17').waitFor({ timeout: 60_000 });
    check((await page.locator('[data-testid^=stream-row-]').count()) === 11, 'the search finds others'); // cam17, cam170 to cam179
    check(page.url().includes('q=cam17'), `the search is not in the URL ${page.url()}`);
  });
  await steps.run('recordings of one of them', async () => {
    await page.goto(`${mock.base}/?q=cam3#/recordings`, { timeout: 60_000 });
    const open = id(id(page, 'recordings-stream-cam3'), 'recordings-open');
    await open.waitFor({ timeout: 60_000 });
    const before = mock.asked().length; // what the page itself reads is not counted here
    await open.click({ timeout: 60_000 });
    await id(page, 'recording-row').nth(19).waitFor({ timeout: 60_000 });
    await page.locator('[data-testid=ruler][data-spans="500"], [data-testid=ruler]:not([data-spans="0"])').waitFor({ timeout: 60_000 });
    const asked = mock.asked().slice(before).filter((path) => !/load|problems|favicon/.test(path)); // which are asked for by the clock
    check(asked.length <= 10, `${asked.length} requests: ${asked.join(', ')}`);
    await page.goBack({ timeout: 60_000 });
    await id(page, 'recordings-of').waitFor({ state: 'detached', timeout: 60_000 });
    await page.goForward({ timeout: 60_000 });
    await id(page, 'recordings-of').waitFor({ timeout: 60_000 });
    const script = await scriptBytes(page);
    check(script > 10_000 && script <= mostScript, `the views for looking at what there is have ${script} bytes of script`);
    await steps.picture('page-many');
  });
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
  await steps.run('what shows long lists cannot be loaded', async () => {
    await page.route('**/longrows*', (route) => route.abort());
    await page.goto(mock.base, { timeout: 60_000 });
    await page.reload({ timeout: 60_000 });
    await id(page, 'stream-row-cam200').waitFor({ state: 'attached', timeout: 60_000 });
  });
}

/** Protects, deletes and takes that back, on the page and on the server. */
async function keeping(browser, mock, out) {
  const { page, problems } = await openPage(browser, mock.base);
  const steps = new Steps(page, out);
  await page.clock.install();
  await page.goto(mock.base, { timeout: 60_000 });
  await unlock(page);
  await recordingsOf(page, 'door-camera');
  const row = page.locator('[data-testid=recording-row][data-record-dir="door-camera/1795262400"]');
  const count = (request) => mock.asked().filter((asked) => asked === `${request} /api/recordings/door-camera/1795262400`).length;
  await steps.run('pause what runs, and go on', async () => {
    const running = page.locator('[data-testid=recording-row][data-status=recording]');
    await id(running, 'recording-pause').click();
    await id(running, 'recording-paused').waitFor({ timeout: 60_000 });
    await id(running, 'recording-pause').click();
    await id(running, 'recording-paused').waitFor({ state: 'detached', timeout: 60_000 });
  });
  await steps.run('protect', async () => {
    await id(row, 'recording-protect').click();
    await id(row, 'recording-protected').waitFor({ timeout: 60_000 });
    check((await id(row, 'recording-delete').count()) === 0, 'a protected recording can be deleted');
    await id(row, 'recording-protect').click();
    await id(row, 'recording-protected').waitFor({ state: 'detached', timeout: 60_000 });
  });
  await steps.run('delete, and take it back', async () => {
    await id(row, 'recording-delete').click();
    await id(page, 'confirm-yes').click();
    await row.waitFor({ state: 'detached', timeout: 60_000 });
    await steps.picture('page-undo');
    check(count('DELETE') === 1, 'the server was not told to delete it in a while');
    const before = count('PATCH');
    const told = page.waitForResponse((r) => r.request().method() === 'PATCH', { timeout: 60_000 });
    await id(page, 'undo').click();
    await told;
    await row.waitFor({ timeout: 60_000 });
    check(count('PATCH') === before + 1, 'the server was not told that it was taken back');
  });
  await steps.run('the recordings of a clip', async () => {
    await clipKeeping(page, mock.base);
    await checkLayout(page);
    await steps.picture('page-clip-keep');
  });
  await steps.run('delete', async () => {
    await id(row, 'recording-choose').check();
    await id(page, 'bulk-delete').click();
    await id(page, 'confirm-yes').click();
    await row.waitFor({ state: 'detached', timeout: 60_000 });
    await page.clock.fastForward(11_000);
    await id(page, 'undo').waitFor({ state: 'detached', timeout: 60_000 });
    check(count('DELETE') === 3, 'the server was not told');
    check((await row.count()) === 0, 'what is deleted is back');
  });
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
}

const account = { name: 'anna', password: 'correct horse', rights: ['subscribe', 'view'] };

/** Logs in, sees what the account may, makes a link, logs out. */
async function login(browser, base, out) {
  const { page, problems } = await openPage(browser, base, { colorScheme: 'light' });
  const steps = new Steps(page, out);
  const submit = async (password) => {
    await id(page, 'login-name').fill(account.name);
    await id(page, 'login-password').fill(password);
    await id(page, 'login-submit').click();
  };
  await steps.run('log in', async () => {
    await page.goto(base, { timeout: 60_000 });
    await id(page, 'login-form').waitFor({ timeout: 60_000 });
    check((await id(page, 'streams-list').count()) === 0, 'streams are listed to who has not logged in');
    await checkLayout(page);
    await submit('wrong');
    await shows(id(page, 'login-error'), 'no such name with this password');
    await steps.picture('page-login');
    await submit(account.password);
    await id(page, 'stream-row-door-camera').waitFor({ timeout: 60_000 });
    await id(page, 'login-form').waitFor({ state: 'detached', timeout: 60_000 });
    await shows(id(page, 'account'), account.name);
  });
  await steps.run('what the account may', async () => {
    await id(page, 'nav-publish').waitFor({ state: 'detached', timeout: 60_000 });
    check((await page.locator('[data-testid=record-start], [data-testid=record-stop]').count()) === 0, 'recording is offered');
    await page.reload({ timeout: 60_000 }); // the session is the browser's
    await shows(id(page, 'account'), account.name);
  });
  await steps.run('a link for players', async () => {
    await recordingsOf(page, 'door-camera');
    check((await id(page, 'recording-delete').count()) === 0, 'deleting is offered');
    await id(id(page, 'recording-row').nth(1), 'recording-link').click();
    const url = await id(page, 'recording-link-url').inputValue({ timeout: 60_000 });
    check(url === `${base}/api/play/abc/door-camera/1795262400/manifest.mpd`, `the link is ${url}`);
    await checkLayout(page);
    await steps.picture('page-link');
  });
  await steps.run('log out, and in by token', async () => {
    await id(page, 'logout').click();
    await id(page, 'login-form').waitFor({ timeout: 60_000 });
    await id(page, 'login-other').click();
    await unlock(page);
    await id(page, 'nav-publish').waitFor({ timeout: 60_000 });
  });
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
}

async function phone(browser, base, out) {
  const { page, problems } = await openPage(browser, base, {
    colorScheme: 'dark',
    viewport: { width: 390, height: 844 },
    locale: 'zh-CN',
  });
  const steps = new Steps(page, out);
  await steps.run('narrow, dark, Chinese', async () => {
    await page.goto(base, { timeout: 60_000 });
    await unlock(page);
    check((await page.locator('html').getAttribute('lang')) === 'zh-CN', 'html has no lang=zh-CN');
    for (const name of ['live', 'publish', 'system']) {
      await view(page, name);
      await checkLayout(page);
      await steps.picture(`page-narrow-${name}`);
    }
    await recordingsOf(page, 'door-camera');
    await checkLayout(page);
    await steps.picture('page-narrow-recordings');
  });
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
}

await runScript(300_000, async (browser) => {
  const out = option('out', '');
  const mock = await startMock({ token });
  try {
    await problemsOfNode(browser, mock, out);
    await desktop(browser, mock.base, out);
    await phone(browser, mock.base, out);
  } finally {
    mock.close();
  }
  const many = await startMock({ token, many: { streams: 200, recordings: 500 } });
  try {
    await manyStreams(browser, many, out);
  } finally {
    many.close();
  }
  const kept = await startMock({ token });
  try {
    await keeping(browser, kept, out);
  } finally {
    kept.close();
  }
  const changing = await startMock({ token });
  try {
    await changes(browser, changing);
  } finally {
    changing.close();
  }
  const manager = await startMock({ token, nodes: fleet });
  try {
    await problemsOfManager(browser, manager, out);
    await lateCatalogue(browser, manager);
  } finally {
    manager.close();
  }
  const accounts = await startMock({ token, account });
  try {
    await login(browser, accounts.base, out);
  } finally {
    accounts.close();
  }
  return { ok: true };
});
