import { useEffect, useRef, useState } from 'preact/hooks';
import { useAction, words } from '../hooks';
import { locale, t } from '../i18n';
import { listRecordings, protectRecording, type Recording } from '../lib/api';
import { type Clip, clipURL, copyText, linkTo, signClip } from '../lib/clip';
import { fileQuery, findFile, saveFrom } from '../lib/file';
import { dateTime, duration } from '../lib/format';
import { may } from '../lib/session';
import { deleteSoon } from '../lib/undo';
import { useApp } from '../state';
import { folder } from './archive';
import { Confirm } from './dialog';

interface ClipProps {
  stream: string;
  clip: Clip | undefined;
  moment: number | undefined;
  onClip: (clip: Clip | undefined) => void;
  onChange: () => void; // what the clip is of was protected or deleted
}

/** Of the moment that is shown, in ms. */
const around = 15_000;

/** Lifetimes of links for guests, in seconds: none is longer than the server allows. */
const lifetimes = [3600, 8 * 3600, 24 * 3600];

/** A clip of a stream, and what can be done with it: save it, link to it, let guests see it. I and O set its ends. */
export function ClipBar({ stream, clip, moment, onClip, onChange }: ClipProps) {
  const { me } = useApp();
  useEnds(clip, moment, onClip);
  if (!clip) {
    return (
      <div class="buttons clip">
        <button
          type="button"
          disabled={moment === undefined}
          onClick={() => moment !== undefined && onClip({ from: moment - around, to: moment + around })}
          data-testid="clip-begin"
        >
          {t('clipBegin')}
        </button>
        <CopyButton text={() => linkTo(stream, moment)} label={t('copyLink')} testid="copy-link" />
      </div>
    );
  }
  return (
    <div class="buttons clip" data-testid="clip" data-from={Math.round(clip.from)} data-to={Math.round(clip.to)}>
      <span class="note">
        {new Date(clip.from).toLocaleTimeString(locale)} – {new Date(clip.to).toLocaleTimeString(locale)}, {duration((clip.to - clip.from) / 1000)}
      </span>
      <Save stream={stream} clip={clip} />
      <CopyButton text={() => linkTo(stream, clip.from, clip)} label={t('copyLink')} testid="copy-link" />
      <Guests key={`${clip.from} ${clip.to}`} stream={stream} clip={clip} />
      {may(me, 'delete') && <Keep stream={stream} clip={clip} onChange={onChange} />}
      <button type="button" class="quiet" onClick={() => onClip(undefined)} data-testid="clip-end">
        {t('cancel')}
      </button>
    </div>
  );
}

/** I and O begin and end a clip at the moment that is shown. */
function useEnds(clip: Clip | undefined, moment: number | undefined, onClip: (clip: Clip) => void): void {
  const now = useRef({ clip, moment, onClip });
  now.current = { clip, moment, onClip };
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const { clip, moment, onClip } = now.current;
      if (moment === undefined || event.ctrlKey || event.metaKey || event.altKey || (event.target as Element).closest('input, select, textarea, dialog')) return;
      if (event.key === 'i') onClip({ from: moment, to: Math.max(clip?.to ?? 0, moment + 1000) });
      if (event.key === 'o') onClip({ from: Math.min(clip?.from ?? moment - around, moment - 1000), to: moment });
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}

/** Saves a clip as one file: the browser loads it by a signed URL, which needs no header. */
function Save({ stream, clip }: { stream: string; clip: Clip }) {
  const { busy, error, run } = useAction();
  const save = () =>
    run(async () => {
      const name = await findFile((file) => clipURL(stream, clip, file)); // says why there is none
      const { folder } = await signClip(stream, clip);
      saveFrom(folder + name + fileQuery());
    });
  return (
    <>
      <button type="button" class="primary" disabled={busy} onClick={() => void save()} data-testid="clip-save">
        {t('download')}
      </button>
      {error && (
        <span class="error" role="alert" data-testid="clip-error">
          {error}
        </span>
      )}
    </>
  );
}

const mostKept = 500; // recordings that a clip may touch

