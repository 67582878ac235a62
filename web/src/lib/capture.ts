// Camera, screen and microphone.

export const sources = ['camera', 'screen', 'none'] as const;
export type Source = (typeof sources)[number];

export const resolutions = { '360p': [640, 360], '720p': [1280, 720], '1080p': [1920, 1080] } as const;
export type Resolution = keyof typeof resolutions;

export interface CaptureOptions {
  source: Source;
  microphone: boolean;
  resolution: Resolution;
  cameraId?: string; // of the devices that listDevices names; the browser's choice without
  microphoneId?: string;
}

/** Asks for the chosen devices. Whatever was opened is closed again when it throws. */
export async function capture({ source, microphone, resolution, cameraId, microphoneId }: CaptureOptions): Promise<MediaStream> {
  const devices = navigator.mediaDevices;
  if (!devices) throw new DOMException('no media devices', 'SecurityError');
  const [width, height] = resolutions[resolution];
  const video = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30 } };
  const audio = microphone && (microphoneId ? { deviceId: { exact: microphoneId } } : true);
  if (source !== 'screen') {
    const camera = source === 'camera' && { ...video, ...(cameraId && { deviceId: { exact: cameraId } }) };
    return devices.getUserMedia({ video: camera, audio });
  }
  const screen = await devices.getDisplayMedia({ video, audio: false });
  for (const track of screen.getVideoTracks()) track.contentHint = 'detail';
  if (!microphone) return screen;
  try {
    const voice = await devices.getUserMedia({ audio });
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

/** Cameras and microphones by name, as far as the browser tells: most do when one was opened before. */
export async function listDevices(): Promise<{ cameras: MediaDeviceInfo[]; microphones: MediaDeviceInfo[] }> {
  const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const named = all.filter((device) => device.deviceId && device.label);
  return {
    cameras: named.filter((device) => device.kind === 'videoinput'),
    microphones: named.filter((device) => device.kind === 'audioinput'),
  };
}

/** What a picture of a resolution is sent at from its first frame on, in kbit/s: a browser that knows nothing begins with a tenth. */
export const startBitrates: Record<Resolution, number> = { '360p': 800, '720p': 2000, '1080p': 3500 };
