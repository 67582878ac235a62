import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { useNow } from '../hooks';
import { type Key, language, type Language, locale, setLanguage, t } from '../i18n';
import type { NodeLoad } from '../lib/api';
import { expectedStreams } from '../lib/expected';
import { bitrate, bytes, seen } from '../lib/format';
import { keep, kept, type Theme, themes } from '../lib/prefs';
import { change, hrefOf, type ViewName } from '../lib/route';
import { may, mayForAll } from '../lib/session';
import { type State, useApp } from '../state';
import { Icon } from './icons';
import { Account } from './login';
import { statsData } from './publisher';
import { TokenForget } from './token';

/** The views that this reader has, of this server. */
export function viewsFor({ manager, negotiates, me }: State): ViewName[] {
  return [
    'live',
    ...(may(me, 'view') ? (['recordings'] as const) : []),
    ...(negotiates && may(me, 'publish') ? (['publish'] as const) : []),
    ...(manager && mayForAll(me, 'view') ? (['nodes'] as const) : []),
    'system',
  ];
}

/** The ways to the views: at the side, or at the foot of a phone. */
export function Rail({ current }: { current: ViewName }) {
  const state = useApp();
  return (
    <nav class="rail" aria-label={t('views')}>
      {viewsFor(state).map((view) => (
        <a key={view} href={hrefOf(view)} aria-current={view === current ? 'page' : undefined} data-testid={`nav-${view}`}>
          <Icon name={view} />
          <span>{t(`view.${view}`)}</span>
        </a>
      ))}
    </nav>
  );
}

/** The head of every view: what the server is, the search, who reads and how. */
export function Head({ search, theme, onTheme }: { search: string; theme: Theme; onTheme: (theme: Theme) => void }) {
  const { info, manager, me, credentials, locked } = useApp();
  const name = seen((manager ? info?.name : info?.node) ?? '');
  const token = credentials.split(' ')[1];
  return (
    <header class="head">
      <h1>{t('title')}</h1>
      <p class="about" data-testid="about">
        {[name, info?.version].filter(Boolean).join(' · ')}
      </p>
      <Search value={search} />
      <div class="switches">
        <label class="switch">
          <span class="unseen">{t('theme')}</span>
          <select value={theme} onChange={(event) => onTheme(event.currentTarget.value as Theme)} data-testid="theme">
            {themes.map((value) => (
              <option key={value} value={value}>
                {t(`theme.${value}`)}
              </option>
            ))}
          </select>
        </label>
        <label class="switch">
          <span class="unseen">{t('language')}</span>
          <select value={language} onChange={(event) => void setLanguage(event.currentTarget.value as Language)} data-testid="language">
            <option value="en">English</option>
            <option value="zh">中文</option>
          </select>
        </label>
        {token && !locked && <TokenForget />}
        {me?.kind === 'account' && !locked && <Account me={me} />}
      </div>
    </header>
  );
}

/** Searches the streams of the view; "/" goes there. */
function Search({ value }: { value: string }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const jump = (event: KeyboardEvent) => {
      if (event.key !== '/' || (event.target as Element).closest('input, select, textarea')) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener('keydown', jump);
    return () => removeEventListener('keydown', jump);
  }, []);
  return (
    <label class="search">
      <span class="unseen">{t('search')}</span>
      <input
        ref={input}
        type="search"
        value={value}
        placeholder={t('searchHint')}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => change({ q: event.currentTarget.value })}
        data-testid="search"
      />
    </label>
  );
}

