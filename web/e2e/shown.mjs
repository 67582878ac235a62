// Plays a recording with Shaka Player in Chromium from its first to its last second, and prints as one line of JSON how
// many seconds of picture and of sound it showed.
//
// usage: node web/e2e/shown.mjs --base http://127.0.0.1:7777 --mpd RECORD_DIR/manifest.mpd
//          [--rate 2]          playback rate
//          [--timeout 180]     seconds for everything

import { check, openPage, option, runScript } from './lib.mjs';
import { meter } from './meter.mjs';
import { bare, openPlayer, players } from './players.mjs';

const o = { base: option('base'), mpd: option('mpd'), rate: Number(option('rate', '1')), timeout: Number(option('timeout', '180')) };

async function main(browser) {
  const { page } = await openPage(browser, o.base, bare);
  await openPlayer(page, o.base, 'shaka', o.rate);
  await page.evaluate(`window.shown = (${meter})(window.e2e.video)`);
  await page.evaluate(players.shaka.play, { url: `${o.base}/api/record/object/${o.mpd}` });
  let moved = performance.now();
  for (let before = -1; ; ) {
    const { errors } = await page.evaluate(() => ({ errors: window.e2e.read().errors }));
    check(errors.length === 0, errors.join(' | '));
    const now = await page.evaluate(() => window.shown.read());
    if (now.ended || performance.now() - moved > 15_000) return { ...now, stood: !now.ended };
    if (now.time !== before) moved = performance.now();
    before = now.time;
    await new Promise((resolve) => setTimeout(resolve, 100)); // the element has no event for every such change
  }
}

await runScript(o.timeout * 1000, main);
