// Plays a recording that runs with Shaka Player, as near to its live edge as its manifest says. Fails where playback
// does not begin, stands still, reports an error or is too far behind. Prints one line of JSON.
//
// usage: node web/e2e/live.mjs --base http://127.0.0.1:8888 --path /path/of/manifest.mpd
//          [--seconds 4]        of media to play
//          [--behind 12]        seconds that it may be behind what is being recorded
//          [--storage http://127.0.0.1:9000]  where the player may be sent for segments
//          [--out DIR]          folder for screenshots
//          [--timeout 120]      seconds for everything

import { check, openPage, option, runScript, Steps, StepError } from './lib.mjs';
import { bare, countSegments, openPlayer, players } from './players.mjs';

const options = {
  base: option('base'),
  url: option('base') + option('path'),
  seconds: Number(option('seconds', '4')),
  behind: Number(option('behind', '12')),
  storage: option('storage', ''),
  out: option('out', ''),
  timeout: Number(option('timeout', '120')),
};

/** In the page: the time in Unix seconds that a live manifest's time 0 stands for. */
async function readStart(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`GET ${url} answered ${answer.status}`);
  const mpd = new DOMParser().parseFromString(await answer.text(), 'text/xml').documentElement;
  if (mpd.getAttribute('type') !== 'dynamic') throw new Error('the recording has ended');
  return Date.parse(mpd.getAttribute('availabilityStartTime')) / 1000;
}

/** Waits until done(state of the element) holds. */
async function until(page, what, done) {
  const end = performance.now() + 30_000;
  for (;;) {
    const state = await page.evaluate(() => window.e2e.read());
    check(state.errors.length === 0, state.errors.join(' | '));
    if (done(state)) return state;
    if (performance.now() > end) throw new StepError(`${what} did not come: ${JSON.stringify(state)}`);
    await new Promise((resolve) => setTimeout(resolve, 50)); // the element has no event for every such change
  }
}

async function main(browser) {
  const { page, problems } = await openPage(browser, options.base, bare, [options.storage]);
  const segments = countSegments(page);
  const steps = new Steps(page, options.out);
  const start = await steps.run('open', async () => {
    await openPlayer(page, options.base, 'shaka', 1);
    return page.evaluate(readStart, options.url);
  });
  // What goes wrong is reported to the page, and waiting for the element's own promise could take for ever.
  page.evaluate(players.shaka.play, { url: options.url }).catch(() => {});
  const first = await steps.run('first picture', () => until(page, 'a picture', (s) => s.frames > 0 && s.readyState >= 3));
  // How long the browser took to begin is not what is measured.
  await page.evaluate(() => window.e2e.player.goToLive());
  let from;
  let behind = Infinity;
  const last = await steps.run('go on', () =>
    until(page, `${options.seconds} s more`, (s) => {
      from ??= s.time;
      if (s.time > from + 1) behind = Math.min(behind, Date.now() / 1000 - start - s.time);
      return s.time >= from + options.seconds && s.frames > first.frames;
    }));
  check(behind > 0 && behind <= options.behind, `playback is ${behind.toFixed(1)} s behind, more than ${options.behind} s: ${JSON.stringify(last)}`);
  check(last.audioBytes > 0 && last.corrupted === 0, `sound or pictures are missing: ${JSON.stringify(last)}`);
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
  return { behind, from, frames: last.frames, origins: segments, times: steps.times };
}

await runScript(options.timeout * 1000, main);
