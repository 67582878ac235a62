import { useEffect, useState } from 'preact/hooks';
import { useSession, useToken, words } from './hooks';
import { t } from './i18n';
import { byNode, getInfo, type Info, listNodes, listProblems, type Node, type Problem, type Stream } from './lib/api';
import { seen } from './lib/format';
import { onUnauthorized } from './lib/http';
import { StreamList } from './lib/list';
import { getMe, may, mayForAll, type Me } from './lib/session';
import { type FeedState, openFeed } from './lib/sse';
import { Account, LoginForm } from './parts/login';
import { NodesPart } from './parts/nodes';
import { ProblemsPart } from './parts/problems';
import { PublishPart } from './parts/publish';
import { RecordingsPart } from './parts/recordings';
import { StreamsPart } from './parts/streams';
import { TokenForm, TokenForget } from './parts/token';

/** The page. */
export function App() {
  const token = useToken();
  const credentials = `${useSession()} ${token}`;
  const [locked, setLocked] = useState(false);
  const { info, error } = useInfo();
  const { streams, feed } = useStreams(credentials);
  const me = useMe(credentials);
  useEffect(() => onUnauthorized(() => setLocked(true)), []);
  useEffect(() => setLocked(false), [credentials]);
  const manager = info?.name === 'liveman';
  const fleet = manager && mayForAll(me, 'view');
  const { nodes, nodesError } = useNodes(fleet, credentials);
  const problems = useProblems(mayForAll(me, 'view'), credentials);
  const recorder = !info?.features || info.features.includes('recorder');
  const name = seen((manager ? info.name : info?.node) ?? '');
  useEffect(() => {
    if (name) document.title = `${name} · ${t('title')}`; // many nodes, many tabs
  }, [name]);
  const accounts = info?.features?.includes('accounts') ?? false;
  return (
    <>
      <header>
        <h1>{t('title')}</h1>
        <p class="about" data-testid="about">
          {[name, info?.version].filter(Boolean).join(' · ')}
        </p>
        {token && !locked && <TokenForget />}
        {me?.kind === 'account' && !locked && <Account me={me} />}
      </header>
      <main>
        {locked && (info || error) && (accounts ? <LoginForm wrongToken={token !== ''} /> : <TokenForm wrong={token !== ''} />)}
        {error && (
          <p class="error" role="alert">
            {t('offline', { error })}
          </p>
        )}
        {!locked && <ProblemsPart problems={problems} />}
        {!manager && may(me, 'publish') && <PublishPart locked={locked} />}
        {!locked && (
          <>
            {fleet && <NodesPart nodes={nodes} error={nodesError} />}
            <StreamsPart
              streams={streams}
              feed={feed}
              recorder={recorder}
              manager={manager}
              mayRecord={may(me, 'record')}
            />
            {may(me, 'view') && (
              <RecordingsPart
                changes={`${feed.kind === 'waiting'} ${recordingChanges(streams)}`}
                running={streams?.some((stream) => stream.recording) ?? false}
                recorder={recorder}
                manager={manager}
                token={credentials}
              />
            )}
          </>
        )}
      </main>
    </>
  );
}

/** Who the page speaks for; undefined until that is known. */
function useMe(credentials: string): Me | undefined {
  const [me, setMe] = useState<Me>();
  useEffect(() => {
    let current = true;
    getMe().then(
      (next) => current && setMe(next),
      () => undefined, // whatever is wrong, the lists say it too
    );
    return () => {
      current = false;
      setMe(undefined);
    };
  }, [credentials]);
  return me;
}

function useInfo() {
  const [info, setInfo] = useState<Info>();
  const [error, setError] = useState('');
  useEffect(() => {
    getInfo().then(setInfo, (reason: unknown) => setError(words(reason)));
  }, []);
  return { info, error };
}

const nodesInterval = 5000; // ms between readings of a manager's nodes, and of what is wrong

/** What is wrong with the server, for who may know. */
function useProblems(told: boolean, credentials: string) {
  const [problems, setProblems] = useState<Problem[]>([]);
  useEffect(() => {
    if (!told) return;
    const read = () => void listProblems().then(setProblems, () => undefined); // the lists say that it is away
    read();
    const timer = setInterval(read, nodesInterval);
    return () => {
      clearInterval(timer);
      setProblems([]);
    };
  }, [told, credentials]);
  return problems;
}

/** The nodes of a manager, where there is one that lists them. */
function useNodes(listed: boolean, credentials: string) {
  const [nodes, setNodes] = useState<Node[]>();
  const [nodesError, setError] = useState('');
  useEffect(() => {
    if (!listed) return;
    const read = () =>
      void listNodes().then(
        (list) => {
          setError('');
          setNodes(list);
        },
        (reason: unknown) => setError(words(reason)),
      );
    read();
    const timer = setInterval(read, nodesInterval);
    return () => clearInterval(timer);
  }, [listed, credentials]);
  return { nodes, nodesError };
}

/** The live list of streams; new credentials open a new feed. */
function useStreams(credentials: string) {
  const [streams, setStreams] = useState<Stream[]>();
  const [feed, setFeed] = useState<FeedState>({ kind: 'connecting' });
  useEffect(() => {
    const list = new StreamList();
    const close = openFeed({
      url: '/api/sse/streams?changes=true',
      onData: (data) => setStreams(byNode(list.take(data))),
      onState: setFeed,
    });
    return () => {
      close();
      setStreams(undefined);
    };
  }, [credentials]);
  return { streams, feed };
}

/** A value that differs whenever a recording has started or ended. */
function recordingChanges(streams: Stream[] | undefined): string {
  return (streams ?? [])
    .filter((stream) => stream.recording)
    .map((stream) => `${stream.id} ${stream.node ?? ''}`)
    .join('/');
}
