// The list of streams, as the events of GET /api/sse/streams tell of it.

import type { FleetStream } from './api';

interface StreamChanges {
  whole: boolean; // these are all streams
  removed?: string[];
  streams: FleetStream[];
}

/** Keeps the list: a node tells all of it each time, a manager what has changed. */
export class StreamList {
  #streams = new Map<string, FleetStream>();

  /** Takes the data of the next event and returns the list. */
  take(data: string): FleetStream[] {
    const told = JSON.parse(data) as FleetStream[] | StreamChanges | null;
    if (!told || Array.isArray(told)) return told ?? [];
    if (told.whole) this.#streams.clear();
    for (const id of told.removed ?? []) this.#streams.delete(id);
    for (const stream of told.streams) this.#streams.set(stream.id, stream);
    return [...this.#streams.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}
