import { useState } from 'preact/hooks';
import { usePolled } from '../hooks';
import { locale, t, tOr } from '../i18n';
import { dateTime, seen } from '../lib/format';
import { ApiError, request } from '../lib/http';
import { useApp } from '../state';
import '../texts/receivers';

const interval = 5000; // ms between readings
const most = { first: 10, all: 200 };

/** A receiver of events, as the server tells of it (EventTarget). */
interface Receiver {
  name: string;
  kind: string;
  to: string;
  failing: boolean;
  error?: string;
  retrying: number;
  next_try?: string;
  waiting: number;
  oldest_waiting?: string;
  last_delivered?: string;
  delivered: number;
  failed: number;
  expired: number;
  left_out: number;
}

/** An attempt to tell an event (Delivery). */
interface Delivery {
  n: number;
  time: string;
  target: string;
  type: string;
  subject: string;
  attempt: number;
  outcome: string;
  error?: string;
  took_ms: number;
}

async function read<T>(path: string, signal: AbortSignal): Promise<T> {
  return (await (await request(path, { signal })).json()) as T;
}

/** The receivers; none where the server tells nobody. */
async function readReceivers(signal: AbortSignal): Promise<Receiver[]> {
  try {
    return (await read<{ targets: Receiver[] }>('/api/webhooks', signal)).targets;
  } catch (reason) {
    if (reason instanceof ApiError && reason.status === 501) return [];
    throw reason;
  }
}

/** Webhooks, commands and brokers: whether they take what they are told, what waits for them, and the last attempts. */
export function Receivers() {
  const { credentials } = useApp();
  const { value, error } = usePolled(credentials, interval, readReceivers);
  if (!error && !value?.length) return null;
  return (
    <section class="card" aria-labelledby="receivers-title">
      <h2 id="receivers-title">{t('receivers')}</h2>
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      <ul class="rows" data-testid="receivers-list">
        {value?.map((one) => <Row key={one.name} one={one} />)}
      </ul>
      {value && <Deliveries names={value.map(({ name }) => name)} />}
    </section>
  );
}

const when = (iso: string) => dateTime(iso, locale);

function Row({ one }: { one: Receiver }) {
  const [badge, state] = one.failing
    ? ['failed', t('receiverFailing')]
    : one.retrying > 0
      ? ['degraded', t('receiverHeld', { n: one.retrying })]
      : ['complete', t('receiverWorks')];
  const lost = one.expired + one.left_out;
  const facts = [
    one.kind,
    one.to !== one.name && seen(one.to),
    one.last_delivered ? t('receiverLast', { time: when(one.last_delivered) }) : t('receiverNever'),
    t('receiverCounts', { delivered: one.delivered, failed: one.failed }),
    lost > 0 && t('receiverLost', { n: lost }),
    one.waiting > 0 && one.oldest_waiting && t('receiverWaiting', { n: one.waiting, time: when(one.oldest_waiting) }),
  ];
  const wrong = one.error && [seen(one.error), one.next_try && t('receiverNext', { time: when(one.next_try) })].filter(Boolean).join(' · ');
  return (
    <li class="row" data-testid="receiver" data-name={one.name}>
      <div class="about">
        <strong class="name">{seen(one.name)}</strong> <span class={`badge ${badge}`}>{state}</span>
        <p class="note">{facts.filter(Boolean).join(' · ')}</p>
        {wrong && (
          <p class="error" data-testid="receiver-error">
            {wrong}
          </p>
        )}
      </div>
    </li>
  );
}

/** The last attempts, of one receiver or all. */
function Deliveries({ names }: { names: string[] }) {
  const { credentials } = useApp();
  const [target, choose] = useState('');
  const [limit, setLimit] = useState(most.first);
  const query = new URLSearchParams({ ...(target && { target }), limit: String(limit) });
  const { value, error } = usePolled(`${credentials} ${query}`, interval, async (signal) =>
    (await read<{ deliveries: Delivery[] }>(`/api/webhooks/deliveries?${query}`, signal)).deliveries,
  );
  return (
    <>
      <label class="switch">
        {t('deliveriesOf')}{' '}
        <select value={target} onChange={(event) => choose(event.currentTarget.value)} data-testid="deliveries-of">
          <option value="">{t('deliveriesAll')}</option>
          {names.map((name) => (
            <option key={name} value={name}>
              {seen(name)}
            </option>
          ))}
        </select>
      </label>
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      {value?.length === 0 && <p class="note">{t('deliveriesNone')}</p>}
      <ol class="events" data-testid="deliveries-list">
        {value?.map((d) => (
          <li key={d.n} data-outcome={d.outcome} data-testid="delivery">
            <time dateTime={d.time}>{when(d.time)}</time>
            <span>
              <span class={`badge ${d.outcome === 'delivered' ? 'complete' : 'failed'}`}>{tOr(`outcome.${d.outcome}`, d.outcome)}</span>{' '}
              {d.type}: {seen(d.subject)}
              <span class="note">
                {['', !target && seen(d.target), d.attempt > 1 && t('deliveryAttempt', { n: d.attempt }), `${d.took_ms} ms`, d.error && seen(d.error)].filter((s) => s !== false && s !== undefined).join(' · ')}
              </span>
            </span>
          </li>
        ))}
      </ol>
      {value?.length === limit && limit < most.all && (
        <button type="button" class="quiet" onClick={() => setLimit(most.all)} data-testid="deliveries-more">
          {t('more')}
        </button>
      )}
    </>
  );
}
