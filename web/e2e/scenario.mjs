// One run through the page, in steps that the scripts put together: publish, watch, record, play, stop.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { check, id, option, recordingsOf, StepError, stopRecording, view } from './lib.mjs';

const codecs = { h264: 'H264', vp9: 'VP9', av1: 'AV1', vp8: 'VP8' };

/** The options that all scripts have; see record.mjs. */
export function readOptions() {
  const codec = codecs[option('codec', 'h264').toLowerCase()];
  check(codec, `--codec is one of ${Object.keys(codecs).join(', ')}`);
  return {
    base: option('base'),
    stream: option('stream'),
    codec,
    seconds: Number(option('seconds', '20')),
    resolution: option('resolution', '360p'),
    rate: Number(option('rate', '2')),
    token: option('token', ''),
    out: option('out', ''),
    timeout: Number(option('timeout', '360')),
  };
}

/** What a video element has done so far. */
export function readVideo(video) {
  const quality = video.getVideoPlaybackQuality();
  const ranges = [];
  for (let i = 0; i < video.buffered.length; i++) {
    ranges.push([video.buffered.start(i), video.buffered.end(i)]);
  }
  return {
    time: video.currentTime,
    duration: Number.isFinite(video.duration) ? video.duration : null,
    ended: video.ended,
    error: video.error ? `${video.error.code} ${video.error.message}` : '',
    frames: quality.totalVideoFrames,
    dropped: quality.droppedVideoFrames,
    corrupted: quality.corruptedVideoFrames ?? 0,
    audioBytes: video.webkitAudioDecodedByteCount,
    videoBytes: video.webkitVideoDecodedByteCount,
    width: video.videoWidth,
    height: video.videoHeight,
    buffered: ranges,
  };
}

/** One run through the page. */
export class Scenario {
  constructor(page, steps, options) {
    this.page = page;
    this.steps = steps;
    this.o = options;
    this.row = id(page, `stream-row-${options.stream}`);
    this.player = id(page, 'player');
  }

  async open() {
    await this.page.goto(`${this.o.base}/#/publish`, { waitUntil: 'load', timeout: 60_000 });
    if (this.o.token) {
      await id(this.page, 'token-input').fill(this.o.token, { timeout: 60_000 });
      await id(this.page, 'token-save').click();
    }
    await id(this.page, 'publish-start').waitFor({ timeout: 60_000 });
  }

  async publish() {
    const { page, o } = this;
    await id(page, 'publish-stream').fill(o.stream);
    await id(page, 'publish-source').selectOption('camera');
    await id(page, 'publish-codec').selectOption(o.codec);
    await id(page, 'publish-resolution').selectOption(o.resolution);
    await id(page, 'publish-microphone').check();
    await id(page, 'publish-simulcast').setChecked(o.simulcast ?? false);
    await id(page, 'publish-start').click();
    await page
      .locator('[data-testid="publish-state"][data-state="connected"], [data-testid="publish-error"]')
      .first()
      .waitFor({ timeout: 60_000 });
    const state = await id(page, 'publish-state').getAttribute('data-state');
    check(state === 'connected', `publishing is ${state}`);
    // Frames must leave before a recording can begin.
    await page.waitForFunction(
      () => Number(document.querySelector('[data-testid="strip-publishing"]')?.dataset.frames) > 0,
      undefined,
      { timeout: 60_000, polling: 200 },
    );
    await view(page, 'live');
    await this.page.locator(`[data-testid="stream-row-${o.stream}"][data-live="true"]`).waitFor({ timeout: 60_000 });
  }

  /** What leaves the browser now, with the time of reading in seconds. */
  async outgoing() {
    const data = await id(this.page, 'strip-publishing').evaluate((e) => ({ ...e.dataset }));
    const n = (name) => Number(data[name]);
    return {
      at: performance.now() / 1000,
      codec: data.codec,
      bitrate: n('bitrate'),
      width: n('width'),
      height: n('height'),
      fps: n('fps'),
      frames: n('frames'),
    };
  }

  /** Watches the stream by WHEP, until the first picture comes. */
  async watch() {
    await id(this.row, 'stream-watch').click();
    await id(this.row, 'watch-video').evaluate(
      (v, limit) =>
        new Promise((resolve, reject) => {
          const timer = setTimeout(() => reject(new Error('no live picture came')), limit);
          v.requestVideoFrameCallback(() => (clearTimeout(timer), resolve()));
        }),
      60_000,
    );
    await this.steps.picture('0-watching');
    await id(this.row, 'stream-watch').click();
    await id(this.row, 'watch-video').waitFor({ state: 'detached', timeout: 60_000 });
  }

  async startRecording() {
    const answered = this.page.waitForResponse(
      (r) => r.request().method() === 'POST' && new URL(r.url()).pathname.startsWith('/api/record/'),
      { timeout: 60_000 },
    );
    await id(this.row, 'record-start').click();
    const response = await answered;
    check(response.ok(), `POST ${response.url()} answered ${response.status()}`);
    const started = await response.json();
    this.startedAt = performance.now() / 1000;
    check(started.mpd_path === `${started.record_dir}/manifest.mpd`, `mpd_path is ${started.mpd_path}`);
    await id(this.row, 'record-stop').waitFor({ timeout: 60_000 });
    return started;
  }

