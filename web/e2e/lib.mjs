// What the browser scripts share: a browser with a fake camera, the page's test ids, bounded steps.
//
// Test ids of the page (attribute data-testid) and the data attributes beside them:
//
//   about                      node name and version
//   nav-<view>                 live, recordings, publish, nodes, system; each is shown alone, and has what follows
//   search, theme, language; strip-recording, strip-disk, strip-storage, strip-alarms
//   strip-publishing           while something is published, in every view: data-state, and the data of publish-stats
//   confirm, confirm-yes, confirm-no; toasts, undo
//   problems                   what is wrong with the server; within it, and within the row of a node:
//     problem                  data-place, data-serious
//   node-row-<alias>           data-state; of a manager's nodes; within it node-open, node-since; of one alone node-streams
//   token-form, token-input, token-remember, token-save, token-forget
//   login-form, login-name, login-password, login-submit, login-error, login-other (to the other
//   of login-form and token-form), account, logout
//   publish-stream, publish-source, publish-codec, publish-resolution, publish-microphone,
//   publish-simulcast
//   publish-start, publish-stop    one of them is there at a time
//   publish-preview            video
//   publish-state              data-state: idle, capturing, or RTCPeerConnection.connectionState
//   publish-stats              data-bitrate (bit/s), data-layers, data-codec; of the biggest layer
//                              data-width, data-height, data-fps, data-frames
//   publish-error
//   streams-list, streams-error
//   stream-row-<id>            data-live, data-recording; within it:
//     stream-watch, record-start, record-stop (one of the two), record-state, record-left,
//     record-error, record-last-error
//     watch-video, watch-state (data-state), watch-idle, watch-error
//   missing-row-<id>           a stream that was recorded in the last days and is not there
//   wall-<size>, wall, tile-<id> (data-state, data-size), tile-missing-<id>, tile-rate, losses
//   watch                      data-back (s behind); watch-back, watch-behind, watch-now, watch-stats, back-video, back-moment (data-moment)
//   sessions-list, session-row (data-stream, data-side), session-end, config,
//   events-list, event (data-level, data-type), events-kind, events-level, events-more: of the view System
//   recordings-list, recordings-refresh, recordings-error
//   recordings-stream-<id>     within it: recordings-open, which shows what follows
//   recordings-of              the recordings of that stream:
//     player                   data-state: empty, loading, waiting, playing, reconnecting, error; data-live, data-error,
//                              data-moment (Unix milliseconds)
//     player-video, player-live, player-to-start, player-to-live, player-note, player-error, player-speed,
//     player-quality, player-picture, player-pip
//     player-hole, player-cause what is skipped or waited out, and what the moment is in
//     companion-<stream>       data-state; within it companion-video (data-behind in milliseconds), companion-close
//     ruler                    data-from, data-to (Unix milliseconds), data-spans, data-lanes; ruler-hover, key-picture, jump,
//                              hole, hole-before, hole-after, zoom-<length>, gaps, beside
//     calendar, day-<date>, calendar-before, calendar-after
//     clip-protect, clip-delete, confirm-list, keep-error; choose-all, recordings-node
//     recordings-rows, recordings-more, recordings-filter, bulk, bulk-protect, bulk-delete
//     recording-row            data-record-dir, data-stream, data-status, data-duration (s); within it:
//       recording-status, recording-facts, recording-file, recording-watch, recording-choose, recording-protect,
//       recording-pause, recording-paused, recording-protected, recording-delete, recording-link, recording-link-url

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

/** A failure with the name of the step that it happened in. */
export class StepError extends Error {}

/** The value of --name among the arguments, or fallback; a missing value is an error. */
export function option(name, fallback) {
  const at = process.argv.indexOf(`--${name}`);
  if (at < 0) {
    if (fallback === undefined) throw new StepError(`the option --${name} is missing`);
    return fallback;
  }
  const value = process.argv[at + 1];
  if (value === undefined || value.startsWith('--')) throw new StepError(`--${name} needs a value`);
  return value;
}

/** Throws when condition is false. */
export function check(condition, message) {
  if (!condition) throw new StepError(message);
}

