// Publishes the fake camera as simulcast through the page and records it; turns a layer off and on
// again meanwhile; plays the recording while it runs and when it is finished, and switches between
// the layers. Prints one line of JSON with what was measured.
//
// usage: node web/e2e/simulcast.mjs --base URL --codec h264|vp9|vp8 --stream NAME
//          [--turn h]          the layer that is turned off and on: h, m, l, or none
//          and the options of record.mjs but --rate

import { check, id, openPage, option, runScript, Steps, StepError } from './lib.mjs';
import { ladderToEnd, openLadder, switchThrough, watchLadder } from './ladder.mjs';
import { readOptions, Scenario } from './scenario.mjs';

const pause = 5; // s that a layer is off: longer than the server waits before it believes it
const ramp = 60; // s for the layers to come: Chromium starts with the smallest

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, Math.max(0, seconds) * 1000));

/** Runs before the page's scripts: keeps its connections where the test finds them. */
function keepConnections() {
  const Native = globalThis.RTCPeerConnection;
  globalThis.connections = [];
  globalThis.RTCPeerConnection = class extends Native {
    constructor(...args) {
      super(...args);
      globalThis.connections.push(this);
    }
  };
}

/** Turns a layer of the publisher on or off. */
async function turn(page, rid, active) {
  await page.evaluate(
    async ([rid, active]) => {
      const senders = globalThis.connections.flatMap((connection) => connection.getSenders());
      const sender = senders.find((s) => s.track?.kind === 'video');
      const parameters = sender.getParameters();
      const encoding = parameters.encodings.find((e) => e.rid === rid);
      if (!encoding) throw new Error(`no layer ${rid} among ${JSON.stringify(parameters.encodings)}`);
      encoding.active = active;
      await sender.setParameters(parameters);
    },
    [rid, active],
  );
}

/** What of each layer has left the browser, by rid. */
const sentLayers = (page) =>
  page.evaluate(async () => {
    const layers = {};
    for (const connection of globalThis.connections) {
      if (connection.connectionState === 'closed') continue;
      for (const s of (await connection.getStats()).values()) {
        if (s.type !== 'outbound-rtp' || s.kind !== 'video') continue;
        layers[s.rid] = {
          width: s.frameWidth, height: s.frameHeight, fps: s.framesPerSecond, frames: s.framesSent,
          keyFrames: s.keyFramesEncoded, pli: s.pliCount, limited: s.qualityLimitationReason,
          encoder: s.encoderImplementation, mode: s.scalabilityMode, active: s.active,
        };
      }
    }
    return layers;
  });

/** Waits until the page says that so many layers are being sent. */
async function untilLayers(page, count) {
  await page
    .waitForFunction(
      (n) => Number(document.querySelector('[data-testid="strip-publishing"]')?.dataset.layers) >= n,
      count,
      { timeout: ramp * 1000, polling: 200 },
    )
    .catch(async (reason) => {
      throw new StepError(`${count} layers are not sent: ${JSON.stringify(await sentLayers(page))}`, { cause: reason });
    });
}

/** Turns a layer off and on while the recording plays. */
async function turnOffAndOn(scenario, rid) {
  const { page } = scenario;
  await turn(page, rid, false);
  await sleep(pause);
  await scenario.steps.picture('2-layer-off');
  await turn(page, rid, true);
  await untilLayers(page, 2);
}

function judge(result, options) {
  const { duration, finished, ladder, live } = result;
  check(result.status === 'complete', `the recording is ${result.status}`);
  check(duration > options.seconds * 0.7, `${duration} s were recorded of ${options.seconds} s`);
  check(Math.abs(finished.duration - duration) < 1, `the player says ${finished.duration} s, the list ${duration} s`);
  check(finished.time > finished.duration - 0.5, `playback ended at ${finished.time} s of ${finished.duration} s`);
  check(finished.audioBytes > 0, 'no sound was decoded');
  check(live.variants.length >= 2, `the running recording has the variants ${JSON.stringify(live.variants)}`);
  check(ladder.variants.length >= 2, `the recording has the variants ${JSON.stringify(ladder.variants)}`);
  check(ladder.end.ended, `switching playback ended at ${JSON.stringify(ladder.end)}`);
  check(ladder.widths.length >= 2, `playback showed the widths ${ladder.widths}`);
}

async function main(browser, options) {
  const { page, problems } = await openPage(browser, options.base);
  await page.addInitScript(keepConnections);
  const steps = new Steps(page, options.out);
  const scenario = new Scenario(page, steps, options);
  await steps.run('open the page', () => scenario.open());
  await steps.run('publish', () => scenario.publish());
  await steps.run('wait for the layers', () => untilLayers(page, 3));
  const started = await steps.run('start recording', () => scenario.startRecording());
  await steps.picture('1-recording');
  const row = await steps.run('find the running recording', () => scenario.recordingRow(started.record_dir));
  const before = await sentLayers(page);
  await steps.run('play the running recording', () => scenario.playLive(row));
  if (options.turn !== 'none') await steps.run('turn a layer off and on', () => turnOffAndOn(scenario, options.turn));
  await steps.run('wait for enough media', () => sleep(options.seconds - (performance.now() / 1000 - scenario.startedAt)));
  await steps.run('still playing the running recording', async () => {
    const now = await scenario.until(() => true, 60_000, 'a picture');
    await scenario.until((v) => v.time > now.time + 2, 60_000, '2 s more of live playback');
  });
  await steps.run('close the player', () => scenario.closePlayer());
  await openLadder(page, `/api/record/object/${started.mpd_path}`);
  const live = await steps.run('switch in the running recording', () => switchThrough(page));
  const after = await sentLayers(page);
  const { status, duration } = await steps.run('stop', () => scenario.stop(row));
  const facts = await id(row, 'recording-facts').innerText();
  const finished = await steps.run('play the finished recording', () => scenario.playFinished(row, duration));
  await steps.picture('4-ended');
  await openLadder(page, `/api/record/object/${started.mpd_path}`);
  const switched = await steps.run('switch in the finished recording', () => switchThrough(page));
  await steps.picture('5-switched');
  const end = await steps.run('switch and play to the end', () => ladderToEnd(page, 2));
  const ladder = { ...switched, end, ...(await watchLadder(page)) };
  const result = {
    stream: options.stream, codec: options.codec, ...started, status, duration, facts,
    sent: { before, after }, live, finished, ladder, times: steps.times, problems,
  };
  await steps.run('judge', () => judge(result, options));
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
  return result;
}

let options;
try {
  options = {
    ...readOptions(), simulcast: true, turn: option('turn', 'h'), resolution: option('resolution', '720p'),
  };
} catch (reason) {
  process.stderr.write(`FAILED: ${reason.message}\n`);
  process.exit(2);
}
await runScript(options.timeout * 1000, (browser) => main(browser, options));
