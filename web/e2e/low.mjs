// Follows a recording that runs with players of low latency, all at the same time, and measures how far behind they are.
// Fails where a player reports an error, shows no pictures, or is further behind than it may be, and where a strict reader
// finds fault with a playlist that it was given. Prints one line of JSON:
// of each player its own latency, that by the clock of the recording, and how many seconds of picture it showed.
//
// usage: node web/e2e/low.mjs --base http://127.0.0.1:7777 --path /api/record/object/RECORD_DIR/
//          [--players hlsjs,shaka]  or shaka-dash, dashjs
//          [--seconds 6]        of media to play
//          [--behind 0]         seconds that a player may be behind what is being recorded; 0: what suits each
//          [--out DIR]          folder for screenshots
//          [--timeout 120]      seconds for everything

import { fileURLToPath } from 'node:url';

import HLS from 'hls-parser';

import { check, openPage, option, runScript, Steps, StepError } from './lib.mjs';
import { bare } from './players.mjs';

const modules = fileURLToPath(new URL('../node_modules', import.meta.url));

const options = {
  base: option('base'),
  path: option('path'),
  players: option('players', 'hlsjs,shaka').split(','),
  seconds: Number(option('seconds', '6')),
  behind: Number(option('behind', '0')),
  out: option('out', ''),
  timeout: Number(option('timeout', '120')),
};

/**
 * Each player: its script, what it plays, how far behind it may be on a busy machine, and what runs in the page; window.low
 * tells of it. Shaka Player asks for a playlist once a segment where chunks are parts of one object, and is that much further
 * behind.
 */
const players = {
  hlsjs: {
    script: `${modules}/hls.js/dist/hls.min.js`,
    name: 'index.m3u8',
    behind: 5,
    async play(url) {
      const { video, errors } = window.low;
      const player = new window.Hls({ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.5 });
      player.on(window.Hls.Events.ERROR, (_, { fatal, details, error }) => {
        window.low.notes.push(details);
        if (fatal) errors.push(`hls.js ${details} ${error?.message ?? ''}`);
      });
      window.low.own = () => player.latency;
      window.low.toLive = () => { video.currentTime = player.liveSyncPosition; };
      window.low.date = () => player.playingDate;
      player.loadSource(url);
      player.attachMedia(video);
      await video.play();
    },
  },
  shaka: {
    script: `${modules}/shaka-player/dist/shaka-player.hls-es2021.js`,
    name: 'index.m3u8',
    behind: 10,
    async play(url) {
      const { video, errors } = window.low;
      const player = new window.shaka.Player();
      player.configure({ streaming: { lowLatencyMode: true, liveSync: { enabled: true, maxPlaybackRate: 1.5 } } });
      player.addEventListener('error', ({ detail }) => errors.push(`Shaka ${detail.category}.${detail.code} ${JSON.stringify(detail.data)}`));
      window.low.own = () => player.getStats().liveLatency;
      window.low.toLive = () => player.goToLive();
      window.low.date = () => player.getPlayheadTimeAsDate();
      await player.attach(video);
      await player.load(url);
      await video.play();
    },
  },
  'shaka-dash': {
    script: `${modules}/shaka-player/dist/shaka-player.dash-es2021.js`,
    name: 'manifest.mpd',
    behind: 11,
    async play(url) {
      const { video, errors, clock } = window.low;
      const player = new window.shaka.Player();
      player.addEventListener('error', ({ detail }) => errors.push(`Shaka ${detail.category}.${detail.code} ${JSON.stringify(detail.data)}`));
      window.low.own = () => player.getStats().liveLatency;
      window.low.toLive = () => player.goToLive();
      window.low.date = await clock(url);
      await player.attach(video);
      await player.load(url);
      await video.play();
    },
  },
  dashjs: {
    script: `${modules}/dashjs/dist/modern/umd/dash.all.min.js`,
    name: 'manifest.mpd',
    behind: 6,
    async play(url) {
      const { video, errors, clock } = window.low;
      const { MediaPlayer } = window.dashjs;
      const player = MediaPlayer().create();
      player.updateSettings({ debug: { logLevel: 0 } });
      player.on(MediaPlayer.events.ERROR, ({ error }) => errors.push(`dash.js ${error.code ?? ''} ${error.message ?? error}`));
      window.low.date = await clock(url);
      player.initialize(video, url, true);
      window.low.own = () => player.getCurrentLiveLatency();
      window.low.toLive = () => player.seekToOriginalLive();
    },
  },
};