/** Starts Chromium with a fresh profile in a temporary directory, which its close removes; it trusts origin. */
export async function startBrowser(origin) {
  const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
  check(existsSync(executablePath), `no browser at ${executablePath}: install chromium or set CHROMIUM`);
  // Cameras are for secure origins, to which 127.0.0.1 belongs, but not the address of another machine.
  const trusted = origin ? [`--unsafely-treat-insecure-origin-as-secure=${origin}`] : [];
  return chromium.launch({ executablePath, headless: true, args: [...flags, ...trusted], timeout: 60_000 });
}

/** A page that remembers what went wrong in it and which other origins it asked, but for those of allowed. */
export async function openPage(browser, base, contextOptions = {}, allowed = []) {
  const context = await browser.newContext({
    viewport: { width: 1100, height: 900 },
    locale: 'en-US',
    permissions: ['camera', 'microphone'],
    ...contextOptions,
  });
  const page = await context.newPage();
  const problems = [];
  const origin = new URL(base).origin;
  page.on('pageerror', (error) => problems.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    // Failed requests are reported here too; the page shows those itself, and the steps look there.
    if (message.type() !== 'error' || message.text().startsWith('Failed to load resource')) return;
    problems.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (/^https?:$/.test(url.protocol) && url.origin !== origin && !allowed.includes(url.origin)) problems.push(`request to ${url.origin}`);
  });
  return { page, problems };
}

export const id = (root, name) => root.locator(`[data-testid="${name}"]`);

/** Goes to a view by its name on the rail. */
export async function view(page, name) {
  await id(page, `nav-${name}`).click({ timeout: 60_000 });
}

/** Goes to the recordings of a stream. */
export async function recordingsOf(page, stream) {
  await view(page, 'recordings');
  await id(id(page, `recordings-stream-${stream}`), 'recordings-open').click({ timeout: 60_000 });
}

/** Stops a recording by the row of its stream. */
export async function stopRecording(page, row) {
  await id(row, 'record-stop').click({ timeout: 60_000 });
  await id(page, 'confirm-yes').click({ timeout: 60_000 });
}

/** Steps with names: a failure says which one it was, and a picture shows the page at that time. */
export class Steps {
  #page;
  #out;
  #verbose;
  times = {};

  constructor(page, out) {
    this.#page = page;
    this.#out = out;
    this.#verbose = process.env.E2E_VERBOSE === '1';
  }

  /** Runs work; its time goes to times[name] in milliseconds. */
  async run(name, work) {
    const begin = performance.now();
    try {
      return await work();
    } catch (reason) {
      await this.picture('failure').catch(() => {});
      const shown = await this.#shownErrors();
      throw new StepError(`${name}: ${reason.message}${shown}`, { cause: reason });
    } finally {
      this.times[name] = Math.round(performance.now() - begin);
      if (this.#verbose) process.stderr.write(`${name}: ${this.times[name]} ms\n`);
    }
  }

  /** A screenshot of the whole page in the folder given by --out, if one was. */
  async picture(name) {
    if (!this.#out) return;
    await mkdir(this.#out, { recursive: true });
    await this.#page.screenshot({ path: join(this.#out, `${name}.png`), fullPage: true, timeout: 60_000 });
  }

  async #shownErrors() {
    const shown = await this.#page.locator('.error').allInnerTexts().catch(() => []);
    return shown.length > 0 ? `\nthe page shows: ${shown.join(' | ')}` : '';
  }
}

/** How long a browser may take to close, in milliseconds. */
const closeLimit = 20_000;

/** Runs main within limit milliseconds, prints its result as one line of JSON, sets the exit code. */
export async function runScript(limit, main, origin) {
  let browser;
  let timer;
  const tooLate = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new StepError(`not finished after ${limit / 1000} s`)), limit);
  });
  try {
    const work = (async () => {
      browser = await startBrowser(origin);
      return main(browser);
    })();
    const result = await Promise.race([work, tooLate]);
    process.stdout.write(`${JSON.stringify(result)}\n`);
  } catch (reason) {
    process.stderr.write(`FAILED: ${reason instanceof StepError ? reason.message : reason.stack}\n`);
    process.exitCode = 1;
  } finally {
    clearTimeout(timer);
    // A browser that hangs would hold the script for ever. It is killed when the script ends.
    await Promise.race([browser?.close(), new Promise((resolve) => setTimeout(resolve, closeLimit))]);
  }
  // Whatever still runs after a failure has no browser any more and must not hold the process.
  process.exit(process.exitCode ?? 0);
}
