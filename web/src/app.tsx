import { useEffect, useReducer, useState } from 'preact/hooks';
import { locale, onLanguage, t } from './i18n';
import { getTheme, setTheme } from './lib/prefs';
import { follow, usePlace, type ViewName } from './lib/route';
import { Head, Rail, Strip, useTitle, viewsFor } from './parts/frame';
import { Lazy } from './parts/lazy';
import { LoginForm } from './parts/login';
import { ProblemsPart } from './parts/problems';
import { Toasts } from './parts/toasts';
import { TokenForm } from './parts/token';
import { StateContext, useApp, useAppState } from './state';
import { LiveView } from './views/live';

/** The page: one view of it, and around it what all have. */
export function App() {
  const state = useAppState();
  return (
    <StateContext.Provider value={state}>
      <Frame />
    </StateContext.Provider>
  );
}

function Frame() {
  const state = useApp();
  const { info, offline, locked, credentials, problems, publisher } = state;
  const place = usePlace();
  const [theme, choose] = useState(getTheme);
  const [, speak] = useReducer((n: number) => n + 1, 0);
  useEffect(() => onLanguage(() => speak(undefined)), []);
  useEffect(() => {
    document.documentElement.lang = locale;
  }, [locale]);
  useEffect(() => {
    document.addEventListener('click', follow);
    return () => document.removeEventListener('click', follow);
  }, []);
  const has = viewsFor(state).includes(place.view);
  const view = has ? place.view : 'live';
  useTitle(`view.${view}`, place.subject);
  const token = credentials.split(' ')[1];
  const accounts = info?.features?.includes('accounts') ?? false;
  return (
    <>
      <Head
        search={place.query.get('q') ?? ''}
        theme={theme}
        onTheme={(next) => {
          setTheme(next);
          choose(next);
        }}
      />
      <Rail current={view} />
      <main>
        {locked && (info || offline) && (accounts ? <LoginForm wrongToken={!!token} /> : <TokenForm wrong={!!token} />)}
        {offline && (
          <p class="error" role="alert">
            {t('offline', { error: offline })}
          </p>
        )}
        {!locked && <ProblemsPart problems={problems} />}
        {(!locked || (view === 'publish' && publisher.state !== 'idle')) && <View name={view} />}
      </main>
      <Toasts />
      <Strip />
    </>
  );
}

/** The views that are loaded when they are first looked at. */
const later = {
  recordings: () => import('./views/recordings').then((m) => m.RecordingsView),
  publish: () => import('./views/publish').then((m) => m.PublishView),
  nodes: () => import('./views/nodes').then((m) => m.NodesView),
  system: () => import('./views/system').then((m) => m.SystemView),
};

function View({ name }: { name: ViewName }) {
  if (name === 'live') return <LiveView />;
  return <Lazy key={name} load={later[name]} props={{}} />;
}