/** In the page: the element, and what it showed. */
function prepare() {
  const video = document.querySelector('video');
  const shown = new Set(); // seconds of the recording's clock of which a picture was shown
  const behind = []; // seconds by which such a picture was behind that clock
  const low = { video, errors: [], notes: [], own: () => NaN, toLive: () => {}, date: () => null };
  const look = () => {
    const date = low.date();
    if (date && video.readyState >= 2 && !video.paused) {
      shown.add(Math.floor(date.getTime() / 1000));
      behind.push((Date.now() - date.getTime()) / 1000);
    }
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  low.read = () => {
    const last = behind.slice(-60).toSorted((a, b) => a - b);
    return {
      time: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames, shown: shown.size,
      behind: last[Math.floor(last.length / 2)] ?? NaN, own: low.own(), errors: low.errors, notes: low.notes, readyState: video.readyState,
      buffered: Array.from({ length: video.buffered.length }, (_, i) => [video.buffered.start(i), video.buffered.end(i)]),
    };
  };
  // What an MPD says of the time 0 of a video element.
  low.clock = async (url) => {
    const mpd = new DOMParser().parseFromString(await (await fetch(url)).text(), 'text/xml');
    const zero = Date.parse(mpd.documentElement.getAttribute('availabilityStartTime'));
    return () => new Date(zero + video.currentTime * 1000);
  };
  window.low = low;
}

/** Waits until a player has shown so many seconds and is as near as it may be. */
async function follow(page, steps, name) {
  const player = players[name];
  await page.route(`${options.base}/nothing`, (route) => route.abort()); // which turns the browser's cache off
  await page.goto(`${options.base}/api/time`, { timeout: 60_000 });
  await page.setContent('<!doctype html><title>player</title><video muted controls width="640"></video>');
  await page.addScriptTag({ path: player.script });
  await page.evaluate(prepare);
  page.evaluate(player.play, options.base + options.path + player.name).catch((reason) => page.evaluate((text) => window.low.errors.push(text), String(reason))).catch(() => {}); // the page is closed
  const end = performance.now() + 45_000;
  let began = false;
  for (;;) {
    const state = await page.evaluate(() => window.low.read());
    check(state.errors.length === 0, `${name}: ${state.errors.join(' | ')}`);
    if (!began && state.shown > 0) {
      began = true; // how long the browser took to begin is not what is measured
      await page.evaluate(() => window.low.toLive());
    }
    if (state.shown > options.seconds && state.behind <= (options.behind || player.behind)) return state;
    if (performance.now() > end) throw new StepError(`${name}: not so near: ${JSON.stringify(state)}`);
    await new Promise((resolve) => setTimeout(resolve, 100)); // the players have no event for it
  }
}

HLS.setOptions({ strictMode: true });

/** Reads the playlists that a page is given: what is wrong with them goes to found, which has one for each that is right. */
function readPlaylists(page, found) {
  page.on('response', async (response) => {
    if (!response.ok() || !new URL(response.url()).pathname.endsWith('.m3u8')) return;
    const text = await response.text().catch(() => ''); // the page is closed, or did not want it any more
    if (!text) return;
    try {
      HLS.parse(text);
      found.push('');
    } catch ({ message }) {
      found.push(`${response.url()}: ${message}\n${text}`);
    }
  });
}

async function main(browser) {
  const result = {};
  await Promise.all(options.players.map(async (name) => {
    const { page, problems } = await openPage(browser, options.base, bare);
    const requests = {};
    page.on('request', (r) => {
      const kind = new URL(r.url()).pathname.split('.').pop() + (r.url().includes('_HLS_msn') ? ' waited for' : '') + (r.headers().range ? ' in parts' : '');
      requests[kind] = (requests[kind] ?? 0) + 1;
    });
    const playlists = [];
    readPlaylists(page, playlists);
    const steps = new Steps(page, options.out && `${options.out}/${name}`);
    result[name] = await steps.run(name, () => follow(page, steps, name));
    Object.assign(result[name], { requests, playlists: playlists.length });
    check(!playlists.some(Boolean), `${name}: ${playlists.find(Boolean)}`);
    check(playlists.length > 2 || !players[name].name.endsWith('.m3u8'), `${name}: ${playlists.length} playlists could be read`);
    check(problems.length === 0, `${name}: the page reported: ${problems.join(' | ')}`);
  }));
  return result;
}

await runScript(options.timeout * 1000, main);
