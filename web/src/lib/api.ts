// The server's HTTP API as functions and types; docs/api.md is its description.

import { below, request } from './http';
import { learn, type Said } from './said';

export interface Session {
  id: string;
  createdAt: number; // Unix milliseconds
  state: string; // RTCPeerConnection.connectionState
}

export interface Side {
  leaveAt: number; // Unix milliseconds, 0 while somebody is there
  sessions: Session[];
}

export interface StreamTrack {
  kind: string;
  codec: string;
}

export interface Stream {
  id: string;
  createdAt: number;
  publish: Side;
  subscribe: Side;
  tracks?: StreamTrack[] | null;
  recording?: boolean;
  recordingSince?: number; // Unix milliseconds; absent where the server does not say
  stopped?: boolean; // by somebody, so that it is not begun again by itself
  node?: string; // where a manager says so: one of the nodes that have the stream
}

/** A stream as a manager lists it. */
export interface FleetStream extends Stream {
  nodes?: Stream[] | null;
}

/** How much a node has to do; what is not known is left out. */
export interface NodeLoad {
  streams: number;
  publishers: number;
  viewers: number;
  recordings: number;
  traffic?: { received_bps: number; sent_bps: number };
  process?: { cpu: number; cpus: number; memory_bytes: number };
  storage?: { type: string; free_bytes?: number; failing: boolean; failed_recordings: number };
  spool?: { waiting_bytes: number; oldest_seconds: number };
  problems?: Problem[];
}

/** What is wrong with what a server depends on. */
export interface Problem extends Said {
  place: string; // storage, spool, recordings, catalogue
  since: string;
  serious: boolean;
}

/** A node as a manager lists it. */
export interface Node {
  alias: string;
  state: string; // connecting, up, down
  since?: string; // of the state
  seen_at?: string; // when it answered last
  kind?: string; // recorder, original
  storage: string; // shared, local
  error?: string;
  version?: string;
  load: NodeLoad;
  clock_offset_ms?: number;
  feed?: { error?: string };
}

export interface RecordStarted {
  id: string;
  record_id: string;
  record_dir: string;
  mpd_path: string;
}

export interface RecordState {
  recording: boolean;
  record_dir?: string;
  mpd_path?: string;
  started_at?: string;
  duration?: number; // seconds
  bytes?: number;
  status?: string;
  tracks?: RecordingTrack[] | null;
  error?: string;
}

export interface RecordStopped {
  stopped: boolean;
  record_dir?: string;
  mpd_path?: string;
  status?: string;
}

export interface RecordingTrack {
  kind: string;
  codec: string;
  width?: number;
  height?: number;
  recorded?: boolean;
  packets_lost?: number;
  frames_dropped?: number;
  missing?: string;
  gaps?: Gap[] | null;
}

/** A span of a recording without media of a track's own, in seconds of media time. */
export interface Gap {
  start: number;
  duration: number;
  cause: string;
  filled?: boolean;
}

export interface Recording {
  stream: string;
  record_id: string;
  record_dir: string;
  mpd_path: string;
  start: string;
  end?: string | null;
  duration: number; // seconds
  bytes: number;
  status: string;
  reason?: string;
  tracks?: RecordingTrack[] | null;
  node?: string;
  protected?: boolean;
  paused_since?: string; // of one that runs: since when nothing of it is recorded
}

export interface StreamRecordings {
  stream: string;
  recordings: number;
  last_start: string;
  first?: string; // when they begin
  last: string; // when its media end, as far as is known
  running?: boolean; // something of it is being recorded
  duration: number;
  bytes: number;
}

export interface RecordingPage {
  stream: string;
  total: number;
  recordings: Recording[] | null;
  next?: string; // where the page that follows begins
}

/** The beginning of a list, and whether there is more of it. */
export interface Beginning<T> {
  rows: T[];
  more: boolean;
}

export interface Info {
  name?: string;
  version?: string;
  node?: string;
  features?: string[] | null;
  codecs?: string[] | null;
}

