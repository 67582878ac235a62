// Plays a finished recording from its first to its last frame in a bare page, once with Shaka Player and once with
// dash.js, then seeks to the middle and across every boundary of Periods. Fails where a player reports an error,
// stands still, leaves a segment of the manifest out or decodes another number of frames. Prints one line of JSON.
//
// usage: node web/e2e/play.mjs --base http://127.0.0.1:7777 --mpd RECORD_DIR/manifest.mpd | --path /path/of/manifest.mpd
//          [--frames N]         video frames to expect; 0: any number but none
//          [--tolerance 2]      so many may be missing or too many
//          [--players shaka,dashjs]
//          [--storage http://127.0.0.1:9000]  where the player may be sent for segments
//          [--rate 3]           playback rate
//          [--out DIR]          folder for screenshots
//          [--timeout 300]      seconds for everything

import { check, openPage, option, runScript, Steps, StepError } from './lib.mjs';
import { bare, countSegments, openPlayer, players } from './players.mjs';

function readOptions() {
  const names = option('players', Object.keys(players).join(',')).split(',');
  for (const name of names) check(players[name], `--players are ${Object.keys(players).join(', ')}`);
  return {
    base: option('base'),
    path: option('path', '') || `/api/record/object/${option('mpd')}`,
    storage: option('storage', ''),
    frames: Number(option('frames', '0')),
    tolerance: Number(option('tolerance', '2')),
    rate: Number(option('rate', '3')),
    out: option('out', ''),
    timeout: Number(option('timeout', '300')),
    players: names,
  };
}

/** In the page: what a manifest names, in seconds and as paths relative to it. */
async function readManifest(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`GET ${url} answered ${answer.status}`);
  const mpd = new DOMParser().parseFromString(await answer.text(), 'text/xml');
  const seconds = (text) => {
    const [, h, m, s] = /^PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?$/.exec(text);
    return Number(h ?? 0) * 3600 + Number(m ?? 0) * 60 + Number(s ?? 0);
  };
  const files = []; // that have to be played
  const choices = []; // of sets with several Representations: a player takes one for each time
  for (const representation of mpd.querySelectorAll('Representation')) {
    const template = representation.querySelector('SegmentTemplate')
      ?? representation.parentElement.querySelector(':scope > SegmentTemplate');
    const list = representation.parentElement.querySelectorAll('Representation').length > 1 ? choices : files;
    const name = (attribute) => template.getAttribute(attribute).replaceAll('$RepresentationID$', representation.id);
    list.push(name('initialization'));
    let number = Number(template.getAttribute('startNumber') ?? 1);
    for (const s of template.querySelectorAll('S')) {
      for (let n = Number(s.getAttribute('r') ?? 0); n >= 0; n--, number++) {
        list.push(name('media').replace(/\$Number(?:%0(\d+)d)?\$/, (_, width) => String(number).padStart(Number(width ?? 1), '0')));
      }
    }
  }
  return {
    static: mpd.documentElement.getAttribute('type') !== 'dynamic',
    duration: seconds(mpd.documentElement.getAttribute('mediaPresentationDuration') ?? 'PT0S'),
    starts: [...mpd.querySelectorAll('Period')].map((p) => seconds(p.getAttribute('start') ?? 'PT0S')),
    lengths: [...mpd.querySelectorAll('Period')].map((p) => seconds(p.getAttribute('duration') ?? 'PT99H')),
    files: [...new Set(files)],
    choices: [...new Set(choices)],
    codecs: new Set([...mpd.querySelectorAll('Representation')].map((r) => r.getAttribute('codecs').split('.')[0])).size - 1, // of video: audio has one
  };
}

/** A player does not go on, and reports no error. */
class StandsStill extends StepError {}

/** One player with one recording. */
class Run {
  constructor(page, steps, name, options) {
    Object.assign(this, { page, steps, name, options });
    this.url = options.base + options.path;
    this.folder = new URL('.', this.url).href;
    this.requested = new Set();
    this.rate = options.rate;
    this.again = []; // what was tried again: rates, with the reason, and times to seek to
    page.on('request', (r) => {
      if (r.url().startsWith(this.folder)) this.requested.add(r.url().slice(this.folder.length));
    });
  }

  async open() {
    await openPlayer(this.page, this.options.base, this.name, this.rate);
    this.manifest = await this.page.evaluate(readManifest, this.url);
    check(this.manifest.static, 'the recording is not finished');
    this.requested.clear();
  }

  /** Waits until done(state of the element) holds; an error, or standing still for 30 s, ends it. */
  async until(what, done) {
    let moved = performance.now();
    for (let before; ; ) {
      const state = await this.page.evaluate(() => window.e2e.read());
      check(state.errors.length === 0, state.errors.join(' | '));
      if (done(state)) return state;
      if (state.time !== before) moved = performance.now();
      before = state.time;
      if (performance.now() - moved > 30_000) throw new StandsStill(`${what} did not come: ${JSON.stringify(state)}`);
      await new Promise((resolve) => setTimeout(resolve, 50)); // the element has no event for every such change
    }
  }

