import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { words } from '../hooks';
import { locale, t, tOr } from '../i18n';
import {
  codecNames,
  listPlayback,
  listRecordings,
  objectURL,
  type Recording,
  type StreamRecordings,
} from '../lib/api';
import { bytes, dateTime, duration, pictureSizes, seen } from '../lib/format';
import { request } from '../lib/http';
import { signRecording } from '../lib/session';
import { LinkView } from './link';
import { PlayerView } from './player';

const pageSize = { streams: 100, recordings: 20 };
const liveInterval = 5000; // ms between readings of a list with a running recording
const sumsInterval = 15_000; // ms between readings of the sums while anything is recorded; the server's are half a minute old
const followDelays = [1500, 5000]; // ms after a change, when a manager's recordings are read again

interface RecordingsProps {
  changes: string; // differs whenever a recording has started or ended, or the server has come back
  running: boolean; // is anything recorded now?
  recorder: boolean;
  manager: boolean;
  token: string;
}

/** The recordings, by stream. */
export function RecordingsPart({ changes, running, recorder, manager, token }: RecordingsProps) {
  const [streams, setStreams] = useState<StreamRecordings[]>();
  const [count, setCount] = useState(pageSize.streams);
  const [more, setMore] = useState(false);
  const [error, setError] = useState('');
  const [open, setOpen] = useState<string>();
  const [reads, setReads] = useState(0);
  useEffect(() => {
    if (!recorder) return;
    let shown = true;
    listPlayback(count).then(
      (list) => {
        if (!shown) return;
        setError('');
        setStreams(list.rows);
        setMore(list.more);
        if (list.rows.length === 1) setOpen((before) => before ?? list.rows[0]?.stream);
      },
      (reason: unknown) => shown && setError(words(reason)),
    );
    return () => {
      shown = false;
    };
  }, [recorder, changes, token, reads, count]);
  useEffect(() => {
    if (!recorder || !running) return;
    const timer = setInterval(() => setReads((before) => before + 1), sumsInterval);
    return () => clearInterval(timer);
  }, [recorder, running]);
  // A manager hears of its nodes' recordings a moment after it hears of their streams.
  useEffect(() => {
    if (!recorder || !manager) return;
    const timers = followDelays.map((delay) => setTimeout(() => setReads((before) => before + 1), delay));
    return () => timers.forEach(clearTimeout);
  }, [recorder, manager, changes, token]);
  if (!recorder) {
    return (
      <section class="card" aria-labelledby="recordings-title">
        <h2 id="recordings-title">{t('recordings')}</h2>
        <p class="note">{t('noRecorder')}</p>
      </section>
    );
  }
  return (
    <section class="card" aria-labelledby="recordings-title">
      <div class="row head">
        <h2 id="recordings-title">{t('recordings')}</h2>
        <button type="button" class="quiet" onClick={() => setReads(reads + 1)} data-testid="recordings-refresh">
          {t('refresh')}
        </button>
      </div>
      {error && (
        <p class="error" role="alert" data-testid="recordings-error">
          {error}
        </p>
      )}
      {!streams && !error && <p class="note">{t('loading')}</p>}
      {streams?.length === 0 && <p class="note">{t('noRecordings')}</p>}
      <ul class="rows" data-testid="recordings-list">
        {streams?.map((summary) => (
          <li key={summary.stream} data-testid={`recordings-stream-${summary.stream}`}>
            <button
              type="button"
              class="fold"
              aria-expanded={open === summary.stream}
              onClick={() => setOpen(open === summary.stream ? '' : summary.stream)}
              data-testid="recordings-open"
            >
              <strong class="name">{seen(summary.stream)}</strong>
              <span class="note">
                {t(summary.recordings === 1 ? 'countedOne' : 'counted', {
                  n: summary.recordings,
                  time: duration(summary.duration),
                  size: bytes(summary.bytes),
                })}
              </span>
            </button>
            {open === summary.stream && (
              <StreamRecordingsList
                stream={summary.stream}
                changes={`${changes} ${token} ${reads}`}
              />
            )}
          </li>
        ))}
      </ul>
      {more && (
        <p class="more">
          <button type="button" class="quiet" onClick={() => setCount(count + pageSize.streams)} data-testid="recordings-more-streams">
            {t('more')}
          </button>
        </p>
      )}
    </section>
  );
}

interface ListProps {
  stream: string;
  changes: string;
}