  /** The row of a recording among those of the stream, which are shown for it. */
  async recordingRow(recordDir) {
    await recordingsOf(this.page, this.o.stream);
    const row = this.page.locator(`[data-testid="recording-row"][data-record-dir="${recordDir}"]`);
    await row.waitFor({ timeout: 60_000 });
    return row;
  }

  /** Leaves the player; the streams are shown. */
  async closePlayer() {
    await view(this.page, 'live');
    await this.player.waitFor({ state: 'detached', timeout: 60_000 });
  }

  /** Plays a recording and waits for its first decoded frame. */
  async play(row, timeout) {
    await id(row, 'recording-watch').click();
    await this.player.waitFor({ timeout: 60_000 });
    await this.until(() => true, timeout, 'the first frame');
  }

  /** Waits until the video has frames and done(its state) holds; an error of the player ends it. */
  async until(done, timeout, what) {
    const end = performance.now() + timeout;
    for (;;) {
      const state = await this.player.getAttribute('data-state');
      const error = await this.player.getAttribute('data-error');
      const video = await id(this.page, 'player-video').evaluate(readVideo);
      check(state !== 'error', `the player reports ${error}`);
      check(!video.error, `the video element reports ${video.error}`);
      if (video.frames > 0 && done(video)) return video;
      if (performance.now() > end) {
        throw new StepError(`${what} did not come within ${timeout / 1000} s: ${state} ${JSON.stringify(video)}`);
      }
      // The next event of the element that can change the answer, or half a second.
      await id(this.page, 'player-video').evaluate(
        (v) =>
          new Promise((resolve) => {
            const timer = setTimeout(resolve, 500);
            for (const name of ['timeupdate', 'ended', 'error', 'playing']) {
              v.addEventListener(name, () => (clearTimeout(timer), resolve()), { once: true });
            }
          }),
      );
    }
  }

  /** Plays the running recording near its live edge. */
  async playLive(row) {
    await this.play(row, 60_000);
    const first = await id(this.page, 'player-video').evaluate(readVideo);
    const live = await this.player.getAttribute('data-live');
    check(live === 'true', 'the player does not show LIVE');
    const seconds = 4;
    const last = await this.until(
      (v) => v.time >= first.time + seconds && v.frames > first.frames && v.audioBytes > 0,
      60_000,
      `${seconds} s of live playback with sound`,
    );
    await this.steps.picture('2-live-playback');
    const behind = performance.now() / 1000 - this.startedAt - last.time;
    return { from: first.time, behind, ...last };
  }

  async stop(row) {
    const answered = this.page.waitForResponse(
      (r) => r.request().method() === 'DELETE' && new URL(r.url()).pathname.startsWith('/api/record/'),
      { timeout: 60_000 },
    );
    await stopRecording(this.page, this.row);
    const response = await answered;
    check(response.ok(), `DELETE ${response.url()} answered ${response.status()}`);
    const stopped = await response.json();
    check(stopped.stopped === true, `the server says ${JSON.stringify(stopped)}`);
    await view(this.page, 'publish');
    await id(this.page, 'publish-stop').click();
    await this.page.locator('[data-testid="publish-state"][data-state="idle"]').waitFor({ timeout: 60_000 });
    await recordingsOf(this.page, this.o.stream);
    const sealed = row.and(this.page.locator(':not([data-status="recording"])'));
    await sealed.waitFor({ timeout: 60_000 });
    return {
      status: await row.getAttribute('data-status'),
      duration: Number(await row.getAttribute('data-duration')),
    };
  }

  /** Plays the finished recording to its end. */
  async playFinished(row, duration) {
    await this.play(row, 60_000);
    const live = await this.player.getAttribute('data-live');
    check(live === 'false', 'the player shows LIVE for a finished recording');
    const begin = performance.now();
    await id(this.page, 'player-video').evaluate((v, rate) => {
      v.playbackRate = rate;
    }, this.o.rate);
    await this.until((v) => v.time > Math.min(2, duration / 2), 60_000, 'playback of the finished recording');
    await this.steps.picture('3-finished-playback');
    const last = await this.until((v) => v.ended, (duration / this.o.rate) * 2000 + 60_000, 'the end');
    return { seconds: (performance.now() - begin) / 1000, ...last };
  }

  /** Saves the finished recording as one file, and returns its name and how many seconds of it ffmpeg finds. */
  async saveFile(row) {
    const [download] = await Promise.all([
      this.page.waitForEvent('download', { timeout: 60_000 }),
      id(row, 'recording-file').click(),
    ]);
    const path = await download.path();
    const { stdout } = await promisify(execFile)('ffprobe', ['-v', 'error', '-of', 'csv=p=0', '-show_entries', 'format=duration', path]);
    return { name: download.suggestedFilename(), duration: Number(stdout) };
  }
}
