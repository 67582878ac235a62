import { useEffect, useState } from 'preact/hooks';
import { encodePath } from '../lib/api';
import { unixTime } from '../lib/clip';
import { request } from '../lib/http';

const settle = 120; // ms for which a pointer has to stand still
const most = 40; // pictures that are kept

/** Pictures that were looked at, by stream and time, as URLs of this page; the oldest first. */
const kept = new Map<string, string>();

/** The URL of a picture of a stream at a moment, or before it. */
async function picture(stream: string, moment: number, signal: AbortSignal): Promise<string> {
  const key = `${stream} ${moment}`;
  const known = kept.get(key);
  if (known) return known;
  const response = await request(`/api/archive/${encodePath(stream)}/at/${unixTime(moment)}/key.mp4`, { signal });
  const url = URL.createObjectURL(await response.blob());
  kept.set(key, url);
  for (const [oldest, gone] of kept) {
    if (kept.size <= most) break;
    kept.delete(oldest);
    URL.revokeObjectURL(gone);
  }
  return url;
}

interface KeyPictureProps {
  stream: string;
  moment: number;
  grain: number; // ms within which one picture is as good as another
}

/** The picture of a stream at a moment: its key frame, as a video of one picture. Nothing where it has none that can be had. */
export function KeyPicture({ stream, moment, grain }: KeyPictureProps) {
  const at = Math.round(moment / Math.max(1, grain)) * Math.max(1, grain);
  const [shown, setShown] = useState('');
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(() => {
      picture(stream, at, abort.signal).then(setShown, () => !abort.signal.aborted && setShown(''));
    }, kept.has(`${stream} ${at}`) ? 0 : settle);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [stream, at]);
  if (!shown) return null;
  return <video class="key-picture" src={shown} muted playsInline preload="auto" aria-hidden="true" data-testid="key-picture" />;
}
