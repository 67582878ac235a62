import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { offerOnly } from '../src/lib/codecs';
import { setToken } from '../src/lib/token';
import { simulcastLayers } from '../src/lib/simulcast';
import { below, fromServer } from '../src/lib/http';
import { mediaAddresses, onlyLoopback, outgoingMeter, publishSession, sessionURL, WishSession } from '../src/lib/wish';

const capabilities = [
  { mimeType: 'video/VP8' },
  { mimeType: 'video/rtx' },
  { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=0;profile-level-id=42e01f' },
  { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=1;profile-level-id=42001f' },
  { mimeType: 'video/VP9', sdpFmtpLine: 'profile-id=0' },
  { mimeType: 'video/red' },
];

test('only the chosen codec and rtx are offered, packetization mode 1 first', () => {
  const lines = (name: string) => offerOnly(capabilities, name).map((c) => c.sdpFmtpLine ?? c.mimeType);
  expect(lines('H264')).toEqual([
    'packetization-mode=1;profile-level-id=42001f',
    'packetization-mode=0;profile-level-id=42e01f',
    'video/rtx',
  ]);
  expect(lines('VP9')).toEqual(['profile-id=0', 'video/rtx']);
  expect(lines('vp8')).toEqual(['video/VP8', 'video/rtx']);
  expect(lines('AV1')).toEqual([]);
});

test('Location is resolved against the endpoint', () => {
  const endpoint = 'https://node.example/whip/cam';
  expect(sessionURL('/session/cam/1', endpoint)).toBe('https://node.example/session/cam/1');
  expect(sessionURL('1', endpoint)).toBe('https://node.example/whip/1');
  expect(sessionURL('https://other.example/s', endpoint)).toBe('https://other.example/s');
  expect(() => sessionURL(null, endpoint)).toThrow('Location');
});

test('a session is below what the server is below', () => {
  const endpoint = 'https://node.example/studio/whip/cam';
  expect(sessionURL('/studio/session/cam/1', endpoint)).toBe('https://node.example/studio/session/cam/1');
  expect(sessionURL('/session/cam/1', endpoint)).toBe('https://node.example/studio/session/cam/1');
});

test('paths of the server are below the page', () => {
  expect(below('/api/info', 'https://node.example/')).toBe('https://node.example/api/info');
  expect(below('/api/info', 'https://node.example/a/b/')).toBe('https://node.example/a/b/api/info');
  expect(below('https://other.example/x', 'https://node.example/a/')).toBe('https://other.example/x');
  expect(fromServer('/api/play/t/x', 'https://node.example/a/')).toBe('https://node.example/a/api/play/t/x');
  expect(fromServer('/a/api/play/t/x', 'https://node.example/a/')).toBe('https://node.example/a/api/play/t/x');
  expect(fromServer('/api/play/t/x', 'https://node.example/')).toBe('https://node.example/api/play/t/x');
});

test('the addresses for media tell whether Firefox can use them', () => {
  const line = (address: string) => `a=candidate:1 1 udp 2130706431 ${address} 7777 typ host ufrag x\r\n`;
  const twice = `${line('127.0.0.1')}${line('127.0.0.1').replace(' 1 udp', ' 2 udp')}`;
  expect(mediaAddresses(twice)).toEqual(['127.0.0.1:7777']);
  expect(onlyLoopback(mediaAddresses(twice + line('::1')))).toBe(true);
  expect(onlyLoopback(mediaAddresses(twice + line('192.0.2.1')))).toBe(false);
  expect(onlyLoopback([])).toBe(true);
});

/** What WishSession uses of a connection. */
class FakeConnection extends EventTarget {
  iceGatheringState = 'complete';
  localDescription: { sdp: string } | null = null;
  answer = '';
  closed = false;
  async setLocalDescription() {
    this.localDescription = { sdp: 'offer' };
  }
  async setRemoteDescription({ sdp }: { sdp: string }) {
    if (this.closed) throw new Error('set on a closed connection');
    this.answer = sdp;
  }
  close() {
    this.closed = true;
  }
}

let page: EventTarget;

beforeEach(() => {
  page = new EventTarget();
  vi.stubGlobal('document', { baseURI: 'http://node.example/' });
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page));
});

afterEach(() => {
  vi.unstubAllGlobals();
  setToken('');
});

function session() {
  const connection = new FakeConnection();
  return { connection, session: new WishSession(connection as unknown as RTCPeerConnection) };
}

function serve(answer: () => Response) {
  const fetch = vi.fn().mockImplementation(async (_url, init: RequestInit) =>
    init.method === 'POST' ? answer() : new Response(null, { status: 200 }),
  );
  vi.stubGlobal('fetch', fetch);
  return () => fetch.mock.calls.map(([url, init]) => ({ url: String(url), init: init as RequestInit }));
}

const created = () =>
  new Response('answer', { status: 201, headers: { Location: '/session/cam/1', 'Content-Type': 'application/sdp' } });

