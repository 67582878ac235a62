// A server with the built page and made-up answers: for looking at the page without a node.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = fileURLToPath(new URL('../../internal/serve/web/dist', import.meta.url));
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

const session = (id) => ({ id, createdAt: 1719326206947, state: 'connected' });

function stream(id, codecs, viewers, recording) {
  const live = codecs.length > 0;
  return {
    id,
    createdAt: 1719326206862,
    publish: { leaveAt: live ? 0 : 1719326206862, sessions: live ? [session('p')] : [] },
    subscribe: { leaveAt: 0, sessions: Array.from({ length: viewers }, (_, i) => session(`v${i}`)) },
    tracks: codecs.map((codec) => ({ kind: codec === 'opus' ? 'audio' : 'video', codec })),
    recording,
  };
}

function recording(streamId, start, status, extra = {}) {
  const dir = `${streamId}/${start}`;
  return {
    stream: streamId,
    record_id: String(start),
    record_dir: dir,
    mpd_path: `${dir}/manifest.mpd`,
    start: new Date(start * 1000).toISOString(),
    duration: 4210.4,
    bytes: 1_073_741_824,
    status,
    tracks: [
      { kind: 'video', codec: 'H264', width: 1280, height: 720, recorded: true },
      { kind: 'video', codec: 'H264', width: 640, height: 360, recorded: true, rid: 'm', layer: 1 },
      { kind: 'video', codec: 'H264', width: 320, height: 180, recorded: true, rid: 'l', layer: 2 },
      { kind: 'audio', codec: 'opus', recorded: true },
    ],
    periods: 1,
    ...extra,
  };
}

/**
 * Starts the server on a free port of the loopback interface; token guards everything but
 * /api/info. With an account, { name, password, rights }, one can log in too. With nodes it is
 * a manager, which lists them.
 */
