import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { locale, t, tOr } from '../i18n';
import type { Span } from '../lib/archive';
import { coloursOf } from '../lib/colours';
import type { Clip } from '../lib/clip';
import { seen } from '../lib/format';
import { KeyPicture } from './keypicture';
import { marks, markText, moved, type Range, zoomed } from '../lib/ruler';

/** What was recorded of a stream: a line of the ruler. */
export interface Lane {
  stream: string;
  spans: readonly Span[];
}

interface RulerProps {
  label: string;
  range: Range;
  lanes: readonly Lane[]; // one at least
  moment: number | undefined; // that is played
  selection: Clip | undefined;
  onRange: (range: Range) => void;
  onSeek: (moment: number) => void;
  onSelect: (selection: Clip) => void;
}

const height = { marks: 22, lane: 34, narrow: 24, below: 4 }; // CSS pixels

/** How high a lane is, and all of a ruler with so many. */
const laneHeight = (lanes: number) => (lanes > 1 ? height.narrow : height.lane);
const heightOf = (lanes: number) => height.marks + lanes * laneHeight(lanes) + height.below;

/** Pixels within which the picture of a moment is as good as that of another. */
const pictureGrain = 6;

/** A stretch of time: what was recorded of it, where the player is, and two handles for a clip of it. */
export function Ruler({ label, range, lanes, moment, selection, onRange, onSeek, onSelect }: RulerProps) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(box);
  const [hover, setHover] = useState<{ moment: number; y: number }>();
  const at = (x: number) => range.from + (x / width) * (range.to - range.from);
  const x = (time: number) => ((time - range.from) / (range.to - range.from)) * width;
  useLayoutEffect(() => {
    if (canvas.current && width > 0) draw(canvas.current, { range, lanes, moment, selection, width });
  });
  const pointers = usePointers(box, { range, width, at, onRange, onSeek, onHover: setHover });
  const keys = (event: KeyboardEvent) => {
    const step = (range.to - range.from) / 50;
    const acts: Record<string, () => void> = {
      ArrowLeft: () => onSeek((moment ?? range.to) - step),
      ArrowRight: () => onSeek((moment ?? range.from) + step),
      '+': () => onRange(zoomed(range, moment ?? (range.from + range.to) / 2, 0.5)),
      '-': () => onRange(zoomed(range, moment ?? (range.from + range.to) / 2, 2)),
      PageUp: () => onRange(moved(range, range.from - range.to)),
      PageDown: () => onRange(moved(range, range.to - range.from)),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  const clock = (time: number) => new Date(time).toLocaleString(locale, { dateStyle: 'short', timeStyle: 'medium' });
  const lane = hover && (lanes[Math.min(lanes.length - 1, Math.max(0, Math.floor((hover.y - height.marks) / laneHeight(lanes.length))))] as Lane);
  const span = hover && lane && spanAt(lane.spans, hover.moment);
  const close = Math.min(96, width / 2);
  return (
    <div class="ruler-box">
      <div
        ref={box}
        class="ruler"
        role="slider"
        tabIndex={0}
        aria-label={label}
        aria-valuemin={Math.round(range.from / 1000)}
        aria-valuemax={Math.round(range.to / 1000)}
        aria-valuenow={Math.round((moment ?? range.from) / 1000)}
        aria-valuetext={moment === undefined ? t('rulerEmpty') : clock(moment)}
        onKeyDown={keys}
        data-testid="ruler"
        data-from={Math.round(range.from)}
        data-to={Math.round(range.to)}
        data-spans={lanes[0]?.spans.length ?? 0}
        data-lanes={lanes.length}
        style={{ height: `${heightOf(lanes.length)}px` }}
        {...pointers}
      >
        <canvas ref={canvas} aria-hidden="true" />
        {hover && lane && (
          <span class="hover" style={{ left: `${Math.min(Math.max(x(hover.moment), close), width - close)}px` }} data-testid="ruler-hover">
            {span && <KeyPicture stream={lane.stream} moment={hover.moment} grain={((range.to - range.from) / width) * pictureGrain} />}
            {lanes.length > 1 && `${seen(lane.stream)} · `}
            {clock(hover.moment)} · {spanText(span)}
          </span>
        )}
      </div>
      {selection && (
        <>
          <Handle side="from" x={x(selection.from)} width={width} value={selection.from} at={(dx) => onSelect(ordered({ ...selection, from: selection.from + dx * ((range.to - range.from) / width) }))} />
          <Handle side="to" x={x(selection.to)} width={width} value={selection.to} at={(dx) => onSelect(ordered({ ...selection, to: selection.to + dx * ((range.to - range.from) / width) }))} />
        </>
      )}
    </div>
  );
}

/** What a moment is in: a gap sooner than the recording around it. */
export function spanAt(spans: readonly Span[], moment: number): Span | undefined {
  const within = spans.filter((span) => span.from <= moment && moment < span.to);
  return within.findLast((span) => span.cause || span.kind === 'lost') ?? within[0];
}

/** What a place on the ruler is, in words. */
function spanText(span: Span | undefined): string {
  if (!span) return t('span.nothing');
  return span.cause ? tOr(`cause.${span.cause}`, span.cause) : t(`span.${span.kind}`);
}

const ordered = ({ from, to }: Clip): Clip => ({ from: Math.min(from, to - 100), to: Math.max(to, from + 100) });

interface HandleProps {
  side: 'from' | 'to';
  x: number;
  width: number; // of the ruler
  value: number;
  at: (pixels: number) => void;
}

/** One end of a clip: pulled by mouse or finger, moved by the arrow keys. */
function Handle({ side, x, width, value, at }: HandleProps) {
  const last = useRef<number | undefined>(undefined);
  if (x < -1 || x > width + 1) return null; // it is elsewhere in time
  return (
    <div
      class={`handle ${side}`}
      role="slider"
      tabIndex={0}
      style={{ left: `${x}px` }}
      aria-label={t(`clip.${side}`)}
      aria-valuenow={Math.round(value / 1000)}
      aria-valuetext={new Date(value).toLocaleString(locale)}
      data-testid={`handle-${side}`}
      onPointerDown={(event) => {
        last.current = event.clientX;
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        if (last.current === undefined) return;
        at(event.clientX - last.current);
        last.current = event.clientX;
      }}
      onPointerUp={() => {
        last.current = undefined;
      }}
      onKeyDown={(event) => {
        const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (by === undefined) return;
        event.preventDefault();
        at(by * (event.shiftKey ? 10 : 1));
      }}
    />
  );
}

function useWidth(box: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    setWidth(element.clientWidth);
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, [box]);
  return width;
}

