// Plays one recording with one player and notes, many times a second, what the picture and the sound say of the second
// that they are of: the bar code and the pitch of package shapes.

const job = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const video = document.querySelector('video');
const samples = []; // [time of the element, code of the picture, pitch of the sound]
const errors = [];
const stalls = []; // [time, seconds of real time that it took]
const began = performance.now();

const NO_PICTURE = -2;
const NO_CODE = -1;
const SILENCE = 0;

/** The second that the picture shows. */
const canvas = document.createElement('canvas');
const FIELD = 8; // pixels of the canvas for each field of the bar code, of which the middle is read
canvas.width = FIELD * job.columns;
canvas.height = FIELD * 2;
const pen = canvas.getContext('2d', { willReadFrequently: true });
function readCode() {
  if (video.readyState < 2 || video.videoWidth === 0) return NO_PICTURE;
  pen.drawImage(video, 0, 0, canvas.width, canvas.height);
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  const middle = (column, row) => data[4 * ((row * FIELD + FIELD / 2) * canvas.width + column * FIELD + FIELD / 2)];
  let code = 0;
  for (let i = 0; i < job.columns; i++) {
    const upper = middle(i, 0);
    const lower = middle(i, 1);
    if (Math.abs(upper - lower) < 80) return NO_CODE;
    if (upper > lower) code |= 1 << i;
  }
  return code;
}

/** The strongest pitch in Hz, at the speed of the source; 0 for silence. */
let analyser;
let spectrum;
async function listen() {
  const context = new AudioContext({ sampleRate: 48000 });
  analyser = context.createAnalyser();
  analyser.fftSize = 2048;
  analyser.smoothingTimeConstant = 0;
  const source = context.createMediaElementSource(video);
  source.connect(analyser);
  analyser.connect(context.destination);
  spectrum = new Float32Array(analyser.frequencyBinCount);
  context.resume(); // Firefox waits with its answer for an element that plays
  window.context = context;
}
function readPitch() {
  if (!analyser) return SILENCE;
  analyser.getFloatFrequencyData(spectrum);
  let best = 4;
  for (let i = best; i < spectrum.length; i++) if (spectrum[i] > spectrum[best]) best = i;
  if (!(spectrum[best] > -60)) return SILENCE;
  return Math.round((best * 48000) / analyser.fftSize / video.playbackRate);
}

const report = (text) => errors.push(String(text).slice(0, 300));
addEventListener('error', (event) => report(event.message ?? event.error));
addEventListener('unhandledrejection', (event) => report(event.reason?.message ?? event.reason));
video.addEventListener('error', () => report(`element ${video.error.code} ${video.error.message}`));

function script(src) {
  return new Promise((resolve, reject) => {
    const element = document.createElement('script');
    element.src = src;
    element.onload = resolve;
    element.onerror = () => reject(new Error(`${src} does not load`));
    document.head.append(element);
  });
}

const players = {
  async shaka() {
    await script('/modules/shaka-player/dist/shaka-player.dash-es2021.js');
    player = new window.shaka.Player();
    const describe = (e) => (e.code ? `Shaka ${e.category}.${e.code} ${JSON.stringify(e.data)}` : String(e));
    player.addEventListener('error', (event) => report(describe(event.detail)));
    try {
      await player.attach(video);
      await player.load(job.url, job.from);
      await video.play();
    } catch (error) {
      report(describe(error));
    }
  },
  async dashjs() {
    await script('/modules/dashjs/dist/modern/umd/dash.all.min.js');
    const { MediaPlayer } = window.dashjs;
    player = MediaPlayer().create();
    player.updateSettings({ debug: { logLevel: 0 } });
    player.on(MediaPlayer.events.ERROR, ({ error }) => report(`dash.js ${error.code ?? ''} ${error.message ?? error}`));
    player.initialize(video, job.url, true, job.from);
  },
  // The recording as one file, without a player.
  async file() {
    open();
    await video.play();
  },
  async hlsjs() {
    await script('/modules/hls.js/dist/hls.min.js');
    const { Hls } = window;
    player = new Hls({ startPosition: job.from ?? -1 });
    player.on(Hls.Events.ERROR, (_, { fatal, type, details, error }) => fatal && report(`hls.js ${type} ${details} ${error?.message ?? ''}`));
    let first;
    player.on(Hls.Events.LEVEL_LOADED, (_, { details }) => { first ??= details.fragments[0].programDateTime; });
    // Holes are left out of its timeline: when something was recorded it says by the wall clock.
    timeOf = () => (player.playingDate && first ? (player.playingDate.getTime() - first) / 1000 : video.currentTime);
    player.on(Hls.Events.MANIFEST_PARSED, () => video.play().catch(({ message }) => report(message)));
    player.loadSource(job.url);
    player.attachMedia(video);
  },
};

