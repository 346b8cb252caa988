"""Pass 1 over a video file: open it safely, then demux it: every picture's time, and the sound.

Only the worker process imports this module: the files are hostile and FFmpeg is large.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tikval.config import Limits
from tikval.media.decoders import check_gpu
from tikval.media.reading import MAX_ASPECT, SAMPLE_RATE, ClipError, Decoder
from tikval.rows import Reason

MOV: Final = "mov,mp4,m4a,3gp,3g2,mj2"
MATROSKA: Final = "matroska,webm"
# Real containers only. FFmpeg also reads playlists (hls, concat, dash, image2, ...), which open other files.
_OF_VIDEO: Final = f"{MOV},{MATROSKA},avi,flv,mpegts,mpeg,ogg,asf"
_OF_SOUND: Final = f"{MOV},{MATROSKA},mp3,aac,ogg,wav,flac"
_OPEN: Final = {
    "protocol_whitelist": "fd",
    "enable_drefs": "0",  # an MP4 may name other files as its data
    "use_absolute_path": "0",
}
_STATES_DURATION: Final = frozenset({MATROSKA, "avi", "flv"})  # in the header, so a truncated file shows


AnyPacket: TypeAlias = "Packet[Stream]"  # quoted: the class takes no argument at run time


class Source(NamedTuple):
    """An open file and how to read it."""

    file: int
    limits: Limits
    decoder: Decoder = "pyav"


class Shown(NamedTuple):
    """A packet of the picture track, in decoding order."""

    pts: int | None  # in units of the track's time base
    dts: int | None
    is_keyframe: bool
    is_shown: bool  # False: corrupt, or outside the edit list and only decoded for the sake of others


@dataclass(frozen=True)
class Packets:
    pictures: list[Shown]
    start: Fraction  # seconds on the file's clock at which its presentation starts
    seconds: float  # length of the presentation
    sound: NDArray[np.int16] | None  # [S]
    sound_start: float  # seconds from the start of the presentation to the first sample
    has_sound: bool
    lost: int
    total: int


def file_state(file: int) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds: as long as they stay, its bytes do."""
    state = os.fstat(file)
    return state.st_size, state.st_mtime_ns


def hash_file(file: int, limits: Limits) -> str:
    """SHA-256 of an open file, hex; raises ClipError for what is no file or too large a one."""
    try:
        state = os.fstat(file)
        if not stat.S_ISREG(state.st_mode):
            raise ClipError(Reason.NOT_A_FILE, "not a regular file")
        if state.st_size == 0:
            raise ClipError(Reason.EMPTY_FILE, "0 bytes")
        if state.st_size > limits.file_mb * 2**20:
            raise ClipError(Reason.TOO_LARGE, f"{state.st_size / 2**20:.0f} MB, allowed are {limits.file_mb}")
        os.lseek(file, 0, os.SEEK_SET)
        with open(file, "rb", closefd=False) as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as err:
        raise ClipError(Reason.UNREADABLE, err.strerror or "read error") from err


def opened(source: Source, formats: str = _OF_VIDEO) -> InputContainer:
    """The file as an FFmpeg container that opens nothing else. Raises ClipError, MissingTool."""
    gpu = None
    if source.decoder == "nvdec":
        check_gpu()
        gpu = HWAccel(device_type="cuda")  # decodes on a core what the GPU cannot decode
    try:
        # every opening shares the descriptor's position: whoever opens anew is the only one who reads on
        os.lseek(source.file, 0, os.SEEK_SET)
        options = {**_OPEN, "format_whitelist": formats, "fd": str(source.file)}
        return av.open("fd:", metadata_errors="replace", container_options=options, hwaccel=gpu)
    except (av.FFmpegError, OSError, ValueError) as err:
        raise ClipError(Reason.UNREADABLE, "not a video file that FFmpeg can read") from err


def video_stream(container: InputContainer, limits: Limits) -> VideoStream:
    """The picture track, ready for exact decoding on one thread. Raises ClipError."""
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails  # a cover is no video
    tracks = [track for track in container.streams.video if not track.disposition & pictures]
    if not tracks:
        raise ClipError(Reason.NO_VIDEO, "no picture track")
    best = container.streams.best("video")
    stream = next((track for track in tracks if track is best), tracks[0])
    codec = stream.codec_context
    if codec is None:
        raise ClipError(Reason.UNREADABLE, "no decoder for its pictures")
    check_size(codec.width, codec.height, limits)
    if container.duration and container.duration / av.time_base > limits.video_seconds:
        raise ClipError(Reason.TOO_LONG, f"{container.duration / av.time_base:.0f} s")
    codec.thread_type = "NONE"
    codec.thread_count = 1
    codec.options = {"max_pixels": str(limits.frame_pixels)}  # the size may change further in
    return stream


def check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.frame_pixels or max(width, height) > MAX_ASPECT * max(1, min(width, height)):
        raise ClipError(Reason.TOO_LARGE, f"pictures of {width} x {height} pixels")


