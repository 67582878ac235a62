import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { useAction } from '../hooks';
import { locale, t, tOr } from '../i18n';
import type { Recording, StreamRecordings } from '../lib/api';
import { findHole, type Hole } from '../lib/archive';
import type { Clip } from '../lib/clip';
import { bytes, dateTime, duration, seen } from '../lib/format';
import { matches } from '../lib/natural';
import { keep, kept } from '../lib/prefs';
import { change, hrefOf, usePlace } from '../lib/route';
import { mayForAll } from '../lib/session';
import { parseMoment, type Range, showing } from '../lib/ruler';
import { readDeletions } from '../lib/undo';
import { firstOf, useMonth, useNewest, useSpans } from '../parts/archive';
import { Calendar, isoDay } from '../parts/calendar';
import { ClipBar } from '../parts/clip';
import { Lazy } from '../parts/lazy';
import { Stage, useMoment, useTimeline } from '../parts/player';
import { RecordingsList } from '../parts/recordings';
import { Rows } from '../parts/rows';
import { type Lane, Ruler, spanAt } from '../parts/ruler';
import { useApp } from '../state';

/** The recordings: the streams that have some, and the one that was chosen of them. */
export function RecordingsView() {
  const { recorder, me, sums, sumsError, sumsMore, refreshSums } = useApp();
  const { subject, query } = usePlace();
  const search = query.get('q') ?? '';
  const deletes = me !== undefined && mayForAll(me, 'delete');
  useEffect(() => {
    if (deletes) void readDeletions(seen).catch(() => undefined); // they are an addition
  }, [deletes]);
  const shown = useMemo(() => sums?.filter((sum) => matches(sum.stream, search)) ?? [], [sums, search]);
  if (!recorder) {
    return (
      <section class="card" aria-labelledby="recordings-title">
        <h2 id="recordings-title">{t('recordings')}</h2>
        <p class="note">{t('noRecorder')}</p>
      </section>
    );
  }
  return (
    <div class="split" data-chosen={subject !== ''}>
      <section class="card side" aria-labelledby="recordings-title" data-scroller>
        <div class="row head">
          <h2 id="recordings-title">{t('recordings')}</h2>
          <button type="button" class="quiet" onClick={refreshSums} data-testid="recordings-refresh">
            {t('refresh')}
          </button>
        </div>
        {sumsError && (
          <p class="error" role="alert" data-testid="recordings-error">
            {sumsError}
          </p>
        )}
        {!sums && !sumsError && <p class="note">{t('loading')}</p>}
        {sums?.length === 0 && <p class="note">{t('noRecordings')}</p>}
        {search && sums && shown.length === 0 && <p class="note">{t('nothingFound', { search })}</p>}
        <Rows
          items={shown}
          keyOf={(sum) => sum.stream}
          height={68}
          testid="recordings-list"
          row={(sum) => <StreamLink sum={sum} search={search} current={sum.stream === subject} />}
        />
        {sumsMore && <p class="note">{t('firstStreams', { n: sums?.length ?? 0 })}</p>}
      </section>
      {subject ? <StreamView key={subject} stream={subject} /> : sums && sums.length > 0 && <p class="note choose">{t('chooseStream')}</p>}
    </div>
  );
}

function StreamLink({ sum, search, current }: { sum: StreamRecordings; search: string; current: boolean }) {
  return (
    <div data-testid={`recordings-stream-${sum.stream}`}>
      <a class="fold" href={hrefOf('recordings', sum.stream, { q: search })} aria-current={current ? 'page' : undefined} data-testid="recordings-open">
        <strong class="name">{seen(sum.stream)}</strong>
        {sum.running && <span class="badge recording">{t('status.recording')}</span>}
        <span class="note">
          {t(sum.duration === 0 ? 'countedNew' : sum.recordings === 1 ? 'countedOne' : 'counted', {
            n: sum.recordings,
            time: duration(sum.duration),
            size: bytes(sum.bytes),
          })}
        </span>
      </a>
    </div>
  );
}

const hour = 3_600_000;
const beforeHole = 2000; // ms before a gap that playing begins at
const nearHole = 10_000; // ms
const holePatience = 20_000; // ms that looking for one may take
const gapsKey = 'live777-gaps';
const mostBeside = 3; // streams that are played with the one that leads

const loadCompanion = () => import('../parts/companion').then((module) => module.Companion);

