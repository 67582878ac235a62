import { render } from 'preact';
import { App } from './app';
import { locale, ready, t } from './i18n';
import { showTheme } from './lib/prefs';
import './style.css';
import './views.css';

showTheme();
document.documentElement.lang = locale;
void ready.then(() => {
  document.title = t('title');
  const root = document.getElementById('app');
  if (root) render(<App />, root);
});
