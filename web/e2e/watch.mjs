// Plays a stream's newest recording, which is finished, on the page of a manager, up to its end. Prints one line of JSON.
//
// usage: node web/e2e/watch.mjs --base http://127.0.0.1:8888 --stream NAME
//          [--token TOKEN]      for a server that asks for one
//          [--rate 3]           playback rate
//          [--storage http://127.0.0.1:9000]  where the player may be sent for segments
//          [--out DIR]          folder for screenshots
//          [--timeout 120]      seconds for everything

import { check, id, openPage, option, recordingsOf, runScript, Steps } from './lib.mjs';
import { countSegments } from './players.mjs';
import { Scenario } from './scenario.mjs';

const options = {
  base: option('base'),
  stream: option('stream'),
  token: option('token', ''),
  rate: Number(option('rate', '3')),
  storage: option('storage', ''),
  out: option('out', ''),
  timeout: Number(option('timeout', '120')),
};

async function main(browser) {
  const { page, problems } = await openPage(browser, options.base, {}, [options.storage]);
  const segments = countSegments(page);
  const steps = new Steps(page, options.out);
  const scenario = new Scenario(page, steps, options);
  await steps.run('open', async () => {
    await page.goto(options.base, { timeout: 20_000 });
    if (!options.token) return;
    await id(page, 'token-input').fill(options.token, { timeout: 10_000 });
    await id(page, 'token-save').click();
  });
  const row = await steps.run('find', async () => {
    await recordingsOf(page, options.stream);
    const newest = id(page, 'recording-row').first();
    await newest.waitFor({ timeout: 20_000 });
    return newest;
  });
  const duration = Number(await row.getAttribute('data-duration'));
  const played = await steps.run('play', () => scenario.playFinished(row, duration));
  check(Math.abs(played.time - duration) < 0.5, `playback ended at ${played.time} s of ${duration} s`);
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
  return { frames: played.frames, ended: played.time, origins: segments, times: steps.times };
}

await runScript(options.timeout * 1000, main);
