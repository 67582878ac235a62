// Publishes a media file with werift over WHIP, or watches over WHEP: a WebRTC stack of its own, without codecs, so that
// ffmpeg reads the file and makes RTP of it. Prints one line of JSON: what was sent, or what came.
//
// usage: node web/e2e/werift.mjs publish URL FILE SECONDS    the file has H264 and Opus
//        node web/e2e/werift.mjs watch URL SECONDS

import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpPacket } from 'werift';

const connectSeconds = 20;

const codecs = {
  video: [new RTCRtpCodecParameters({
    mimeType: 'video/H264', clockRate: 90000, payloadType: 96,
    rtcpFeedback: [{ type: 'nack' }, { type: 'nack', parameter: 'pli' }],
    parameters: 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f',
  })],
  audio: [new RTCRtpCodecParameters({ mimeType: 'audio/opus', clockRate: 48000, channels: 2, payloadType: 111 })],
};

class Session {
  constructor(url) {
    this.url = url;
    this.counts = {};
    this.peer = new RTCPeerConnection({ codecs, iceServers: [], iceUseIpv6: false });
  }

  count(kind, packet) {
    const c = (this.counts[kind] ??= { packets: 0, first: packet.header.timestamp, seconds: 0 });
    c.packets += 1;
    c.seconds = ((packet.header.timestamp - c.first) >>> 0) / (kind === 'video' ? 90000 : 48000);
  }

  async connect() {
    await this.peer.setLocalDescription(await this.peer.createOffer());
    const answer = await fetch(this.url, {
      method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: this.peer.localDescription.sdp,
    });
    const text = await answer.text();
    if (answer.status !== 201) throw new Error(`POST answers ${answer.status}: ${text}`);
    this.session = new URL(answer.headers.get('Location'), answer.url); // it may have been redirected
    await this.peer.setRemoteDescription({ type: 'answer', sdp: text });
    for (let ms = 0; this.peer.connectionState !== 'connected'; ms += 20) {
      if (ms > connectSeconds * 1000) throw new Error(`no connection after ${connectSeconds} s: ${this.peer.connectionState}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async leave() {
    const answer = await fetch(this.session, { method: 'DELETE' });
    if (!answer.ok) throw new Error(`DELETE answers ${answer.status}`);
    await this.peer.close();
    return this.counts;
  }
}

/** A UDP port of this machine, where packets go to onPacket. */
async function port(onPacket) {
  const socket = createSocket('udp4');
  socket.on('message', (data) => onPacket(RtpPacket.deSerialize(data)));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket.address().port;
}

async function publish(url, file, seconds) {
  const session = new Session(url);
  const targets = [];
  for (const kind of ['video', 'audio']) {
    const track = new MediaStreamTrack({ kind });
    session.peer.addTransceiver(track, { direction: 'sendonly' });
    const to = await port((packet) => {
      session.count(kind, packet);
      track.writeRtp(packet);
    });
    // A file has the parameter sets once; over RTP they belong in front of each key frame.
    const way = kind === 'video' ? ['-map', '0:v', '-bsf:v', 'h264_mp4toannexb', '-payload_type', '96'] : ['-map', '0:a', '-payload_type', '111'];
    targets.push(...way, '-c', 'copy', '-f', 'rtp', `rtp://127.0.0.1:${to}?pkt_size=1200`);
  }
  await session.connect();
  const ffmpeg = spawn('ffmpeg', ['-v', 'error', '-nostdin', '-re', '-t', seconds, '-i', file, ...targets],
    { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(ffmpeg, 'exit');
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
  return session.leave();
}

async function watch(url, seconds) {
  const session = new Session(url);
  session.peer.ontrack = ({ track }) => track.onReceiveRtp.subscribe((packet) => session.count(track.kind, packet));
  for (const kind of ['video', 'audio']) session.peer.addTransceiver(kind, { direction: 'recvonly' });
  await session.connect();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  return session.leave();
}

const [command, ...args] = process.argv.slice(2);
try {
  const counts = await { publish, watch }[command](...args);
  process.stdout.write(`${JSON.stringify(counts)}\n`);
} catch (reason) {
  process.stderr.write(`FAILED: ${reason.stack}\n`);
  process.exitCode = 1;
}
process.exit();