/** The recordings of one stream: picture, time ruler, calendar and list, all of the same time. */
function StreamView({ stream }: { stream: string }) {
  const { streams } = useApp();
  const { query } = usePlace();
  const video = useRef<HTMLVideoElement>(null);
  const [first] = useState(() => Number(query.get('t')) || 0);
  const [range, setRange] = useState<Range>(() => {
    const length = Number(query.get('span')) || 24 * hour;
    const to = first ? first + length / 2 : Date.now() + length / 24;
    return { from: to - length, to };
  });
  const day = query.get('day') ?? '';
  const [month, setMonth] = useState(() => firstOf(new Date(day ? `${day}T00:00` : first || Date.now())));
  const isRunning = (id: string) => streams?.some((known) => known.id === id && known.recording) ?? false;
  const running = isRunning(stream);
  const archive = useNewest(stream, running);
  const own = useSpans(stream, range, running);
  const beside = useBeside(stream, query, range, isRunning);
  const lanes: Lane[] = [{ stream, spans: own.spans }, ...beside];
  const [skips, setSkips] = useState(() => kept(gapsKey) !== 'wait');
  const pauses = useMemo(() => own.spans.filter((span) => span.cause), [own.spans]);
  const [timeline, view] = useTimeline(video, {
    stream,
    running: () => running,
    pauses: () => pauses,
    skips: () => skips,
    ended: () => {
      archive.refresh();
      own.refresh();
    },
  });
  const moment = useMoment(timeline, video);
  const days = useMonth(stream, month);
  const played = moment === undefined ? undefined : archive.recordings.find((recording) => within(recording, moment));
  const seek = (to: number) => {
    timeline?.seek(to);
    setRange((before) => showing(before, to));
    change({ t: `${Math.round(to)}` });
  };
  // Where the reader was before a reload, or what a link is of.
  const begun = useRef(false);
  useEffect(() => {
    if (begun.current || !timeline || archive.recordings.length === 0) return;
    begun.current = true;
    if (first) timeline.seek(first);
    else setRange((before) => newestIn(before, archive.recordings));
  });
  const [clip, setClip] = useState<Clip | undefined>(() => clipOf(query));
  useKept(moment, range, clip);
  const cut = (next: Clip | undefined) => {
    setClip(next);
    change({ from: next && `${Math.round(next.from)}`, to: next && `${Math.round(next.to)}` });
    // A clip that cannot be seen cannot be pulled at: the ruler shows ten times its length.
    if (next && next.to - next.from < (range.to - range.from) / 50) {
      const length = (next.to - next.from) * 10;
      setRange({ from: (next.from + next.to - length) / 2, to: (next.from + next.to + length) / 2 });
    }
  };
  const [changed, setChanged] = useState(0); // how often a clip's recordings were changed
  const [hole, setHole] = useState<Hole>();
  const looking = useAction();
  const toHole = (forward: boolean) =>
    looking.run(async () => {
      // Who has just been brought to a gap goes on from there; who has played on, from where they are.
      const at = moment ?? (forward ? 0 : Date.now());
      const from = hole && Math.abs(at - hole.from) < nearHole ? hole.from : at;
      const next = await findHole(stream, from, forward, AbortSignal.timeout(holePatience));
      setHole(next);
      if (next) seek(next.from - beforeHole);
    });
  useHoleKeys((forward) => void toHole(forward));
  return (
    <section class="stream" aria-labelledby="stream-title" data-testid="recordings-of">
      <div class="card">
        <div class="row head">
          <h2 id="stream-title">{seen(stream)}</h2>
          <a class="back" href={hrefOf('recordings')} data-testid="recordings-back">
            {t('allStreams')}
          </a>
          <Jump near={moment ?? range.to - 1} onJump={seek} />
        </div>
        {(archive.error || own.error || looking.error) && (
          <p class="error" role="alert" data-testid="archive-error">
            {archive.error || own.error || looking.error}
          </p>
        )}
        <Stage
          stream={stream}
          video={video}
          timeline={timeline}
          view={view}
          moment={moment}
          running={running}
          here={moment === undefined ? undefined : spanAt(own.spans, moment)}
          onStart={played && (() => timeline?.begin(Date.parse(played.start)))}
        />
        {beside.length > 0 && (
          <div class="companions">
            {beside.map((lane) => (
              <Lazy
                key={lane.stream}
                load={loadCompanion}
                props={{
                  lane,
                  running: isRunning(lane.stream),
                  lead: timeline,
                  leadVideo: video,
                  onClose: () => change({ with: besideText(beside.filter(({ stream: other }) => other !== lane.stream).map(({ stream: other }) => other)) }, false),
                }}
              />
            ))}
          </div>
        )}
        <Ruler
          label={t('ruler', { id: seen(stream) })}
          range={range}
          lanes={lanes}
          moment={moment}
          selection={clip}
          onRange={setRange}
          onSeek={seek}
          onSelect={setClip}
        />
        <Zoom range={range} moment={moment} onRange={setRange} onHole={(forward) => void toHole(forward)}>
          <label class="switch">
            <span>{t('gaps')}</span>
            <select
              value={skips ? 'skip' : 'wait'}
              onChange={(event) => {
                const wait = event.currentTarget.value === 'wait';
                keep(gapsKey, wait ? 'wait' : '');
                setSkips(!wait);
              }}
              data-testid="gaps"
            >
              <option value="skip">{t('gapsSkip')}</option>
              <option value="wait">{t('gapsWait')}</option>
            </select>
          </label>
          <Beside stream={stream} beside={beside.map((lane) => lane.stream)} />
        </Zoom>
        <ClipBar
          stream={stream}
          clip={clip}
          moment={moment}
          onClip={cut}
          onChange={() => {
            archive.refresh();
            own.refresh();
            setChanged(changed + 1);
          }}
        />
        {hole && (
          <p class="note" role="status" data-testid="hole">
            {t('hole', { time: dateTime(new Date(hole.from).toISOString(), locale), length: duration((hole.to - hole.from) / 1000), cause: tOr(`cause.${hole.cause}`, hole.cause) })}
          </p>
        )}
      </div>
      <div class="card">
        <Calendar
          month={month}
          days={days}
          chosen={day}
          onMonth={setMonth}
          onDay={(date) => {
            const same = isoDay(date) === day;
            change({ day: same ? undefined : isoDay(date) }, false);
            if (!same) setRange({ from: date.getTime(), to: date.getTime() + 24 * hour });
          }}
        />
      </div>
      <div class="card">
        <RecordingsList
          stream={stream}
          day={day}
          changed={changed}
          played={played}
          known={archive.recordings}
          onPlay={(recording) => {
            const start = Date.parse(recording.start);
            if (recording.status === 'recording') timeline?.toLive(start);
            else timeline?.begin(start);
            setRange((before) => showing(before, start));
            video.current?.scrollIntoView({ block: 'nearest' });
          }}
          onChange={() => {
            archive.refresh();
            own.refresh();
          }}
        />
      </div>
    </section>
  );
}

