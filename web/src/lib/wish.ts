// WHIP (RFC 9725) and WHEP: one HTTP signalling for both directions.

import { offerOnly } from './codecs';
import type { Size } from './format';
import { below, fromServer, request } from './http';
import { simulcastLayers } from './simulcast';
import { authHeaders } from './token';

const gatherLimit = 1500; // ms; host candidates come at once, a slow STUN server is not waited for

export interface PublishOptions {
  endpoint: string;
  media: MediaStream;
  codec: string;
  simulcast: boolean;
}

/** The session URL: Location may be relative to the endpoint, and must be there (RFC 9725 4.2). */
export function sessionURL(location: string | null, endpoint: string): string {
  if (!location) throw new Error('The server answered without a Location header.');
  if (location.startsWith('/')) return fromServer(location, root(endpoint));
  return new URL(location, endpoint).href;
}

/** Below what an endpoint, '.../whip/id', lies. */
const root = (endpoint: string) => endpoint.replace(/[^/]*\/[^/]*$/, '');

/** The addresses for media in an answer, as "host:port". */
export function mediaAddresses(sdp: string): string[] {
  const found = [...sdp.matchAll(/^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ/gim)];
  return found.map(([, host, port]) => (host?.includes(':') ? `[${host}]:${port}` : `${host}:${port}`));
}

/**
 * Whether all of them are loopback ones, which some browsers never use. Such a browser gives up
 * before the server has answered where it has no other address itself: there are none then.
 */
export const onlyLoopback = (addresses: readonly string[]) =>
  addresses.every((a) => /^(127\.|\[::1\])/.test(a));

/** An answer whose video begins at a bit rate, in kbit/s: Chromium looks for that in the parameters of the codecs. */
export function withStartBitrate(sdp: string, kbps: number): string {
  let video = false;
  return sdp
    .split('\r\n')
    .map((line) => {
      if (line.startsWith('m=')) video = line.startsWith('m=video');
      if (!video || !/^a=fmtp:\d+ /.test(line) || /\bapt=/.test(line)) return line;
      return `${line};x-google-start-bitrate=${kbps}`;
    })
    .join('\r\n');
}

/** Has the encoders leave out frames rather than pixels where the machine or the network is slow: a new size begins a Period. */
export async function keepSize(connection: RTCPeerConnection): Promise<void> {
  for (const sender of connection.getSenders()) {
    if (sender.track?.kind !== 'video') continue;
    const parameters = sender.getParameters() as RTCRtpSendParameters & { degradationPreference?: string };
    parameters.degradationPreference = 'maintain-resolution';
    await sender.setParameters(parameters).catch(() => undefined); // a browser that has no such wish
  }
}

/** A WebRTC session with the server. end() may be called at any time and more than once. */
export class WishSession {
  readonly connection: RTCPeerConnection;
  /** Where the server takes media. */
  addresses: string[] = [];
  /** What the answer's video is to begin at, in kbit/s; 0 leaves that to the browser. */
  startBitrate = 0;
  #session = '';
  #ended = false;
  readonly #onPageHide = () => void this.end();

