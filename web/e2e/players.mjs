// The players that the scripts play recordings with, in a page that has nothing else.

import { fileURLToPath } from 'node:url';

const modules = fileURLToPath(new URL('../node_modules', import.meta.url));

/** Each player: its script, and what runs in the page to make it play url; its errors go to report. */
export const players = {
  shaka: {
    script: `${modules}/shaka-player/dist/shaka-player.dash-es2021.js`,
    seeksCodecs: true,
    async play({ url, from }) {
      const { video, report } = window.e2e;
      const player = new window.shaka.Player();
      window.e2e.player = player;
      const describe = (e) => `Shaka ${e.category}.${e.code} ${JSON.stringify(e.data)}`;
      player.addEventListener('error', (event) => report(describe(event.detail)));
      try {
        await player.attach(video);
        await player.load(url, from);
        await video.play();
      } catch (error) {
        report(error.code ? describe(error) : String(error));
      }
    },
  },
  dashjs: {
    script: `${modules}/dashjs/dist/modern/umd/dash.all.min.js`,
    // Seeking back to where another codec is, it appends that to a SourceBuffer whose type it did not change.
    seeksCodecs: false,
    play({ url, from }) {
      const { video, report } = window.e2e;
      const { MediaPlayer } = window.dashjs;
      const player = MediaPlayer().create();
      player.updateSettings({ debug: { logLevel: 0 } });
      player.on(MediaPlayer.events.ERROR, ({ error }) => report(`dash.js ${error.code ?? ''} ${error.message ?? error}`));
      player.initialize(video, url, true, from);
    },
  },
};

/** In the page: the element, and what it and the player did. A new MediaSource sets the element's counters back. */
function prepare(rate) {
  const video = document.querySelector('video');
  const count = { frames: 0, audioBytes: 0 };
  const last = { frames: 0, audioBytes: 0 };
  const errors = [];
  const jumps = []; // [from, to] in seconds
  let before = 0;
  const read = () => {
    const now = { frames: video.getVideoPlaybackQuality().totalVideoFrames, audioBytes: video.webkitAudioDecodedByteCount };
    for (const key of Object.keys(now)) {
      count[key] += now[key] < last[key] ? now[key] : now[key] - last[key];
      last[key] = now[key];
    }
    const time = video.currentTime;
    if (time > before + 0.4) jumps.push([before, time]);
    before = time;
    // Players set the rate back with each source.
    video.defaultPlaybackRate = rate;
    if (video.playbackRate !== rate && !video.paused) video.playbackRate = rate;
    return {
      ...count, errors, jumps, time, duration: video.duration, ended: video.ended,
      corrupted: video.getVideoPlaybackQuality().corruptedVideoFrames ?? 0,
      width: video.videoWidth, height: video.videoHeight, readyState: video.readyState, paused: video.paused,
      buffered: Array.from({ length: video.buffered.length }, (_, i) => [video.buffered.start(i), video.buffered.end(i)]),
    };
  };
  setInterval(read, 20);
  // What was decoded since the last look is known until the moment when another source comes.
  const { load } = video;
  video.load = () => { read(); load.call(video); };
  for (const name of ['src', 'srcObject']) {
    const { get, set } = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, name);
    Object.defineProperty(video, name, { configurable: true, get, set(value) { read(); set.call(this, value); } });
  }
  const { removeAttribute } = video;
  video.removeAttribute = (name) => { read(); removeAttribute.call(video, name); };
  const report = (text) => errors.push(text);
  video.addEventListener('error', () => report(`video element ${video.error.code} ${video.error.message}`));
  window.e2e = { video, report, read };
}

/** What openPlayer needs of a page's context. */
export const bare = { bypassCSP: true };

/**
 * Makes of a page a video element and one of the players, which window.e2e tells about. It begins with something that
 * the server really has: a page that is made up counts as one of the Internet, which may ask no server of this machine
 * but its own.
 */
export async function openPlayer(page, base, name, rate) {
  // A route turns the browser's cache off: what is played comes from the server, each time.
  await page.route(`${base}/nothing`, (route) => route.abort());
  await page.goto(`${base}/api/time`, { timeout: 60_000 });
  await page.setContent('<!doctype html><title>player</title><video controls width="640"></video>');
  await page.addScriptTag({ path: players[name].script });
  await page.evaluate(prepare, rate);
}

/** Counts the segments that a page gets, by the server that they come from in the end. */
export function countSegments(page) {
  const origins = {};
  page.on('response', (response) => {
    const { origin, pathname } = new URL(response.url());
    if (response.ok() && /\.(m4s|webm)$/.test(pathname)) origins[origin] = (origins[origin] ?? 0) + 1;
  });
  return origins;
}
