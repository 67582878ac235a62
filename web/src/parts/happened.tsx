import { useState } from 'preact/hooks';
import { usePolled } from '../hooks';
import { locale, t, tOr } from '../i18n';
import { listEvents, type LogEntry } from '../lib/api';
import { dateTime, duration, seen } from '../lib/format';
import { change, hrefOf, usePlace } from '../lib/route';
import { said } from '../lib/said';
import { useApp } from '../state';

const interval = 5000; // ms between readings
const most = { first: 20, all: 200 };
const kinds = ['', 'recording', 'session', 'server'] as const;
const levels = ['', 'warning', 'error'] as const;

function oneOf<T extends string>(all: readonly T[], text: string | null): T {
  return all.find((one) => one === text) ?? all[0]!;
}

/** What has happened lately: of recordings, of sessions, of the server and its nodes. */
export function Happened() {
  const { credentials } = useApp();
  const { query } = usePlace();
  const [limit, setLimit] = useState(most.first);
  const kind = oneOf(kinds, query.get('events'));
  const level = oneOf(levels, query.get('level'));
  const { value, error } = usePolled(`${credentials} ${kind} ${level} ${limit}`, interval, (signal) => listEvents(kind, level, limit, signal));
  return (
    <section class="card" aria-labelledby="events-title">
      <div class="row head">
        <h2 id="events-title">{t('events')}</h2>
        <div class="switches">
          <label class="switch">
            <span class="unseen">{t('eventsOf')}</span>
            <select value={kind} onChange={(event) => change({ events: event.currentTarget.value })} data-testid="events-kind">
              {kinds.map((one) => (
                <option key={one} value={one}>{t(`events.${one || 'all'}`)}</option>
              ))}
            </select>
          </label>
          <label class="switch">
            <span class="unseen">{t('eventsLevel')}</span>
            <select value={level} onChange={(event) => change({ level: event.currentTarget.value })} data-testid="events-level">
              {levels.map((one) => (
                <option key={one} value={one}>{t(`level.${one || 'all'}`)}</option>
              ))}
            </select>
          </label>
        </div>
      </div>
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      {value && value.events.length === 0 && <p class="note">{t('eventsNone', { time: dateTime(value.since, locale) })}</p>}
      <ol class="events" data-testid="events-list">
        {value?.events.map((entry) => (
          <li key={entry.seq} data-level={entry.level} data-type={entry.type} data-testid="event">
            <time dateTime={entry.time}>{dateTime(entry.time, locale)}</time>
            <span>
              {entry.level !== 'info' && <span class={`badge ${entry.level === 'error' ? 'failed' : 'degraded'}`}>{t(`event.${entry.level as 'warning'}`)}</span>}{' '}
              {whatOf(entry)}
            </span>
          </li>
        ))}
      </ol>
      {value?.more && limit < most.all && (
        <button type="button" class="quiet" onClick={() => setLimit(most.all)} data-testid="events-more">
          {t('more')}
        </button>
      )}
    </section>
  );
}

/** An event in words; a stream's name leads to its recordings at that time. */
function whatOf(entry: LogEntry) {
  const { type, stream = '', node = '', side, seconds } = entry;
  const text = tOr(`event.${side ? `${side}.` : ''}${type}`, type);
  const why = reason(entry);
  const facts = [
    node && t('eventNode', { node: seen(node) }),
    seconds && type !== 'recording.started' ? t('eventLasted', { time: duration(seconds) }) : '',
    why,
  ].filter(Boolean);
  return (
    <>
      {stream && (
        <>
          <a href={hrefOf('recordings', stream, { t: `${Date.parse(entry.time)}` })}>{seen(stream)}</a>
          {': '}
        </>
      )}
      {text.replace('{place}', tOr(`place.${entry.place}`, seen(entry.place ?? '')))}
      {facts.length > 0 && <span class="note"> · {facts.join(' · ')}</span>}
    </>
  );
}

function reason(entry: LogEntry): string {
  const status = entry.status && entry.status !== 'complete' ? tOr(`status.${entry.status}`, entry.status) : '';
  const why = entry.cause ? tOr(`cause.${entry.cause}`, entry.cause) : entry.text ? seen(said(entry)) : '';
  return [status, why].filter(Boolean).join(': ');
}
