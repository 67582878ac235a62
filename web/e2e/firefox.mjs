// Firefox publishes its fake camera and microphone through the page, watches and records them, and plays the recording
// through the page. Prints one line of JSON with the seconds of picture and sound that were shown.
//
// usage: node web/e2e/firefox.mjs --base http://127.0.0.1:7777 --stream NAME
//          [--codec vp9]       vp8, vp9, h264 or av1
//          [--seconds 12]      of the recording
//          [--watch 4]         seconds to watch
//          [--out DIR]         folder for a screenshot of a failure
//          [--timeout 180]     seconds for everything

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { check, option, StepError } from './lib.mjs';
import { Firefox } from './marionette.mjs';
import { meter } from './meter.mjs';

const o = {
  base: option('base'),
  stream: option('stream'),
  codec: option('codec', 'vp9').toUpperCase(),
  seconds: Number(option('seconds', '12')),
  watch: Number(option('watch', '4')),
  out: option('out', ''),
  timeout: Number(option('timeout', '180')),
};

/** In the page: what the other functions use. */
function prepare() {
  const id = (name, root = document) => root?.querySelector(`[data-testid="${name}"]`) ?? null;
  const set = (name, value) => {
    const element = id(name);
    if (element.type === 'checkbox') {
      if (element.checked !== value) element.click();
      return;
    }
    element.value = value;
    for (const type of ['input', 'change']) element.dispatchEvent(new Event(type, { bubbles: true }));
  };
  globalThis.e2e = { id, set };
}

/** Goes to a view by its name on the rail. */
async function view(firefox, name) {
  await firefox.until(name, (name) => {
    const link = document.querySelector(`[data-testid="nav-${name}"]`);
    link?.click();
    return link !== null;
  }, name);
}

async function publish(firefox) {
  await view(firefox, 'publish');
  await firefox.until('the page', () => document.querySelector('[data-testid="publish-start"]') !== null);
  await firefox.run(prepare);
  await firefox.run(`() => { globalThis.e2e.meter = ${meter}; }`);
  await firefox.run((stream, codec) => {
    const { id, set } = globalThis.e2e;
    const offered = Array.from(id('publish-codec').options, (option) => option.value);
    if (!offered.includes(codec)) throw new Error(`the page offers ${offered}, not ${codec}`);
    set('publish-stream', stream);
    set('publish-source', 'camera');
    set('publish-codec', codec);
    set('publish-microphone', true);
  }, o.stream, o.codec);
  await firefox.run(() => globalThis.e2e.id('publish-start').click());
  await firefox.until('a connection', () => {
    const { id } = globalThis.e2e;
    const error = id('publish-error');
    if (error) throw new Error(`publishing: ${error.textContent}`);
    return id('publish-state')?.dataset.state === 'connected' && Number(id('strip-publishing')?.dataset.frames) > 0;
  });
  await view(firefox, 'live');
  await firefox.until('the stream', (stream) => globalThis.e2e.id(`stream-row-${stream}`)?.dataset.live === 'true', o.stream);
}

/** Meters what a video element shows for so many seconds of its time. */
async function show(firefox, what, find, seconds, ...args) {
  await firefox.until(`${what}: a picture`, `(...args) => {
    const video = (${find})(...args);
    if (!video || video.readyState < 2) return false;
    globalThis.e2e.shown = globalThis.e2e.meter(video);
    return true;
  }`, ...args);
  const shown = await firefox.until(`${what}: ${seconds} s`, (limit) => {
    const now = globalThis.e2e.shown.read();
    return now.time > limit || now.ended ? now : null;
  }, seconds);
  return shown;
}

async function watch(firefox) {
  const row = `(stream) => globalThis.e2e.id('stream-row-' + stream)`;
  await firefox.run(`(stream) => globalThis.e2e.id('stream-watch', (${row})(stream)).click()`, o.stream);
  const shown = await show(firefox, 'watching', `(stream) => globalThis.e2e.id('watch-video', (${row})(stream))`, o.watch, o.stream);
  await firefox.run(`(stream) => globalThis.e2e.id('stream-watch', (${row})(stream)).click()`, o.stream);
  return shown;
}

async function record() {
  const api = async (method) => {
    const answer = await fetch(`${o.base}/api/record/${o.stream}`, { method });
    check(answer.ok, `${method} /api/record/${o.stream} answers ${answer.status}`);
    return answer.json();
  };
  const { record_dir: dir } = await api('POST');
  for (;;) {
    const status = await api('GET');
    if (status.duration >= o.seconds) break;
    await new Promise((resolve) => setTimeout(resolve, 100)); // the API tells nobody of a recording's progress
  }
  await api('DELETE');
  return dir;
}

async function play(firefox, dir) {
  await view(firefox, 'recordings');
  await firefox.until('the list', (stream) => {
    const { id } = globalThis.e2e;
    const open = id('recordings-open', id(`recordings-stream-${stream}`));
    open?.click();
    return open !== null;
  }, o.stream);
  await firefox.until('the recording', (dir) => {
    const row = document.querySelector(`[data-testid="recording-row"][data-record-dir="${dir}"]`);
    if (row?.dataset.status === undefined || row.dataset.status === 'recording') return false;
    globalThis.e2e.id('recording-watch', row).click();
    return true;
  }, dir);
  const shown = await show(firefox, 'playing', `() => globalThis.e2e.id('player-video')`, 1e9);
  const error = await firefox.run(() => globalThis.e2e.id('player')?.dataset.error ?? '');
  check(error === '', `the player reports: ${error}`);
  return shown;
}

function judge({ watched, played }) {
  check(watched.pictures > 0.8 * o.watch - 0.5, `watching showed ${watched.pictures} s of picture in ${watched.time} s`);
  check(watched.sounds > 0.8 * o.watch - 0.5, `watching had ${watched.sounds} s of sound in ${watched.time} s`);
  check(played.ended, `playback stood still at ${played.time} s of ${played.duration} s`);
  for (const [what, seconds] of Object.entries({ picture: played.pictures, sound: played.sounds })) {
    check(seconds > 0.9 * played.duration - 0.3, `the recording of ${played.duration} s showed ${seconds} s of ${what}`);
  }
}

async function main(firefox) {
  await firefox.open(o.base);
  await publish(firefox);
  const watched = await watch(firefox);
  const dir = await record();
  await view(firefox, 'publish');
  await firefox.until('its end', () => {
    const stop = globalThis.e2e.id('publish-stop');
    stop?.click();
    return stop !== null;
  });
  const played = await play(firefox, dir);
  const result = { record_dir: dir, watched, played };
  judge(result);
  return result;
}

let firefox;
const tooLate = new Promise((_, reject) => {
  setTimeout(() => reject(new StepError(`not finished after ${o.timeout} s`)), o.timeout * 1000).unref();
});
try {
  firefox = await Firefox.start(o.codec === 'AV1' ? { 'media.webrtc.codec.video.av1.enabled': true } : {});
  const result = await Promise.race([main(firefox), tooLate]);
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (reason) {
  process.stderr.write(`FAILED: ${reason instanceof StepError ? reason.message : reason.stack}\n`);
  process.exitCode = 1;
  if (firefox && o.out) {
    await mkdir(o.out, { recursive: true });
    await firefox.picture(join(o.out, 'firefox.png')).catch(() => {});
  }
} finally {
  await firefox?.close();
}
process.exit();
