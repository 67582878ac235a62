import { useState } from 'preact/hooks';
import { useAction, words } from '../hooks';
import { locale, t, tOr } from '../i18n';
import { codecNames, objectURL, pauseRecording, protectRecording, type Recording } from '../lib/api';
import { fileOf, fileQuery, findFile, saveFrom } from '../lib/file';
import { bytes, dateTime, duration, pictureSizes, seen } from '../lib/format';
import { may, signRecording } from '../lib/session';
import { deleteSoon } from '../lib/undo';
import { verdict } from '../lib/verdict';
import { useApp } from '../state';
import { folder } from './archive';
import { Confirm } from './dialog';
import { LinkView } from './link';

interface RowProps {
  recording: Recording;
  played: boolean;
  chosen: boolean;
  onPlay: () => void;
  onChoose: (on: boolean) => void;
  onChange: () => void;
}

/** A recording in the list, with what can be done with it. */
export function RecordingRow({ recording, played, chosen, onPlay, onChoose, onChange }: RowProps) {
  const { me, nodes } = useApp();
  const tracks = recording.tracks?.filter((track) => track.recorded !== false) ?? [];
  const start = dateTime(recording.start, locale) || seen(recording.record_dir);
  const away = recording.status === 'recording' && nodes?.some((node) => node.alias === recording.node && node.state !== 'up');
  const why = verdict(recording);
  return (
    <div
      class="item"
      data-testid="recording-row"
      data-record-dir={recording.record_dir}
      data-stream={recording.stream}
      data-status={recording.status}
      data-duration={recording.duration}
      aria-current={played ? 'true' : undefined}
    >
      <div class="row">
        {may(me, 'delete') && (
          <input
            type="checkbox"
            checked={chosen}
            aria-label={t('choose', { name: start })}
            onChange={(event) => onChoose(event.currentTarget.checked)}
            data-testid="recording-choose"
          />
        )}
        <div class="row-text">
          <span class="when">{start}</span>
          <span class={`badge ${away ? 'degraded' : recording.status}`} data-testid="recording-status">
            {away ? t('statusAway') : tOr(`status.${recording.status}`, recording.status)}
          </span>
          {recording.paused_since && (
            <span class="badge degraded" data-testid="recording-paused">
              {t('pausedSince', { time: new Date(recording.paused_since).toLocaleTimeString(locale) })}
            </span>
          )}
          {recording.protected && <span class="badge" data-testid="recording-protected">{t('protected')}</span>}
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
          {why && <p class="note">{why}</p>}
        </div>
        <div class="buttons">
          <button type="button" aria-pressed={played} onClick={onPlay} data-testid="recording-watch">
            {t('watch')}
          </button>
          <FileLink recording={recording} />
          {/* as the manifest is named: folders of two nodes may have the same name */}
          <LinkView recordDir={folder(recording.mpd_path)} />
          {recording.status === 'recording' && may(me, 'record') && <Pause recording={recording} onChange={onChange} />}
          {may(me, 'delete') && <Keeping recording={recording} name={start} onChange={onChange} />}
        </div>
      </div>
    </div>
  );
}

/** Pauses a recording that runs, and goes on with it. */
function Pause({ recording, onChange }: { recording: Recording; onChange: () => void }) {
  const { busy, error, run } = useAction();
  const paused = recording.paused_since !== undefined;
  const pause = () =>
    run(async () => {
      await pauseRecording(recording.stream, !paused, recording.node);
      onChange();
    });
  return (
    <>
      <button type="button" class="quiet" disabled={busy} onClick={() => void pause()} data-testid="recording-pause">
        {t(paused ? 'recordResume' : 'recordPause')}
      </button>
      {error && (
        <span class="error" role="alert">
          {error}
        </span>
      )}
    </>
  );
}

/** Protects a recording, and deletes it. */
function Keeping({ recording, name, onChange }: { recording: Recording; name: string; onChange: () => void }) {
  const path = folder(recording.mpd_path);
  const [asking, setAsking] = useState(false);
  const { busy, error, run } = useAction();
  const protect = () =>
    run(async () => {
      await protectRecording(path, !recording.protected);
      onChange();
    });
  return (
    <>
      <button type="button" class="quiet" disabled={busy} onClick={() => void protect()} data-testid="recording-protect">
        {t(recording.protected ? 'unprotect' : 'protect')}
      </button>
      {!recording.protected && recording.status !== 'recording' && (
        <button type="button" class="quiet" onClick={() => setAsking(true)} data-testid="recording-delete">
          {t('delete')}
        </button>
      )}
      {asking && (
        <Confirm
          title={t('deleteTitle', { name })}
          yes={t('delete')}
          onNo={() => setAsking(false)}
          onYes={() => {
            setAsking(false);
            void deleteSoon(path, name, words);
          }}
        >
          <p>{t('deleteText')}</p>
        </Confirm>
      )}
      {error && (
        <span class="error" role="alert">
          {error}
        </span>
      )}
    </>
  );
}

interface BulkProps {
  chosen: readonly Recording[];
  onDone: () => void;
}

/** What can be done with several recordings at once. */
export function Bulk({ chosen, onDone }: BulkProps) {
  const [asking, setAsking] = useState(false);
  const { busy, error, run } = useAction();
  const deletable = chosen.filter((recording) => !recording.protected && recording.status !== 'recording');
  if (chosen.length === 0) return null;
  const protect = (on: boolean) =>
    run(async () => {
      for (const recording of chosen) await protectRecording(folder(recording.mpd_path), on);
      onDone();
    });
  return (
    <div class="bulk row" role="group" aria-label={t('chosen', { n: chosen.length })} data-testid="bulk">
      <span>{t('chosen', { n: chosen.length })}</span>
      <div class="buttons">
        <button type="button" disabled={busy} onClick={() => void protect(true)} data-testid="bulk-protect">
          {t('protect')}
        </button>
        <button type="button" disabled={busy} onClick={() => void protect(false)}>
          {t('unprotect')}
        </button>
        <button type="button" class="danger" disabled={busy || deletable.length === 0} onClick={() => setAsking(true)} data-testid="bulk-delete">
          {t('delete')}
        </button>
        <button type="button" class="quiet" onClick={onDone}>
          {t('cancel')}
        </button>
      </div>
      {error && (
        <p class="error wide" role="alert">
          {error}
        </p>
      )}
      {asking && (
        <Confirm
          title={t('deleteMany', { n: deletable.length })}
          yes={t('delete')}
          onNo={() => setAsking(false)}
          onYes={() => {
            setAsking(false);
            for (const recording of deletable) void deleteSoon(folder(recording.mpd_path), dateTime(recording.start, locale), words);
            onDone();
          }}
        >
          <p>{t('deleteText')}</p>
        </Confirm>
      )}
    </div>
  );
}

/**
 * A link that saves the recording as one file. A link carries no token, and a file may be too long for the page's
 * memory: so the browser gets a signed URL to load it from.
 */
function FileLink({ recording }: { recording: Recording }) {
  const [error, setError] = useState('');
  const plain = (name: string) => objectURL(`${folder(recording.mpd_path)}/${name}`);
  const likely = fileOf(recording);
  const save = async (event: Event) => {
    event.preventDefault();
    setError('');
    try {
      const name = await findFile(plain, likely); // says why there is none
      const { url } = await signRecording(folder(recording.mpd_path));
      saveFrom(`${folder(url)}/${name}${fileQuery()}`);
    } catch (reason) {
      setError(words(reason));
    }
  };
  return (
    <>
      <a href={plain(likely) + fileQuery()} download onClick={(event) => void save(event)} data-testid="recording-file">
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