/** Names of the codecs, picture first; the layers of a simulcast publisher have one. */
export function codecNames(tracks: readonly StreamTrack[] | null | undefined): string {
  const video = (track: StreamTrack) => track.kind === 'video';
  const all = tracks ?? [];
  const ordered = [...all.filter(video), ...all.filter((track) => !video(track))];
  return [...new Set(ordered.map((track) => track.codec))].join(' + ');
}

/** The tracks that are missing in a recording: not a simulcast layer that was never sent. */
export function notRecorded(tracks: readonly RecordingTrack[] | null | undefined): RecordingTrack[] {
  const all = tracks ?? [];
  const isThere = (kind: string) => all.some((track) => track.kind === kind && track.recorded !== false);
  return all.filter((track) => !isThere(track.kind));
}

/** Encodes each element of a slash-separated path for a URL. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** The URL of a recorded object: a manifest or a segment. */
export function objectURL(path: string): string {
  return below(`/api/record/object/${encodePath(path)}`);
}

const stream = (id: string) => encodeURIComponent(id);

async function json<T>(url: string, init?: RequestInit): Promise<T> {
  const response = await request(url, init);
  return (await response.json()) as T;
}

export const getInfo = () => json<Info>('/api/info');
export const getLoad = () => json<NodeLoad>('/api/load').then((load) => spoken(load, load.problems?.length));

/** The URL of a stream's recording; a manager is told on which node. */
const recordURL = (id: string, node?: string) =>
  `/api/record/${stream(id)}${node ? `?node=${encodeURIComponent(node)}` : ''}`;

export const startRecording = (id: string, node?: string) =>
  json<RecordStarted>(recordURL(id, node), { method: 'POST' });

export const stopRecording = (id: string, node?: string) =>
  json<RecordStopped>(recordURL(id, node), { method: 'DELETE' });

/** Pauses a running recording, or goes on with it. */
export const pauseRecording = (id: string, paused: boolean, node?: string) =>
  json<RecordState>(recordURL(id, node), { method: 'PATCH', body: JSON.stringify({ paused }) });

export const recordState = (id: string, node?: string, signal?: AbortSignal) =>
  json<RecordState>(recordURL(id, node), signal ? { signal } : {});

/** What was read, when the page can say it. */
async function spoken<T>(read: T, needs: unknown): Promise<T> {
  if (needs) await learn();
  return read;
}

export const listProblems = () => json<{ problems: Problem[] }>('/api/problems').then(({ problems }) => spoken(problems, problems.length > 0));
/** What has happened lately. */
export interface LogEntry extends Said {
  seq: number;
  time: string;
  kind: string; // recording, session, server
  type: string;
  level: string; // info, warning, error
  stream?: string;
  node?: string;
  record_dir?: string;
  status?: string;
  cause?: string;
  side?: string;
  place?: string;
  seconds?: number;
}

/** The newest events, of a kind and that matter so much at least; '' means all. */
export const listEvents = (kind: string, level: string, limit: number, signal?: AbortSignal) =>
  json<{ events: LogEntry[]; since: string; more: boolean }>(
    `/api/events/log?${new URLSearchParams({ ...(kind && { kind }), ...(level && { level }), limit: String(limit) })}`, signal ? { signal } : {},
  ).then((page) => spoken(page, page.events.some(({ code }) => code)));

/** The configuration in effect, as TOML. */
export const readConfig = () => json<{ toml: string }>('/api/config').then(({ toml }) => toml);

/** Ends a session of a publisher or a viewer. */
export async function endSession(id: string, session: string): Promise<void> {
  await request(`/session/${stream(id)}/${encodeURIComponent(session)}`, { method: 'DELETE' });
}

export const listNodes = () => json<Node[]>('/api/nodes/').then((nodes) => spoken(nodes, nodes.some(({ load }) => load.problems?.length)));

/** The streams of a manager, each once for every node that has it; those of a node as they are. */
export function byNode(streams: readonly FleetStream[]): Stream[] {
  return streams.flatMap((s) => (s.nodes ? s.nodes : [s]));
}

/** The most that the server gives at once. */
const largestPage = { streams: 1000, recordings: 200 };

