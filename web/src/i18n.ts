// The page's texts in English and Chinese, as the reader has chosen, or else the browser.

import { keep, kept } from './lib/prefs';
import type { en } from './texts/en';
import type { PublishKey } from './texts/publish';
import type { ReceiversKey } from './texts/receivers';
import type { SystemKey } from './texts/system';

export type Key = keyof typeof en | PublishKey | ReceiversKey | SystemKey;
export const languages = ['en', 'zh'] as const;
export type Language = (typeof languages)[number];

const languageKey = 'live777-language';

/** The language for a list of preferred ones: Chinese if it comes before English, else English. */
export function chooseLanguage(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    if (/^zh\b/i.test(tag)) return 'zh';
    if (/^en\b/i.test(tag)) return 'en';
  }
  return 'en';
}

export let language = chooseLanguage([kept(languageKey), ...(globalThis.navigator?.languages ?? [])]);

/** The tag for Intl and for <html lang>. */
export let locale = localeOf(language);

function localeOf(chosen: Language): string {
  return chosen === 'zh' ? 'zh-CN' : 'en';
}

const listeners = new Set<() => void>();

/** Calls listener after every change of the language until the returned function is called. */
export function onLanguage(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

type Texts = Partial<Record<Key, string>>;

/** The texts of the language that is spoken: the others are loaded when somebody reads them. */
let texts: Texts = {};

/** Texts of views that have been loaded, in all languages. */
const added: Record<Language, Texts> = { en: {}, zh: {} };

/** Adds the texts of a view that is loaded when somebody opens it. */
export function add(view: Record<Language, Texts>): void {
  for (const one of languages) Object.assign(added[one], view[one]);
}

async function load(wanted: Language): Promise<void> {
  texts = wanted === 'zh' ? (await import('./texts/zh')).zh : (await import('./texts/en')).en;
}

/** Resolves when the page can speak. */
export const ready = load(language);

/** Speaks another language, now and on later visits. */
export async function setLanguage(chosen: Language): Promise<void> {
  await load(chosen);
  language = chosen;
  locale = localeOf(chosen);
  keep(languageKey, chosen);
  for (const listener of listeners) listener();
}

/** The text of key with its {placeholders} replaced. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return (texts[key] ?? added[language][key] ?? key).replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** The text of key if there is one, else fallback: for words that the server chooses. */
export function tOr(key: string, fallback: string): string {
  return Object.hasOwn(texts, key) || Object.hasOwn(added[language], key) ? t(key as Key) : fallback;
}