/** Protects or deletes what a clip is of: whole recordings, and it says which before it does. */
function Keep({ stream, clip, onChange }: { stream: string; clip: Clip; onChange: () => void }) {
  const [asking, ask] = useState<{ protect: boolean; of: Recording[] }>();
  const { busy, error, run } = useAction();
  const find = (protect: boolean) =>
    run(async () => {
      const { rows, more } = await listRecordings(stream, mostKept, clip);
      if (more) throw new Error(t('keepTooMany', { n: mostKept }));
      const of = rows.filter((recording) => (protect ? !recording.protected : !recording.protected && recording.status !== 'recording'));
      if (of.length === 0) throw new Error(t(protect ? 'keepNothing' : 'deleteNothing'));
      ask({ protect, of });
    });
  const act = ({ protect, of }: { protect: boolean; of: readonly Recording[] }) =>
    run(async () => {
      ask(undefined);
      for (const recording of of) {
        const path = folder(recording.mpd_path);
        if (protect) await protectRecording(path, true);
        else void deleteSoon(path, dateTime(recording.start, locale), words);
      }
      onChange();
    });
  return (
    <>
      <button type="button" disabled={busy} onClick={() => void find(true)} data-testid="clip-protect">
        {t('protect')}
      </button>
      <button type="button" disabled={busy} onClick={() => void find(false)} data-testid="clip-delete">
        {t('delete')}
      </button>
      {asking && (
        <Confirm
          title={t(asking.protect ? 'protectMany' : 'deleteMany', { n: asking.of.length })}
          yes={t(asking.protect ? 'protect' : 'delete')}
          onNo={() => ask(undefined)}
          onYes={() => void act(asking)}
        >
          <p>{t('keepWhole')}</p>
          <ul class="note" data-testid="confirm-list">
            {asking.of.slice(0, 5).map((recording) => (
              <li key={recording.mpd_path}>
                {dateTime(recording.start, locale)}, {duration(recording.duration)}
              </li>
            ))}
            {asking.of.length > 5 && <li>…</li>}
          </ul>
          {!asking.protect && <p>{t('deleteText')}</p>}
        </Confirm>
      )}
      {error && (
        <span class="error" role="alert" data-testid="keep-error">
          {error}
        </span>
      )}
    </>
  );
}

/** Makes a URL of a clip that plays without credentials for a while. */
function Guests({ stream, clip }: { stream: string; clip: Clip }) {
  const [lifetime, setLifetime] = useState(lifetimes[0] as number);
  const [link, setLink] = useState<{ url: string; expires: string }>();
  const { busy, error, run } = useAction();
  return (
    <>
      <label class="switch">
        <span class="unseen">{t('guestsFor')}</span>
        <select value={lifetime} onChange={(event) => setLifetime(Number(event.currentTarget.value))} data-testid="guests-for">
          {lifetimes.map((seconds) => (
            <option key={seconds} value={seconds}>
              {t('hours', { n: seconds / 3600 })}
            </option>
          ))}
        </select>
      </label>
      <button type="button" disabled={busy} onClick={() => void run(async () => setLink(await signClip(stream, clip, lifetime)))} data-testid="guests">
        {t('guests')}
      </button>
      {link && (
        <label class="link">
          {t('guestsUntil', { time: dateTime(link.expires, locale) })}
          <input readOnly value={link.url} onFocus={(event) => event.currentTarget.select()} data-testid="guests-url" />
        </label>
      )}
      {error && (
        <span class="error" role="alert" data-testid="guests-error">
          {error}
        </span>
      )}
    </>
  );
}

/** Copies a text, and says that it did. */
function CopyButton({ text, label, testid }: { text: () => string; label: string; testid: string }) {
  const [copied, setCopied] = useState(false);
  const { error, run } = useAction();
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 3000);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <>
      <button
        type="button"
        onClick={() =>
          void run(async () => {
            await copyText(text());
            setCopied(true);
          })
        }
        data-testid={testid}
      >
        {copied ? t('copied') : label}
      </button>
      {error && (
        <span class="error" role="alert">
          {error}
        </span>
      )}
    </>
  );
}
