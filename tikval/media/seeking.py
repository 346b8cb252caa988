"""Pass 2 over a file with an index: decode only from the keyframes before the wanted pictures.

Only the worker process imports this module: the files are hostile and FFmpeg is large.
"""

from collections.abc import Iterator

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tikval.media.demux import Packets
from tikval.media.packets import MATROSKA
from tikval.media.pictures import Taker


def take_by_seeking(container: InputContainer, video: VideoStream, packets: Packets, taker: Taker) -> bool:
    """Decode only from the keyframes before the wanted pictures; True if that yielded exactly those."""
    codec = video.codec_context
    # H.264 marks pictures that no other refers to, and FFmpeg passes over them; HEVC's mark is of a layer (hevc.py)
    skips = codec.codec.canonical_name == "h264"
    try:
        for first, last in _runs(packets, taker.stamps | taker.watched.keys()):
            for position, packet in enumerate(_packets_of_run(container, video, packets, first, last), first):
                wanted = packet.is_keyframe or packet.pts in taker.stamps or packet.pts in taker.due
                if packets.spare and packets.spare[position] and not wanted:
                    continue
                codec.skip_frame = "NONREF" if skips and not wanted else "DEFAULT"
                _take_all(codec.decode(packet), taker)
            codec.skip_frame = "DEFAULT"
            _take_all(codec.decode(None), taker)
    except (av.FFmpegError, OSError, _SeekMissed):
        return False
    return taker.small.keys() | taker.full.keys() == taker.stamps


def _take_all(frames: list[VideoFrame], taker: Taker) -> None:
    for frame in frames:
        if frame.pts in taker.stamps:
            taker.take(frame.pts, frame)
        if frame.pts is not None:
            taker.show(frame.pts, frame)


def _runs(packets: Packets, stamps: set[int]) -> list[tuple[int, int]]:
    """Stretches of packets to decode, as (first, last) in decoding order; each starts with a keyframe."""
    runs: list[tuple[int, int]] = []
    before = key = 0  # positions of the last two keyframes
    for position, packet in enumerate(packets.pictures):
        if packet.is_keyframe:
            before, key = key, position
        if packet.pts not in stamps:
            continue
        # shown before its keyframe (open group of pictures): it also refers to the group before
        leads = (packet.pts or 0) < (packets.pictures[key].pts or 0)
        first = before if leads else key
        while runs and first <= runs[-1][1]:
            first = min(first, runs.pop()[0])
        runs.append((first, position))
    return runs


class _SeekMissed(Exception):  # noqa: N818
    pass


def _packets_of_run(
    container: InputContainer, video: VideoStream, packets: Packets, first: int, last: int
) -> "Iterator[Packet[VideoStream]]":
    """Packets `first` to `last` in decoding order. Raises _SeekMissed where the seek lands elsewhere."""
    start = packets.pictures[first]
    at = start.pts if container.format.name == MATROSKA or start.dts is None else start.dts
    assert at is not None
    container.seek(at, stream=video)
    position = None
    for packet in container.demux(video):
        if position is None:
            if packet.pts != start.pts:
                if packet.is_keyframe and (packet.pts or 0) > (start.pts or 0):
                    raise _SeekMissed
                continue
            position = first
        elif packet.pts != packets.pictures[position].pts:
            raise _SeekMissed
        yield packet
        if position == last:
            return
        position += 1
