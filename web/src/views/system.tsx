import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useAction, usePolled } from '../hooks';
import { locale, t, tOr } from '../i18n';
import { endSession, type NodeLoad, readConfig, type Session } from '../lib/api';
import { coloursOf } from '../lib/colours';
import { bytes, dateTime, duration, seen } from '../lib/format';
import { lines, times, values } from '../lib/history';
import { below } from '../lib/http';
import { may, mayForAll } from '../lib/session';
import { Confirm } from '../parts/dialog';
import { Happened } from '../parts/happened';
import { Receivers } from '../parts/receivers';
import { useApp } from '../state';
import '../texts/system';

/** How the server is, who is connected to it, and how it is configured. */
export function SystemView() {
  const { me, manager } = useApp();
  return (
    <>
      <Server />
      {!manager && <Sessions />}
      {may(me, 'view') && <Happened />}
      {mayForAll(me, 'admin') && <Receivers />}
      {mayForAll(me, 'admin') && <Configuration />}
    </>
  );
}

/** Its load as it has been since the page was opened, its storage, its version. */
function Server() {
  const { info, load, me, manager } = useApp();
  return (
    <section class="card" aria-labelledby="system-title">
      <h2 id="system-title">{t('view.system')}</h2>
      <dl class="facts" data-testid="system-facts">
        <dt>{t('version')}</dt>
        <dd>{[info?.name, info?.version].filter(Boolean).join(' ')}</dd>
        {info?.node && (
          <>
            <dt>{t('node')}</dt>
            <dd>{info.node}</dd>
          </>
        )}
        {load && <LoadFacts load={load} />}
        <dt>{t('account')}</dt>
        <dd>{me ? [me.name || t(`kind.${me.kind as 'account'}`), me.rights.join(', ')].join(': ') : ''}</dd>
        <dt>API</dt>
        <dd>
          <a href={below('/api/docs')} data-native data-testid="api-docs">
            {t('apiDocs')}
          </a>{' '}
          <a href={below('/api/openapi.json')} data-native>
            openapi.json
          </a>
        </dd>
      </dl>
      {!manager && !mayForAll(me, 'view') && <p class="note">{t('systemRights')}</p>}
      {load && <Graphs load={load} />}
    </section>
  );
}

interface Connected {
  stream: string;
  side: 'publisher' | 'viewer';
  session: Session;
}

/** Who publishes and who watches. */
function Sessions() {
  const { streams, me } = useApp();
  const [asking, ask] = useState<Connected>();
  const { busy, error, run } = useAction();
  const all = (streams ?? []).flatMap(({ id, publish, subscribe }) => [
    ...publish.sessions.map((session): Connected => ({ stream: id, side: 'publisher', session })),
    ...subscribe.sessions.map((session): Connected => ({ stream: id, side: 'viewer', session })),
  ]);
  return (
    <section class="card" aria-labelledby="sessions-title">
      <h2 id="sessions-title">{t('sessions')}</h2>
      {streams && all.length === 0 && <p class="note">{t('noSessions')}</p>}
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      <ul class="rows" data-testid="sessions-list">
        {all.map((one) => (
          <li key={`${one.stream} ${one.session.id}`} class="row" data-testid="session-row" data-stream={one.stream} data-side={one.side}>
            <div class="about">
              <strong class="name">{seen(one.stream)}</strong> <span class="badge">{t(`${one.side}Side`)}</span>
              <p class="note">
                {[tOr(`session.${one.session.state}`, one.session.state), t('sessionSince', { time: dateTime(new Date(one.session.createdAt).toISOString(), locale) })].join(' · ')}
              </p>
            </div>
            {may(me, one.side === 'publisher' ? 'publish' : 'subscribe') && (
              <button
                type="button"
                class="quiet"
                disabled={busy}
                aria-label={t('sessionEndName', { stream: seen(one.stream) })}
                onClick={() => ask(one)}
                data-testid="session-end"
              >
                {t('sessionEnd')}
              </button>
            )}
          </li>
        ))}
      </ul>
      {asking && (
        <Confirm
          title={t('sessionEndName', { stream: seen(asking.stream) })}
          yes={t('sessionEnd')}
          onNo={() => ask(undefined)}
          onYes={() => {
            ask(undefined);
            void run(() => endSession(asking.stream, asking.session.id));
          }}
        >
          <p>{t('sessionEndText')}</p>
        </Confirm>
      )}
    </section>
  );
}