  /**
   * Plays from the first frame to the last, and again more slowly where that fails: players that a busy machine keeps
   * waiting leave frames out or jump. A recording that cannot be played is no better for being played slowly.
   */
  async playThrough() {
    for (;;) {
      try {
        return await this.playOnce();
      } catch (reason) {
        if (!(reason instanceof StepError) || this.rate <= 1) throw reason;
        this.again.push(`${this.rate}x: ${reason.message.slice(0, 80)}`);
        this.rate = Math.max(1, this.rate / 2);
        await this.open();
      }
    }
  }

  async playOnce() {
    const { frames, tolerance } = this.options;
    await this.page.evaluate(players[this.name].play, { url: this.url });
    const end = await this.until('the end', (s) => s.ended);
    const { duration, files, choices } = this.manifest;
    check(Math.abs(end.time - duration) < 0.5, `playback ended at ${end.time} s of ${duration} s`);
    check(end.frames > 0 && end.corrupted === 0, `${end.frames} frames were decoded, ${end.corrupted} of them corrupted`);
    check(!frames || Math.abs(end.frames - frames) <= tolerance, `${end.frames} frames were decoded, not ${frames}: ${JSON.stringify(end)}`);
    check(end.audioBytes > 0, 'no sound was decoded');
    const left = files.filter((f) => !this.requested.has(f));
    check(left.length === 0, `never asked for: ${left.join(' ')}`);
    check(choices.length === 0 || choices.some((f) => this.requested.has(f)), 'no layer was asked for');
    const strange = [...this.requested].filter((f) => !files.includes(f) && !choices.includes(f) && !f.endsWith('.mpd'));
    check(strange.length === 0, `asked for, though the manifest does not name them: ${strange.join(' ')}`);
    return { frames: end.frames, audioBytes: end.audioBytes, segments: files.length, ended: end.time };
  }

  /**
   * Seeks to a time, and again, with a new player, where it then stands still, as dash.js does now and then on a busy
   * machine: a recording that it cannot play from there stops it each time.
   */
  async seek(from, to) {
    for (let tries = 1; ; tries++) {
      try {
        await this.seekOnce(from, to);
        return;
      } catch (reason) {
        if (!(reason instanceof StandsStill) || tries === 3) throw reason;
        this.again.push(from);
        await this.open();
        await this.page.evaluate(players[this.name].play, { url: this.url });
        await this.until('a picture', (s) => s.frames > 0 && s.readyState > 1);
      }
    }
  }

  /** Seeks to a time, or begins there where the player cannot seek to it, and plays on to another. */
  async seekOnce(from, to) {
    if (this.manifest.codecs > 1 && !players[this.name].seeksCodecs) {
      await this.open();
      await this.page.evaluate(players[this.name].play, { url: this.url, from });
    }
    const before = await this.page.evaluate(async (time) => {
      const { video, read } = window.e2e;
      const { frames } = read();
      if (video.readyState === 0) return frames; // it begins at that time
      video.currentTime = time;
      video.play().catch(() => {}); // players pause and go on while they seek; standing still is noticed
      return frames;
    }, from);
    const what = `${to.toFixed(2)} s after seeking to ${from.toFixed(2)} s`;
    await this.until(what, (s) => (s.time >= to || s.ended) && s.frames > before);
  }

  async seekAround() {
    const { starts, lengths, duration } = this.manifest;
    // dash.js ends where it is told to begin between two Periods: the middle is then the end of the one before.
    const within = (at) => {
      const period = starts.findLastIndex((start) => start <= at);
      return Math.min(at, starts[period] + lengths[period] - 0.1);
    };
    const near = (at) => this.seek(within(Math.max(0, at - 0.7)), Math.min(duration, at + 0.7));
    await near(duration / 2);
    for (const start of starts.slice(1).toReversed()) await near(start);
    return starts.length;
  }
}

async function main(browser, options) {
  const result = {};
  for (const name of options.players) {
    const { page, problems } = await openPage(browser, options.base, bare, [options.storage]);
    const segments = countSegments(page);
    const steps = new Steps(page, options.out && `${options.out}/${name}`);
    const run = new Run(page, steps, name, options);
    await steps.run(`${name}: open`, () => run.open());
    result[name] = await steps.run(`${name}: play`, () => run.playThrough());
    result[name].periods = await steps.run(`${name}: seek`, () => run.seekAround());
    result[name].origins = segments;
    result[name].times = steps.times;
    result[name].again = run.again;
    check(problems.length === 0, `${name}: the page reported: ${problems.join(' | ')}`);
    await page.context().close();
  }
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
