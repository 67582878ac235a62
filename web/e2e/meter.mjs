/**
 * In the page: which tenths of a second of its media a video element shows, and which of them can be heard. It stands
 * alone, so that its text can be given to any browser.
 */
export function meter(video) {
  const pictures = new Set();
  const sounds = new Set();
  const frame = (_now, { mediaTime }) => {
    // A live stream's mediaTime is the sender's clock, where there is one.
    pictures.add(Math.floor((video.srcObject ? video.currentTime : mediaTime) * 10));
    video.requestVideoFrameCallback(frame);
  };
  video.requestVideoFrameCallback(frame);
  const context = new AudioContext();
  context.resume();
  const source = video.srcObject ? context.createMediaStreamSource(video.srcObject) : context.createMediaElementSource(video);
  const analyser = context.createAnalyser();
  source.connect(analyser);
  if (!video.srcObject) source.connect(context.destination);
  // The analyser keeps the last 0.7 s: a busy machine may look late.
  analyser.fftSize = 32768;
  const wave = new Float32Array(analyser.fftSize);
  const tenth = Math.round(context.sampleRate / 10);
  setInterval(() => {
    analyser.getFloatTimeDomainData(wave);
    for (let ago = 0; ago < 5; ago++) {
      const end = wave.length - ago * tenth;
      const time = video.currentTime - ago / 10;
      if (time >= 0 && wave.subarray(end - tenth, end).some((v) => Math.abs(v) > 0.001)) sounds.add(Math.floor(time * 10));
    }
  }, 50);
  return {
    read: () => ({
      pictures: pictures.size / 10, sounds: sounds.size / 10, time: video.currentTime, duration: video.duration, ended: video.ended,
    }),
  };
}
