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
 * a manager, which lists them. With many, { streams, recordings }, it has so many more.
 */
export async function startMock({ token, account, nodes, many }) {
  let session = '';
  let problems = [];
  const streams = [
    stream('door-camera', ['H264', 'opus'], 2, true),
    stream('a-stream-with-quite-a-long-name-that-has-to-wrap-somewhere-on-a-phone', ['VP9', 'opus'], 0, false),
    stream('silent', [], 0, false),
    ...Array.from({ length: many?.streams ?? 0 }, (_, i) => ({ ...stream(`cam${i + 1}`, ['H264', 'opus'], 0, true), recordingSince: Date.now() - 60_000 * i })),
  ];
  const asked = []; // method and path of each request
  const feeds = new Set();
  let reads = 0; // of the sums, which grow
  const tell = () => {
    for (const feed of feeds) feed.write(`data: ${JSON.stringify(streams)}\n\n`);
  };
  const json = (res, status, value, headers = {}) => {
    res.writeHead(status, { 'content-type': 'application/json', ...headers });
    res.end(JSON.stringify(value));
  };
  const at = (ago) => new Date(Date.now() - ago * 1000).toISOString();
  const recordings = [
    recording('door-camera', Math.floor(Date.now() / 1000) - 124, 'recording', { duration: 124, bytes: 31_000_000 }),
    recording('door-camera', 1795262400, 'complete'),
    recording('door-camera', 1795176000, 'degraded', {
      reason: '3 packets were lost on the way here',
      tracks: [{
        kind: 'video', codec: 'H264', width: 1280, height: 720, recorded: true, packets_lost: 3,
        gaps: [{ start: 600, duration: 40, cause: 'loss' }, { start: 2000, duration: 300, cause: 'pause', filled: true }],
      }],
    }),
    recording('door-camera', 1795089600, 'failed', { reason: 'storage is full', duration: 0, bytes: 0 }),
    ...Array.from({ length: 20 }, (_, i) => recording('door-camera', 1795003200 - i * 86_400, 'complete')),
    recording('gate', 1795262400, 'complete', { tracks: [{ kind: 'video', codec: 'VP8', width: 640, height: 360, recorded: true }] }),
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
    'GET /api/events/log': (res, _, query) => {
      const all = [
        { seq: 5, time: at(10), kind: 'server', type: 'problem.began', level: 'error', place: 'storage', code: 'storage_full', text: 'no space is left' },
        { seq: 4, time: at(60), kind: 'recording', type: 'recording.ended', level: 'warning', stream: 'door-camera', status: 'degraded', cause: 'loss', seconds: 4210 },
        { seq: 3, time: at(70), kind: 'session', type: 'session.left', level: 'info', stream: 'door-camera', side: 'viewer', seconds: 12 },
        { seq: 1, time: at(90), kind: 'recording', type: 'recording.started', level: 'info', stream: 'door-camera' },
      ];
      const events = all.filter(({ kind, level }) => [null, kind].includes(query.get('kind')) && (!query.has('level') || level !== 'info'));
      json(res, 200, { events, since: at(3600), more: false });
    },
    'GET /api/webhooks': (res) =>
      json(res, 200, {
        targets: [
          { name: 'https://example.com/hooks/live777', kind: 'webhook', to: 'https://example.com/hooks/live777', failing: false, error: '422 Unprocessable Entity', retrying: 1, next_try: at(-120), waiting: 3, oldest_waiting: at(90), last_delivered: at(5), delivered: 41, failed: 7, expired: 0, left_out: 2 },
          { name: 'archive', kind: 'hook', to: '/usr/local/bin/archive', failing: false, retrying: 0, waiting: 0, delivered: 0, failed: 0, expired: 0, left_out: 0 },
        ],
        waiting_bytes: 4711, max_bytes: 1 << 28, keep_hours: 72, unwritten: 0,
      }),
    'GET /api/webhooks/deliveries': (res, _, query) => {
      const all = [
        { n: 3, time: at(5), target: 'https://example.com/hooks/live777', id: 'b', type: 'recording.ended', subject: 'door-camera', attempt: 1, outcome: 'delivered', status: 204, took_ms: 12 },
        { n: 2, time: at(8), target: 'https://example.com/hooks/live777', id: 'a', type: 'stream.started', subject: 'silent', attempt: 4, outcome: 'failed', status: 422, error: '422 Unprocessable Entity', took_ms: 30 },
        { n: 1, time: at(9), target: 'gone', id: 'c', type: 'disk.low', subject: 'storage', attempt: 1, outcome: 'delivered', took_ms: 800 },
      ];
      json(res, 200, { deliveries: all.filter(({ target }) => !query.get('target') || target === query.get('target')) });
    },
    'GET /api/config': (res) => json(res, 200, { toml: '[http]\nlisten = ":7777"\n\n[auth]\ntokens = ["********"]\n' }),
    'DELETE /session/door-camera/v1': (res) => {
      streams[0].subscribe.sessions = streams[0].subscribe.sessions.filter(({ id }) => id !== 'v1');
      res.writeHead(200).end();
      tell();
    },
    'GET /api/deletions': (res) => json(res, 200, { deletions: [] }),
    ...Object.fromEntries(['door-camera', 'gate'].map((id) => [`POST /api/sign/${id}/1795262400`, (res) =>
      json(res, 200, { url: `/api/play/abc/${id}/1795262400/manifest.mpd`, expires: new Date(Date.now() + 3_600_000).toISOString() })])),
    'GET /api/sse/streams': (res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      feeds.add(res);
      res.on('close', () => feeds.delete(res));
      tell();
    },
    'GET /api/problems': (res) => json(res, 200, { problems }),
    ...(nodes && { 'GET /api/nodes/': (res) => json(res, 200, nodes) }),
    'GET /api/load': (res) =>
      json(res, 200, {
        streams: streams.length, publishers: 2, viewers: 2, recordings: 1, time: new Date().toISOString(),
        traffic: { received_bps: 4e6 + 1e5 * reads, sent_bps: 8e6 }, process: { cpu: 0.4, cpus: 4, memory_bytes: 8e7 },
        storage: { type: 'fs', free_bytes: 4.1e11, failing: false, failed_recordings: 0 }, problems,
      }),
    'GET /api/archive': (res) =>
      json(res, 200, [
        { stream: 'door-camera', recordings: 24, last_start: '2026-11-22T12:00:00Z', last: new Date().toISOString(), running: recordings[0].status === 'recording', duration: 86_400, bytes: 5.2e10 + 1e9 * reads++ },
        { stream: 'gate', recordings: 3, last_start: new Date(Date.now() - 7_200_000).toISOString(), last: new Date(Date.now() - 3_600_000).toISOString(), duration: 3600, bytes: 1e9 },
        { stream: 'silent', recordings: 1, last_start: '2026-11-20T12:00:00Z', last: '2026-11-20T12:01:01Z', duration: 61, bytes: 1.5e6 },
        ...Array.from({ length: many?.streams ?? 0 }, (_, i) => ({
          stream: `cam${i + 1}`, recordings: many.recordings, last_start: new Date(Date.now() - 60_000 * i).toISOString(), last: new Date().toISOString(), running: true, duration: 3600 * many.recordings, bytes: 1e12,
        })),
      ]),
    'POST /whep/door-camera': (res) => json(res, 409, { error: 'the stream has no publisher now' }),
    'POST /whip/camera': (res) => json(res, 409, { error: 'stream "camera" has a publisher; stop it or choose another id' }),
    'PATCH /api/record/door-camera': (res) => {
      if (recordings[0].paused_since) delete recordings[0].paused_since;
      else recordings[0].paused_since = new Date().toISOString();
      json(res, 200, { recording: true });
    },
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
  /** A page of the recordings of a stream: those of door-camera, or as many as there are to be, an hour each. */
  const recordingsOf = (id) => {
    const hour = Math.floor(Date.now() / 3_600_000) * 3600;
    return id.startsWith('cam')
      ? Array.from({ length: many.recordings }, (_, i) => recording(id, hour - 3600 * i, i === 0 ? 'recording' : 'complete', { duration: 3600 }))
      : recordings.filter((recording) => recording.stream === id);
  };
  const listOf = (res, id, query) => {
    const from = Number(query.get('from') ?? 0);
    const to = Number(query.get('to') ?? 1e12);
    const selected = recordingsOf(id).filter((r) => Date.parse(r.start) / 1000 < to && (r.status === 'recording' || Date.parse(r.start) / 1000 + r.duration > from));
    const begin = Number(query.get('after'));
    const page = selected.slice(begin, begin + Number(query.get('limit')));
    const end = begin + page.length;
    json(res, 200, { stream: id, total: selected.length, recordings: page, ...(end < selected.length ? { next: `${end}` } : {}) });
  };
  /** The archive of a stream: a span for each recording. */
  const timelineOf = (res, id, query) => {
    const spans = recordingsOf(id)
      .toReversed()
      .flatMap(({ start, duration, status, tracks }) => {
        const at = (s) => new Date(Date.parse(start) + s * 1000).toISOString();
        const parts = [];
        let end = 0;
        for (const gap of tracks[0].gaps ?? []) {
          parts.push({ from: at(end), to: at(gap.start), kind: 'media', status });
          parts.push({ from: at(gap.start), to: at((end = gap.start + gap.duration)), kind: 'gap', cause: gap.cause });
        }
        return duration > 0 ? [...parts, { from: at(end), to: at(duration), kind: 'media', status }] : [];
      });
    json(res, 200, { stream: id, spans: spans.filter(({ from, to }) => Date.parse(to) > query.get('from') * 1000 && Date.parse(from) < query.get('to') * 1000) });
  };
  /** Protects a recording, or deletes it. */
  const change = async (res, req, kept) => {
    if (req.method === 'DELETE' && new URL(req.url, 'http://mock').searchParams.has('grace')) {
      return json(res, 200, { record_dir: kept.record_dir, stream: kept.stream, at: new Date(Date.now() + 10_000).toISOString() });
    }
    if (req.method === 'DELETE') {
      recordings.splice(recordings.indexOf(kept), 1);
      return res.writeHead(204).end();
    }
    Object.assign(kept, JSON.parse(Buffer.concat(await req.toArray())));
    return json(res, 200, kept);
  };
  /** The file of a recording of VP8, or of a part of it. */
  const fileOf = (res, extension) => {
    if (extension === 'mp4') return json(res, 409, { error: 'its video is VP8; file.webm has it', code: 'not_one_file' });
    res.writeHead(200, { 'content-type': 'video/webm', 'content-disposition': 'attachment; filename="gate.webm"' });
    res.end('WebM');
  };
  const open = ['/api/info', '/api/login', '/api/logout'];
  const known = ({ authorization, cookie }) =>
    authorization ? authorization === `Bearer ${token}` : session !== '' && cookie === `session=${session}`;
  const server = createServer(async (req, res) => {
    const { pathname, searchParams } = new URL(req.url, 'http://mock');
    const guarded = /^\/(api|whip|whep|session)\//.test(pathname) && !open.includes(pathname) && !pathname.startsWith('/api/play/');
    if (guarded && !known(req.headers)) return json(res, 401, { error: 'credentials are needed' });
    asked.push(`${req.method} ${pathname}`);
    const list = req.method === 'GET' && /^\/api\/playback\/([^/]+)$/.exec(pathname);
    if (list) return listOf(res, decodeURIComponent(list[1]), searchParams);
    const clip = req.method === 'POST' && /^\/api\/archive\/([^/]+\/[\d.]+\/[\d.]+)\/sign$/.exec(pathname);
    if (clip) return json(res, 200, { url: `/api/play/abc/${clip[1]}/manifest.mpd`, expires: new Date(Date.now() + 3_600_000).toISOString() });
    const timeline = req.method === 'GET' && /^\/api\/archive\/([^/]+)$/.exec(pathname);
    if (timeline) return timelineOf(res, decodeURIComponent(timeline[1]), searchParams);
    const file = req.method === 'GET' && /^\/api\/(?:record\/object|archive|play\/abc)\/gate\/[\d./]+\/file\.(mp4|webm)$/.exec(pathname);
    if (file) return fileOf(res, file[1]);
    const kept = recordings.find((recording) => pathname === `/api/recordings/${recording.record_dir}`);
    if (kept) return change(res, req, kept);
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
    /** The list of streams says that the recording of door-camera has ended, and the catalogue does not yet. */
    stop: () => {
      streams[0].recording = false;
      tell();
    },
    /** Now the catalogue says it too. */
    seal: () => {
      recordings[0].status = 'complete';
    },
    /** From now on this is wrong. */
    wrong: (list) => {
      problems = list;
    },
    /** Method and path of each request, but for the files of the page. */
    asked: () => [...asked],
    endFeeds: () => {
      for (const feed of feeds) feed.end();
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
