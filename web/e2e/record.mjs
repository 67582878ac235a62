// Publishes the fake camera through the page, records it, plays the recording while it runs and
// again when it is finished. Prints one line of JSON with what was measured.
//
// usage: node web/e2e/record.mjs --base http://127.0.0.1:7777 --codec h264|vp9|av1|vp8 --stream NAME
//          [--seconds 20]      length of the recording at least
//          [--resolution 360p] of the camera: 360p, 720p, 1080p
//          [--rate 2]          playback rate of the finished recording
//          [--token TOKEN]     for a server that asks for one
//          [--out DIR]         folder for screenshots
//          [--timeout 360]     seconds for everything

import { check, openPage, runScript, Steps } from './lib.mjs';
import { readOptions, Scenario } from './scenario.mjs';

/** Average frame rate that left the browser between two readings. */
const rateBetween = (a, b) => (b.frames - a.frames) / (b.at - a.at);

function judge(result, options) {
  const { finished, publish } = result;
  check(publish.codec.toUpperCase() === options.codec, `${publish.codec} was negotiated, not ${options.codec}`);
  check(Math.abs(finished.duration - result.duration) < 1, `the player says ${finished.duration} s, the list ${result.duration} s`);
  check(result.duration > options.seconds * 0.7, `${result.duration} s were recorded of ${options.seconds} s`);
  check(finished.time > finished.duration - 0.5, `playback ended at ${finished.time} s of ${finished.duration} s`);
  check(finished.audioBytes > 0, 'no sound was decoded');
  if (result.file) {
    const { name, duration } = result.file;
    check(Math.abs(duration - result.duration) < 1, `the file that was saved has ${duration} s, the recording ${result.duration} s`);
    check(name.startsWith(`${options.stream} `) && name.endsWith('.mp4'), `the file is saved as ${name}`);
  }
  check(finished.corrupted === 0, `${finished.corrupted} frames are corrupted`);
  const expected = finished.duration * publish.averageFps;
  const ratio = finished.frames / expected;
  check(ratio > 0.8 && ratio < 1.2, `${finished.frames} frames were decoded, about ${Math.round(expected)} were sent`);
}

async function main(browser, options) {
  const { page, problems } = await openPage(browser, options.base);
  const steps = new Steps(page, options.out);
  const scenario = new Scenario(page, steps, options);
  await steps.run('open the page', () => scenario.open());
  await steps.run('publish', () => scenario.publish());
  await steps.run('watch', () => scenario.watch());
  const started = await steps.run('start recording', () => scenario.startRecording());
  const before = await scenario.outgoing();
  await steps.picture('1-recording');
  const row = await steps.run('find the running recording', () => scenario.recordingRow(started.record_dir));
  const live = await steps.run('play the running recording', () => scenario.playLive(row));
  await steps.run('close the player', () => scenario.closePlayer());
  await steps.run('wait for enough media', async () => {
    const left = options.seconds - (performance.now() / 1000 - scenario.startedAt);
    // Media time passes with the wall clock; nothing in the page announces it.
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, left) * 1000));
  });
  const after = await scenario.outgoing();
  const { status, duration } = await steps.run('stop', () => scenario.stop(row));
  const finished = await steps.run('play the finished recording', () => scenario.playFinished(row, duration));
  await steps.picture('4-ended');
  // WebM cannot be one MP4 file.
  const file = options.codec === 'VP8' ? undefined : await steps.run('save it as one file', () => scenario.saveFile(row));
  const result = {
    stream: options.stream,
    codec: options.codec,
    ...started,
    status,
    duration,
    publish: { ...after, averageFps: rateBetween(before, after) },
    live,
    finished,
    file,
    times: steps.times,
    problems,
  };
  await steps.run('judge', () => judge(result, options));
  check(problems.length === 0, `the page reported: ${problems.join(' | ')}`);
  return result;
}

let options;
try {
  options = readOptions();
} catch (reason) {
  process.stderr.write(`FAILED: ${reason.message}\n`);
  process.exit(2);
}
await runScript(options.timeout * 1000, (browser) => main(browser, options));
