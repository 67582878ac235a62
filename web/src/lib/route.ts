// Where the reader is, as a URL: the view and what it is of in the hash, its state in the query. The page itself is one
// file, wherever a proxy has put it, so its path says nothing.

import { useSearch } from 'wouter-preact';
import { navigate, useHashLocation } from 'wouter-preact/use-hash-location';

export const viewNames = ['live', 'recordings', 'publish', 'nodes', 'system'] as const;
export type ViewName = (typeof viewNames)[number];

/** A place in the page. */
export interface Place {
  view: ViewName;
  subject: string; // a stream, or ''
  query: URLSearchParams;
}

/** What the hash of a URL and its query say. */
export function placeOf(path: string, search: string): Place {
  const [view = '', subject = ''] = path.replace(/^\//, '').split('/');
  const known = viewNames.includes(view as ViewName);
  return { view: known ? (view as ViewName) : 'live', subject: decoded(subject), query: new URLSearchParams(search) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // somebody has typed it
  }
}

/** The path of a place for navigate; the query is always part of it, or the one before would stay. */
export function pathOf(view: ViewName, subject = '', query: Record<string, string | undefined> = {}): string {
  const values = Object.entries(query).filter(([, value]) => value) as [string, string][];
  return `/${view}${subject ? `/${encodeURIComponent(subject)}` : ''}?${new URLSearchParams(values)}`;
}

/** The same as the address of a link. */
export function hrefOf(view: ViewName, subject = '', query: Record<string, string | undefined> = {}): string {
  const [hash = '', search] = pathOf(view, subject, query).split('?');
  return `?${search}#${hash}`;
}

/** Goes to a place: a step that Back undoes, or with replace none. */
export function go(view: ViewName, subject = '', query: Record<string, string | undefined> = {}, replace = false): void {
  navigate(pathOf(view, subject, query), { replace });
}

/** The place where the reader is; renders again when that changes. */
export function usePlace(): Place {
  const [path] = useHashLocation();
  return placeOf(path, useSearch());
}

/** Changes some of the state of the view that is shown. */
export function change(values: Record<string, string | undefined>, replace = true): void {
  const place = placeOf(location.hash.replace(/^#/, ''), location.search);
  go(place.view, place.subject, { ...Object.fromEntries(place.query), ...values }, replace);
}

/** Follows a link to a place within the page: without the load that the change of the query would be. */
export function follow(event: MouseEvent): void {
  const link = (event.target as Element | null)?.closest?.('a[href^="?"]');
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const [search = '', hash = ''] = (link.getAttribute('href') ?? '').slice(1).split('#');
  navigate(`${hash}?${search}`);
}
