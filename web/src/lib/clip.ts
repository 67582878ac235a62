// A span of a stream that is to be kept or shown: its URLs.

import { below, fromServer, request } from './http';
import { hrefOf } from './route';

/** A span of wall-clock time in Unix milliseconds. */
export interface Clip {
  from: number;
  to: number;
}

/** A time as the server's paths have it: Unix seconds with a fraction. */
export const unixTime = (ms: number): string => String(Math.round(ms) / 1000);

/** The path of a span of a stream, or of what it has by a name. */
export function clipURL(stream: string, { from, to }: Clip, name: string): string {
  return spanURL(stream, from, to, name);
}

/** The same of a span that may go on: without an end. */
export function spanURL(stream: string, from: number, to: number | undefined, name: string): string {
  return below(`/api/archive/${encodeURIComponent(stream)}/${unixTime(from)}/${to === undefined ? 'now' : unixTime(to)}/${name}`);
}

/** A URL that plays a span without credentials, the folder in which it and the file are, and until when. */
export async function signClip(stream: string, clip: Clip, seconds?: number): Promise<{ url: string; folder: string; expires: string }> {
  const response = await request(clipURL(stream, clip, 'sign'), {
    method: 'POST',
    ...(seconds && { body: JSON.stringify({ ttl_seconds: seconds }) }),
  });
  const { url, expires } = (await response.json()) as { url: string; expires: string };
  const absolute = fromServer(url);
  return { url: absolute, folder: absolute.slice(0, absolute.lastIndexOf('/') + 1), expires };
}

/** The address of the page at a moment of a stream, with a clip of it or without. */
export function linkTo(stream: string, moment: number | undefined, clip?: Clip): string {
  const query = {
    t: moment === undefined ? undefined : `${Math.round(moment)}`,
    from: clip && `${Math.round(clip.from)}`,
    to: clip && `${Math.round(clip.to)}`,
  };
  return new URL(hrefOf('recordings', stream, query), document.baseURI).href;
}

/** Copies a text; browsers do that on secure pages only, and a page on a LAN may be none. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement('textarea'), { value: text });
  document.body.append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  if (!done) throw new Error(text); // to be copied by hand
}
