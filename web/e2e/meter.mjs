/**
 * In the page: which tenths of a second of its media a video element shows, and which of them can be heard. It stands
 * alone, so that its text can be given to any browser.
 */
export function meter(video) {
  const pictures = new Set();
  const sounds = new Set();
  let last = -1;
  const frame = (_now, { mediaTime }) => {
    // A live stream's mediaTime is the sender's clock, where there is one. A picture is seen until the next one comes; a
    // busy machine leaves some out.
    const tenth = Math.floor((video.srcObject ? video.currentTime : mediaTime) * 10);
    const since = last >= 0 && tenth > last && tenth - last <= 10 ? last + 1 : tenth;
    for (let t = since; t <= tenth; t++) pictures.add(t);
    last = tenth;
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
