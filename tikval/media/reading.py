"""What a caller asks of a video file, what comes back, and how reading can fail: shared by both processes.

Light on purpose (no FFmpeg, no models): the parent's side imports it.
"""

import errno
import os
import stat
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tikval.rows import Reason

Decoder = Literal["pyav", "decord", "nvdec"]  # see decoders.py

# fast: FFmpeg's, out of the decoder's own colours; pillow: as transformers' image processors, three times the work
Scaler = Literal["fast", "pillow"]

SAMPLE_RATE: Final = 16_000  # Hz, of all sound
SIDE_PX: Final = 224  # short side of the small frames: what VideoMAE takes
MAX_ASPECT: Final = 32  # long side over short side; a picture of 1 x 16 million pixels is an attack

MAX_PICTURES: Final = 35  # of one photo post, as platforms allow; each is an open file of the worker
PICTURE_SECONDS: Final = 3.0  # that each picture of a photo post is shown
MAX_PICTURES_BYTES: Final = 10 * 2**20  # of a photo post's pictures as they are sent, together

# containers that a video is written anew in, before somebody else gets it, and the names that their files end in
SUFFIXES: Final = {"mp4": ".mp4", "mov": ".mov", "webm": ".webm", "matroska": ".mkv", "avi": ".avi"}

_FULL_DISK: Final = (errno.ENOSPC, errno.EDQUOT)
_NO_PROCESS: Final = (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE)  # of fork and exec


class ClipError(Exception):
    """This video has no result; `detail` is one short human-readable line without paths."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def machine_fault(err: Exception) -> ClipError | None:
    """What a fault of this machine is to the video in hand, which is not to blame; None: a fault of another kind."""
    if getattr(err, "errno", None) in _FULL_DISK:  # FFmpeg's errors are no OSError
        return ClipError(Reason.NO_SPACE, "the disk for temporary files is full")
    if isinstance(err, OSError) and err.errno in _NO_PROCESS:
        return ClipError(Reason.NO_PROCESS, f"no reading process could be started: {err.strerror}")
    return None


class MissingTool(Exception):  # noqa: N818  (it names what to install, for the user to mend)
    """This machine lacks something that every video needs; `remedy` is how to install it."""

    def __init__(self, tool: str, remedy: str) -> None:
        super().__init__(f"{tool} is missing: {remedy}")
        self.tool = tool
        self.remedy = remedy


def open_video(path: str) -> int:
    """Open a regular file for reading, and return its descriptor, which the caller closes. Raises ClipError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  (the path may not be UTF-8)
            raise ClipError(
                Reason.NOT_A_FILE, "not a regular file"
            )  # opening a device may do something already
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise ClipError(Reason.MISSING_FILE, "no such file") from err
    except PermissionError as err:
        raise ClipError(Reason.PERMISSION_DENIED, "no permission to read it") from err
    except OSError as err:
        raise ClipError(Reason.UNREADABLE, err.strerror or "read error") from err


@dataclass(frozen=True)
class Want:
    """What one reading shall yield. What is not asked for is neither computed nor sent."""

    frames: int = 0  # small frames to send
    side: int = SIDE_PX  # their short side, in pixels
    scaler: Scaler = "fast"
    sound: bool = False  # send the sound
    speech: bool = False  # recognise speech with the bundled English model
    ocr_frames: int = 0  # full-size frames to read text in, first and last among them
    ocr_changes: bool = False  # instead, what is cut out where text comes up, of the area of so many at most
    ocr_languages: str = "eng"  # Tesseract's names, joined by +
    scene: bool = False
    max_lost_share: float = 0.5  # of packets
    decoder: Decoder = "pyav"


@dataclass(frozen=True)
class Caption:
    """A block of text on the screen, lines joined by a newline."""

    text: str
    first_seconds: float  # of the first and last key frame that shows it
    last_seconds: float


@dataclass(frozen=True)
class Segment:
    """One utterance."""

    text: str
    start_seconds: float
    end_seconds: float
    language: str = ""  # ISO 639-1; empty: not told


@dataclass(frozen=True)
class Scene:
    """What the small frames alone tell, in words that a script can carry."""

    orientation: str  # vertical, horizontal or square
    brightness: str  # dark, dim, bright or glaring
    motion: str  # still, slow, lively or hectic
    cuts: int  # hard cuts between sampled frames: a lower bound


@dataclass(frozen=True)
class StrippedFile:
    """A video that was written anew without its metadata."""

    container: str  # of SUFFIXES
    content_sha: str  # SHA-256 of the file that it was made of, hex


@dataclass(frozen=True)
class StrippedPost:
    """A photo post as it is sent: drawn and written anew, without anything that is written about it."""

    pictures: tuple[bytes, ...]  # JPEG, in order
    sound: bytes | None  # FLAC, 16 kHz mono
    content_sha: str  # SHA-256 of the files that it was made of, hex


@dataclass(frozen=True)
class ClipReading:
    seconds: float
    width: int  # as shown, after rotation
    height: int
    n_frames: int
    photos: int  # pictures of a photo post; 0: a video
    has_sound: bool  # the file has a sound track with something in it
    lost_packets: int
    total_packets: int
    content_sha: str  # SHA-256 of the file, or of all files of a photo post, hex
    frames: NDArray[np.uint8] | None  # [T, H, W, 3] RGB, short side Want.side, T = Want.frames
    sound: NDArray[np.int16] | None  # [S] mono at SAMPLE_RATE
    captions: list[Caption]
    speech: list[Segment]
    scene: Scene | None
    sound_track: int = 1  # of the file's, from 1: the one that was heard
    sound_tracks: int = 1
    sound_language: str = ""  # the code that the file gives the track; empty for none
