import { afterEach, expect, test, vi } from 'vitest';
import { sendableCodecs } from '../src/lib/codecs';

afterEach(() => vi.unstubAllGlobals());

const sending = (...names: string[]) =>
  vi.stubGlobal('RTCRtpSender', {
    getCapabilities: () => ({ codecs: names.map((name) => ({ mimeType: `video/${name}` })) }),
  });

test('every codec that can be recorded and that the browser can send is offered', () => {
  sending('VP8', 'rtx', 'VP9', 'H264', 'AV1', 'H265', 'red', 'ulpfec');
  expect(sendableCodecs()).toEqual(['H264', 'H265', 'VP9', 'AV1', 'VP8']);
});

test('a codec that the browser cannot send is not offered', () => {
  sending('VP8', 'rtx', 'H264');
  expect(sendableCodecs()).toEqual(['H264', 'VP8']);
});

test('without WebRTC there is none', () => {
  expect(sendableCodecs()).toEqual([]);
});