/** The configuration, for who may change what it says. */
function Configuration() {
  const { credentials } = useApp();
  const { value, error } = usePolled(credentials, 0, readConfig);
  return (
    <section class="card" aria-labelledby="config-title">
      <h2 id="config-title">{t('config')}</h2>
      <p class="note">{t('configNote')}</p>
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      {value && (
        <pre class="config" tabIndex={0} role="region" aria-labelledby="config-title" data-testid="config">
          {value}
        </pre>
      )}
    </section>
  );
}

function LoadFacts({ load }: { load: NodeLoad }) {
  const { storage, spool, process } = load;
  const facts: [string, string][] = [
    [t('view.live'), t('nodeLoad', { streams: load.streams, viewers: load.viewers, recordings: load.recordings })],
  ];
  if (process) facts.push(['CPU', t('nodeProcess', { cpu: process.cpu.toFixed(1), cpus: process.cpus, memory: bytes(process.memory_bytes) })]);
  if (storage) {
    const free = storage.free_bytes === undefined ? '' : ` · ${t('nodeFree', { free: bytes(storage.free_bytes) })}`;
    facts.push([t('place.storage'), `${storage.type}${free}${storage.failing ? ` · ${t('nodeStorageFails')}` : ''}`]);
  }
  if (spool) facts.push([t('place.spool'), t('nodeSpool', { waiting: bytes(spool.waiting_bytes), time: duration(spool.oldest_seconds) })]);
  return (
    <>
      {facts.map(([name, text]) => [<dt key={`${name} name`}>{name}</dt>, <dd key={name}>{text}</dd>])}
    </>
  );
}

function Graphs({ load }: { load: NodeLoad }) {
  return (
    <div class="graphs">
      {lines.map(({ name, read, text }, i) => (
        <figure key={name} class="graph">
          <figcaption>
            {t(name)} <strong>{read(load) === undefined ? '' : text(read(load) ?? 0)}</strong>
          </figcaption>
          <Graph line={i} load={load} />
        </figure>
      ))}
    </div>
  );
}

const graphHeight = 120;

/** A curve, drawn by a library that is loaded with the first one. */
function Graph({ line, load }: { line: number; load: NodeLoad }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<{ setData: (data: [number[], (number | null)[]]) => void; destroy: () => void } | undefined>(undefined);
  useEffect(() => {
    let shown = true;
    void import('uplot').then(({ default: Plot }) => {
      const element = box.current;
      if (!shown || !element) return;
      const colour = coloursOf(element);
      const axis = { stroke: colour('--soft'), grid: { stroke: colour('--line') } };
      plot.current = new Plot(
        {
          width: element.clientWidth,
          height: graphHeight,
          legend: { show: false },
          cursor: { show: false },
          series: [{}, { stroke: colour('--accent'), width: 2 }],
          axes: [
            { ...axis, values: (_, ticks) => ticks.map((tick) => new Date(tick * 1000).toLocaleTimeString(locale, { hour: '2-digit', minute: '2-digit' })) },
            { ...axis, size: 70, values: (_, ticks) => ticks.map((tick) => lines[line]?.text(tick) ?? '') },
          ],
        },
        [times, values[line] ?? []],
        element,
      );
    });
    return () => {
      shown = false;
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [line]);
  useEffect(() => plot.current?.setData([[...times], [...(values[line] ?? [])]]), [load, line]);
  return <div ref={box} class="plot" />;
}
