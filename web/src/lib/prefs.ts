// What the reader has chosen for this browser: the theme. The language is in i18n.ts.

export const themes = ['system', 'light', 'dark'] as const;
export type Theme = (typeof themes)[number];

const themeKey = 'live777-theme';

/** Reads a value that was kept in this browser; '' where there is none, or no storage. */
export function kept(key: string): string {
  try {
    return globalThis.localStorage?.getItem(key) ?? '';
  } catch {
    return ''; // storage is off in this browser
  }
}

/** Keeps a value in this browser, where that can be done; '' forgets it. */
export function keep(key: string, value: string): void {
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch {
    // See kept.
  }
}

/** The theme in use. */
export function getTheme(): Theme {
  const value = kept(themeKey) as Theme;
  return themes.includes(value) ? value : 'system';
}

/** Shows the page in a theme, now and on later visits. */
export function setTheme(theme: Theme): void {
  keep(themeKey, theme === 'system' ? '' : theme);
  showTheme();
}

/** Puts the theme on the document, where the style sheet looks. */
export function showTheme(): void {
  const theme = getTheme();
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