interface PointerOptions {
  range: Range;
  width: number;
  at: (x: number) => number;
  onRange: (range: Range) => void;
  onSeek: (moment: number) => void;
  onHover: (hover: { moment: number; y: number } | undefined) => void;
}

const still = 4; // pixels that a click may move

/** The wheel and two fingers zoom, a drag moves, a click seeks. */
function usePointers(box: { current: HTMLElement | null }, options: PointerOptions) {
  const now = useRef(options);
  now.current = options;
  const fingers = useRef(new Map<number, number>());
  const begun = useRef(0);
  const dragged = useRef(false);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const { range, width, at, onRange } = now.current;
      const x = event.clientX - element.getBoundingClientRect().left;
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) onRange(moved(range, (event.deltaX / width) * (range.to - range.from)));
      else onRange(zoomed(range, at(x), 1.002 ** event.deltaY));
    };
    element.addEventListener('wheel', wheel, { passive: false }); // Preact's handlers may not be asked to stop the page
    return () => element.removeEventListener('wheel', wheel);
  }, [box]);
  const place = (event: PointerEvent) => event.clientX - (box.current?.getBoundingClientRect().left ?? 0);
  return {
    onPointerDown: (event: PointerEvent) => {
      const x = place(event);
      if (fingers.current.size === 0) {
        begun.current = x;
        dragged.current = false;
      }
      fingers.current.set(event.pointerId, x);
      box.current?.setPointerCapture(event.pointerId);
    },
    onPointerMove: (event: PointerEvent) => {
      const { range, width, at, onRange, onHover } = now.current;
      const x = place(event);
      if (event.pointerType === 'mouse') onHover({ moment: at(x), y: event.clientY - (box.current?.getBoundingClientRect().top ?? 0) });
      const before = fingers.current.get(event.pointerId);
      if (before === undefined) return;
      if (Math.abs(x - begun.current) > still) dragged.current = true;
      const other = [...fingers.current].find(([id]) => id !== event.pointerId)?.[1];
      if (other !== undefined) {
        dragged.current = true;
        const [old, fresh] = [Math.max(20, Math.abs(before - other)), Math.max(20, Math.abs(x - other))];
        onRange(zoomed(range, at(other), old / fresh));
      } else if (dragged.current) {
        onRange(moved(range, ((before - x) / width) * (range.to - range.from)));
      }
      fingers.current.set(event.pointerId, x);
    },
    onPointerUp: (event: PointerEvent) => {
      const alone = fingers.current.size === 1;
      if (!fingers.current.delete(event.pointerId)) return;
      if (alone && !dragged.current) now.current.onSeek(now.current.at(place(event)));
    },
    onPointerCancel: (event: PointerEvent) => void fingers.current.delete(event.pointerId),
    onPointerLeave: () => now.current.onHover(undefined),
  };
}

