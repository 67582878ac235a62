import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { usePolled, words } from '../hooks';
import { listRecordings, readTimeline, type Recording } from '../lib/api';
import { coverage, spansOf, spansOfTimeline, type Span } from '../lib/archive';
import type { Range } from '../lib/ruler';
import { isDeleted } from '../lib/undo';
import { useApp } from '../state';
import { type Day, daysOf } from './calendar';
import { useDeletions } from './toasts';

const liveInterval = 5000; // ms between readings of the newest while one of them runs
const most = { month: 1000, newest: 20 }; // recordings that are read

export interface Archive {
  recordings: Recording[]; // that are known, newest first
  spans: Span[];
  error: string;
  refresh: () => void;
}

/** The recordings of a stream: the newest, which are read again while one runs, and those of the months that a range touches. */
export function useArchive(stream: string, range: Range): Archive {
  const { changes, credentials } = useApp();
  useDeletions();
  const key = `${stream} ${credentials}`;
  const [known, setKnown] = useState<{ key: string; all: Map<string, Recording> }>({ key, all: new Map() });
  const [error, setError] = useState('');
  const [reads, setReads] = useState(0);
  const months = useRef({ key, read: new Set<string>() });
  if (months.current.key !== key) months.current = { key, read: new Set() };
  const merge = useCallback(
    (rows: readonly Recording[]) =>
      setKnown((before) => {
        const all = new Map(before.key === key ? before.all : []);
        for (const row of rows) all.set(row.mpd_path, row);
        return { key, all };
      }),
    [key],
  );
  const all = known.key === key ? known.all : undefined;
  const running = [...(all?.values() ?? [])].some((recording) => recording.status === 'recording');
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async () => {
      try {
        const { rows } = await listRecordings(stream, most.newest, { signal: abort.signal });
        merge(rows);
        setError('');
      } catch (reason) {
        if (!abort.signal.aborted) setError(words(reason));
      }
      if (!abort.signal.aborted && running) timer = setTimeout(() => void read(), liveInterval);
    };
    void read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [stream, merge, changes, reads, running]);
  const wanted = monthsOf(range).map((first) => first.getTime()).join(' ');
  useEffect(() => {
    const abort = new AbortController();
    const { read } = months.current;
    for (const begin of wanted.split(' ').map(Number)) {
      if (read.has(`${begin}`)) continue;
      const to = new Date(begin);
      to.setMonth(to.getMonth() + 1);
      listRecordings(stream, most.month, { from: begin, to: to.getTime(), signal: abort.signal }).then(
        ({ rows }) => {
          read.add(`${begin}`);
          merge(rows);
        },
        (reason: unknown) => !abort.signal.aborted && setError(words(reason)),
      );
    }
    return () => abort.abort();
  }, [stream, merge, wanted, reads]);
  const recordings = useMemo(
    () => [...(all?.values() ?? [])].sort((a, b) => Date.parse(b.start) - Date.parse(a.start)),
    [all],
  ).filter((recording) => !isDeleted(folder(recording.mpd_path)));
  const spans = useMemo(() => spansOf(recordings, Date.now()), [all, recordings.length]);
  return { recordings, spans, error, refresh: useCallback(() => setReads((n) => n + 1), []) };
}

/** The first days of the months that a range touches, at most three. */
function monthsOf({ from, to }: Range): Date[] {
  const found: Date[] = [];
  for (let first = firstOf(new Date(from)); first.getTime() < to && found.length < 3; first = new Date(first.getFullYear(), first.getMonth() + 1, 1)) {
    found.push(first);
  }
  return found;
}

const hoursOfMonth = 31 * 24;
const monthInterval = 60_000; // ms between readings of a month, which today is part of

/** The days of a month with what is recorded of them: one small answer, however many recordings there are. */
export function useMonth(stream: string, month: Date): Day[] {
  const { credentials } = useApp();
  const dates = useMemo(() => daysOf(month), [month]);
  const end = new Date(month.getFullYear(), month.getMonth() + 1, 1).getTime();
  const { value } = usePolled(`${stream} ${month.getTime()} ${credentials}`, monthInterval, (signal) =>
    readTimeline(stream, month.getTime(), end, hoursOfMonth, signal),
  );
  return useMemo(() => {
    const covers = coverage(spansOfTimeline(value ?? []), dates);
    return dates.map((date, i) => ({ date, share: 0, lost: false, ...covers[i] }));
  }, [value, dates]);
}

/** The first day of the month of a date. */
export function firstOf(date: Date): Date {
  return new Date(date.getFullYear(), date.getMonth(), 1);
}

/** The folder of a path or a URL. */
export const folder = (path: string) => path.slice(0, path.lastIndexOf('/'));
