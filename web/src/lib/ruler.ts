// The arithmetic of the time ruler: what it shows, its marks, and moments that people type.

/** The part of time that a ruler shows, in Unix milliseconds. */
export interface Range {
  from: number;
  to: number;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

const limits = { shortest: 10 * second, longest: 40 * day };

/** Zooms around a moment that stays where it is: a factor below 1 shows less time. */
export function zoomed({ from, to }: Range, around: number, factor: number): Range {
  const length = Math.min(limits.longest, Math.max(limits.shortest, (to - from) * factor));
  const share = (around - from) / (to - from);
  const begin = around - length * share;
  return { from: begin, to: begin + length };
}

/** Moves what is shown by so many milliseconds. */
export function moved({ from, to }: Range, by: number): Range {
  return { from: from + by, to: to + by };
}

/** What is shown, moved so that a moment is in it, at a quarter of its width where it was not. */
export function showing(range: Range, moment: number): Range {
  if (moment >= range.from && moment <= range.to) return range;
  const length = range.to - range.from;
  return { from: moment - length / 4, to: moment + (length * 3) / 4 };
}

const steps = [
  second, 2 * second, 5 * second, 10 * second, 15 * second, 30 * second,
  minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute,
  hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 7 * day,
];

export interface Mark {
  at: number;
  day: boolean; // midnight of the reader's zone
}

/** Marks at round times of the reader's zone, at most count of them, and how far they are apart. */
export function marks({ from, to }: Range, count: number): { step: number; marks: Mark[] } {
  const step = steps.find((candidate) => (to - from) / candidate <= count) ?? 7 * day;
  const found: Mark[] = [];
  const first = new Date(from);
  first.setHours(0, 0, 0, 0);
  // Days are counted by the calendar, for some of them have 23 or 25 hours.
  for (let midnight = first; midnight.getTime() < to; midnight = nextMidnight(midnight)) {
    if (step > day && Math.round(midnight.getTime() / day) % (step / day) !== 0) continue;
    const end = Math.min(to, nextMidnight(midnight).getTime());
    for (let at = midnight.getTime(); at < end; at += step) {
      if (at >= from) found.push({ at, day: at === midnight.getTime() });
    }
  }
  return { step, marks: found };
}

function nextMidnight(midnight: Date): Date {
  const next = new Date(midnight);
  next.setDate(next.getDate() + 1);
  return next;
}

/** The text of a mark: the date at midnight, else the clock, with seconds where marks are that close. */
export function markText(mark: Mark, step: number, locale: string): string {
  const date = new Date(mark.at);
  if (mark.day) return date.toLocaleDateString(locale, { month: 'short', day: 'numeric' });
  return date.toLocaleTimeString(locale, { hour: '2-digit', minute: '2-digit', ...(step < minute && { second: '2-digit' }), hourCycle: 'h23' });
}

/**
 * The moment that a text means: "14:32", "14:32:10", with "yesterday", "today" or a date before it, in English or Chinese.
 * A time alone is one of the day of near, a moment that is shown; undefined where the text is none.
 */
export function parseMoment(text: string, near: number, now: number): number | undefined {
  const clean = text.trim().toLowerCase().replace(/：/g, ':').replace(/[年月]/g, '-').replace(/[日号]/g, ' ');
  const match = /^(?:(?<word>today|yesterday|今天|昨天)\s*|(?:(?<year>\d{4})-)?(?<month>\d{1,2})-(?<date>\d{1,2})[t\s]*)?(?:(?<h>\d{1,2}):(?<m>\d{2})(?::(?<s>\d{2}(?:\.\d+)?))?)?$/.exec(clean);
  if (!match?.groups || !clean) return undefined;
  const { word, year, month, date, h, m, s } = match.groups;
  const found = new Date(word ? now : near);
  if (word === 'yesterday' || word === '昨天') found.setDate(found.getDate() - 1);
  if (month && date) found.setFullYear(year ? Number(year) : new Date(now).getFullYear(), Number(month) - 1, Number(date));
  const [hours, minutes, seconds] = [Number(h ?? 0), Number(m ?? 0), Number(s ?? 0)];
  if (hours > 23 || minutes > 59 || seconds >= 60) return undefined;
  found.setHours(hours, minutes, Math.floor(seconds), Math.round((seconds % 1) * 1000));
  return found.getTime();
}
