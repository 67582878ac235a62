// Publishes the fake camera through the page for a while, again where the connection is lost, and prints what the
// browser says that it sent, as one line of JSON.
//
// usage: node web/e2e/camera.mjs --base http://127.0.0.1:7777 --codec h264|vp9|av1|vp8 --stream NAME
//          [--seconds 20]        how long, once connected
//          [--resolution 360p]   of the camera: 360p, 720p, 1080p
//          [--sizes 320x180,...] the camera changes to these one after the other, in equal parts of the time
//          [--timeout 180]       seconds for everything

import { check, id, openPage, option, runScript } from './lib.mjs';

const codecs = { h264: 'H264', vp9: 'VP9', av1: 'AV1', vp8: 'VP8' };

/** In the page, before its own scripts: keeps the connections that it makes. */
function keepConnections() {
  const connections = [];
  const Original = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(...args) {
      super(...args);
      connections.push(this);
    }
  };
  window.connections = connections;
}

/** In the page: RTCOutboundRtpStreamStats of all connections that something was sent by. */
async function readSent() {
  const reports = await Promise.all(window.connections.map((connection) => connection.getStats()));
  return reports
    .flatMap((report) => [...report.values()])
    .filter((s) => s.type === 'outbound-rtp' && s.packetsSent > 0)
    .map((s) => ({
      kind: s.kind,
      ssrc: s.ssrc,
      packets: s.packetsSent,
      retransmitted: s.retransmittedPacketsSent ?? 0,
      frames: s.framesSent ?? 0,
    }));
}

/** In the page: gives the camera another size. */
async function resize([width, height]) {
  const sender = window.connections.at(-1).getSenders().find((s) => s.track?.kind === 'video');
  await sender.track.applyConstraints({ width: { exact: width }, height: { exact: height } });
}

async function connect(page) {
  await id(page, 'publish-start').click();
  await page
    .locator('[data-testid="publish-state"][data-state="connected"], [data-testid="publish-error"]')
    .first()
    .waitFor({ timeout: 60_000 });
  const state = await id(page, 'publish-state').getAttribute('data-state');
  check(state === 'connected', `publishing is ${state}`);
}

async function main(browser, o) {
  const { page, problems } = await openPage(browser, o.base);
  await page.addInitScript(keepConnections);
  await page.goto(`${o.base}/#/publish`, { timeout: 60_000 });
  await id(page, 'publish-stream').fill(o.stream, { timeout: 60_000 });
  await id(page, 'publish-source').selectOption('camera');
  await id(page, 'publish-codec').selectOption(o.codec);
  await id(page, 'publish-resolution').selectOption(o.resolution);
  await id(page, 'publish-microphone').check();
  await connect(page);
  const begin = performance.now();
  const sent = new Map();
  let changes = 0;
  for (;;) {
    const share = (performance.now() - begin) / (o.seconds * 1000);
    if (share * (o.sizes.length + 1) > changes + 1 && changes < o.sizes.length) await page.evaluate(resize, o.sizes[changes++]);
    for (const track of await page.evaluate(readSent)) sent.set(track.ssrc, track);
    if (share >= 1) break;
    await new Promise((resolve) => setTimeout(resolve, 200)); // time itself is what is waited for
  }
  const connections = await page.evaluate(() => window.connections.length); // more than one where the network was gone for too long
  await id(page, 'publish-stop').click();
  await page.locator('[data-testid="publish-state"][data-state="idle"]').waitFor({ timeout: 60_000 });
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
  return { connections, sent: [...sent.values()] };
}

let options;
try {
  const codec = codecs[option('codec', 'h264').toLowerCase()];
  check(codec, `--codec is one of ${Object.keys(codecs).join(', ')}`);
  options = {
    base: option('base'),
    stream: option('stream'),
    codec,
    seconds: Number(option('seconds', '20')),
    resolution: option('resolution', '360p'),
    sizes: option('sizes', '').split(',').filter(Boolean).map((s) => s.split('x').map(Number)),
    timeout: Number(option('timeout', '180')),
  };
} catch (reason) {
  process.stderr.write(`FAILED: ${reason.message}\n`);
  process.exit(2);
}
await runScript(options.timeout * 1000, (browser) => main(browser, options), new URL(options.base).origin);
