// What the server says, in the reader's language.

import { language, locale } from '../i18n';
import { dateTime, seen } from './format';

/** What the server says of an error or a problem: its own words, and a code by which the page has others. */
export interface Said {
  text: string;
  code?: string;
  params?: Record<string, unknown>;
}

let known: Record<string, string> = {};

/** Loads what the page has to say in place of the server; English is the server's own. */
export async function learn(): Promise<void> {
  if (language === 'zh') known = await import('../texts/server.zh').then((m) => m.server, () => known);
}

function value(of: unknown): string {
  const text = String(of);
  return (/^\d{4}-\d\d-\d\dT/.test(text) && dateTime(text, locale)) || seen(text);
}

/** The words for what the server says: its own for a code that nobody has thought of. */
export function said({ text, code = '', params = {} }: Said): string {
  const own = language === 'zh' && Object.hasOwn(known, code) ? known[code] : undefined;
  return own ? own.replace(/\{(\w+)\}/g, (whole, name: string) => (name === 'error' ? seen(text) : name in params ? value(params[name]) : whole)) : text;
}