def demux(container: InputContainer, video: VideoStream, sound: bool, limits: Limits) -> Packets:
    """Read every packet of the picture and sound tracks once. Raises ClipError."""
    audio = container.streams.best("audio")
    audio = audio if isinstance(audio, AudioStream) and audio.codec_context is not None else None
    streams: list[VideoStream | AudioStream] = [video, audio] if audio else [video]
    pictures: list[Shown] = []
    span = _Span()
    track = _SoundTrack() if audio and sound else None
    lost = n_sound = 0
    for packet in read_packets(container, streams):
        if packet.stream is audio:
            if packet.size:
                n_sound += 1
                if not packet.is_discard:
                    span.add(packet)
            if track:
                lost += track.add(packet)
                if track.n_samples > limits.video_seconds * SAMPLE_RATE:
                    raise ClipError(Reason.TOO_LONG, f"sound of more than {limits.video_seconds:.0f} s")
        elif packet.size:
            shown = not packet.is_discard and not packet.is_corrupt
            lost += packet.is_corrupt
            pictures.append(Shown(packet.pts, packet.dts, packet.is_keyframe, shown))
            if shown:
                span.add(packet)
                if span.seconds > limits.video_seconds:
                    raise ClipError(Reason.TOO_LONG, f"more than {limits.video_seconds:.0f} s")
    total = len(pictures) + n_sound
    missing = _missing(container, streams, total, span.seconds)
    samples = track.finish() if track else None
    return Packets(
        pictures=pictures,
        start=span.start or Fraction(0),
        seconds=float(span.seconds),
        sound=samples,
        sound_start=float(track.start - (span.start or 0)) if track and track.start is not None else 0.0,
        has_sound=n_sound > 0 if samples is None and not sound else samples is not None,
        lost=lost + missing,
        total=max(total + missing, 1),
    )


def _missing(
    container: InputContainer, streams: list[VideoStream | AudioStream], total: int, seconds: Fraction
) -> int:
    """How many more packets the file states than the `total` of these `seconds` that could be read."""
    if container.format.name == MOV:  # its index names every packet, whether the data is there or not
        return max(0, sum(len(stream.index_entries) for stream in streams) - total)
    if container.format.name in _STATES_DURATION and container.duration and seconds > 0:
        share = 1 - seconds / (container.duration / av.time_base)
        return round(total * share / (1 - share)) if share > 0.02 else 0  # less is rounding
    return 0


def read_packets(container: InputContainer, streams: list[VideoStream | AudioStream]) -> Iterator[AnyPacket]:
    """Packets in the file's order, an empty one at each track's end; ends where it cannot be read on."""
    source = container.demux(*streams)
    while True:
        try:
            packet = next(source)
        except IndexError:  # PyAV's answer to a packet of a track that the header did not name: pass over it
            source = container.demux(*streams)
            continue
        except (StopIteration, av.FFmpegError, OSError):
            return
        yield packet


@dataclass(frozen=True)
class SoundFile:
    """A file of sound alone."""

    sound: NDArray[np.int16] | None  # [S]; None: nothing in it, or not asked for
    seconds: float
    lost: int  # packets
    total: int


def read_sound_file(file: int, limits: Limits, *, decode: bool) -> SoundFile:
    """Read an open file of sound. Raises ClipError."""
    with opened(Source(file, limits), _OF_SOUND) as container:
        audio = container.streams.best("audio")
        if not isinstance(audio, AudioStream) or audio.codec_context is None:
            raise ClipError(Reason.UNREADABLE, "no sound in the file of sound")
        span, track, lost, total = _Span(), _SoundTrack(), 0, 0
        for packet in read_packets(container, [audio]):
            total += packet.size > 0
            if packet.size and not packet.is_discard:
                span.add(packet)
            lost += track.add(packet) if decode else 0
            if max(float(span.seconds), track.n_samples / SAMPLE_RATE) > limits.video_seconds:
                raise ClipError(Reason.TOO_LONG, f"sound of more than {limits.video_seconds:.0f} s")
    return SoundFile(track.finish() if decode else None, float(span.seconds), lost, max(total, 1))


class _Span:
    """Seconds from the earliest start to the latest end of the packets shown."""

    def __init__(self) -> None:
        self.start: Fraction | None = None
        self.end = Fraction(0)

    def add(self, packet: AnyPacket) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            return
        start = stamp * packet.time_base
        end = start + (packet.duration or 0) * packet.time_base
        if self.start is None:
            self.start, self.end = start, end
        self.start, self.end = min(self.start, start), max(self.end, end)

    @property
    def seconds(self) -> Fraction:
        return self.end - self.start if self.start is not None else Fraction(0)


class _SoundTrack:
    """Sound packets -> 16 kHz mono samples."""

    def __init__(self) -> None:
        self.start: Fraction | None = None  # seconds on the file's clock
        self._parts: list[NDArray[np.int16]] = []
        self.n_samples = 0
        self._resampler: AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None

    def add(self, packet: AnyPacket) -> int:
        """Decode one packet; returns 1 if it is lost."""
        try:
            frames = packet.decode()
        except (av.FFmpegError, OSError):
            return 1
        for frame in frames:
            assert isinstance(frame, AudioFrame)
            if self.start is None and frame.pts is not None and frame.time_base is not None:
                self.start = frame.pts * frame.time_base
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if kind != self._kind:  # at first, and where a stream changes its format midway
                self._drain()
                self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
                self._kind = kind
            assert self._resampler is not None
            try:
                self._keep(self._resampler.resample(frame))
            except (av.FFmpegError, ValueError):  # a damaged header can promise a sound that cannot be
                self._kind = self._resampler = None
                return 1
        return 0

    def finish(self) -> NDArray[np.int16] | None:
        self._drain()
        return np.concatenate(self._parts) if self.n_samples else None

    def _drain(self) -> None:
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))

    def _keep(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            samples = frame.to_ndarray().reshape(-1).astype(np.int16, copy=False)
            self._parts.append(samples)
            self.n_samples += len(samples)
