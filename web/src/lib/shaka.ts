// Shaka Player with the page's settings. This module is loaded when the first recording is watched.

import shaka from 'shaka-player/dist/shaka-player.dash-es2021.js';
import { ApiError } from './http';
import { authHeaders } from './token';

/** What the page uses of a player. */
export interface Player {
  load(uri: string, moment?: number): Promise<void>; // in Unix milliseconds; without one its newest, or its beginning
  epoch(): number | undefined; // Unix milliseconds of the video's zero
  heights(): number[]; // of the pictures that there are to choose from, the biggest first
  chooseHeight(height: number): void; // 0 leaves the choice to the player
  isLive(): boolean;
  seekRange(): { start: number; end: number };
  destroy(): Promise<void>;
}

/** An error of the player in words, with what decides how to go on. */
export class PlayerError extends Error {
  override name = 'PlayerError';
  constructor(
    message: string,
    readonly status: number, // HTTP status, 0 where there was none
    readonly interrupted: boolean, // by another load or by destroy
    readonly manifest: boolean, // the manifest is missing, or says nothing that can be played yet
    readonly unreachable = false, // the server does not answer
  ) {
    super(message);
  }
}

// Shaka reports numbers; this names them (shaka.util.Error.Category, Code).
const { Category, Code } = shaka.util.Error;

function nameOf(table: object, value: number): string {
  return Object.entries(table).find(([, v]) => v === value)?.[0] ?? String(value);
}

/** Turns whatever Shaka throws or reports into a PlayerError. */
export function playerError(reason: unknown): PlayerError {
  if (reason instanceof PlayerError) return reason;
  if (reason instanceof ApiError) return new PlayerError(reason.message, reason.status, false, reason.status === 404, reason.status === 0);
  if (!(reason instanceof shaka.util.Error)) {
    const message = reason instanceof Error ? reason.message : String(reason);
    return new PlayerError(message, 0, false, false);
  }
  const { category, code, data } = reason;
  const http = code === Code.BAD_HTTP_STATUS;
  const status = http ? Number(data[1]) : 0;
  const text = nameOf(Code, code).replaceAll('_', ' ').toLowerCase();
  const message = http ? `HTTP ${status}` : `${text} (${category}/${code})`;
  const manifest = category === Category.MANIFEST || (http && status === 404);
  const unreachable = code === Code.HTTP_ERROR || code === Code.TIMEOUT;
  return new PlayerError(message, status, code === Code.LOAD_INTERRUPTED, manifest, unreachable);
}

interface Told {
  onError: (error: PlayerError) => void; // about what ends playback after load has succeeded
  onGap: () => void; // after a time without media was jumped over
}

/** A player on video. */
export async function createPlayer(video: HTMLVideoElement, { onError, onGap }: Told): Promise<Player> {
  shaka.polyfill.installAll();
  if (!shaka.Player.isBrowserSupported()) {
    throw new PlayerError('this browser has no Media Source Extensions', 0, false, false);
  }
  const player = new shaka.Player();
  await player.attach(video);
  player.configure({
    streaming: { bufferingGoal: 20, rebufferingGoal: 1, bufferBehind: 60 },
    // The server suggests three segments, which suits all players; two are enough for this one.
    manifest: {
      defaultPresentationDelay: 12,
      dash: { ignoreSuggestedPresentationDelay: true },
      retryParameters: { maxAttempts: 4, baseDelay: 500, backoffFactor: 2, timeout: 15_000 },
    },
  });
  player.getNetworkingEngine()?.registerRequestFilter((_type, request) => {
    // The token is for this server alone, whatever a manifest may name.
    const own = request.uris.every((uri) => new URL(uri, location.href).origin === location.origin);
    if (own) Object.assign(request.headers, authHeaders());
  });
  player.addEventListener('error', (event) => {
    onError(playerError((event as unknown as { detail: unknown }).detail));
  });
  player.addEventListener('gapjumped', onGap);
  return {
    load: async (uri, moment) => {
      await player.load(uri, moment === undefined ? null : new Date(moment));
    },
    epoch: () => player.getPresentationStartTimeAsDate()?.getTime(),
    heights: () => [...new Set(player.getVariantTracks().map((track) => track.height ?? 0))].filter(Boolean).sort((a, b) => b - a),
    chooseHeight: (height) => {
      player.configure({ abr: { enabled: height === 0 } });
      const chosen = player.getVariantTracks().find((track) => track.height === height);
      if (chosen) player.selectVariantTrack(chosen, true);
    },
    isLive: () => player.isLive(),
    seekRange: () => player.seekRange(),
    destroy: async () => {
      await player.destroy();
    },
  };
}
