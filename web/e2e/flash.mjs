// A browser publishes a picture that flashes once a second and a sound that beeps with it, over WHIP, and records what it
// publishes itself, with MediaRecorder. Prints one line of JSON, with how much later than its beep a flash is drawn: what a
// recording is compared with, for where a browser has too little time its own recording is off.
//
// usage: node web/e2e/flash.mjs --browser chromium|firefox --base http://127.0.0.1:7777 --stream NAME
//          [--codec h264]      h264, vp8, vp9 or av1
//          [--seconds 20]      to publish
//          [--local FILE]      for its own recording
//          [--timeout 180]     seconds for everything

import { writeFile } from 'node:fs/promises';
import { check, openPage, option, startBrowser, StepError } from './lib.mjs';
import { Firefox } from './marionette.mjs';

const o = {
  browser: option('browser'),
  base: option('base'),
  stream: option('stream'),
  codec: option('codec', 'h264'),
  seconds: Number(option('seconds', '20')),
  local: option('local', ''),
  timeout: Number(option('timeout', '180')),
};

/** In the page, which has nothing else: publishes for so many seconds. */
async function publish({ url, codec, seconds }) {
  // Picture and sound are made by one clock, that of the sound.
  const canvas = document.createElement('canvas');
  canvas.width = 640;
  canvas.height = 360;
  document.body.append(canvas);
  const context = new AudioContext();
  await context.resume();
  const out = context.createMediaStreamDestination();
  const tone = (frequency, volume) => {
    const oscillator = context.createOscillator();
    const gain = context.createGain();
    oscillator.frequency.value = frequency;
    gain.gain.value = volume;
    oscillator.connect(gain).connect(out);
    oscillator.start();
    return gain.gain;
  };
  tone(200, 0.01);
  const beep = tone(1000, 0);
  const first = Math.ceil(context.currentTime) + 1;
  for (let second = first; second < first + seconds + 10; second++) {
    beep.setValueAtTime(0.5, second);
    beep.setValueAtTime(0, second + 0.1);
  }
  const draw = canvas.getContext('2d');
  const late = [];
  let n = 0;
  let bright = false;
  setInterval(() => {
    const now = context.currentTime;
    const flash = now >= first && now % 1 < 0.1;
    if (flash && !bright) late.push(now % 1);
    bright = flash;
    draw.fillStyle = flash ? 'white' : `rgb(${(n += 3) % 100}, 40, 60)`;
    draw.fillRect(0, 0, 640, 360);
    draw.fillStyle = 'gray';
    draw.fillRect((now * 100) % 600, 160, 40, 40);
  }, 16);
  const stream = new MediaStream([...canvas.captureStream(30).getTracks(), ...out.stream.getTracks()]);

  const local = [];
  const recorder = new MediaRecorder(stream, { mimeType: 'video/webm;codecs=vp8,opus', videoBitsPerSecond: 1_000_000 });
  recorder.ondataavailable = ({ data }) => local.push(data);
  recorder.start();

  const peer = new RTCPeerConnection();
  for (const track of stream.getTracks()) {
    const transceiver = peer.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
    if (track.kind !== 'video') continue;
    const all = RTCRtpSender.getCapabilities('video').codecs;
    const wanted = all.filter((c) => c.mimeType.toLowerCase() === `video/${codec}`);
    if (wanted.length === 0) throw new Error(`this browser does not send ${codec}`);
    transceiver.setCodecPreferences?.([...wanted, ...all.filter((c) => /rtx/i.test(c.mimeType))]);
  }
  await peer.setLocalDescription();
  if (peer.iceGatheringState !== 'complete') {
    await new Promise((resolve) => {
      peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && resolve();
    });
  }
  const answer = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: peer.localDescription.sdp });
  const text = await answer.text();
  if (answer.status !== 201) throw new Error(`POST answers ${answer.status}: ${text}`);
  const session = new URL(answer.headers.get('Location'), url);
  await peer.setRemoteDescription({ type: 'answer', sdp: text });
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  for (let ms = 0; peer.connectionState !== 'connected'; ms += 50) {
    if (ms > 20_000 || peer.connectionState === 'failed') throw new Error(`no connection: ${peer.connectionState}`);
    await wait(50);
  }
  const begin = performance.now();
  await wait(seconds * 1000);
  const published = (performance.now() - begin) / 1000;
  await fetch(session, { method: 'DELETE' });
  peer.close();
  const stopped = new Promise((resolve) => {
    recorder.onstop = resolve;
  });
  recorder.stop();
  await stopped;
  const reader = new FileReader();
  const read = new Promise((resolve) => {
    reader.onload = resolve;
  });
  reader.readAsDataURL(new Blob(local));
  await read;
  late.sort((a, b) => a - b);
  return { published, late: late[Math.floor(late.length / 2)], local: reader.result.slice(reader.result.indexOf(',') + 1) };
}

const parameters = { url: `${o.base}/whip/${o.stream}`, codec: o.codec, seconds: o.seconds };

async function inChromium() {
  const browser = await startBrowser();
  try {
    const { page } = await openPage(browser, o.base, { bypassCSP: true });
    await page.goto(`${o.base}/api/time`, { timeout: 60_000 });
    return { version: browser.version(), ...(await page.evaluate(publish, parameters)) };
  } finally {
    await browser.close();
  }
}

async function inFirefox() {
  const firefox = await Firefox.start();
  try {
    await firefox.open(o.base); // of what is no page it makes one of another origin
    return { version: firefox.version, ...(await firefox.run(publish, parameters)) };
  } finally {
    await firefox.close();
  }
}

process.once('SIGTERM', () => process.exit(1));
const browsers = { chromium: inChromium, firefox: inFirefox };
setTimeout(() => {
  process.stderr.write(`FAILED: not finished after ${o.timeout} s\n`);
  process.exit(1);
}, o.timeout * 1000).unref();
try {
  check(browsers[o.browser], `--browser is ${Object.keys(browsers).join(' or ')}`);
  const { local, ...result } = await browsers[o.browser]();
  if (o.local) await writeFile(o.local, Buffer.from(local, 'base64'));
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (reason) {
  process.stderr.write(`FAILED: ${reason instanceof StepError ? reason.message : reason.stack}\n`);
  process.exitCode = 1;
}
process.exit();
