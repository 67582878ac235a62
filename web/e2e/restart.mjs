// The node goes away for a while under three views of the page, is started again, and all of them go on by themselves:
// a publisher, whose recording goes on, a viewer of the stream, and a player of the recording. The script starts the node.
// Prints one line of JSON.
//
// usage: node web/e2e/restart.mjs --node bin/live777 --dir DIR --address 127.0.0.1:7903
//          [--away 20]        seconds that it is away
//          [--out DIR]        folder for screenshots
//          [--timeout 240]    seconds for everything

import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { check, id, openPage, option, recordingsOf, runScript, Steps, view } from './lib.mjs';

const o = {
  node: resolve(option('node')),
  dir: resolve(option('dir')),
  address: option('address'),
  away: Number(option('away', '20')),
  out: option('out', ''),
  timeout: Number(option('timeout', '240')),
};
const base = `http://${o.address}`;

/** Starts the node, and returns it once it answers. */
async function start() {
  const node = spawn(o.node, [], { cwd: o.dir, stdio: 'ignore' });
  for (let i = 0; i < 300; i++) {
    const up = await fetch(`${base}/api/info`).then((r) => r.ok, () => false);
    if (up) return node;
    await new Promise((resolve) => setTimeout(resolve, 100)); // the node tells nobody that it answers
  }
  throw new Error('the node does not answer');
}

/** Ends the node at once, as a failure of power does. */
function kill(node) {
  return new Promise((resolve) => {
    node.once('exit', resolve);
    node.kill('SIGKILL');
  });
}

const shown = (page, name) => id(page, name).evaluate((v) => v.getVideoPlaybackQuality().totalVideoFrames);

/** Waits until a video has shown more pictures than it had, and than limit. */
async function moving(page, name, limit = 5) {
  const video = await id(page, name).elementHandle({ timeout: 60_000 });
  await page.waitForFunction(
    ([v, n]) => v.readyState >= 2 && v.getVideoPlaybackQuality().totalVideoFrames > n && !v.paused,
    [video, limit],
    { timeout: 60_000, polling: 200 },
  );
}

const recordDir = async () => (await (await fetch(`${base}/api/record/cam`)).json()).record_dir;

async function main(browser) {
  await mkdir(o.dir, { recursive: true });
  await writeFile(join(o.dir, 'live777.toml'), `[http]
listen = "${o.address}"
[webrtc]
listen = "${o.address}"
[recorder]
auto_streams = ["*"]
reconnect_seconds = 120
`);
  let node = await start();
  try {
    const [publisher, viewer, player] = await Promise.all([1, 2, 3].map(() => openPage(browser, base)));
    const steps = new Steps(player.page, o.out);
    await steps.run('publish', async () => {
      const { page } = publisher;
      await page.goto(`${base}/#/publish`, { timeout: 60_000 });
      await id(page, 'publish-stream').fill('cam', { timeout: 60_000 });
      await id(page, 'publish-codec').selectOption('VP8');
      await id(page, 'publish-resolution').selectOption('360p');
      await id(page, 'publish-start').click();
      await page.locator('[data-testid=strip-publishing][data-state=connected]').waitFor({ timeout: 60_000 });
      await id(page, 'publish-recording').waitFor({ timeout: 60_000 });
    });
    await steps.run('watch', async () => {
      await viewer.page.goto(`${base}/?watch=cam#/live`, { timeout: 60_000 });
      await moving(viewer.page, 'watch-video');
    });
    await steps.run('play', async () => {
      await player.page.goto(base, { timeout: 60_000 });
      await recordingsOf(player.page, 'cam');
      await id(player.page, 'recording-watch').first().click({ timeout: 60_000 });
      await moving(player.page, 'player-video');
    });
    const dir = await recordDir();
    await steps.run('the node goes away', async () => {
      await kill(node);
      await publisher.page.locator('[data-testid=strip-publishing][data-state=reconnecting]').waitFor({ timeout: 30_000 });
      await publisher.page.getByText('Reconnecting').first().waitFor({ timeout: 30_000 });
      await id(viewer.page, 'streams-error').waitFor({ timeout: 30_000 });
      await id(player.page, 'strip-alarms').waitFor({ timeout: 30_000 });
      await new Promise((resolve) => setTimeout(resolve, o.away * 1000)); // time itself is what is waited for
      await steps.picture('restart-away');
    });
    const before = await shown(viewer.page, 'watch-video').catch(() => 0);
    node = await start();
    const back = Date.now();
    await steps.run('the publisher is back', async () => {
      await publisher.page.locator('[data-testid=strip-publishing][data-state=connected]').waitFor({ timeout: 60_000 });
      await id(publisher.page, 'publish-recording').waitFor({ timeout: 60_000 });
    });
    await steps.run('the viewer is back', async () => {
      await viewer.page.locator('[data-testid=stream-row-cam][data-live=true]').waitFor({ timeout: 60_000 });
      await moving(viewer.page, 'watch-video', before + 5);
    });
    await steps.run('the player is back', async () => {
      // It shows what was recorded after the node was back.
      await player.page.waitForFunction(
        (time) => {
          const { state, moment } = document.querySelector('[data-testid=player]').dataset;
          return state === 'playing' && Number(moment) > time;
        },
        back,
        { timeout: 60_000, polling: 200 },
      );
    });
    await steps.picture('restart-back');
    const after = await recordDir();
    for (const { problems } of [publisher, viewer, player]) check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
    await view(publisher.page, 'publish');
    await id(publisher.page, 'publish-stop').click();
    check(after === dir, `the recording goes on in ${after}, not in ${dir}`);
    return { record_dir: dir, times: steps.times };
  } finally {
    await kill(node);
  }
}

await runScript(o.timeout * 1000, main);
