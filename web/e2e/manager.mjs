// Records a stream that is on two nodes from the page of a manager, on one of them, plays the recording while it runs
// and lists it afterwards. Prints one line of JSON.
//
// usage: node web/e2e/manager.mjs --base http://127.0.0.1:8888 --stream NAME --node ALIAS --other ALIAS
//          --node-url URL      where that node is
//          [--out DIR]         folder for screenshots
//          [--timeout 300]     seconds for everything

import { check, id, openPage, option, recordingsOf, runScript, Steps, stopRecording, view } from './lib.mjs';
import { checkReference } from './reference.mjs';

const options = {
  base: option('base'),
  stream: option('stream'),
  node: option('node'),
  other: option('other'),
  nodeURL: option('node-url'),
  out: option('out', ''),
  timeout: Number(option('timeout', '300')),
};

async function main(browser) {
  const { page, problems } = await openPage(browser, options.base);
  const steps = new Steps(page, options.out);
  await steps.run('nodes', async () => {
    await page.goto(`${options.base}/#/nodes`, { timeout: 60_000 });
    for (const alias of [options.node, options.other]) {
      await page.locator(`[data-testid="node-row-${alias}"][data-state="up"]`).waitFor({ timeout: 60_000 });
    }
    check((await id(page, 'about').innerText()).includes('liveman'), 'the page does not say that it is a manager');
    check((await page.title()).startsWith('liveman'), `the page is called ${await page.title()}`);
    for (const alias of [options.node, options.other]) {
      const node = await id(page, `node-row-${alias}`).innerText();
      check(node.includes('keeps its recordings itself'), `of a node that does it does not say that it keeps its recordings: ${node}`);
    }
    check((await id(page, 'nav-publish').count()) === 1, 'a manager passes publishers on, and the page does not offer it');
  });
  // The stream has a row for each node that has it.
  const row = id(page, `stream-row-${options.stream}`).filter({ hasText: options.node });
  await steps.run('record', async () => {
    await view(page, 'live');
    await id(row, 'record-start').click({ timeout: 60_000 });
    await id(row, 'record-stop').waitFor({ timeout: 60_000 });
    const other = id(page, `stream-row-${options.stream}`).filter({ hasText: options.other });
    check((await other.getAttribute('data-recording')) === 'false', 'the other node records too');
  });
  await steps.run('watch through the manager', async () => {
    await id(row, 'stream-watch').click();
    const video = await id(row, 'watch-video').elementHandle({ timeout: 60_000 });
    await page.waitForFunction((video) => video.currentTime > 1 && video.getVideoPlaybackQuality().totalVideoFrames > 20, video, { timeout: 60_000 });
    await id(row, 'stream-watch').click();
  });
  await steps.picture('manager-recording');
  const recording = id(page, 'recording-row').filter({ hasText: options.node }).first();
  await steps.run('play what runs', async () => {
    await recordingsOf(page, options.stream);
    await id(recording, 'recording-watch').click({ timeout: 60_000 });
    const player = await page.waitForSelector('[data-testid="player-video"]', { timeout: 60_000 });
    await page.waitForFunction((video) => video.currentTime > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 20, player, {
      timeout: 60_000,
    });
  });
  await steps.picture('manager-playing');
  await steps.run('stop', async () => {
    await view(page, 'live');
    await stopRecording(page, row);
    await id(row, 'record-start').waitFor({ timeout: 60_000 });
    await recordingsOf(page, options.stream);
    await page.locator('[data-testid="recording-row"][data-status="complete"]').first().waitFor({ timeout: 60_000 });
  });
  const recordDir = await recording.getAttribute('data-record-dir');
  await steps.run('reference of the API', async () => {
    await view(page, 'system');
    await id(page, 'api-docs').click({ timeout: 60_000 });
    await page.waitForURL(`${options.base}/api/docs`, { timeout: 60_000 });
    await page.goBack({ timeout: 60_000 });
    await checkReference(browser, options.base, 'Forget a node that has registered');
    await checkReference(browser, options.nodeURL, 'Take no new publishers');
  });
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
  return { record_dir: recordDir, times: steps.times };
}

await runScript(options.timeout * 1000, main);
