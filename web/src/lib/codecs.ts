// Which codecs to offer, and in which order.

export const videoCodecs = ['H264', 'H265', 'VP9', 'AV1', 'VP8'] as const;
export type VideoCodec = (typeof videoCodecs)[number];

/** The part of RTCRtpCodec that the choice looks at. */
export interface CodecLike {
  mimeType: string;
  sdpFmtpLine?: string;
}

const isMode1 = (codec: CodecLike) => /packetization-mode=1/.test(codec.sdpFmtpLine ?? '');

/**
 * The capabilities to offer so that only name is negotiated: its entries, those of H264 with
 * packetization mode 1 first (mode 0 limits every NAL unit to one packet), then rtx. Empty when
 * the browser cannot send it.
 */
export function offerOnly<T extends CodecLike>(capabilities: readonly T[], name: string): T[] {
  const wanted = `video/${name}`.toLowerCase();
  const chosen = capabilities.filter((codec) => codec.mimeType.toLowerCase() === wanted);
  if (chosen.length === 0) return [];
  const rtx = capabilities.filter((codec) => codec.mimeType.toLowerCase() === 'video/rtx');
  return [...chosen.filter(isMode1), ...chosen.filter((codec) => !isMode1(codec)), ...rtx];
}

/** The video codecs of the list above that this browser can send. */
export function sendableCodecs(): VideoCodec[] {
  const capabilities = globalThis.RTCRtpSender?.getCapabilities?.('video')?.codecs ?? [];
  return videoCodecs.filter((name) => offerOnly(capabilities, name).length > 0);
}