/** The first count streams that have recordings, from as many pages as it takes. */
export async function listPlayback(count: number): Promise<Beginning<StreamRecordings>> {
  const rows: StreamRecordings[] = [];
  for (let after = ''; ; ) {
    const query = new URLSearchParams({ limit: `${Math.min(count - rows.length, largestPage.streams)}`, after });
    const response = await request(`/api/archive?${query}`);
    rows.push(...((await response.json()) as StreamRecordings[]));
    const more = /rel="next"/.test(response.headers.get('link') ?? '');
    after = rows.at(-1)?.stream ?? '';
    if (!more || rows.length >= count) return { rows, more };
  }
}

/** The newest count recordings of a stream that overlap a time, and how many there are, from as many pages as it takes. */
export async function listRecordings(
  id: string,
  count: number,
  { from, to, signal }: { from?: number; to?: number; signal?: AbortSignal } = {}, // Unix milliseconds
): Promise<Beginning<Recording> & { total: number }> {
  const rows: Recording[] = [];
  for (let after = ''; ; ) {
    const query = new URLSearchParams({ limit: `${Math.min(count - rows.length, largestPage.recordings)}`, after });
    if (from !== undefined) query.set('from', `${Math.floor(from / 1000)}`);
    if (to !== undefined) query.set('to', `${Math.ceil(to / 1000)}`);
    const page = await json<RecordingPage>(`/api/playback/${stream(id)}?${query}`, signal ? { signal } : {});
    rows.push(...(page.recordings ?? []));
    after = page.next ?? '';
    if (!after || rows.length >= count) return { rows, more: after !== '', total: page.total };
  }
}

/** A span of a stream's archive, as the server tells it. */
export interface TimelineSpan {
  from: string;
  to: string;
  kind: string; // media or gap
  cause?: string; // of a gap
  status?: string; // the worst of the recordings in it
  missing?: { cause: string; seconds: number }[] | null;
}

/** All recordings of a stream in a time (Unix milliseconds), in at most so many spans, from the catalogue alone. */
export async function readTimeline(id: string, from: number, to: number, buckets: number, signal: AbortSignal): Promise<TimelineSpan[]> {
  const query = new URLSearchParams({ from: `${from / 1000}`, to: `${to / 1000}`, buckets: `${buckets}` });
  const { spans } = await json<{ spans: TimelineSpan[] | null }>(`/api/archive/${stream(id)}?${query}`, { signal });
  return spans ?? [];
}

/** What there is at a moment (Unix milliseconds), and where there is nothing, what is nearest. */
export async function nearest(id: string, moment: number, signal: AbortSignal): Promise<{ here: boolean; before?: number; after?: number }> {
  const query = new URLSearchParams({ from: `${moment / 1000}`, to: `${(moment + 1) / 1000}`, buckets: '1' });
  const { media_seconds, before, after } = await json<{ media_seconds: number; before?: string; after?: string }>(`/api/archive/${stream(id)}?${query}`, { signal });
  return { here: media_seconds > 0 || (!before && !after), ...(before && { before: Date.parse(before) }), ...(after && { after: Date.parse(after) }) };
}

/** Protects a recording from being deleted, or takes that away. */
export const protectRecording = (path: string, on: boolean) =>
  json<Recording>(`/api/recordings/${encodePath(path)}`, { method: 'PATCH', body: JSON.stringify({ protected: on }) });

/** Deletes a recording in so many seconds. */
export async function deleteRecording(path: string, grace: number): Promise<void> {
  await request(`/api/recordings/${encodePath(path)}?grace=${grace}s`, { method: 'DELETE', keepalive: true });
}

/** Takes that back. */
export async function undeleteRecording(path: string): Promise<void> {
  await request(`/api/recordings/${encodePath(path)}`, { method: 'PATCH', body: JSON.stringify({ deleted: false }) });
}

/** Deletions that can still be taken back. */
export const listDeletions = () =>
  json<{ deletions: { record_dir: string; stream: string; at: string }[] | null }>('/api/deletions').then(({ deletions }) => deletions ?? []);
