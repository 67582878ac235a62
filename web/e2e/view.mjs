// Watches a stream over WHEP in Chromium for as long as it lasts, and prints as one line of JSON how many seconds of
// picture and of sound it showed. It says on standard error when it is ready; it then waits for the stream, and ends
// when its standard input does.
//
// usage: node web/e2e/view.mjs --base http://127.0.0.1:7777 --stream NAME
//          [--timeout 180]     seconds for everything

import { once } from 'node:events';
import { check, openPage, option, runScript } from './lib.mjs';
import { meter } from './meter.mjs';

const o = { base: option('base'), stream: option('stream'), timeout: Number(option('timeout', '180')) };

/** In the page: watches, as soon as there is something to watch. */
async function watch(url) {
  const video = document.createElement('video');
  document.body.append(video);
  const peer = new RTCPeerConnection();
  const stream = new MediaStream();
  peer.ontrack = ({ track }) => stream.addTrack(track);
  for (const kind of ['video', 'audio']) peer.addTransceiver(kind, { direction: 'recvonly' });
  await peer.setLocalDescription();
  if (peer.iceGatheringState !== 'complete') {
    await new Promise((resolve) => {
      peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && resolve();
    });
  }
  const post = () => fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: peer.localDescription.sdp });
  let answer = await post();
  while (answer.status === 404 || answer.status === 409) { // nobody publishes yet
    await new Promise((resolve) => setTimeout(resolve, 200));
    answer = await post();
  }
  const text = await answer.text();
  if (answer.status !== 201) throw new Error(`POST answers ${answer.status}: ${text}`);
  await peer.setRemoteDescription({ type: 'answer', sdp: text });
  video.srcObject = stream;
  window.shown = window.meter(video);
  await video.play();
}

async function main(browser) {
  const { page } = await openPage(browser, o.base, { bypassCSP: true });
  await page.goto(`${o.base}/api/time`, { timeout: 60_000 });
  await page.evaluate(`window.meter = ${meter}`);
  process.stderr.write('ready\n');
  const ended = once(process.stdin.resume(), 'end');
  await Promise.race([ended, page.evaluate(watch, `${o.base}/whep/${o.stream}`).then(() => ended)]);
  const shown = await page.evaluate(() => window.shown?.read());
  check(shown, 'nothing was shown');
  return shown;
}

await runScript(o.timeout * 1000, main);