/** Whether a recording has a moment, as far as it is known. */
function within(recording: Recording, moment: number): boolean {
  const start = Date.parse(recording.start);
  const end = recording.status === 'recording' ? Number.POSITIVE_INFINITY : start + recording.duration * 1000;
  return start <= moment && moment <= end;
}

/** Streams that are chosen beside another, as the URL has them. */
const besideText = (streams: readonly string[]) => streams.map(encodeURIComponent).join(',') || undefined;

/** The streams that are played beside one, with what was recorded of them. */
function useBeside(stream: string, query: URLSearchParams, range: Range, isRunning: (id: string) => boolean): Lane[] {
  const chosen = (query.get('with') ?? '').split(',').filter(Boolean).map(decodeURIComponent);
  const names = [...new Set(chosen)].filter((name) => name !== stream).slice(0, mostBeside);
  // As many hooks each time; of a stream without a name nothing is read.
  const first = useSpans(names[0] ?? '', range, isRunning(names[0] ?? ''));
  const second = useSpans(names[1] ?? '', range, isRunning(names[1] ?? ''));
  const third = useSpans(names[2] ?? '', range, isRunning(names[2] ?? ''));
  return names.map((name, i) => ({ stream: name, spans: [first, second, third][i]?.spans ?? [] }));
}

