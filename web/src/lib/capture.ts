// Camera, screen and microphone.

export const sources = ['camera', 'screen', 'none'] as const;
export type Source = (typeof sources)[number];

export const resolutions = { '360p': [640, 360], '720p': [1280, 720], '1080p': [1920, 1080] } as const;
export type Resolution = keyof typeof resolutions;

export interface CaptureOptions {
  source: Source;
  microphone: boolean;
  resolution: Resolution;
}

/** Asks for the chosen devices. Whatever was opened is closed again when it throws. */
export async function capture({ source, microphone, resolution }: CaptureOptions): Promise<MediaStream> {
  const devices = navigator.mediaDevices;
  if (!devices) throw new DOMException('no media devices', 'SecurityError');
  const [width, height] = resolutions[resolution];
  const video = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30 } };
  if (source !== 'screen') {
    return devices.getUserMedia({ video: source === 'camera' && video, audio: microphone });
  }
  const screen = await devices.getDisplayMedia({ video, audio: false });
  for (const track of screen.getVideoTracks()) track.contentHint = 'detail';
  if (!microphone) return screen;
  try {
    const voice = await devices.getUserMedia({ audio: true });
    return new MediaStream([...screen.getTracks(), ...voice.getTracks()]);
  } catch (reason) {
    release(screen);
    throw reason;
  }
}

/** Closes the devices of a stream. */
export function release(media: MediaStream | undefined): void {
  for (const track of media?.getTracks() ?? []) track.stop();
}
