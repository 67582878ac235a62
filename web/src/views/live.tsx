import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { useAction, useNow } from '../hooks';
import { locale, t } from '../i18n';
import { codecNames, notRecorded, type RecordState, recordState, startRecording, stopRecording, type Stream, type StreamRecordings } from '../lib/api';
import { expectedStreams } from '../lib/expected';
import { bytes, dateTime, duration, seen } from '../lib/format';
import { matches } from '../lib/natural';
import { change, hrefOf, usePlace } from '../lib/route';
import { may } from '../lib/session';
import { Confirm } from '../parts/dialog';
import { Lazy } from '../parts/lazy';
import { Rows } from '../parts/rows';
import { WatchView } from '../parts/watch';
import { useApp } from '../state';

/** A row of the list: a stream that is there, or one that is missed. */
type Row = { key: string; stream: Stream; missing?: undefined } | { key: string; stream?: undefined; missing: StreamRecordings };

/** The streams that are there now, as a list or as a wall of pictures. */
export function LiveView() {
  const { streams, feed, negotiates, me, sums } = useApp();
  const place = usePlace();
  const search = place.query.get('q') ?? '';
  const watched = place.query.get('watch') ?? '';
  const tiles = Number(place.query.get('tiles') ?? 0);
  const mayWatch = negotiates && may(me, 'subscribe');
  const minute = Math.floor(useNow(true) / 60_000);
  const rows = useMemo(() => {
    const { missing } = expectedStreams(streams ?? [], sums ?? [], minute * 60_000);
    const all: Row[] = [
      ...(streams ?? []).map((stream) => ({ key: `${stream.id}/${stream.node ?? ''}`, stream })),
      ...missing.filter((sum) => !streams?.some((stream) => stream.id === sum.stream)).map((sum) => ({ key: `missing ${sum.stream}`, missing: sum })),
    ];
    return all.filter(({ stream, missing }) => matches(stream ? `${stream.id} ${stream.node ?? ''}` : (missing?.stream ?? ''), search));
  }, [streams, sums, minute, search]);
  const live = rows.flatMap(({ stream }) => (stream && stream.publish.sessions.length > 0 ? [stream] : []));
  return (
    <section class="card" aria-labelledby="streams-title">
      <div class="row head">
        <h2 id="streams-title">{t('streams')}</h2>
        {mayWatch && <Sizes tiles={tiles} />}
      </div>
      <FeedState streams={streams} feed={feed} />
      {streams?.length === 0 && feed.kind === 'open' && <Nothing />}
      {streams && search && rows.length === 0 && <p class="note">{t('nothingFound', { search })}</p>}
      {mayWatch && tiles > 0 ? (
        <Lazy load={loadWall} props={{ streams: live, missing: rows.flatMap(({ missing }) => (missing ? [missing] : [])), size: tiles }} />
      ) : (
        <Rows
          items={rows}
          keyOf={(row) => row.key}
          height={92}
          testid="streams-list"
          row={({ stream, missing }) =>
            stream ? (
              <StreamRow stream={stream} mayWatch={mayWatch} watched={watched === stream.id} />
            ) : (
              missing && <MissingRow sum={missing} />
            )
          }
        />
      )}
    </section>
  );
}

const wallSizes = [1, 4, 9, 16];
const loadWall = () => import('../parts/wall').then((module) => module.Wall);

function Sizes({ tiles }: { tiles: number }) {
  return (
    <div class="choice" role="group" aria-label={t('wall')}>
      {[0, ...wallSizes].map((size) => (
        <button
          key={size}
          type="button"
          aria-pressed={tiles === size}
          onClick={() => change({ tiles: size ? `${size}` : undefined, watch: undefined }, false)}
          data-testid={`wall-${size}`}
        >
          {size === 0 ? t('wallList') : size}
        </button>
      ))}
    </div>
  );
}

/** What there is to say of the list itself: that it is read, or that it is as old as the connection. */
function FeedState({ streams, feed }: Pick<ReturnType<typeof useApp>, 'streams' | 'feed'>) {
  const lost = feed.kind === 'waiting' && feed.status !== 401;
  const since = useRef('');
  if (!lost) since.current = '';
  else since.current ||= new Date().toISOString();
  if (lost) {
    const error = feed.status === 0 ? t('unreachable') : feed.error;
    return (
      <p class="error" role="status" data-testid="streams-error">
        {t(streams ? 'feedStale' : 'feedLost', { error, time: new Date(since.current).toLocaleTimeString(locale) })}
      </p>
    );
  }
  return streams ? null : <p class="note">{t('loading')}</p>;
}

/** What to do where there is no stream yet. */
function Nothing() {
  const { negotiates, me } = useApp();
  if (!negotiates) return <p class="note">{t('noStreamsManager')}</p>;
  if (!may(me, 'publish')) return <p class="note">{t('noStreamsViewer')}</p>;
  return (
    <p class="note">
      {t('noStreams')} <a href={hrefOf('publish')}>{t('noStreamsPublish')}</a>
    </p>
  );
}

function MissingRow({ sum }: { sum: StreamRecordings }) {
  const { me } = useApp();
  return (
    <div class="row item" data-testid={`missing-row-${sum.stream}`}>
      <div class="row-text">
        <strong class="name">{seen(sum.stream)}</strong>
        <span class="badge degraded">{t('missing')}</span>
        <p class="note">{t('missingSince', { time: dateTime(sum.last, locale) })}</p>
      </div>
      {may(me, 'view') && <a href={hrefOf('recordings', sum.stream)}>{t('toRecordings')}</a>}
    </div>
  );
}

