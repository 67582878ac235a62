import { useEffect, useMemo, useState } from 'preact/hooks';
import { words } from '../hooks';
import { locale, t } from '../i18n';
import { listRecordings, type Recording } from '../lib/api';
import { dateTime, seen } from '../lib/format';
import { change, usePlace } from '../lib/route';
import { may } from '../lib/session';
import { isDeleted } from '../lib/undo';
import { folder } from './archive';
import { Bulk, RecordingRow } from './recording';
import { Rows } from './rows';
import { useDeletions } from './toasts';
import { useApp } from '../state';

const pageSize = 20;

const filters = ['all', 'complete', 'degraded', 'failed', 'protected'] as const;

interface ListProps {
  stream: string;
  day: string;
  changed: number; // another value: what is listed was changed elsewhere
  played: Recording | undefined;
  known: readonly Recording[]; // some of them newer than the list
  onPlay: (recording: Recording) => void;
  onChange: () => void;
}

/** The recordings of a stream, or of one of its days, newest first. */
export function RecordingsList({ stream, day, changed, played, known, onPlay, onChange }: ListProps) {
  useDeletions();
  const { query } = usePlace();
  const { me, nodes } = useApp();
  const filter = query.get('status') ?? 'all';
  const node = nodes ? (query.get('node') ?? '') : '';
  const [count, setCount] = useState(pageSize);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const { list, error, refresh } = useList(stream, count, day, changed);
  const newer = useMemo(() => new Map(known.map((recording) => [recording.mpd_path, recording])), [known]);
  const rows = merged(list?.rows ?? [], known, newer, day).filter((recording) => passes(recording, filter) && (!node || recording.node === node));
  const choose = (recording: Recording, on: boolean) => {
    const next = new Set(chosen);
    if (on) next.add(recording.mpd_path);
    else next.delete(recording.mpd_path);
    setChosen(next);
  };
  const done = () => {
    setChosen(new Set());
    onChange();
    refresh();
  };
  return (
    <>
      <div class="row head">
        <h2>{day ? dateTime(`${day}T00:00`, locale).replace(/,? ?0?0?:?\d*:\d\d:\d\d.*$/, '') || day : t('newest')}</h2>
        {nodes && (
          <label class="switch">
            <span class="unseen">{t('filterNode')}</span>
            <select value={node} onChange={(event) => change({ node: event.currentTarget.value || undefined })} data-testid="recordings-node">
              <option value="">{t('nodesAll')}</option>
              {nodes.map(({ alias }) => (
                <option key={alias} value={alias}>
                  {seen(alias)}
                </option>
              ))}
            </select>
          </label>
        )}
        {may(me, 'delete') && rows.length > 0 && (
          <label class="check">
            <input
              type="checkbox"
              checked={rows.every((recording) => chosen.has(recording.mpd_path))}
              onChange={(event) => setChosen(new Set(event.currentTarget.checked ? rows.map((recording) => recording.mpd_path) : []))}
              data-testid="choose-all"
            />
            {t('chooseAll')}
          </label>
        )}
        <label class="switch">
          <span class="unseen">{t('filter')}</span>
          <select value={filter} onChange={(event) => change({ status: event.currentTarget.value === 'all' ? undefined : event.currentTarget.value })} data-testid="recordings-filter">
            {filters.map((name) => (
              <option key={name} value={name}>
                {name === 'all' ? t('filterAll') : name === 'protected' ? t('protected') : t(`status.${name}`)}
              </option>
            ))}
          </select>
        </label>
      </div>
      {error && (
        <p class="error" role="alert" data-testid="list-error">
          {error}
        </p>
      )}
      {!list && !error && <p class="note">{t('loading')}</p>}
      {list && rows.length === 0 && <p class="note">{t(filter === 'all' && !node ? 'noRecordings' : 'noneOfFilter')}</p>}
      <Bulk chosen={rows.filter((recording) => chosen.has(recording.mpd_path))} onDone={done} />
      <Rows
        items={rows}
        keyOf={(recording) => recording.mpd_path}
        height={110}
        testid="recordings-rows"
        row={(recording) => (
          <RecordingRow
            recording={recording}
            played={played?.mpd_path === recording.mpd_path}
            chosen={chosen.has(recording.mpd_path)}
            onPlay={() => onPlay(recording)}
            onChoose={(on) => choose(recording, on)}
            onChange={done}
          />
        )}
      />
      {list?.more && (
        <p class="more">
          <button type="button" class="quiet" onClick={() => setCount(count < 500 ? count * 4 : count + 500)} data-testid="recordings-more">
            {t('more')}
          </button>{' '}
          <span class="note">{t('shown', { n: list.rows.length, total: list.total })}</span>
        </p>
      )}
    </>
  );
}

function passes(recording: Recording, filter: string): boolean {
  if (filter === 'all') return true;
  return filter === 'protected' ? recording.protected === true : recording.status === filter;
}

/** The rows of a list as they are known now, and those that have begun since it was read. */
function merged(rows: readonly Recording[], known: readonly Recording[], newer: ReadonlyMap<string, Recording>, day: string): Recording[] {
  const listed = new Set(rows.map((recording) => recording.mpd_path));
  const newest = Date.parse(rows[0]?.start ?? '') || 0;
  const begun = day ? [] : known.filter((recording) => !listed.has(recording.mpd_path) && Date.parse(recording.start) > newest);
  return [...begun, ...rows.map((recording) => newer.get(recording.mpd_path) ?? recording)].filter(
    (recording) => !isDeleted(folder(recording.mpd_path)),
  );
}

/** A list of recordings, read when it is asked for; what runs is told by the archive. */
function useList(stream: string, count: number, day: string, changed: number) {
  const { credentials } = useApp();
  const [list, setList] = useState<Awaited<ReturnType<typeof listRecordings>>>();
  const [error, setError] = useState('');
  const [reads, setReads] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    const from = day ? new Date(`${day}T00:00`).getTime() : undefined;
    const to = day ? nextDay(day) : undefined;
    listRecordings(stream, count, { signal: abort.signal, ...(from !== undefined && to !== undefined && { from, to }) }).then(
      (next) => {
        setError('');
        setList(next);
      },
      (reason: unknown) => !abort.signal.aborted && setError(words(reason)),
    );
    return () => abort.abort();
  }, [stream, count, day, credentials, reads, changed]);
  return { list, error, refresh: () => setReads((n) => n + 1) };
}

function nextDay(day: string): number {
  const date = new Date(`${day}T00:00`);
  date.setDate(date.getDate() + 1);
  return date.getTime();
}