/** Chooses another stream that is played in step. */
function Beside({ stream, beside }: { stream: string; beside: readonly string[] }) {
  const { sums } = useApp();
  const others = sums?.filter((sum) => sum.stream !== stream && !beside.includes(sum.stream)) ?? [];
  if (others.length === 0 || beside.length >= mostBeside) return null;
  return (
    <label class="switch">
      <span class="unseen">{t('beside')}</span>
      <select value="" onChange={(event) => change({ with: besideText([...beside, event.currentTarget.value]) }, false)} data-testid="beside">
        <option value="">{t('beside')}</option>
        {others.map((sum) => (
          <option key={sum.stream} value={sum.stream}>
            {seen(sum.stream)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The clip that a URL has. */
function clipOf(query: URLSearchParams): Clip | undefined {
  const [from, to] = [Number(query.get('from')), Number(query.get('to'))];
  return from > 0 && to > from ? { from, to } : undefined;
}

/** A range as long as another that has the newest recording near its end. */
function newestIn(range: Range, recordings: readonly Recording[]): Range {
  const newest = recordings[0];
  if (!newest) return range;
  const end = Date.parse(newest.start) + newest.duration * 1000;
  return end > range.from ? range : { from: end - (range.to - range.from) * 0.9, to: end + (range.to - range.from) * 0.1 };
}

const keepInterval = 5000; // ms between changes of the URL while something plays

/** Keeps the moment and the length of what the ruler shows in the URL: a reload finds the place again. */
function useKept(moment: number | undefined, range: Range, clip: Clip | undefined): void {
  const now = useRef({ moment, span: 0, clip });
  now.current = { moment, span: Math.round(range.to - range.from), clip };
  useEffect(() => {
    const write = () => {
      const { moment, span, clip } = now.current;
      if (moment === undefined || !location.hash.startsWith('#/recordings/')) return;
      change({ t: `${Math.round(moment)}`, span: `${span}`, ...(clip && { from: `${Math.round(clip.from)}`, to: `${Math.round(clip.to)}` }) });
    };
    const timer = setInterval(write, keepInterval);
    return () => clearInterval(timer);
  }, []);
}

function useHoleKeys(toHole: (forward: boolean) => void): void {
  const act = useRef(toHole);
  act.current = toHole;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || (event.target as Element).closest('input, select, textarea, dialog')) return;
      if (event.key === 'n') act.current(true);
      if (event.key === 'p') act.current(false);
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}

/** Takes a time, and goes there; typing a digit anywhere begins one. */
function Jump({ near, onJump }: { near: number; onJump: (moment: number) => void }) {
  const [text, setText] = useState('');
  const [wrong, setWrong] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (!/^\d$/.test(event.key) || event.ctrlKey || event.metaKey || event.altKey || (event.target as Element).closest('input, select, textarea, dialog')) return;
      input.current?.focus(); // which gets the digit
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  const submit = (event: Event) => {
    event.preventDefault();
    const moment = parseMoment(text, near, Date.now());
    setWrong(moment === undefined);
    if (moment === undefined) return;
    onJump(moment);
    input.current?.blur();
  };
  return (
    <form class="jump" onSubmit={submit}>
      <label>
        <span class="unseen">{t('jump')}</span>
        <input
          ref={input}
          value={text}
          placeholder={t('jumpHint')}
          autocomplete="off"
          aria-invalid={wrong}
          onInput={(event) => setText(event.currentTarget.value)}
          data-testid="jump"
        />
      </label>
      {wrong && (
        <span class="note warning" role="alert">
          {t('jumpWrong')}
        </span>
      )}
    </form>
  );
}

interface ZoomProps {
  range: Range;
  moment: number | undefined;
  onRange: (range: Range) => void;
  onHole: (forward: boolean) => void;
  children: ComponentChildren;
}

const lengths = { hour, day: 24 * hour, week: 168 * hour, month: 720 * hour } as const;

function Zoom({ range, moment, onRange, onHole, children }: ZoomProps) {
  const middle = moment ?? (range.from + range.to) / 2;
  return (
    <div class="buttons zoom" role="group" aria-label={t('zoom')}>
      {Object.entries(lengths).map(([name, length]) => (
        <button
          key={name}
          type="button"
          class="quiet"
          aria-pressed={Math.abs(range.to - range.from - length) < 1000}
          onClick={() => onRange({ from: middle - length / 2, to: middle + length / 2 })}
          data-testid={`zoom-${name}`}
        >
          {tOr(`zoom.${name}`, name)}
        </button>
      ))}
      <button type="button" class="quiet" onClick={() => onHole(false)} data-testid="hole-before">
        {t('holeBefore')}
      </button>
      <button type="button" class="quiet" onClick={() => onHole(true)} data-testid="hole-after">
        {t('holeAfter')}
      </button>
      {children}
    </div>
  );
}
