"""A video file -> pictures, sound and facts.

T frames, H x W pixels, S samples of 16 kHz mono sound, N pictures of the whole video as presented.

Pass 1 (packets.py) demuxes: it learns every picture's time and decodes the sound. Pass 2, here, decodes
pictures. In MP4 and WebM it jumps to the keyframes before the pictures asked for; where that does not yield
exactly those, the file is decoded from its start. Both ways give the same pictures.

Only the worker process imports this module: the files are hostile and FFmpeg is large.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tikval.config import Limits
from tikval.media.packets import (
    MATROSKA,
    MOV,
    Packets,
    demux,
    hash_file,
    opened,
    read_packets,
    video_stream,
)
from tikval.media.pictures import Picture, Taker
from tikval.media.reading import SIDE_PX, ClipError
from tikval.rows import Reason

# One packet is one picture in these, so packets alone tell the pictures' number and times. VP8 has packets
# that show nothing, MPEG-4 may have two pictures in one.
_COUNTABLE: Final = frozenset({"h264", "hevc", "vp9", "av1"})


@dataclass(frozen=True)
class Clip:
    frames: NDArray[np.uint8]  # [T, H, W, 3] RGB, the short side `side` pixels
    key_frames: list[Picture]  # at full size
    key_seconds: list[float]
    sound: NDArray[np.int16] | None  # [S]; None: no sound track, nothing in it, or not asked for
    sound_start: float  # seconds from the video's start to the first sample
    has_sound: bool
    seconds: float
    width: int  # as shown, that is after rotation
    height: int
    n_frames: int  # N
    lost_packets: int  # of picture and sound, that could not be read or decoded, as far as was seen
    total_packets: int
    content_sha: str  # SHA-256 of the file, hex


def read_clip(
    path: str,
    *,
    frames: int = 16,
    key_frames: int = 3,
    side: int = SIDE_PX,
    sound: bool = True,
    max_lost_share: float = 0.5,
    limits: Limits | None = None,
) -> Clip:
    """Read a video file: the pictures at round(linspace(0, N - 1, frames)), and its sound.

    Exact for variable frame rate, edit lists, rotated and mirrored video. A picture that cannot be decoded is
    replaced by the one before it. Non-square pixels are taken as square. Raises ClipError.
    """
    limits = limits or Limits()
    content_sha = hash_file(path, limits)
    with opened(path) as container:
        video = video_stream(container, limits)
        time_base = video.time_base or Fraction(1, 1000)
        packets = demux(container, video, sound, limits)
        stamps = _stamps(container, video, packets)
        by_time = stamps is not None
        if stamps is None:
            stamps = list(range(_count(path, limits)))
        if not stamps:
            raise ClipError(Reason.DAMAGED, "no picture could be decoded")
        small = _spread(stamps, frames)
        full = _spread(stamps, key_frames)
        taker = Taker({stamps[0], *small}, set(full), side)  # the first always: it tells size and rotation
        lost = packets.lost
        if not (by_time and lost == 0 and _take_by_seeking(container, video, packets, taker)):
            lost += _take_in_order(path, limits, taker, stamps, by_time)
        rate = video.average_rate or Fraction(30)
    if not taker.small:
        raise ClipError(Reason.DAMAGED, "no picture could be decoded")
    if lost > max_lost_share * packets.total:
        raise ClipError(Reason.DAMAGED, f"{lost} of {packets.total} packets are lost")
    if by_time:
        key_seconds = [float(stamp * time_base - packets.start) for stamp in full]
    else:
        key_seconds = [float(stamp / rate) for stamp in full]
    some = [taker.small[stamp] for stamp in small]
    return Clip(
        frames=np.stack(some) if some else np.empty((0, *taker.small[stamps[0]].shape), np.uint8),
        key_frames=[taker.full[stamp] for stamp in full],
        key_seconds=key_seconds,
        sound=packets.sound,
        sound_start=packets.sound_start,
        has_sound=packets.has_sound,
        seconds=packets.seconds or len(stamps) / float(rate),
        width=taker.width,
        height=taker.height,
        n_frames=len(stamps),
        lost_packets=lost,
        total_packets=packets.total,
        content_sha=content_sha,
    )


def _stamps(container: InputContainer, video: VideoStream, packets: Packets) -> list[int] | None:
    """Times of the N pictures in order, in the track's time base; None where packets do not tell them."""
    if (
        container.format.name not in (MOV, MATROSKA)
        or video.codec_context.codec.canonical_name not in _COUNTABLE
    ):
        return None
    times = [packet.pts for packet in packets.pictures if packet.pts is not None]
    if len(set(times)) < len(packets.pictures):  # some have no time, or two the same
        return None
    return sorted(packet.pts for packet in packets.pictures if packet.is_shown and packet.pts is not None)


def _spread(stamps: list[int], count: int) -> list[int]:
    """`count` of the stamps, evenly spaced, with repeats where there are fewer; the first alone for one."""
    return [stamps[index] for index in np.linspace(0, len(stamps) - 1, count).round().astype(int)]


def _take_by_seeking(container: InputContainer, video: VideoStream, packets: Packets, taker: Taker) -> bool:
    """Decode only from the keyframes before the wanted pictures; True if that yielded exactly those."""
    codec = video.codec_context
    # H.264 marks pictures that no other refers to: they can be skipped. HEVC's mark is per sub-layer only.
    skips = codec.codec.canonical_name == "h264"
    try:
        for first, last in _runs(packets, taker.stamps):
            for packet in _packets_of_run(container, video, packets, first, last):
                wanted = packet.is_keyframe or packet.pts in taker.stamps
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


def _take_in_order(path: str, limits: Limits, taker: Taker, stamps: list[int], by_time: bool) -> int:
    """Decode from the start; a picture that does not come out is replaced by the one before it (at the start:
    after it). Returns how many packets or pictures were lost on the way."""
    pending = sorted(taker.stamps, reverse=True)
    decoder = _Decoder()
    previous: VideoFrame | None = None
    n_out = 0
    stamp = -1
    for frame in decoder.frames(path, limits):
        stamp = frame.pts if by_time and frame.pts is not None else n_out
        n_out += 1
        while pending and pending[-1] <= stamp:
            at = pending.pop()
            taker.take(at, frame if at == stamp or previous is None else previous)
        previous = frame
        if not pending:
            break
    for at in pending:
        if previous is not None:
            taker.take(at, previous)
    expected = bisect_right(stamps, stamp) if pending == [] else len(stamps)
    return max(decoder.errors, expected - n_out)


def _count(path: str, limits: Limits) -> int:
    return sum(1 for _ in _Decoder().frames(path, limits))


class _Decoder:
    """Every picture of a file in order; `errors` counts the packets that did not decode."""

    def __init__(self) -> None:
        self.errors = 0

    def frames(self, path: str, limits: Limits) -> Iterator[VideoFrame]:
        with opened(path) as container:
            video = video_stream(container, limits)
            for packet in read_packets(container, [video]):
                try:
                    yield from video.codec_context.decode(packet if packet.size else None)
                except (av.FFmpegError, OSError):
                    self.errors += 1
