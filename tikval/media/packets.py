"""A video file opened safely, its picture track and its packets.

Only the worker process imports this module: the files are hostile and FFmpeg is large.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeAlias

import av
from av.audio.stream import AudioStream
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from tikval.config import Limits
from tikval.media.decoders import check_gpu
from tikval.media.reading import MAX_ASPECT, ClipError, Decoder
from tikval.rows import Reason

MOV: Final = "mov,mp4,m4a,3gp,3g2,mj2"
MATROSKA: Final = "matroska,webm"
# Real containers only. FFmpeg also reads playlists (hls, concat, dash, image2, ...), which open other files.
_OF_VIDEO: Final = f"{MOV},{MATROSKA},avi,flv,mpegts,mpeg,ogg,asf"
OF_SOUND: Final = f"{MOV},{MATROSKA},mp3,aac,ogg,wav,flac"
_OPEN: Final = {
    "protocol_whitelist": "fd",
    "enable_drefs": "0",  # an MP4 may name other files as its data
    "use_absolute_path": "0",
}
JUMPING: Final = frozenset({"mpegts", "mpeg", "flv"})  # what live streams are kept in, joined by their bytes


AnyPacket: TypeAlias = "Packet[Stream]"  # quoted: the class takes no argument at run time


class Source(NamedTuple):
    """An open file and how to read it."""

    file: int
    limits: Limits
    decoder: Decoder = "pyav"
    formats: str = _OF_VIDEO


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


def opened(source: Source) -> InputContainer:
    """The file as an FFmpeg container that opens nothing else. Raises ClipError, MissingTool."""
    gpu = None
    if source.decoder == "nvdec":
        check_gpu()
        gpu = HWAccel(device_type="cuda")  # decodes on a core what the GPU cannot decode
    try:
        # every opening shares the descriptor's position: whoever opens anew is the only one who reads on
        os.lseek(source.file, 0, os.SEEK_SET)
        options = {**_OPEN, "format_whitelist": source.formats, "fd": str(source.file)}
        return av.open("fd:", metadata_errors="replace", container_options=options, hwaccel=gpu)
    except (av.FFmpegError, OSError, ValueError) as err:
        raise ClipError(Reason.UNREADABLE, "not a video file that FFmpeg can read") from err


@contextmanager
def opened_again(source: Source) -> Iterator[InputContainer]:
    """The file opened once more, while another opening of it is to read on behind this one. Raises ClipError."""
    at = os.lseek(source.file, 0, os.SEEK_CUR)
    try:
        with opened(source) as container:
            yield container
    finally:
        os.lseek(source.file, at, os.SEEK_SET)


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
    known = (
        container.duration if container.format.name not in JUMPING else None
    )  # there it ends where a clock jumps
    if known and known / av.time_base > limits.video_seconds:
        raise ClipError(Reason.TOO_LONG, f"{known / av.time_base:.0f} s")
    codec.thread_type = "NONE"
    codec.thread_count = 1
    codec.options = {"max_pixels": str(limits.frame_pixels)}  # the size may change further in
    return stream


def check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.frame_pixels or max(width, height) > MAX_ASPECT * max(1, min(width, height)):
        raise ClipError(Reason.TOO_LARGE, f"pictures of {width} x {height} pixels")


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