/** The time on the media timeline that the element shows. */
let timeOf = () => video.currentTime;

/** Until the end, an error, a standstill, or the time is over. */
function watch() {
  return new Promise((resolve) => {
    let time = -1;
    let moved = performance.now();
    const timer = setInterval(() => {
      const now = performance.now();
      video.defaultPlaybackRate = job.rate;
      if (video.playbackRate !== job.rate && !video.paused) video.playbackRate = job.rate;
      video.preservesPitch = false;
      const t = video.currentTime;
      if (t !== time) {
        if (now - moved > 1500 && time >= 0) stalls.push([time, (now - moved) / 1000]);
        moved = now;
        time = t;
      }
      if (video.readyState >= 2 || t > 0) samples.push([Math.round(timeOf() * 1000) / 1000, readCode(), readPitch()]);
      const stuck = now - moved > job.patience * (t > 0 ? 1000 : 3000); // it may have to wait for its processor to begin
      if (stuck) stalls.push([t, (now - moved) / 1000]);
      if (!video.ended && !stuck && errors.length === 0 && now - began < job.limit * 1000) return;
      clearInterval(timer);
      resolve(video.ended ? 'ended' : stuck ? 'stuck' : errors.length ? 'error' : 'time');
    }, 40);
  });
}

/** Opens a file, whose pictures may be looked at wherever it comes from. */
function open() {
  video.crossOrigin = 'anonymous';
  video.src = job.url;
}

/** Seeks in what is not played, and looks at the picture of each time. */
async function seek() {
  const once = (name) => new Promise((resolve) => video.addEventListener(name, resolve, { once: true }));
  open();
  await once('loadeddata');
  for (const time of job.seeks) {
    // It may have sought a moment before a canvas gets the picture.
    const done = Promise.all([once('seeked'), new Promise((resolve) => video.requestVideoFrameCallback(resolve))]);
    video.currentTime = time;
    await done;
    samples.push([time, readCode(), SILENCE]);
  }
  return 'ended';
}

/** What is noted up to the end, an error, or the time is over. */
function sought() {
  const failed = new Promise((resolve) => {
    const timer = setInterval(() => {
      if (errors.length === 0 && performance.now() - began < job.limit * 1000) return;
      clearInterval(timer);
      resolve(errors.length ? 'error' : 'time');
    }, 100);
  });
  return Promise.race([seek(), failed]);
}

let end = 'error';
let player;
try {
  // Firefox does not come to the end of what has no sound and is listened to.
  if (job.sound) await listen();
  video.defaultPlaybackRate = job.rate;
  if (job.seeks) {
    end = await sought();
  } else {
    // A player may wait for ever for what it begins with: that is what is watched.
    players[job.player]().catch(({ message }) => report(message));
    end = await watch();
  }
} catch (error) {
  report(error?.message ?? error);
}
const buffered = Array.from({ length: video.buffered.length }, (_, i) => [video.buffered.start(i), video.buffered.end(i)]);
const state = { context: window.context?.state, time: video.currentTime, duration: video.duration, width: video.videoWidth, height: video.videoHeight, readyState: video.readyState };
try {
  await Promise.race([player?.destroy(), new Promise((resolve) => setTimeout(resolve, 2000))]);
} catch {
  // What was seen counts.
}
parent.postMessage({ end, errors, stalls, samples, buffered, ...state, took: (performance.now() - began) / 1000 }, '*');
