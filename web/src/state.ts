// What all views know: who reads, what the server is, its streams, recordings and nodes. Each is read once for the page.

import { createContext } from 'preact';
import { useContext, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { usePolled, useSession, useToken } from './hooks';
import {
  byNode,
  getInfo,
  getLoad,
  type Info,
  listNodes,
  listPlayback,
  listProblems,
  type Node,
  type NodeLoad,
  type Problem,
  type Stream,
  type StreamRecordings,
} from './lib/api';
import { onUnauthorized } from './lib/http';
import { noteLoad } from './lib/history';
import { StreamList } from './lib/list';
import { natural } from './lib/natural';
import { getMe, may, mayForAll, type Me } from './lib/session';
import { type FeedState, openFeed } from './lib/sse';
import { type Publisher, usePublisher } from './parts/publisher';

/** Between readings, in ms. */
const interval = { problems: 5000, load: 5000, sums: 15_000, quietSums: 60_000 };
const mostStreams = 1000; // of which the sums are read

export interface State {
  info: Info | undefined;
  offline: string; // why the server could not even say what it is
  manager: boolean;
  negotiates: boolean; // takes publishers and viewers: a node, or a manager that passes them on to one
  recorder: boolean;
  me: Me | undefined;
  locked: boolean; // the server asks for credentials
  credentials: string; // changes with them
  streams: Stream[] | undefined;
  feed: FeedState;
  sums: StreamRecordings[] | undefined; // the streams that have recordings
  sumsMore: boolean;
  sumsError: string;
  refreshSums: () => void;
  changes: string; // differs whenever a recording has started or ended, or the server has come back; empty while all is as at first
  nodes: Node[] | undefined;
  nodesError: string;
  load: NodeLoad | undefined;
  problems: Problem[];
  publisher: Publisher;
}

export const StateContext = createContext<State | undefined>(undefined);

/** What all views know. */
export function useApp(): State {
  const state = useContext(StateContext);
  if (!state) throw new Error('a view stands outside of the page');
  return state;
}

/** Reads what all views know, for as long as the page is open. */
export function useAppState(): State {
  const token = useToken();
  const credentials = `${useSession()} ${token}`;
  const locked = useLocked(credentials);
  const info = usePolled('info', 0, getInfo);
  const key = locked ? '' : credentials;
  const me = usePolled(key, 0, getMe).value;
  const { streams, feed } = useStreams(credentials);
  const manager = info.value?.name === 'liveman';
  const negotiates = !manager || (info.value?.features?.includes('signalling') ?? false);
  const recorder = !info.value?.features || info.value.features.includes('recorder');
  const all = mayForAll(me, 'view');
  const told = all ? key : '';
  const nodes = usePolled(manager ? told : '', interval.load, listNodes);
  const load = usePolled(info.value && !manager ? told : '', interval.load, getLoad);
  useEffect(() => noteLoad(load.value), [load.value]);
  const problems = usePolled(manager ? told : '', interval.problems, listProblems).value ?? load.value?.problems; // a node tells them with its load
  const now = streams ? `${feed.kind === 'waiting'} ${recordingChanges(streams)}` : '';
  const sums = useSums(recorder && may(me, 'view') ? key : '', now, manager, (streams ?? []).some((stream) => stream.recording));
  // The list of streams tells first that a recording has ended. The catalogue of a manager follows, sooner or later.
  const running = sums.streams?.filter((sum) => sum.running).map((sum) => sum.stream);
  const changes = useSinceFirst(now) + useSinceFirst(running && `catalogue ${running.join('/')}`);
  const publisher = usePublisher();
  return {
    info: info.value, offline: info.error, manager, negotiates, recorder, me, locked, credentials, streams, feed, changes,
    sums: sums.streams, sumsMore: sums.more, sumsError: sums.error, refreshSums: sums.refresh,
    nodes: nodes.value, nodesError: nodes.error, load: load.value, problems: problems ?? [], publisher,
  };
}

/** A value once it is another than the first: views that were there before that have read what it tells. */
function useSinceFirst(now: string | undefined): string {
  const first = useRef('');
  first.current ||= now ?? '';
  return now === undefined || now === first.current ? '' : now;
}

/** Has the server answered 401 since the credentials changed last? */
function useLocked(credentials: string): boolean {
  const [refused, setRefused] = useState<string>();
  const now = useRef(credentials);
  now.current = credentials;
  useEffect(() => onUnauthorized(() => setRefused(now.current)), []);
  return refused === credentials;
}

/** The live list of streams; new credentials open a new feed. While there is none, the list is what it was. */
function useStreams(credentials: string) {
  const [streams, setStreams] = useState<Stream[]>();
  const [feed, setFeed] = useState<FeedState>({ kind: 'connecting' });
  useEffect(() => {
    const list = new StreamList();
    const close = openFeed({
      url: '/api/sse/streams?changes=true',
      onData: (data) => setStreams(byNode(list.take(data)).sort((a, b) => natural(a.id, b.id))),
      onState: setFeed,
    });
    return () => {
      close();
      setStreams(undefined);
    };
  }, [credentials]);
  return { streams, feed };
}

const followDelays = [1500, 5000]; // ms after a change, when a manager's recordings are read again

/**
 * The streams that have recordings, in the order of people; read again after changes, and while anything is recorded,
 * by the list of streams or by the catalogue.
 */
function useSums(key: string, changes: string, manager: boolean, running: boolean) {
  const wait = ({ rows }: { rows: StreamRecordings[] }) => (running || rows.some((sum) => sum.running) ? interval.sums : interval.quietSums);
  const { value, error, refresh } = usePolled(key, wait, () => listPlayback(mostStreams));
  const before = useRef('');
  useEffect(() => {
    const known = before.current !== '';
    before.current = changes;
    if (!known || !changes) return; // what was there at first is read already
    refresh();
    // A manager hears of its nodes' recordings a moment after it hears of their streams.
    const timers = manager ? followDelays.map((delay) => setTimeout(refresh, delay)) : [];
    return () => timers.forEach(clearTimeout);
  }, [changes, manager, refresh]);
  const streams = useMemo(() => value?.rows.toSorted((a, b) => natural(a.stream, b.stream)), [value]);
  return { streams, more: value?.more ?? false, error, refresh };
}

/** A value that differs whenever a recording has started or ended. */
function recordingChanges(streams: Stream[] | undefined): string {
  return (streams ?? [])
    .filter((stream) => stream.recording)
    .map((stream) => `${stream.id} ${stream.node ?? ''}`)
    .join('/');
}
