// A Shaka Player of the test's own, beside the page's: it has its hands on the variants.

import { readFile } from 'node:fs/promises';
import { check, StepError } from './lib.mjs';

const library = new URL('../node_modules/shaka-player/dist/shaka-player.dash-es2021.js', import.meta.url);
const limit = 60; // s for a switch to be seen

/** Loads a manifest into a new player, which chooses nothing by itself. */
export async function openLadder(page, url) {
  // The page's policy forbids foreign scripts; what the debugger evaluates is not held by it.
  await page.evaluate(await readFile(library, 'utf8'));
  await page.evaluate(async (url) => {
    await globalThis.ladder?.player.destroy();
    globalThis.ladder?.video.remove();
    const video = document.createElement('video');
    Object.assign(video, { muted: true, width: 480, ariaLabel: 'test' });
    document.body.append(video);
    const player = new shaka.Player();
    const ladder = { player, video, errors: [], widths: [] };
    globalThis.ladder = ladder;
    player.addEventListener('error', (e) => ladder.errors.push(`${e.detail.category}/${e.detail.code} ${e.detail.data}`));
    video.addEventListener('resize', () => ladder.widths.push(video.videoWidth));
    await player.attach(video);
    player.configure({ abr: { enabled: false }, streaming: { rebufferingGoal: 1, bufferingGoal: 10 } });
    await player.load(url);
    await video.play();
  }, url);
}

/** What the player has done so far. */
export const watchLadder = (page) =>
  page.evaluate(() => {
    const { player, video, errors, widths } = globalThis.ladder;
    const variants = player.getVariantTracks().map(({ id, width, height, bandwidth, active }) => ({ id, width, height, bandwidth, active }));
    return {
      variants: variants.sort((a, b) => a.width - b.width), errors, widths: [...new Set(widths)],
      width: video.videoWidth, time: video.currentTime, duration: video.duration, ended: video.ended, live: player.isLive(),
    };
  });

/** Waits until done(state of the player). */
async function until(page, what, seconds, done) {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const state = await watchLadder(page);
    check(state.errors.length === 0, `the player reports ${state.errors.join(' | ')}`);
    if (done(state)) return state;
    if (performance.now() > end) throw new StepError(`${what} did not come: ${JSON.stringify(state)}`);
    await new Promise((resolve) => setTimeout(resolve, 100)); // several things of the player decide
  }
}

const select = (page, variant, clear) =>
  page.evaluate(
    ([variant, clear]) => {
      const { player } = globalThis.ladder;
      player.selectVariantTrack(player.getVariantTracks().find((t) => t.id === variant), clear);
    },
    [variant.id, clear],
  );

/** Selects each variant, from the end of the recording's media on, and waits until it is seen. */
export async function switchThrough(page) {
  const { variants } = await watchLadder(page);
  await page.evaluate(() => {
    const { player, video } = globalThis.ladder;
    const { start, end } = player.seekRange();
    video.currentTime = Math.max(start, end - 8);
  });
  const seen = [];
  for (const variant of variants) {
    await select(page, variant, true);
    const state = await until(page, `a picture of ${variant.width} px`, limit, (s) => s.width === variant.width);
    seen.push(state.width);
  }
  return { variants, seen };
}

/** Plays from the start to the end at a rate, in another variant every few seconds. */
export async function ladderToEnd(page, rate) {
  await page.evaluate((rate) => {
    const { video } = globalThis.ladder;
    video.currentTime = 0;
    video.playbackRate = rate;
    return video.play();
  }, rate);
  for (let i = 0; ; i++) {
    const { variants, time, duration } = await watchLadder(page);
    if (time > duration - 4) break;
    await select(page, variants[i % variants.length], false);
    await until(page, 'playback going on', limit, (s) => s.ended || s.time > Math.min(time + 4, duration - 4));
  }
  return until(page, 'the end', limit, (s) => s.ended);
}