interface Picture {
  range: Range;
  lanes: readonly Lane[];
  moment: number | undefined;
  selection: Clip | undefined;
  width: number;
}

/** Draws the marks, the lanes and the place of the player in the colours of the style sheet. */
function draw(canvas: HTMLCanvasElement, { range, lanes, moment, selection, width }: Picture): void {
  const scale = devicePixelRatio || 1;
  const all = heightOf(lanes.length);
  const lane = laneHeight(lanes.length);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(all * scale);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${all}px`;
  const c = canvas.getContext('2d');
  if (!c) return;
  const style = getComputedStyle(canvas);
  const colour = coloursOf(canvas);
  c.scale(scale, scale);
  const x = (time: number) => ((time - range.from) / (range.to - range.from)) * width;
  const fill = (top: number, from: number, to: number, paint: string) => {
    const begin = Math.max(0, x(from));
    const end = Math.min(width, x(to));
    if (end < 0 || begin > width) return;
    c.fillStyle = paint;
    c.fillRect(begin, top, Math.max(1.5, end - begin), lane - 2); // the shortest loss is to be seen
  };
  lanes.forEach(({ spans }, i) => {
    const top = height.marks + i * lane;
    c.fillStyle = hatch(c, colour('--lane-nothing'), colour('--lane-hatch'));
    c.fillRect(0, top, width, lane - 2);
    for (const span of spans) if (!span.cause) fill(top, span.from, span.to, colour(`--lane-${span.kind}`));
    for (const kind of ['pause', 'lost'] as const) {
      for (const span of spans) if (span.cause && span.kind === kind) fill(top, span.from, span.to, colour(`--lane-${kind}`));
    }
  });
  const { step, marks: places } = marks(range, Math.max(2, Math.floor(width / 80)));
  c.font = `12px ${style.fontFamily}`;
  c.textBaseline = 'middle';
  for (const mark of places) {
    const place = Math.round(x(mark.at)) + 0.5;
    c.fillStyle = colour('--line');
    c.fillRect(place, 0, 1, all);
    c.fillStyle = colour(mark.day ? '--ink' : '--soft');
    c.fillText(markText(mark, step, locale), place + 4, height.marks / 2);
  }
  if (lanes.length > 1) {
    lanes.forEach(({ stream }, i) => {
      const middle = height.marks + (i + 0.5) * lane;
      const name = seen(stream);
      c.fillStyle = colour('--card');
      c.fillRect(0, middle - 8, c.measureText(name).width + 10, 16);
      c.fillStyle = colour('--ink');
      c.fillText(name, 5, middle);
    });
  }
  if (selection) {
    c.fillStyle = colour('--lane-clip');
    c.fillRect(x(selection.from), height.marks, x(selection.to) - x(selection.from), all - height.marks - height.below);
  }
  if (moment !== undefined) {
    c.fillStyle = colour('--accent');
    c.fillRect(x(moment) - 1, 0, 3, all);
  }
}

/** Lines across a ground: what is to be told from colours without seeing them. */
function hatch(c: CanvasRenderingContext2D, ground: string, line: string): CanvasPattern | string {
  const tile = Object.assign(document.createElement('canvas'), { width: 8, height: 8 });
  const pen = tile.getContext('2d');
  if (!pen) return ground;
  pen.fillStyle = ground;
  pen.fillRect(0, 0, 8, 8);
  pen.strokeStyle = line;
  pen.beginPath();
  for (const offset of [-8, 0, 8]) {
    pen.moveTo(offset, 8);
    pen.lineTo(offset + 8, 0);
  }
  pen.stroke();
  return c.createPattern(tile, 'repeat') ?? ground;
}