test('offer, answer, and DELETE of the session with the token', async () => {
  setToken('secret');
  const calls = serve(created);
  const { connection, session: s } = session();
  await s.negotiate('/whip/cam');
  expect(connection.answer).toBe('answer');
  await s.end();
  await s.end();
  expect(connection.closed).toBe(true);
  const [post, del, ...rest] = calls();
  expect(rest).toEqual([]);
  expect(post?.url).toBe('http://node.example/whip/cam');
  expect(post?.init.body).toBe('offer');
  const sent = new Headers(post?.init.headers);
  expect([sent.get('Content-Type'), sent.get('Authorization')]).toEqual(['application/sdp', 'Bearer secret']);
  expect(del?.url).toBe('http://node.example/session/cam/1');
  expect(del?.init).toMatchObject({ method: 'DELETE', keepalive: true, headers: { Authorization: 'Bearer secret' } });
});

test('leaving the page ends the session', async () => {
  const calls = serve(created);
  const { session: s } = session();
  await s.negotiate('/whip/cam');
  page.dispatchEvent(new Event('pagehide'));
  expect(calls().map(({ init }) => init.method)).toEqual(['POST', 'DELETE']);
});

test('a session that is ended before its answer comes is deleted all the same', async () => {
  let answer: (response: Response) => void = () => {};
  const fetch = vi.fn().mockImplementation((_url, init: RequestInit) => {
    if (init.method !== 'POST') return Promise.resolve(new Response(null));
    return new Promise<Response>((resolve) => {
      answer = resolve;
    });
  });
  vi.stubGlobal('fetch', fetch);
  const { session: s } = session();
  const negotiated = s.negotiate('/whip/cam');
  await vi.waitFor(() => expect(fetch).toHaveBeenCalledOnce());
  await s.end();
  answer(created());
  await negotiated;
  expect(fetch.mock.calls.map(([, init]) => (init as RequestInit).method)).toEqual(['POST', 'DELETE']);
});

test('a refusal throws the server’s words and closes the connection', async () => {
  const calls = serve(() => new Response('{"error":"stream cam has a publisher"}', { status: 409 }));
  const { connection, session: s } = session();
  await expect(s.negotiate('/whip/cam')).rejects.toThrow('stream cam has a publisher');
  expect(connection.closed).toBe(true);
  expect(calls()).toHaveLength(1);
});

test('the meter measures between two readings', async () => {
  const readings = [
    { timestamp: 1000, bytesSent: 1000 },
    { timestamp: 2000, bytesSent: 126_000 },
  ];
  const getStats = async () =>
    new Map<string, object>([
      ['c', { type: 'codec', mimeType: 'video/VP9' }],
      ['v', { type: 'outbound-rtp', kind: 'video', codecId: 'c', frameWidth: 640, frameHeight: 360, ...readings.shift() }],
      ['r', { type: 'remote-inbound-rtp', bytesSent: 5 }],
    ]);
  const measure = outgoingMeter({ getStats } as unknown as RTCPeerConnection);
  expect(await measure()).toMatchObject({ bitrate: 0, codec: 'VP9', width: 640 });
  expect(await measure()).toMatchObject({ bitrate: 1_000_000, height: 360 });
});

test('the layers halve, each with an RTP stream of its own', () => {
  const layers = simulcastLayers();
  expect(layers.map((layer) => layer.scaleResolutionDownBy)).toEqual([1, 2, 4]);
  expect(new Set(layers.map((layer) => layer.rid)).size).toBe(3);
  expect(layers.every((layer) => layer.scalabilityMode === 'L1T1')).toBe(true);
});

test.each([true, false])('video alone has layers: simulcast %s', (simulcast) => {
  const added: [string, RTCRtpTransceiverInit][] = [];
  class Connection extends FakeConnection {
    addTransceiver(track: MediaStreamTrack, init: RTCRtpTransceiverInit) {
      added.push([track.kind, init]);
      return { setCodecPreferences: () => {} };
    }
  }
  vi.stubGlobal('RTCPeerConnection', Connection);
  vi.stubGlobal('RTCRtpSender', { getCapabilities: () => ({ codecs: capabilities }) });
  const media = { getTracks: () => [{ kind: 'audio' }, { kind: 'video' }] } as unknown as MediaStream;
  publishSession({ media, codec: 'VP9', simulcast });
  expect(added.map(([kind, { sendEncodings }]) => [kind, sendEncodings?.length])).toEqual([
    ['audio', undefined],
    ['video', simulcast ? 3 : undefined],
  ]);
});

test('the meter describes the biggest layer that is being sent, and lists all', async () => {
  const layer = (id: string, frameWidth: number, framesPerSecond: number) =>
    [id, { type: 'outbound-rtp', kind: 'video', frameWidth, frameHeight: frameWidth / 2, framesPerSecond, timestamp: 1 }] as const;
  const getStats = async () => new Map<string, object>([layer('l', 320, 20), layer('h', 1280, 0), layer('m', 640, 19)]);
  const stats = await outgoingMeter({ getStats } as unknown as RTCPeerConnection)();
  expect(stats).toMatchObject({ width: 640, fps: 19 });
  expect(stats.layers.map(({ width }) => width)).toEqual([640, 320]);
});
