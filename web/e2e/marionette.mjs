// Firefox as the scripts need it: Debian's firefox-esr, driven by Marionette, which every Firefox has. The protocol is
// JSON over TCP, each message with its length in front.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, StepError } from './lib.mjs';

const preferences = {
  'marionette.port': 0, // a free one
  'media.navigator.streams.fake': true, // a camera and a microphone for machines without
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  'media.autoplay.block-webaudio': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.page': 0,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

const startSeconds = 90;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Firefox {
  #socket;
  #buffer = Buffer.alloc(0);
  #waiting = new Map();
  #next = 1;

  /** Starts a browser with a fresh profile, which its close removes. */
  static async start(more = {}) {
    const program = process.env.FIREFOX || '/usr/bin/firefox-esr';
    check(existsSync(program), `no browser at ${program}: install firefox-esr or set FIREFOX`);
    const firefox = new Firefox();
    process.once('exit', () => firefox.#kill()); // a script that gives up leaves no browser behind
    firefox.profile = await mkdtemp(join(tmpdir(), 'firefox-'));
    const lines = Object.entries({ ...preferences, ...more }).map(([k, v]) => `user_pref(${JSON.stringify(k)}, ${JSON.stringify(v)});\n`);
    await writeFile(join(firefox.profile, 'user.js'), lines.join(''));
    const PULSE_SERVER = await firefox.#loudspeaker();
    firefox.process = spawn(program, ['--headless', '--marionette', '--no-remote', '--profile', firefox.profile],
      { stdio: 'ignore', env: { ...process.env, HOME: firefox.profile, MOZ_CRASHREPORTER_DISABLE: '1', PULSE_SERVER } });
    firefox.ended = new Promise((resolve) => firefox.process.once('exit', resolve));
    await firefox.#connect();
    return firefox;
  }

  /** A loudspeaker that nobody hears: without one nothing can be heard in a page either. */
  async #loudspeaker() {
    const program = '/usr/bin/pulseaudio';
    check(existsSync(program), `no ${program}: install pulseaudio`);
    const file = join(this.profile, 'loudspeaker');
    this.sound = spawn(program, ['-n', '--daemonize=no', '--use-pid-file=no', '--exit-idle-time=-1', '--disable-shm', '--load=module-null-sink',
      `--load=module-native-protocol-unix socket=${file} auth-anonymous=1`],
    { stdio: 'ignore', env: { ...process.env, HOME: this.profile, XDG_RUNTIME_DIR: this.profile, DBUS_SESSION_BUS_ADDRESS: 'unix:path=/dev/null' } });
    for (let ms = 0; !existsSync(file); ms += 50) {
      check(ms < startSeconds * 1000 && this.sound.exitCode === null, `pulseaudio did not start: ${this.sound.exitCode ?? 'too slow'}`);
      await pause(50);
    }
    return `unix:${file}`;
  }

  async #connect() {
    const file = join(this.profile, 'MarionetteActivePort');
    for (let ms = 0; !existsSync(file); ms += 50) {
      check(ms < startSeconds * 1000 && this.process.exitCode === null, `Firefox did not start: ${this.process.exitCode ?? 'too slow'}`);
      await pause(50);
    }
    const greeted = new Promise((resolve, reject) => {
      this.#waiting.set('hello', { resolve, reject });
    });
    this.#socket = connect(Number(await readFile(file, 'utf8')), '127.0.0.1');
    this.#socket.on('data', (data) => this.#read(data));
    this.#socket.on('close', () => this.#fail('Firefox hung up'));
    this.#socket.on('error', (error) => this.#fail(error.message));
    await greeted;
    const { capabilities } = await this.command('WebDriver:NewSession', {});
    this.version = capabilities.browserVersion;
    await this.command('WebDriver:SetTimeouts', { script: 600_000, pageLoad: 60_000 });
  }

  #fail(why) {
    for (const { reject } of this.#waiting.values()) reject(new StepError(why));
    this.#waiting.clear();
  }

  #read(data) {
    this.#buffer = Buffer.concat([this.#buffer, data]);
    for (;;) {
      const colon = this.#buffer.indexOf(':');
      const length = colon < 0 ? NaN : Number(this.#buffer.subarray(0, colon));
      if (!(this.#buffer.length >= colon + 1 + length)) return;
      this.#message(JSON.parse(this.#buffer.subarray(colon + 1, colon + 1 + length)));
      this.#buffer = this.#buffer.subarray(colon + 1 + length);
    }
  }

  #message(message) {
    const [, id, error, result] = Array.isArray(message) ? message : [1, 'hello', null, message];
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(new StepError(`${error.error}: ${error.message}`));
    else waiting?.resolve(result);
  }

  command(name, parameters) {
    const id = this.#next++;
    const text = JSON.stringify([0, id, name, parameters]);
    this.#socket.write(`${Buffer.byteLength(text)}:${text}`);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
  }

  open(url) {
    return this.command('WebDriver:Navigate', { url });
  }

  /** Runs a function in the page, and returns what it returns; it may be async. Globals of the functions are kept. */
  async run(work, ...args) {
    const script = `const done = arguments[arguments.length - 1];
      Promise.resolve((${work})(...Array.from(arguments).slice(0, -1))).then((value) => done({ value }), (e) => done({ error: String(e) }));`;
    const { value } = await this.command('WebDriver:ExecuteAsyncScript', { script, args, newSandbox: false, sandbox: 'e2e' });
    check(value.error === undefined, value.error);
    return value.value;
  }

  /** Runs a function in the page again and again until it returns something. */
  async until(what, work, ...args) {
    for (let begin = performance.now(); ; await pause(100)) {
      const value = await this.run(work, ...args);
      if (value) return value;
      check(performance.now() - begin < 60_000, `${what} did not come within 60 s`);
    }
  }

  /** A screenshot of the page. */
  async picture(file) {
    const { value } = await this.command('WebDriver:TakeScreenshot', { full: true });
    await writeFile(file, Buffer.from(value, 'base64'));
  }

  #kill() {
    this.process?.kill('SIGKILL');
    this.sound?.kill('SIGKILL');
  }

  async close() {
    if (this.#socket && this.process.exitCode === null) {
      await Promise.race([this.command('Marionette:Quit', { flags: ['eForceQuit'] }).catch(() => {}), pause(5_000)]);
    }
    await Promise.race([this.ended, pause(5_000)]);
    this.#kill();
    await this.ended;
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