  constructor(connection: RTCPeerConnection) {
    this.connection = connection;
    addEventListener('pagehide', this.#onPageHide);
  }

  /** Sends the offer and applies the answer. On any error, and by signal, the session is ended before it throws. */
  async negotiate(endpoint: string, signal?: AbortSignal): Promise<void> {
    try {
      const absolute = below(endpoint);
      await this.connection.setLocalDescription();
      await gathered(this.connection);
      const response = await request(absolute, {
        method: 'POST',
        headers: { 'Content-Type': 'application/sdp', Accept: 'application/sdp' },
        body: this.connection.localDescription?.sdp ?? '',
        ...(signal && { signal }),
      });
      // After a redirect the endpoint is where the answer came from.
      this.#session = sessionURL(response.headers.get('Location'), response.url || absolute);
      const sdp = await response.text();
      this.addresses = mediaAddresses(sdp);
      if (this.#ended) {
        await this.#delete(); // stopped while the answer was on its way
        return;
      }
      await this.connection.setRemoteDescription({ type: 'answer', sdp: this.startBitrate ? withStartBitrate(sdp, this.startBitrate) : sdp });
    } catch (reason) {
      await this.end();
      throw reason;
    }
  }

  /** Closes the connection and tells the server. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    removeEventListener('pagehide', this.#onPageHide);
    this.connection.close();
    await this.#delete();
  }

  async #delete(): Promise<void> {
    const url = this.#session;
    if (!url) return;
    this.#session = '';
    // keepalive lets the request outlive the page. Failure needs no report: the server
    // notices by itself that the peer is gone.
    await fetch(url, { method: 'DELETE', headers: authHeaders(), keepalive: true }).catch(() => {});
  }
}

/** Resolves when ICE gathering is complete, after gatherLimit at the latest. */
function gathered(connection: RTCPeerConnection): Promise<void> {
  return new Promise((resolve) => {
    const check = () => {
      if (connection.iceGatheringState !== 'complete') return;
      end();
    };
    const end = () => {
      clearTimeout(timer);
      connection.removeEventListener('icegatheringstatechange', check);
      resolve();
    };
    const timer = setTimeout(end, gatherLimit);
    connection.addEventListener('icegatheringstatechange', check);
    check();
  });
}

const peer = () => new RTCPeerConnection({ bundlePolicy: 'max-bundle' });

/** A session that sends media; negotiate() has yet to be called. */
export function publishSession({ media, codec, simulcast }: Omit<PublishOptions, 'endpoint'>): WishSession {
  const connection = peer();
  for (const track of media.getTracks()) {
    const transceiver = connection.addTransceiver(track, {
      direction: 'sendonly',
      streams: [media],
      ...(simulcast && track.kind === 'video' && { sendEncodings: simulcastLayers() }),
    });
    if (track.kind !== 'video') continue;
    const offered = offerOnly(RTCRtpSender.getCapabilities('video')?.codecs ?? [], codec);
    if (offered.length > 0) transceiver.setCodecPreferences(offered);
  }
  return new WishSession(connection);
}

/** A session that receives into the stream it returns; negotiate() has yet to be called. */
export function watchSession(): { session: WishSession; media: MediaStream } {
  const connection = peer();
  const media = new MediaStream();
  connection.addTransceiver('video', { direction: 'recvonly' });
  connection.addTransceiver('audio', { direction: 'recvonly' });
  connection.addEventListener('track', (event) => media.addTrack(event.track));
  return { session: new WishSession(connection), media };
}

/** What leaves the browser now. */
export interface OutgoingStats {
  bitrate: number; // bit/s of both kinds
  layers: Size[]; // of the encodings that are being sent, the biggest first; one where there is no simulcast
  width: number; // of the biggest
  height: number;
  fps: number;
  framesSent: number;
  codec: string; // negotiated video codec, '' without video
  limited: string; // qualityLimitationReason: 'none', 'cpu', 'bandwidth', 'other'
  silent: number; // ms since anything came from the server
}

/** One encoding of the video. */
interface Encoding extends Size {
  fps: number;
  framesSent: number;
  limited: string;
}

/** Measures a connection's outgoing media; each call looks back to the call before. */
export function outgoingMeter(connection: RTCPeerConnection): () => Promise<OutgoingStats> {
  let lastBytes = 0;
  let lastTime = 0;
  let heard = 0; // packets that came from the server
  let heardAt = performance.now();
  return async () => {
    const report = await connection.getStats();
    const encodings: Encoding[] = [];
    let bitrate = 0;
    let codec = '';
    let bytes = 0;
    let time = 0;
    let packets = 0;
    report.forEach((entry) => {
      if (entry.type === 'candidate-pair') packets += (entry.packetsReceived ?? 0) + (entry.responsesReceived ?? 0);
      if (entry.type !== 'outbound-rtp') return;
      bytes += entry.bytesSent ?? 0;
      time = Math.max(time, entry.timestamp);
      if (entry.kind !== 'video') return;
      encodings.push({
        width: entry.frameWidth ?? 0,
        height: entry.frameHeight ?? 0,
        fps: entry.framesPerSecond ?? 0,
        framesSent: entry.framesSent ?? 0,
        limited: entry.qualityLimitationReason ?? 'none',
      });
      const used = entry.codecId ? report.get(entry.codecId) : undefined;
      codec ||= String(used?.mimeType ?? '').replace(/^video\//, '');
    });
    if (lastTime > 0 && time > lastTime) {
      bitrate = Math.max(0, ((bytes - lastBytes) * 8000) / (time - lastTime));
    }
    lastBytes = bytes;
    lastTime = time;
    if (packets !== heard || packets === 0) heardAt = performance.now(); // a browser that counts none is not judged
    heard = packets;
    encodings.sort((a, b) => b.width - a.width);
    const sent = encodings.filter((encoding) => encoding.fps > 0);
    const main = sent[0] ?? encodings[0] ?? { width: 0, height: 0, fps: 0, framesSent: 0, limited: 'none' };
    const silent = performance.now() - heardAt;
    return { ...main, silent, bitrate, codec, layers: sent.map(({ width, height }) => ({ width, height })) };
  };
}

/** What arrives in the browser now. */
export interface IncomingStats {
  bitrate: number; // bit/s of both kinds
  lost: number; // share of the packets since the last reading, 0 to 1
  width: number;
  height: number;
}

/** Measures a connection's incoming media; each call looks back to the call before, and the first says nothing. */
export function incomingMeter(connection: RTCPeerConnection): () => Promise<IncomingStats | undefined> {
  let last: { bytes: number; received: number; lost: number; time: number } | undefined;
  return async () => {
    const now = { bytes: 0, received: 0, lost: 0, time: 0 };
    let size: Size = { width: 0, height: 0 };
    (await connection.getStats()).forEach((entry) => {
      if (entry.type !== 'inbound-rtp') return;
      now.bytes += entry.bytesReceived ?? 0;
      now.received += entry.packetsReceived ?? 0;
      now.lost += Math.max(0, entry.packetsLost ?? 0);
      now.time = Math.max(now.time, entry.timestamp);
      if (entry.kind === 'video') size = { width: entry.frameWidth ?? 0, height: entry.frameHeight ?? 0 };
    });
    const before = last;
    last = now;
    if (!before || now.time <= before.time) return undefined;
    const lost = Math.max(0, now.lost - before.lost);
    const all = lost + Math.max(0, now.received - before.received);
    return { bitrate: Math.max(0, (now.bytes - before.bytes) * 8000) / (now.time - before.time), lost: all > 0 ? lost / all : 0, ...size };
  };
}