export async function startMock({ token, account, nodes }) {
  let session = '';
  let problems = [];
  const streams = [
    stream('door-camera', ['H264', 'opus'], 2, true),
    stream('a-stream-with-quite-a-long-name-that-has-to-wrap-somewhere-on-a-phone', ['VP9', 'opus'], 0, false),
    stream('silent', [], 0, false),
  ];
  const feeds = new Set();
  let reads = 0; // of the sums, which grow
  const tell = () => {
    for (const feed of feeds) feed.write(`data: ${JSON.stringify(streams)}\n\n`);
  };
  const json = (res, status, value, headers = {}) => {
    res.writeHead(status, { 'content-type': 'application/json', ...headers });
    res.end(JSON.stringify(value));
  };
  const recordings = [
    recording('door-camera', 1795348800, 'recording', { duration: 124, bytes: 31_000_000 }),
    recording('door-camera', 1795262400, 'complete'),
    recording('door-camera', 1795176000, 'degraded', { reason: '3 packets were lost on the way here' }),
    recording('door-camera', 1795089600, 'failed', { reason: 'storage is full', duration: 0, bytes: 0 }),
    ...Array.from({ length: 20 }, (_, i) => recording('door-camera', 1795003200 - i * 86_400, 'complete')),
  ];
  const routes = {
    'GET /api/info': (res) => json(res, 200, {
        name: nodes ? 'liveman' : 'live777', version: 'v0.1.0', node: 'node-001', features: account ? ['recorder', 'accounts'] : ['recorder'],
      }),
    'GET /api/me': (res) =>
      json(res, 200, session
        ? { kind: 'account', name: account.name, rights: account.rights, streams: ['*'] }
        : { kind: 'token', name: '', rights: ['publish', 'subscribe', 'view', 'record', 'delete', 'admin'], streams: ['*'] }),
    'POST /api/login': (res, { name, password }) => {
      if (name !== account?.name || password !== account.password) return json(res, 401, { error: 'there is no such name with this password' });
      session = `s${Math.random()}`;
      json(res, 200, { token: session }, { 'set-cookie': `session=${session}; Path=/; HttpOnly; SameSite=Strict` });
    },
    'POST /api/logout': (res) => {
      session = '';
      for (const feed of feeds) feed.end();
      res.writeHead(204, { 'set-cookie': 'session=; Path=/; Max-Age=0' });
      res.end();
    },
    'POST /api/sign/door-camera/1795262400': (res) =>
      json(res, 200, { url: '/api/play/abc/door-camera/1795262400/manifest.mpd', expires: new Date(Date.now() + 3_600_000).toISOString() }),
    'GET /api/sse/streams': (res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      feeds.add(res);
      res.on('close', () => feeds.delete(res));
      tell();
    },
    'GET /api/problems': (res) => json(res, 200, { problems }),
    ...(nodes && { 'GET /api/nodes/': (res) => json(res, 200, nodes) }),
    'GET /api/playback': (res) =>
      json(res, 200, [
        { stream: 'door-camera', recordings: 24, last_start: '2026-11-22T12:00:00Z', duration: 86_400, bytes: 5.2e10 + 1e9 * reads++ },
        { stream: 'silent', recordings: 1, last_start: '2026-11-20T12:00:00Z', duration: 61, bytes: 1.5e6 },
      ]),
    'GET /api/playback/door-camera': (res, _, query) => {
      const from = Number(query.get('after'));
      const page = recordings.slice(from, from + Number(query.get('limit')));
      const end = from + page.length;
      json(res, 200, {
        stream: 'door-camera', total: recordings.length, recordings: page, ...(end < recordings.length ? { next: `${end}` } : {}),
      });
    },
    'POST /whep/door-camera': (res) => json(res, 409, { error: 'the stream has no publisher now' }),
    'POST /whip/camera': (res) => json(res, 409, { error: 'stream "camera" has a publisher; stop it or choose another id' }),
    'DELETE /api/record/door-camera': (res) => {
      streams[0].recording = false;
      json(res, 200, { id: 'door-camera', recording: false, stopped: true });
      tell();
    },
    'POST /api/record/door-camera': (res) => json(res, 507, { error: 'no space is left where recordings are written' }),
    'GET /api/record/door-camera': (res) =>
      json(res, 200, streams[0].recording
        ? { recording: true, started_at: new Date(Date.now() - 124_000).toISOString(), bytes: 31_000_000 }
        : { recording: false }),
  };
  const open = ['/api/info', '/api/login', '/api/logout'];
  const known = ({ authorization, cookie }) =>
    authorization ? authorization === `Bearer ${token}` : session !== '' && cookie === `session=${session}`;
  const server = createServer(async (req, res) => {
    const { pathname, searchParams } = new URL(req.url, 'http://mock');
    const guarded = /^\/(api|whip|whep|session)\//.test(pathname) && !open.includes(pathname);
    if (guarded && !known(req.headers)) return json(res, 401, { error: 'credentials are needed' });
    const route = routes[`${req.method} ${pathname}`];
    if (route) return route(res, pathname === '/api/login' ? JSON.parse(Buffer.concat(await req.toArray())) : undefined, searchParams);
    if (guarded) return json(res, 404, { error: 'no such thing' });
    const name = pathname === '/' ? 'index.html' : normalize(pathname);
    try {
      const content = await readFile(join(dist, name));
      res.writeHead(200, { 'content-type': types[extname(name)] ?? 'application/octet-stream' });
      res.end(content);
    } catch {
      json(res, 404, { error: 'no such file; was the page built?' });
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    /** Another publisher, or none where there are no codecs, is at the stream door-camera. */
    publish: (codecs) => {
      streams[0] = stream('door-camera', codecs, 2, true);
      tell();
    },
    /** From now on this is wrong. */
    wrong: (list) => {
      problems = list;
    },
    endFeeds: () => {
      for (const feed of feeds) feed.end();
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
