"""A video file -> pictures, sound and facts.

T frames, H x W pixels, S samples of 16 kHz mono sound, N pictures of the whole video as presented.

Pass 1 (demux.py) reads packets: it learns every picture's time and decodes the sound. Pass 2 decodes pictures. In MP4
and WebM it jumps to the keyframes before the pictures asked for (seeking.py); where that does not yield exactly
those, the file is decoded from its start. Both ways give the same pictures.

Only the worker process imports this module: the files are hostile and FFmpeg is large.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tikval.config import Limits
from tikval.media.changes import Cutout, TextWatch
from tikval.media.decoders import check_decoder
from tikval.media.demux import Packets, demux
from tikval.media.hearing import heard_track
from tikval.media.packets import (
    MATROSKA,
    MOV,
    Source,
    file_state,
    hash_file,
    opened,
    read_packets,
    video_stream,
)
from tikval.media.pictures import Picture, Small, Taken, Taker
from tikval.media.reading import SIDE_PX, ClipError, Decoder, Scaler, open_video
from tikval.media.seeking import take_by_seeking
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
    sound_track: int = 1  # the one that is heard
    sound_tracks: int = 1  # how many there are
    sound_language: str = ""  # the code that the file gives the track; empty for none
    cutouts: list[Cutout] = field(default_factory=list)  # where text came up, if that was asked for


def read_clip(
    file: int | str,
    *,
    frames: int = 16,
    key_frames: int = 3,
    changes: bool = False,
    side: int = SIDE_PX,
    scaler: Scaler = "fast",
    sound: bool = True,
    max_lost_share: float = 0.5,
    decoder: Decoder = "pyav",
    limits: Limits | None = None,
) -> Clip:
    """Read a video, a path or an open file: the pictures at round(linspace(0, N - 1, frames)), and its sound.

    Exact for variable frame rate, edit lists, rotated and mirrored video, but with `decoder` "decord"
    (decord_reader.py). A picture that cannot be decoded is replaced by the one before it. Non-square pixels are
    taken as square. `changes`: instead of key frames, cut-outs where text comes up (changes.py), of the area of so many
    pictures at most. Raises ClipError, also where the file changes meanwhile; ValueError for `changes` with "decord";
    and MissingTool where this machine lacks the decoder.
    """
    check_decoder(decoder)
    if changes and decoder == "decord":
        raise ValueError("decord shows only the pictures asked for, not what comes between")
    source = Source(open_video(file) if isinstance(file, str) else file, limits or Limits(), decoder)
    try:
        before = file_state(source.file)
        content_sha = hash_file(source.file, source.limits)
        clip = _read(
            source, content_sha, frames, key_frames, changes, Small(side, scaler), sound, max_lost_share
        )
        if file_state(source.file) != before:  # what was hashed is not what was decoded
            raise ClipError(Reason.DAMAGED, "the file changed while it was read")
    finally:
        if isinstance(file, str):
            os.close(source.file)
    return clip


def _read(
    source: Source,
    content_sha: str,
    frames: int,
    key_frames: int,
    changes: bool,
    size: Small,
    sound: bool,
    max_lost_share: float,
) -> Clip:
    with opened(source) as container:
        video = video_stream(container, source.limits)
        heard = heard_track(container, source, listen=sound)
        packets = demux(container, video, heard.stream, sound, source)
        if source.decoder == "decord":
            from tikval.media.decord_reader import take_by_decord  # an extra: only where it is asked for

            taken = take_by_decord(source.file, frames, key_frames, size)
        else:
            taken = _take(container, video, packets, source, frames, key_frames, changes, size)
        rate = video.average_rate or Fraction(30)
    lost = packets.lost + taken.lost
    if lost > max_lost_share * packets.total:
        raise ClipError(Reason.DAMAGED, f"{lost} of {packets.total} packets are lost")
    return Clip(
        frames=taken.frames,
        key_frames=taken.key_frames,
        key_seconds=taken.key_seconds,
        cutouts=taken.cutouts,
        sound=packets.sound,
        sound_start=packets.sound_start,
        sound_track=heard.number,
        sound_tracks=heard.tracks,
        sound_language=heard.language,
        has_sound=packets.has_sound,
        seconds=packets.seconds or taken.n_frames / float(rate),
        width=taken.width,
        height=taken.height,
        n_frames=taken.n_frames,
        lost_packets=lost,
        total_packets=packets.total,
        content_sha=content_sha,
    )


def _take(
    container: InputContainer,
    video: VideoStream,
    packets: Packets,
    source: Source,
    frames: int,
    key_frames: int,
    changes: bool,
    size: Small,
) -> Taken:
    """Pass 2. Raises ClipError."""
    time_base = video.time_base or Fraction(1, 1000)
    stamps = _stamps(container, video, packets)
    by_time = stamps is not None
    if stamps is None:
        stamps = list(range(_count(source)))
    if not stamps:
        raise ClipError(Reason.DAMAGED, "no picture could be decoded")
    small = _spread(stamps, frames)
    full = _spread(stamps, 0 if changes else key_frames)

    def seconds_of(stamp: int) -> float:
        if by_time:
            return float(stamp * time_base - packets.start)
        if packets.jumped and len(packets.jumped) == len(stamps):
            return packets.jumped[stamp]
        if packets.jumped:
            return stamp * packets.seconds / len(stamps)
        return float(stamp / (video.average_rate or Fraction(30)))

    watched = {stamp: seconds_of(stamp) for stamp in stamps} if changes and key_frames else {}
    watch = TextWatch(list(watched.values()), key_frames) if watched else None
    # the first always: it tells size and rotation
    taker = Taker({stamps[0], *small}, set(full), size, watch, watched)
    lost = 0
    if not (by_time and packets.lost == 0 and take_by_seeking(container, video, packets, taker)):
        if watch:
            watch.restart()
        lost = _take_in_order(source, taker, stamps, by_time)
    if not taker.small:
        raise ClipError(Reason.DAMAGED, "no picture could be decoded")
    some = [taker.small[stamp] for stamp in small]
    return Taken(
        frames=np.stack(some) if some else np.empty((0, *taker.small[stamps[0]].shape), np.uint8),
        key_frames=[taker.full[stamp] for stamp in full],
        key_seconds=[seconds_of(stamp) for stamp in full],
        cutouts=watch.cutouts() if watch else [],
        n_frames=len(stamps),
        width=taker.width,
        height=taker.height,
        lost=lost,
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


def _take_in_order(source: Source, taker: Taker, stamps: list[int], by_time: bool) -> int:
    """Decode from the start; a picture that does not come out is replaced by the one before it (at the start:
    after it). Returns how many packets or pictures were lost on the way."""
    pending = sorted(taker.stamps, reverse=True)
    decoder = _Decoder()
    previous: VideoFrame | None = None
    n_out = 0
    stamp = -1
    for frame in decoder.frames(source):
        stamp = frame.pts if by_time and frame.pts is not None else n_out
        n_out += 1
        while pending and pending[-1] <= stamp:
            at = pending.pop()
            taker.take(at, frame if at == stamp or previous is None else previous)
        taker.show(stamp, frame)
        previous = frame
        if not pending and not taker.watched:
            break
    for at in pending:
        if previous is not None:
            taker.take(at, previous)
    expected = bisect_right(stamps, stamp) if pending == [] else len(stamps)
    return max(decoder.errors, expected - n_out)


def _count(source: Source) -> int:
    return sum(1 for _ in _Decoder().frames(source))


class _Decoder:
    """Every picture of a file in order; `errors` counts the packets that did not decode."""

    def __init__(self) -> None:
        self.errors = 0

    def frames(self, source: Source) -> Iterator[VideoFrame]:
        with opened(source) as container:
            video = video_stream(container, source.limits)
            for packet in read_packets(container, [video]):
                try:
                    yield from video.codec_context.decode(packet if packet.size else None)
                except (av.FFmpegError, OSError):
                    self.errors += 1
