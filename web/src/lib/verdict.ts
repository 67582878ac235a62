// What a recording's ledger says of what is missing, in the reader's words.

import { t, tOr } from '../i18n';
import type { Recording } from './api';

/** Why a recording is not complete; the server's own words where its ledger has no numbers for it. */
export function verdict(recording: Recording): string {
  if (recording.status !== 'degraded') return recording.reason ?? '';
  const tracks = recording.tracks ?? [];
  const sum = (count: (track: (typeof tracks)[number]) => number | undefined) => tracks.reduce((n, track) => n + (count(track) ?? 0), 0);
  const lost = sum((track) => track.packets_lost);
  const dropped = sum((track) => track.frames_dropped);
  const causes = new Set(tracks.flatMap((track) => (track.gaps ?? []).map((gap) => gap.cause)));
  const facts = [
    lost > 0 && t('lostPackets', { n: lost }),
    dropped > 0 && t('lostFrames', { n: dropped }),
    ...['overrun', 'limit', 'node'].filter((cause) => causes.has(cause)).map((cause) => tOr(`cause.${cause}`, cause)),
  ].filter(Boolean);
  return facts.join(' · ') || (recording.reason ?? '');
}