/** What is always to be seen: how much is recorded of what should be, the disk, alarms, the clock, one's own publication. */
export function Strip() {
  const state = useApp();
  const { streams, sums, load, nodes, problems, feed, recorder, publisher } = state;
  const now = useNow(true);
  const minute = Math.floor(now / 60_000);
  const { recording, expected } = useMemo(
    () => expectedStreams(streams ?? [], sums ?? [], minute * 60_000),
    [streams, sums, minute],
  );
  const alarms = problems.length + (nodes ?? []).reduce((n, node) => n + (node.state === 'down' ? 1 : 0) + (node.load.problems?.length ?? 0), 0);
  const stale = feed.kind === 'waiting' && feed.status !== 401;
  return (
    <footer class="strip" aria-label={t('strip')}>
      {recorder && streams && (
        <Fact testid="strip-recording" kind={recording < expected ? 'warning' : recording > 0 ? 'good' : ''} href={hrefOf('live')}>
          {t('stripRecording', { n: recording, of: expected })}
        </Fact>
      )}
      {load && <StoreFacts load={load} />}
      {(alarms > 0 || stale) && (
        <Fact testid="strip-alarms" kind="bad" href={hrefOf(nodes ? 'nodes' : 'system')}>
          {stale ? t('stripStale') : t(alarms === 1 ? 'stripAlarm' : 'stripAlarms', { n: alarms })}
        </Fact>
      )}
      {publisher.state !== 'idle' && (
        <a
          class={`fact ${publisher.state === 'connected' ? 'good' : 'warning'}`}
          href={hrefOf('publish')}
          data-testid="strip-publishing"
          data-state={publisher.state}
          {...statsData(publisher.stats)}
        >
          {t('stripPublishing', { id: seen(publisher.id), rate: bitrate(publisher.stats?.bitrate ?? 0) })}
        </a>
      )}
      <time class="clock" dateTime={new Date(now).toISOString()}>
        {new Date(now).toLocaleTimeString(locale, { timeStyle: 'medium' })}
      </time>
    </footer>
  );
}

function Fact({ testid, kind, href, children }: { testid: string; kind: string; href: string; children: ComponentChildren }) {
  return (
    <a class={`fact ${kind}`} href={href} data-testid={testid}>
      {children}
    </a>
  );
}

const diskSamples = { key: 'live777-disk', atLeast: 10 * 60_000 }; // ms between the two that a rate is taken from

/** How full storage gets: what is left, for how long at the rate of the last while, and what waits for storage. */
function StoreFacts({ load }: { load: NodeLoad }) {
  const { storage, spool } = load;
  const free = storage?.free_bytes;
  const days = useDaysLeft(free);
  const failing = storage?.failing ?? false;
  const waiting = spool && spool.waiting_bytes > 0;
  return (
    <>
      {free !== undefined && (
        <Fact testid="strip-disk" kind={failing || (days ?? 9) < 2 ? 'bad' : ''} href={hrefOf('system')}>
          {days === undefined ? t('stripDisk', { free: bytes(free) }) : t('stripDiskDays', { free: bytes(free), days: days < 10 ? days.toFixed(1) : Math.round(days) })}
        </Fact>
      )}
      {storage && (
        <Fact testid="strip-storage" kind={failing ? 'bad' : waiting ? 'warning' : ''} href={hrefOf('system')}>
          {t(failing ? 'stripStorageFails' : 'stripStorage', { type: storage.type })}
          {waiting && ` · ${t('stripSpool', { waiting: bytes(spool.waiting_bytes) })}`}
        </Fact>
      )}
    </>
  );
}

/** Days until the disk is full, by what this browser has seen it lose; undefined while that says nothing. */
function useDaysLeft(free: number | undefined): number | undefined {
  const first = useRef<{ at: number; free: number } | undefined>(undefined);
  if (free === undefined) return undefined;
  const now = Date.now();
  first.current ??= sample(kept(diskSamples.key)) ?? { at: now, free };
  const { at, free: then } = first.current;
  if (free > then || now - at > 86_400_000) first.current = { at: now, free }; // something was deleted: begin anew
  keep(diskSamples.key, JSON.stringify(first.current));
  return daysLeft(first.current, { at: now, free });
}

function sample(text: string): { at: number; free: number } | undefined {
  try {
    return JSON.parse(text) as { at: number; free: number };
  } catch {
    return undefined;
  }
}

/** Days until nothing is left, by two readings in ms and bytes; undefined where they are too close, or nothing is used up. */
export function daysLeft(before: { at: number; free: number }, now: { at: number; free: number }): number | undefined {
  const used = before.free - now.free;
  const time = now.at - before.at;
  if (time < diskSamples.atLeast || used <= 0) return undefined;
  const days = (now.free / used) * (time / 86_400_000);
  return days < 3650 ? days : undefined;
}

/** The title of a view, as the document's too: many nodes, many tabs. */
export function useTitle(view: Key, subject: string): void {
  const { info, manager } = useApp();
  const name = seen((manager ? info?.name : info?.node) ?? '');
  useEffect(() => {
    document.title = [name, seen(subject), t(view), t('title')].filter(Boolean).join(' · ');
  });
}
