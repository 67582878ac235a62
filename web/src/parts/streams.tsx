import { useEffect, useRef, useState } from 'preact/hooks';
import { useAction, useNow } from '../hooks';
import { t } from '../i18n';
import {
  codecNames,
  notRecorded,
  type RecordState,
  recordState,
  startRecording,
  stopRecording,
  type Stream,
} from '../lib/api';
import { bytes, duration, seen } from '../lib/format';
import type { FeedState } from '../lib/sse';
import { WatchView } from './watch';

// Between readings of a running recording's size, and while it waits for its first media, in ms.
const detailInterval = 5000;
const startInterval = 1000;

interface StreamsProps {
  streams: Stream[] | undefined;
  feed: FeedState;
  recorder: boolean;
  manager: boolean; // which carries no media: nothing can be watched there
  mayRecord: boolean;
}

/** The live list of streams. */
export function StreamsPart({ streams, feed, recorder, manager, mayRecord }: StreamsProps) {
  const [watched, setWatched] = useState('');
  const lost = feed.kind === 'waiting' && feed.status !== 401 ? feed.error : '';
  const unreachable = feed.kind === 'waiting' && feed.status === 0;
  return (
    <section class="card" aria-labelledby="streams-title">
      <h2 id="streams-title">{t('streams')}</h2>
      {lost && (
        <p class="error" role="status" data-testid="streams-error">
          {t('feedLost', { error: unreachable ? t('unreachable') : lost })}
        </p>
      )}
      {streams?.length === 0 && !lost && <p class="note">{t('noStreams')}</p>}
      {!streams && feed.kind === 'connecting' && <p class="note">{t('loading')}</p>}
      <ul class="rows" data-testid="streams-list">
        {streams?.map((stream) => (
          <StreamRow
            key={`${stream.id}/${stream.node ?? ''}`}
            stream={stream}
            recorder={recorder}
            manager={manager}
            mayRecord={mayRecord}
            watched={watched === stream.id}
            onWatch={(on) => setWatched(on ? stream.id : '')}
          />
        ))}
      </ul>
    </section>
  );
}

interface RowProps {
  stream: Stream;
  recorder: boolean;
  manager: boolean;
  mayRecord: boolean;
  watched: boolean;
  onWatch: (on: boolean) => void;
}

function StreamRow({ stream, recorder, manager, mayRecord, watched, onWatch }: RowProps) {
  const live = stream.publish.sessions.length > 0;
  const recording = stream.recording ?? false;
  const viewers = stream.subscribe.sessions.length;
  const detail = useRecordState(stream.id, stream.node, recording, recorder);
  const codecs = codecNames(stream.tracks);
  const watchedCodecs = useRef(codecs); // of the publisher that is there, or was
  if (codecs) watchedCodecs.current = codecs;
  const left = settled(detail) ? codecNames(notRecorded(detail?.tracks)) : '';
  const action = useAction();
  const toggle = () =>
    action.run(async () => {
      if (recording) await stopRecording(stream.id, stream.node);
      else await startRecording(stream.id, stream.node);
    });
  return (
    <li data-testid={`stream-row-${stream.id}`} data-live={live} data-recording={recording}>
      <div class="row">
        <div class="row-text">
          <strong class="name">{seen(stream.id)}</strong>
          <span class={live ? 'badge live' : 'badge'}>{t(live ? 'live' : 'idle')}</span>
          {recording && <RecordingBadge detail={detail} />}
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
          {!manager && (
            <button
              type="button"
              disabled={!live && !watched}
              aria-expanded={watched}
              onClick={() => onWatch(!watched)}
              data-testid="stream-watch"
            >
              {t(watched ? 'close' : 'watch')}
            </button>
          )}
          {recorder && mayRecord && (
            <button
              type="button"
              class={recording ? 'danger' : ''}
              disabled={action.busy || (!live && !recording)}
              onClick={() => void toggle()}
              data-testid={recording ? 'record-stop' : 'record-start'}
            >
              {recordLabel(recording, action.busy)}
            </button>
          )}
        </div>
      </div>
      {action.error && (
        <p class="error" role="alert" data-testid="record-error">
          {action.error}
        </p>
      )}
      {!recording && !action.error && detail?.error && (
        <p class="error" role="status" data-testid="record-last-error">
          {t('lastRecordError', { error: detail.error })}
        </p>
      )}
      {/* the server ends the sessions of viewers whose publisher comes back with another codec */}
      {watched && <WatchView key={watchedCodecs.current} id={stream.id} live={live} />}
    </li>
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

function RecordingBadge({ detail }: { detail: RecordState | undefined }) {
  const now = useNow(true);
  const started = Date.parse(detail?.started_at ?? '');
  const time = Number.isNaN(started) ? '' : duration((now - started) / 1000);
  return (
    <span class="badge recording" data-testid="record-state">
      {t('recordingFor', { time }).trim()}
    </span>
  );
}

/** The record state of a stream: read when recording starts or ends, and again while it runs. */
function useRecordState(
  id: string,
  node: string | undefined,
  recording: boolean,
  recorder: boolean,
): RecordState | undefined {
  const [state, setState] = useState<RecordState>();
  const interval = state?.started_at ? detailInterval : startInterval;
  useEffect(() => {
    if (!recorder) return;
    const abort = new AbortController();
    // Only ornaments of the row come from here; the list itself reports what is wrong.
    const read = () => void recordState(id, node, abort.signal).then(setState, () => {});
    read();
    const timer = recording ? setInterval(read, interval) : undefined;
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [id, node, recording, recorder, interval]);
  return state;
}