function StreamRecordingsList({ stream, changes }: ListProps) {
  const [count, setCount] = useState(pageSize.recordings);
  const { list, error } = useRecordings(stream, count, changes);
  const [played, setPlayed] = useState('');
  const rows = list?.rows ?? [];
  return (
    <>
      {error && (
        <p class="error" role="alert" data-testid="recordings-error">
          {error}
        </p>
      )}
      {!list && !error && <p class="note">{t('loading')}</p>}
      <ul class="rows inner">
        {rows.map((recording) => (
          <RecordingRow
            key={recording.mpd_path}
            recording={recording}
            played={played === recording.mpd_path}
            onPlay={(on) => setPlayed(on ? recording.mpd_path : '')}
          />
        ))}
      </ul>
      {list?.more && (
        <p class="more">
          <button type="button" class="quiet" onClick={() => setCount(count + pageSize.recordings)} data-testid="recordings-more">
            {t('more')}
          </button>{' '}
          <span class="note">{t('shown', { n: rows.length, total: list.total })}</span>
        </p>
      )}
    </>
  );
}

/** The newest recordings of a stream, read again while one of them is running. */
function useRecordings(stream: string, count: number, changes: string) {
  const [list, setList] = useState<Awaited<ReturnType<typeof listRecordings>>>();
  const [error, setError] = useState('');
  const reading = useRef(0);
  const read = useCallback(() => {
    const turn = ++reading.current;
    listRecordings(stream, count).then(
      (next) => {
        if (turn !== reading.current) return;
        setError('');
        setList(next);
      },
      (reason: unknown) => turn === reading.current && setError(words(reason)),
    );
  }, [stream, count]);
  useEffect(() => {
    read();
    return () => {
      reading.current++;
    };
  }, [read, changes]);
  const running = list?.rows.some((recording) => recording.status === 'recording') ?? false;
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(read, liveInterval);
    return () => clearInterval(timer);
  }, [running, read]);
  return { list, error };
}

interface RowProps {
  recording: Recording;
  played: boolean;
  onPlay: (on: boolean) => void;
}

function RecordingRow({ recording, played, onPlay }: RowProps) {
  const tracks = recording.tracks?.filter((track) => track.recorded !== false) ?? [];
  const start = dateTime(recording.start, locale);
  return (
    <li
      data-testid="recording-row"
      data-record-dir={recording.record_dir}
      data-stream={recording.stream}
      data-status={recording.status}
      data-duration={recording.duration}
    >
      <div class="row">
        <div class="row-text">
          <span class="when">{start || seen(recording.record_dir)}</span>
          <span class={`badge ${recording.status}`} data-testid="recording-status">
            {tOr(`status.${recording.status}`, recording.status)}
          </span>
          <p class="note" data-testid="recording-facts">
            {[
              recording.node && seen(recording.node),
              duration(recording.duration),
              recording.bytes > 0 && bytes(recording.bytes), // nodes of the original live777 do not tell
              codecNames(tracks),
              pictureSizes(tracks),
            ]
              .filter(Boolean)
              .join(' · ')}
          </p>
          {recording.reason && <p class="note">{recording.reason}</p>}
        </div>
        <div class="buttons">
          <FileLink recording={recording} />
          {/* as the manifest is named: folders of two nodes may have the same name */}
          <LinkView recordDir={folder(recording.mpd_path)} />
          <button
            type="button"
            aria-expanded={played}
            onClick={() => onPlay(!played)}
            data-testid="recording-watch"
          >
            {t(played ? 'close' : 'watch')}
          </button>
        </div>
      </div>
      {played && <PlayerView recording={recording} />}
    </li>
  );
}

/** The folder of a path or a URL. */
const folder = (path: string) => path.slice(0, path.lastIndexOf('/'));

/**
 * A link that saves the recording as one file. A link carries no token, and a file may be too long for the page's
 * memory: so the browser gets a signed URL to load it from.
 */
function FileLink({ recording }: { recording: Recording }) {
  const [error, setError] = useState('');
  const zone = new URLSearchParams({ tz: Intl.DateTimeFormat().resolvedOptions().timeZone });
  const plain = objectURL(`${folder(recording.mpd_path)}/file.mp4`);
  const save = async (event: Event) => {
    event.preventDefault();
    setError('');
    try {
      await request(plain, { headers: { Range: 'bytes=0-0' } }); // says why there is none
      const { url } = await signRecording(folder(recording.mpd_path));
      const link = Object.assign(document.createElement('a'), { href: `${folder(url)}/file.mp4?${zone}`, download: '' });
      link.click();
    } catch (reason) {
      setError(words(reason));
    }
  };
  return (
    <>
      <a href={`${plain}?${zone}`} download onClick={(event) => void save(event)} data-testid="recording-file">
        {t('download')}
      </a>
      {error && (
        <span class="error" role="alert">
          {error}
        </span>
      )}
    </>
  );
}
