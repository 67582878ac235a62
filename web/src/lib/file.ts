// A recording, or a span of a stream, as one file that the browser saves.

import type { Recording } from './api';
import { ApiError, request } from './http';

const mp4 = 'file.mp4';
const webm = 'file.webm';

/** Which file a recording is, as far as its tracks tell: WebM if its video is VP8, which no MP4 has. */
export function fileOf({ tracks }: Pick<Recording, 'tracks'>): string {
  return tracks?.some(({ kind, codec }) => kind === 'video' && codec.toUpperCase() === 'VP8') ? webm : mp4;
}

/**
 * Asks the server for a file, and for the other one if it says that it cannot be that: which of them it is. Where it is
 * neither, the error is what the server says of the first.
 */
export async function findFile(urlOf: (name: string) => string, first = mp4): Promise<string> {
  const ask = (name: string) => request(urlOf(name), { headers: { Range: 'bytes=0-0' } });
  try {
    await ask(first);
    return first;
  } catch (reason) {
    if (!(reason instanceof ApiError) || reason.status !== 409) throw reason;
    const other = first === mp4 ? webm : mp4;
    await ask(other).catch(() => {
      throw reason;
    });
    return other;
  }
}

/** The query that has a file named by the time of the viewer's zone. */
export const fileQuery = (): string => `?${new URLSearchParams({ tz: Intl.DateTimeFormat().resolvedOptions().timeZone })}`;

/** Has the browser save what is at a URL: it loads it without the page, and shows how far it is. */
export function saveFrom(href: string): void {
  Object.assign(document.createElement('a'), { href, download: '' }).click();
}
