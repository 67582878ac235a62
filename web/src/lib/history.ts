// The load of the server as it was since the page was opened: what the graphs show.

import type { NodeLoad } from './api';
import { bitrate, bytes } from './format';

/** What is drawn of a load. */
export const lines = [
  { name: 'graph.received', read: (load: NodeLoad) => load.traffic?.received_bps, text: bitrate },
  { name: 'graph.sent', read: (load: NodeLoad) => load.traffic?.sent_bps, text: bitrate },
  { name: 'graph.cpu', read: (load: NodeLoad) => load.process?.cpu, text: (n: number) => n.toFixed(2) },
  { name: 'graph.disk', read: (load: NodeLoad) => load.storage?.free_bytes, text: bytes },
] as const;

const kept = 720; // readings: an hour
export const times: number[] = [];
export const values: (number | null)[][] = lines.map(() => []);
let lastLoad: NodeLoad | undefined;

/** Notes a reading of the load; the page has them from when it was opened. */
export function noteLoad(load: NodeLoad | undefined): void {
  if (!load || load === lastLoad) return;
  lastLoad = load;
  times.push(Date.now() / 1000);
  lines.forEach(({ read }, i) => values[i]?.push(read(load) ?? null));
  if (times.length <= kept) return;
  times.shift();
  for (const line of values) line.shift();
}
