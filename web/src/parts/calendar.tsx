import { locale, t } from '../i18n';

export interface Day {
  date: Date; // its midnight
  share: number; // of it that is recorded
  lost: boolean;
}

interface CalendarProps {
  month: Date; // its first day
  days: readonly Day[];
  chosen: string; // ISO date, or ''
  onMonth: (month: Date) => void;
  onDay: (day: Date) => void;
}

/** A month with what is recorded of each day. */
export function Calendar({ month, days, chosen, onMonth, onDay }: CalendarProps) {
  const monday = (month.getDay() + 6) % 7; // days before the first one in its week
  const step = (by: number) => onMonth(new Date(month.getFullYear(), month.getMonth() + by, 1));
  const name = month.toLocaleDateString(locale, { year: 'numeric', month: 'long' });
  return (
    <div class="calendar" role="group" aria-label={t('calendar')} data-testid="calendar">
      <div class="row">
        <button type="button" class="quiet" aria-label={t('monthBefore')} onClick={() => step(-1)} data-testid="calendar-before">
          ‹
        </button>
        <strong aria-live="polite">{name}</strong>
        <button type="button" class="quiet" aria-label={t('monthAfter')} onClick={() => step(1)} data-testid="calendar-after">
          ›
        </button>
      </div>
      <div class="days">
        {weekdays().map((weekday) => (
          <span key={weekday} class="weekday" aria-hidden="true">
            {weekday}
          </span>
        ))}
        {days.map(({ date, share, lost }, index) => {
          const percent = share > 0 ? Math.max(1, Math.round(share * 100)) : 0;
          const text = date.toLocaleDateString(locale, { dateStyle: 'long' });
          return (
            <button
              key={date.getTime()}
              type="button"
              class={`day ${lost ? 'lost' : ''}`}
              style={index === 0 ? { gridColumnStart: monday + 1 } : {}}
              aria-label={t('dayCovered', { day: text, percent })}
              aria-pressed={chosen === isoDay(date)}
              disabled={share === 0}
              onClick={() => onDay(date)}
              data-testid={`day-${isoDay(date)}`}
            >
              {date.getDate()}
              <span class="bar" style={{ '--share': share }} />
            </button>
          );
        })}
      </div>
    </div>
  );
}

/** A day of the reader's zone as text, for a URL. */
export function isoDay(date: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** The days of a month. */
export function daysOf(month: Date): Date[] {
  const count = new Date(month.getFullYear(), month.getMonth() + 1, 0).getDate();
  return Array.from({ length: count }, (_, i) => new Date(month.getFullYear(), month.getMonth(), i + 1));
}

function weekdays(): string[] {
  const monday = new Date(2024, 0, 1);
  return Array.from({ length: 7 }, (_, i) =>
    new Date(monday.getFullYear(), 0, 1 + i).toLocaleDateString(locale, { weekday: 'narrow' }).concat('\u200b'.repeat(i)),
  );
}