interface RowProps {
  stream: Stream;
  mayWatch: boolean;
  watched: boolean;
}

function StreamRow({ stream, mayWatch, watched }: RowProps) {
  const { me, recorder } = useApp();
  const live = stream.publish.sessions.length > 0;
  const recording = stream.recording ?? false;
  const viewers = stream.subscribe.sessions.length;
  const detail = useRecordState(stream, recorder);
  const codecs = codecNames(stream.tracks);
  const watchedCodecs = useRef(codecs); // of the publisher that is there, or was
  if (codecs) watchedCodecs.current = codecs;
  const left = settled(detail) ? codecNames(notRecorded(detail?.tracks)) : '';
  const row = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (watched) row.current?.scrollIntoView({ block: 'nearest' });
  }, [watched]);
  return (
    <div ref={row} class="item" data-testid={`stream-row-${stream.id}`} data-live={live} data-recording={recording}>
      <div class="row">
        <div class="row-text">
          <strong class="name">{seen(stream.id)}</strong>
          <span class={live ? 'badge live' : 'badge'}>{t(live ? 'live' : 'idle')}</span>
          {recording && <RecordingBadge since={stream.recordingSince ?? Date.parse(detail?.started_at ?? '')} />}
          <p class="note">
            {[
              stream.node && seen(stream.node),
              codecs,
              viewers === 1 ? t('viewer') : t('viewers', { n: viewers }),
              recording && detail?.bytes ? bytes(detail.bytes) : '',
            ]
              .filter(Boolean)
              .join(' · ')}
          </p>
          {recording && left && (
            <p class="note warning" data-testid="record-left">
              {t('notRecorded', { codecs: left })}
            </p>
          )}
        </div>
        <div class="buttons">
          {may(me, 'view') && recorder && (
            <a href={hrefOf('recordings', stream.id)} data-testid="stream-recordings">
              {t('toRecordings')}
            </a>
          )}
          {mayWatch && (
            <button
              type="button"
              disabled={!live && !watched}
              aria-expanded={watched}
              onClick={() => change({ watch: watched ? undefined : stream.id })}
              data-testid="stream-watch"
            >
              {t(watched ? 'close' : 'watch')}
            </button>
          )}
          {recorder && may(me, 'record') && <RecordButton stream={stream} />}
        </div>
      </div>
      {!recording && detail?.error && (
        <p class="error" role="status" data-testid="record-last-error">
          {t('lastRecordError', { error: detail.error })}
        </p>
      )}
      {/* the server ends the sessions of viewers whose publisher comes back with another codec */}
      {watched && mayWatch && <WatchView key={watchedCodecs.current} id={stream.id} live={live} />}
    </div>
  );
}

/** Starts and stops a stream's recording; it asks before it stops one. */
function RecordButton({ stream }: { stream: Stream }) {
  const live = stream.publish.sessions.length > 0;
  const recording = stream.recording ?? false;
  const [asking, setAsking] = useState(false);
  const action = useAction();
  return (
    <>
      <button
        type="button"
        disabled={action.busy || (!live && !recording)}
        onClick={() => (recording ? setAsking(true) : void action.run(async () => void (await startRecording(stream.id, stream.node))))}
        data-testid={recording ? 'record-stop' : 'record-start'}
      >
        {recordLabel(recording, action.busy)}
      </button>
      {asking && (
        <Confirm
          title={t('stopTitle', { id: seen(stream.id) })}
          yes={t('recordStop')}
          onNo={() => setAsking(false)}
          onYes={() => {
            setAsking(false);
            void action.run(async () => void (await stopRecording(stream.id, stream.node)));
          }}
        >
          <p>{t('stopText')}</p>
        </Confirm>
      )}
      {action.error && (
        <p class="error wide" role="alert" data-testid="record-error">
          {action.error}
        </p>
      )}
    </>
  );
}

/** Has a recording run for long enough that every track which can be in it is in it? */
function settled(detail: RecordState | undefined): boolean {
  return (detail?.duration ?? 0) > 10;
}

function recordLabel(recording: boolean, busy: boolean): string {
  if (!recording) return t('record');
  return t(busy ? 'recordStopping' : 'recordStop');
}

function RecordingBadge({ since }: { since: number }) {
  const now = useNow(true);
  const time = Number.isNaN(since) ? '' : duration((now - since) / 1000);
  return (
    <span class="badge recording" data-testid="record-state">
      {t('recordingFor', { time }).trim()}
    </span>
  );
}

/** After a change of the recording, in ms: when it has media, and when it has all tracks that it will have. */
const looks = [1000, 12_000];

/** The state of a stream's recording, read when it has changed under the eyes of the reader: a list that is opened reads nothing for each row. */
function useRecordState(stream: Stream, recorder: boolean): RecordState | undefined {
  const { id, node, recording } = stream;
  const [state, setState] = useState<RecordState>();
  const seenAs = useRef(recording);
  useEffect(() => {
    if (!recorder || seenAs.current === recording) return;
    seenAs.current = recording;
    const abort = new AbortController();
    // Only ornaments of the row come from here; the list itself reports what is wrong.
    const read = () => void recordState(id, node, abort.signal).then(setState, () => undefined);
    const timers = (recording ? looks : [0]).map((delay) => setTimeout(read, delay));
    return () => {
      abort.abort();
      timers.forEach(clearTimeout);
    };
  }, [id, node, recording, recorder]);
  return state;
}
