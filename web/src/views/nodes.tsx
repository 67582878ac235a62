import { locale, t, tOr } from '../i18n';
import type { Node } from '../lib/api';
import { hrefOf, usePlace } from '../lib/route';
import { ProblemList } from '../parts/problems';
import { useApp } from '../state';
import { bitrate, bytes, dateTime, duration, seen } from '../lib/format';

/** A clock that is off by less is nothing to talk about, in ms. */
const clockTolerance = 2000;

/** The nodes of a manager, and how they are. */
export function NodesView() {
  const { nodes, nodesError: error } = useApp();
  const { subject } = usePlace();
  const shown = subject ? nodes?.filter((node) => node.alias === subject) : nodes;
  return (
    <section class="card" aria-labelledby="nodes-title">
      <h2 id="nodes-title">{subject ? seen(subject) : t('nodes')}</h2>
      {subject && (
        <p>
          <a href={hrefOf('nodes')} data-testid="nodes-all">
            {t('nodesAll')}
          </a>
        </p>
      )}
      {subject && nodes && shown?.length === 0 && <p class="note">{t('nodeUnknown')}</p>}
      {error && (
        <p class="error" role="alert" data-testid="nodes-error">
          {error}
        </p>
      )}
      {nodes?.length === 0 && <p class="note">{t('noNodes')}</p>}
      <ul class="rows" data-testid="nodes-list">
        {shown?.map((node) => (
          <li key={node.alias} data-testid={`node-row-${node.alias}`} data-state={node.state}>
            <strong class="name">
              <a href={hrefOf('nodes', node.alias)} data-testid="node-open">
                {seen(node.alias)}
              </a>
            </strong>
            <span class={node.state === 'up' ? 'badge complete' : 'badge failed'}>
              {tOr(`node.${node.state}`, node.state)}
            </span>
            {node.since && (
              <p class="note" data-testid="node-since">
                {[
                  t('nodeSince', { state: tOr(`node.${node.state}`, node.state), time: dateTime(node.since, locale) }),
                  node.state !== 'up' && node.seen_at && t('nodeSeen', { time: dateTime(node.seen_at, locale) }),
                ]
                  .filter(Boolean)
                  .join(' · ')}
              </p>
            )}
            <p class="note">
              {loadOf(node).join(' · ')}
            </p>
            {warningsOf(node).map((text) => (
              <p key={text} class="note warning">
                {text}
              </p>
            ))}
            <ProblemList problems={node.load.problems ?? []} />
            {subject && <StreamsOf alias={node.alias} />}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The streams that a node has now, each with the way to its recordings. */
function StreamsOf({ alias }: { alias: string }) {
  const streams = useApp().streams?.filter(({ node }) => node === alias) ?? [];
  return (
    <>
      <h3>{t('nodeStreams')}</h3>
      {streams.length === 0 && <p class="note">{t('nodeNoStreams')}</p>}
      <ul data-testid="node-streams">
        {streams.map(({ id, recording }) => (
          <li key={id}>
            <a href={hrefOf('recordings', id)}>{seen(id)}</a> {recording && <span class="badge recording">{t('status.recording')}</span>}
          </li>
        ))}
      </ul>
    </>
  );
}

/** What a node has to do, in words; what it does not tell is left out. */
function loadOf({ load, version, kind, storage: kept }: Node): string[] {
  const { traffic, process, storage, spool } = load;
  return [
    t('nodeLoad', { streams: load.streams, viewers: load.viewers, recordings: load.recordings }),
    traffic && t('nodeTraffic', { received: bitrate(traffic.received_bps), sent: bitrate(traffic.sent_bps) }),
    process && t('nodeProcess', { cpu: process.cpu.toFixed(1), cpus: process.cpus, memory: bytes(process.memory_bytes) }),
    kept === 'local' && t('nodeLocal'),
    storage?.free_bytes !== undefined && t('nodeFree', { free: bytes(storage.free_bytes) }),
    spool &&
      spool.waiting_bytes > 0 &&
      t('nodeSpool', { waiting: bytes(spool.waiting_bytes), time: duration(spool.oldest_seconds) }),
    kind === 'original' && t('nodeOriginal'),
    version,
  ].filter((text) => typeof text === 'string' && text !== '') as string[];
}

function warningsOf(node: Node): string[] {
  const off = node.clock_offset_ms ?? 0;
  return [
    node.error ?? node.feed?.error ?? '',
    node.load.storage?.failing ? t('nodeStorageFails') : '',
    Math.abs(off) > clockTolerance ? t('nodeClock', { seconds: Math.round(off / 1000) }) : '',
  ].filter(Boolean);
}
