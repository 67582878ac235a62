import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef } from 'preact/hooks';
import { locale, t } from '../i18n';
import type { NodeLoad } from '../lib/api';
import { coloursOf } from '../lib/colours';
import { bytes, duration } from '../lib/format';
import { lines, times, values } from '../lib/history';
import { below } from '../lib/http';
import { mayForAll } from '../lib/session';
import { useApp } from '../state';

/** How the server is: its load as it has been since the page was opened, its storage, its version. */
export function SystemView() {
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
