import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { usePolled, words } from '../hooks';
import { listRecordings, readTimeline, type Recording } from '../lib/api';
import { coverage, type Span, spansOfTimeline } from '../lib/archive';
import { ApiError } from '../lib/http';
import type { Range } from '../lib/ruler';
import { isDeleted } from '../lib/undo';
import { useApp } from '../state';
import { type Day, daysOf } from './calendar';
import { useDeletions } from './toasts';

const liveInterval = 5000; // ms between readings of what runs
const newest = 20; // recordings that are read

export interface Newest {
  recordings: Recording[]; // newest first
  error: string;
  refresh: () => void;
}

/** The newest recordings of a stream, which are read again while it is recorded, and while one of them still runs by the catalogue. */
export function useNewest(stream: string, running: boolean): Newest {
  const { changes, credentials } = useApp();
  useDeletions();
  const pause = (rows: Recording[]) => (running || rows.some((recording) => recording.status === 'recording') ? liveInterval : 0);
  const { value, error, refresh } = usePolled(`${stream} ${credentials} ${changes}`, pause, async (signal) => {
    const { rows } = await listRecordings(stream, newest, { signal });
    return rows;
  });
  const last = useRef<Recording[]>([]); // stay while they are read again
  if (value) last.current = value;
  const recordings = last.current.filter((recording) => !isDeleted(folder(recording.mpd_path)));
  return { recordings, error, refresh };
}

const around = 1; // lengths of a range that are read beside it, so that a ruler may be moved
const buckets = 1500; // of all that is read
const settle = 150; // ms for which a range has to stand still
const runInterval = 5000; // ms between readings of a range that what runs is part of

export interface Spans {
  spans: Span[];
  error: string;
  refresh: () => void;
}

/** What was recorded of a stream in a range and around it, as finely as it is shown; nothing is read of no stream. */
export function useSpans(stream: string, range: Range, running: boolean): Spans {
  const { credentials, changes } = useApp();
  const [known, setKnown] = useState<{ key: string; range: Range; spans: Span[] }>();
  const [error, setError] = useState('');
  const [reads, setReads] = useState(0);
  const key = `${stream} ${credentials}`;
  const now = useRef(range);
  now.current = range;
  const fits = known?.key === key && covers(known.range, range);
  const touchesNow = running && range.to > Date.now() - runInterval;
  const wanted = `${key} ${changes} ${reads}`;
  const done = useRef('');
  useEffect(() => {
    if (!stream) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async () => {
      const { from, to } = now.current;
      const wide = { from: Math.max(0, from - around * (to - from)), to: to + around * (to - from) };
      try {
        const told = await readTimeline(stream, wide.from, Math.max(wide.from + 1000, Math.min(wide.to, Date.now())), buckets, abort.signal);
        done.current = wanted;
        setKnown({ key, range: wide, spans: spansOfTimeline(told) });
        setError('');
      } catch (reason) {
        if (abort.signal.aborted) return;
        const absent = reason instanceof ApiError && reason.status === 404; // nothing of it is recorded yet
        setError(absent ? '' : words(reason));
      }
      if (!abort.signal.aborted) again(covers(wide, now.current));
    };
    const again = (fits: boolean) => {
      if (!fits) timer = setTimeout(() => void read(), settle);
      else if (touchesNow) timer = setTimeout(() => void read(), runInterval);
    };
    if (done.current === wanted) again(fits);
    else void read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [wanted, fits, touchesNow]);
  return { spans: known?.key === key ? known.spans : [], error, refresh: useCallback(() => setReads((n) => n + 1), []) };
}

/** Whether what is known of one range is enough, and fine enough, to show another. */
function covers(known: Range, range: Range): boolean {
  const finer = (known.to - known.from) / (range.to - range.from);
  return range.from >= known.from && range.to <= known.to && finer < 3 * (1 + 2 * around);
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
