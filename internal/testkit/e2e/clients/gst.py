#!/usr/bin/env python3
"""Publishes a media file with GStreamer's webrtcbin over WHIP, or watches over WHEP.

usage: gst.py publish URL FILE.mkv SECONDS   the file has H264 and Opus, which are sent as they are
       gst.py watch URL SECONDS

Prints one line of JSON: what was sent, or what came. Debian packages: python3-gi gir1.2-gst-plugins-base-1.0
gir1.2-gst-plugins-bad-1.0 gstreamer1.0-plugins-{base,good,bad} gstreamer1.0-nice gstreamer1.0-libav
"""

import json
import sys
import urllib.request

import gi
import whip

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

CONNECT_SECONDS = 20

PUBLISH = """
webrtcbin name=peer bundle-policy=max-bundle latency=0
filesrc location="{file}" ! matroskademux name=demux
demux. ! queue ! h264parse config-interval=-1 ! clocksync ! rtph264pay aggregate-mode=zero-latency pt=96
  ! application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000 ! identity name=video silent=true ! peer.
demux. ! queue ! opusparse ! clocksync ! rtpopuspay pt=97
  ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000,encoding-params=(string)2
  ! identity name=audio silent=true ! peer.
"""


class Peer:
    """A pipeline with a webrtcbin, and its session with the server."""

    def __init__(self, url, description):
        self.url, self.session, self.error, self.offered = url, None, None, False
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.Pipeline.new()
        self.pipeline.add(Gst.parse_bin_from_description(description, False))
        self.peer = self.pipeline.get_by_name("peer")
        self.peer.connect("notify::connection-state", self.on_state)
        self.peer.connect("notify::ice-gathering-state", self.on_gathered)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, m: self.fail("%s (%s)" % m.parse_error()))

    def fail(self, why):
        self.error = self.error or why
        self.loop.quit()

    def offer(self, *_):
        if self.offered:
            return
        self.offered = True

        def created(promise, *_):
            promise.wait()
            reply = promise.get_reply()
            offer = reply.get_value("offer")
            self.peer.emit("set-local-description", offer, Gst.Promise.new())

        self.peer.emit("create-offer", None, Gst.Promise.new_with_change_func(created))

    def on_gathered(self, *_):
        if self.peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self.post)

    def post(self):
        sdp = self.peer.get_property("local-description").sdp.as_text()
        try:
            text, self.session = whip.post(self.url, sdp)
        except ConnectionError as e:
            return self.fail(str(e))
        _, message = GstSdp.SDPMessage.new_from_text(text)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
        self.peer.emit("set-remote-description", answer, Gst.Promise.new())

    def on_state(self, *_):
        state = self.peer.get_property("connection-state")
        if state == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            GLib.idle_add(self.connected)
        elif state == GstWebRTC.WebRTCPeerConnectionState.FAILED:
            self.fail("the connection for media failed")

    def run(self, seconds):
        """Runs for seconds from the connection on, and leaves in order."""
        limit = GLib.timeout_add_seconds(CONNECT_SECONDS, self.fail, "no connection after %d s" % CONNECT_SECONDS)

        def connected():
            GLib.source_remove(limit)
            GLib.timeout_add(int(seconds * 1000), self.loop.quit)

        self.connected = connected
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        if self.session:
            with urllib.request.urlopen(urllib.request.Request(self.session, method="DELETE"), timeout=10):
                pass
        self.pipeline.set_state(Gst.State.NULL)
        if self.error:
            sys.exit("gst.py: " + self.error)


def count(element, counts, name):
    """Counts the buffers of different times that leave an element."""

    def probe(_, info):
        buffer = info.get_buffer()
        pts = buffer.pts if buffer else Gst.CLOCK_TIME_NONE
        if pts != Gst.CLOCK_TIME_NONE and pts != counts.get(name, {}).get("last"):
            c = counts.setdefault(name, {"count": 0, "first": pts})
            c["count"] += 1
            c["last"] = pts
        return Gst.PadProbeReturn.OK

    element.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, probe)


def seconds_of(counts):
    return {
        name: {"count": c["count"], "seconds": round((c["last"] - c["first"]) / Gst.SECOND, 3)} for name, c in counts.items()
    }


def publish(url, file, seconds):
    peer = Peer(url, PUBLISH.format(file=file))
    counts = {}
    for name in ("video", "audio"):
        count(peer.pipeline.get_by_name(name), counts, name)
    peer.peer.connect("on-negotiation-needed", peer.offer)
    peer.run(float(seconds))
    return seconds_of(counts)


def watch(url, seconds):
    """Decodes what comes, and counts it."""
    peer = Peer(url, "webrtcbin name=peer bundle-policy=max-bundle")
    counts = {}
    for caps in (
        "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000,packetization-mode=(string)1",
        "application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000,encoding-params=(string)2",
    ):
        peer.peer.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))

    def decoded(_, pad):
        name = pad.get_current_caps().get_structure(0).get_name().split("/")[0]
        sink = Gst.ElementFactory.make("fakesink")
        convert = Gst.ElementFactory.make("identity")
        for e in (convert, sink):
            peer.peer.get_parent().add(e)
            e.sync_state_with_parent()
        convert.link(sink)
        count(convert, counts, name)
        pad.link(convert.get_static_pad("sink"))

    def came(_, pad):
        if pad.direction != Gst.PadDirection.SRC:
            return
        decoder = Gst.ElementFactory.make("decodebin")
        decoder.connect("pad-added", decoded)
        peer.peer.get_parent().add(decoder)
        decoder.sync_state_with_parent()
        pad.link(decoder.get_static_pad("sink"))

    peer.peer.connect("pad-added", came)
    peer.pipeline.set_state(Gst.State.READY)
    GLib.idle_add(peer.offer)
    peer.run(float(seconds))
    return seconds_of(counts)


def main():
    Gst.init(None)
    # The bindings make classes when they are first asked for. Two threads that ask for
    # that of a pad at the same moment get one that is no pad.
    _ = (Gst.Pad, Gst.ProxyPad, Gst.GhostPad)
    commands = {"publish": (publish, 3), "watch": (watch, 2)}
    command, n = commands.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if command is None or len(sys.argv) != n + 2:
        sys.exit(__doc__)
    print(json.dumps(command(*sys.argv[2:])))


main()
