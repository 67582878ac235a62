#!/usr/bin/env python3
"""Publishes a media file with aiortc over WHIP, or watches over WHEP.

usage: aiortc_client.py publish URL FILE SECONDS   decoded and encoded anew, in the size that the file has
       aiortc_client.py watch URL SECONDS

It leaves without the DELETE of WHIP and WHEP, as the programs do that are made with it.

Prints one line of JSON: what was sent, or what came. See requirements.txt beside this file.
"""

import asyncio
import json
import logging
import sys

import whip
from aiortc import MediaStreamError, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer

CONNECT_SECONDS = 20


async def connect(peer, url):
    connected = asyncio.get_running_loop().create_future()

    @peer.on("connectionstatechange")
    def changed():
        if peer.connectionState == "connected" and not connected.done():
            connected.set_result(None)
        elif peer.connectionState == "failed" and not connected.done():
            connected.set_exception(ConnectionError("the connection for media failed"))

    await peer.setLocalDescription(await peer.createOffer())
    sdp, _ = await asyncio.to_thread(whip.post, url, peer.localDescription.sdp)
    await peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
    await asyncio.wait_for(connected, CONNECT_SECONDS)


async def publish(url, file, seconds):
    peer, player = RTCPeerConnection(), MediaPlayer(file)
    for track in (player.video, player.audio):
        peer.addTrack(track)
    await connect(peer, url)
    await asyncio.sleep(float(seconds))
    counts = {}
    for sender in peer.getSenders():
        for s in (await sender.getStats()).values():
            if s.type == "outbound-rtp":
                counts[s.kind] = {"packets": s.packetsSent}
    await peer.close()
    return counts


async def watch(url, seconds):
    peer, counts, readers = RTCPeerConnection(), {}, []
    for kind in ("video", "audio"):
        peer.addTransceiver(kind, "recvonly")

    async def read(track):
        try:
            while True:
                frame = await track.recv()
                c = counts.setdefault(track.kind, {"count": 0, "first": frame.time})
                c["count"] += 1
                c["seconds"] = round(frame.time - c["first"], 3)
        except MediaStreamError:
            pass

    peer.on("track", lambda track: readers.append(asyncio.ensure_future(read(track))))
    await connect(peer, url)
    await asyncio.sleep(float(seconds))
    await peer.close()
    return counts


def main():
    logging.getLogger("aiortc.codecs").setLevel(logging.ERROR)
    commands = {"publish": (publish, 3), "watch": (watch, 2)}
    command, n = commands.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if command is None or len(sys.argv) != n + 2:
        sys.exit(__doc__)
    print(json.dumps(asyncio.run(command(*sys.argv[2:]))))


main()
