"""A video written anew with its first picture track and the sound track that is heard, as they are, and nothing else.

This is what somebody else's server gets: no title, place, name of a person or program, chapter, subtitle or
attachment, and not the file's other tracks. Packets, their times, the codecs' headers and the turning of the
picture stay. What an encoder wrote into the streams themselves (x264's settings, as SEI) stays with them.

Only the worker process imports this module: the files are hostile and FFmpeg is large.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from tikval.config import Limits
from tikval.media.clock import Part
from tikval.media.demux import joints
from tikval.media.hearing import heard_track
from tikval.media.packets import MATROSKA, MOV, AnyPacket, Source, file_state, hash_file, opened, read_packets
from tikval.media.reading import ClipError, StrippedFile, machine_fault
from tikval.rows import Reason

# tried in this order: times in MP4 are exact, in Matroska and WebM they are milliseconds; AVI has no times to give
_CONTAINERS: Final = {
    MOV: ("mp4", "mov", "matroska"),
    MATROSKA: ("webm", "mp4", "matroska"),
    "avi": ("avi", "mp4"),
}
_OTHERS: Final = ("mp4", "webm", "matroska")
_BARE: Final = {"fflags": "+bitexact", "empty_hdlr_name": "1", "movflags": "+disable_chpl"}
# of what goes along with a packet
_KEPT: Final = {"skip_samples", "palette", "param_change", "new_extradata"}
_XIPH: Final = {"vorbis": b"\x03vorbis", "theora": b"\x81theora"}  # the second of three headers: comments
_MOVIE_CLOCK: Final = 1000  # ticks a second of what FFmpeg writes


def remux(file: int, to: Path, limits: Limits) -> StrippedFile:
    """Write the video in the open `file` to `to`. Raises ClipError; then there is no file."""
    before = file_state(file)
    content_sha = hash_file(file, limits)
    source = Source(file, limits)
    with opened(source) as container:
        names = _CONTAINERS.get(container.format.name, _OTHERS)
    why = ""
    for name in names:
        try:
            with opened(source) as container:
                _write(container, source, name, to)
        except ClipError:
            to.unlink(missing_ok=True)
            raise
        except (av.FFmpegError, OSError, ValueError) as err:
            to.unlink(missing_ok=True)
            if getattr(err, "errno", None) == errno.EFBIG:
                raise ClipError(Reason.TOO_LARGE, "too large to be written anew") from err
            if fault := machine_fault(err):
                raise fault from err
            why = why or f"as {name}: {getattr(err, 'strerror', None) or err}"
        else:
            if file_state(file) != before:  # what was hashed is not what was written
                to.unlink(missing_ok=True)
                raise ClipError(Reason.DAMAGED, "the file changed while it was read")
            return StrippedFile(name, content_sha)
    raise ClipError(Reason.NOT_STRIPPED, f"cannot be written without its metadata ({why})"[:300])


@dataclass
class _Track:
    """A track on its way into a new file; times in its own time base."""

    stream: Stream  # of the new file
    clock: Fraction  # seconds of a tick
    shift: int  # what its times are moved by
    part: int = -1  # of those between which the file's clock jumps
    last: int | None = None  # dts
    start: int | None = None  # of what is shown
    end: int = 0
    # pts and end of the packets that an edit list cuts
    hidden: list[tuple[int, int]] = field(default_factory=list)

    def follow(self, parts: list[Part], place: int) -> None:
        """Move what comes from the `place`th packet of the file on as the part that it is in, where the clock jumps."""
        while self.part + 1 < len(parts) and parts[self.part + 1].places[0] <= place:
            before = parts[self.part].shift if self.part >= 0 else 0
            self.part += 1
            self.shift -= round((parts[self.part].shift - before) / self.clock)

    def take(self, packet: AnyPacket) -> "Packet[Stream]":
        """The packet for the new file. Raises ValueError for times that run backwards."""
        fresh = Packet(bytes(packet))  # a copy of the packet itself would carry whatever else hangs on it
        dts = None if packet.dts is None else packet.dts - self.shift
        pts = None if packet.pts is None else packet.pts - self.shift
        if dts is not None and self.last is not None and dts <= self.last:
            if (self.last - dts) * packet.time_base > 1:
                raise ValueError("its times run backwards")
            dts = self.last + 1  # a damaged time: no container takes it, and players do the same
            pts = None if pts is None else max(pts, dts)
        self.last = dts if dts is not None else self.last
        fresh.time_base, fresh.dts, fresh.pts = packet.time_base, dts, pts
        fresh.duration, fresh.is_keyframe = packet.duration, packet.is_keyframe
        for data in packet.iter_sidedata():
            if data.data_type in _KEPT:
                fresh.set_sidedata(data)
        if pts is not None:
            self._note(pts, pts + (packet.duration or 0), packet.is_discard)
        fresh.stream = self.stream
        return fresh

    def _note(self, start: int, end: int, is_hidden: bool) -> None:
        if is_hidden:
            self.hidden.append((start, end))
        else:
            self.start = start if self.start is None else min(self.start, start)
            self.end = max(self.end, end)

    def shown_seconds(self) -> Fraction | None:
        """How long the new file must show it, where it shall end before its last packet; None: to the end.

        Raises ValueError where something in its middle is not to be shown.
        """
        after = [start for start, end in self.hidden if end > 0]  # before 0 nothing is shown
        if any(start < self.end for start in after):
            raise ValueError("an edit list cuts pieces out of its middle")
        begins = self.start if self.start and len(after) == len(self.hidden) else 0
        return (self.end - max(0, begins)) * self.clock if after else None


def _write(container: InputContainer, source: Source, name: str, to: Path) -> None:
    """Raises ClipError, and av.FFmpegError, OSError and ValueError where this container does not take the streams."""
    heard = heard_track(container, source).stream
    streams: list[VideoStream | AudioStream] = [_pictures(container), *([heard] if heard else [])]
    origin = 0 if container.format.name in (MOV, MATROSKA) else (container.start_time or 0)
    parts = joints(source, [stream.index for stream in streams])
    with av.open(str(to), "w", format=name, container_options=_BARE) as target:
        tracks = {stream.index: _added(target, stream, origin) for stream in streams}
        n_packets = 0
        for place, packet in enumerate(read_packets(container, streams)):
            if packet.size:
                track = tracks[packet.stream.index]
                track.follow(parts.get(packet.stream.index, []), place)
                target.mux_one(track.take(packet))
                n_packets += 1
    if not n_packets:
        raise ClipError(Reason.DAMAGED, "no packet could be read")
    if name in ("mp4", "mov"):
        with to.open("r+b") as file:
            _mend_mp4(file, [track.shown_seconds() for track in tracks.values()])
    elif any(track.hidden for track in tracks.values()):
        raise ValueError("it has no edit lists")


def _pictures(source: InputContainer) -> VideoStream:
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    for stream in source.streams.video:
        if not stream.disposition & covers and stream.codec_context is not None:
            return stream
    raise ClipError(Reason.NO_VIDEO, "no picture track")


def _added(target: OutputContainer, stream: VideoStream | AudioStream, origin: int) -> _Track:
    """A track like `stream`, without what is written about it. `origin`: microseconds that become time 0."""
    new = target.add_stream_from_template(stream, opaque=True)
    assert stream.codec_context is not None
    codec = stream.codec_context.codec.canonical_name
    if codec in _XIPH and stream.codec_context.extradata:
        new.codec_context.extradata = _without_comments(stream.codec_context.extradata, _XIPH[codec])
    if codec == "hevc" and stream.codec_context.codec_tag == "hvc1":  # what some players insist on
        new.codec_context.codec_tag = "hvc1"
    clock = stream.time_base or Fraction(1, av.time_base)
    return _Track(new, clock, round(Fraction(origin, av.time_base) / clock))


def _without_comments(headers: bytes, mark: bytes) -> bytes:
    """The three headers of a Xiph codec, with an empty second one. Raises ValueError for what is none."""
    if headers[:1] == b"\x02":  # sizes of the first two in runs of 255, as Matroska has them
        sizes, at = [], 1
        for _ in range(2):
            size = 0
            while at < len(headers) and headers[at] == 255:
                size, at = size + 255, at + 1
            sizes.append(size + headers[at])
            at += 1
        first, third = headers[at : at + sizes[0]], headers[at + sum(sizes) :]
    else:  # each behind its size in two bytes
        parts, rest = [], headers
        while len(rest) > 2:
            size = int.from_bytes(rest[:2], "big")
            parts.append(rest[2 : 2 + size])
            rest = rest[2 + size :]
        if len(parts) != 3:
            raise ValueError("no three headers of its codec")
        first, _, third = parts
    second = mark + bytes(8) + (b"\x01" if mark[:1] == b"\x03" else b"")  # nobody's name, no comment
    if not (first and third) or len(first) >= 255:
        raise ValueError("no three headers of its codec")
    return b"\x02" + bytes([len(first), len(second)]) + first + second + third


def _mend_mp4(file: BinaryIO, shown_seconds: list[Fraction | None]) -> None:
    """Empty what FFmpeg writes for a title and the like, and let each track end where it shall."""
    for kind, start, end in _boxes(file, 0, file.seek(0, 2)):
        if kind != b"moov":
            continue
        tracks = iter(shown_seconds)
        for child, inner, inner_end in list(_boxes(file, start, end)):
            if child in (b"udta", b"meta"):
                file.seek(inner - 4)
                file.write(b"free" + bytes(inner_end - inner))
            elif child == b"trak" and (seconds := next(tracks, None)) is not None:
                _end_at(file, inner, inner_end, int(seconds * _MOVIE_CLOCK))


def _end_at(file: BinaryIO, start: int, end: int, ticks: int) -> None:
    """Set the length of the last edit of the track there. Raises ValueError where it has none."""
    for edits, first, last in _boxes(file, start, end):
        if edits != b"edts":
            continue
        for kind, inner, _ in _boxes(file, first, last):
            if kind == b"elst":
                file.seek(inner)
                version, count = file.read(4)[0], int.from_bytes(file.read(4), "big")
                size, width = (20, 8) if version else (12, 4)
                file.seek(inner + 8 + (count - 1) * size)
                file.write(ticks.to_bytes(width, "big"))
                return
    raise ValueError("it has no edit list")


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of what is in each box of an MP4 file that we wrote."""
    while start + 8 <= end:
        file.seek(start)
        size, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        inner = start + 8
        if size == 1:
            size, inner = int.from_bytes(file.read(8), "big"), start + 16
        if size < inner - start:
            return
        yield kind, inner, start + size
        start += size
