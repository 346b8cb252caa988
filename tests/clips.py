"""Makes small video files whose every picture carries its own number, and breaks them in chosen ways."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # [H, W, 3] RGB

CORNERS = {(0, 0): (255, 0, 0), (0, 3): (0, 255, 0), (3, 0): (0, 0, 255), (3, 3): (255, 255, 0)}
_BITS = [(row, column) for row in range(4) for column in range(4) if (row, column) not in CORNERS]


def draw(index: int, width: int, height: int) -> Picture:
    """A grid of 4 x 4 cells: coloured corners tell the orientation, the 12 others are the bits of `index`."""
    cells = np.zeros((4, 4, 3), np.uint8)
    for at, colour in CORNERS.items():
        cells[at] = colour
    for bit, at in enumerate(_BITS):
        cells[at] = 255 if index >> bit & 1 else 0
    rows = np.arange(height) * 4 // height
    columns = np.arange(width) * 4 // width
    return cells[rows][:, columns]


def number_of(picture: Picture) -> int:
    """The index drawn into a picture, however scaled."""
    return sum(1 << bit for bit, at in enumerate(_BITS) if cell(picture, *at).mean() > 127)


def cell(picture: Picture, row: int, column: int) -> NDArray[np.float64]:
    """Mean colour of the middle of a cell."""
    height, width = picture.shape[0] // 4, picture.shape[1] // 4
    y, x = row * height, column * width
    middle = picture[y + height // 4 : y + 3 * height // 4, x + width // 4 : x + 3 * width // 4]
    return np.asarray(middle.reshape(-1, 3).mean(0), np.float64)


def write_clip(
    path: Path,
    *,
    n: int = 50,
    width: int = 128,
    height: int = 96,
    rate: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    pts: list[int] | None = None,  # in milliseconds; None: constant rate
    gop: int = 20,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    pictures: list[Picture] | None = None,  # instead of numbered ones
    sound: NDArray[np.int16] | None = None,  # [S] mono
    sound_rate: int = 44_100,
    sound_codec: str = "aac",
) -> Path:
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        video = container.add_stream(codec, rate=rate, options=options or {})
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        video.codec_context.gop_size = gop
        audio: Any = container.add_stream(sound_codec, rate=sound_rate) if sound is not None else None
        time_base = Fraction(1, 1000) if pts else Fraction(1, rate)
        video.codec_context.time_base = time_base
        for index in range(len(pictures) if pictures else n):
            picture = pictures[index] if pictures else draw(index, width, height)
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = (pts[index] if pts else index), time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            write_sound(container, audio, sound, sound_rate)
    return path


def write_sound(container: Any, audio: AudioStream, sound: NDArray[np.int16], rate: int) -> None:
    for start in range(0, len(sound), 1024):
        frame = AudioFrame.from_ndarray(sound[None, start : start + 1024], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(audio.encode(frame))
    container.mux(audio.encode(None))


def write_sound_only(path: Path, seconds: float = 1) -> Path:
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=44_100)
        write_sound(container, audio, tone(seconds), 44_100)
    return path


def tone(seconds: float, rate: int = 44_100, hertz: float = 440) -> NDArray[np.int16]:
    wave = 8000 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    return wave.astype(np.int16)


def moving(n: int, width: int, height: int, seed: int = 0) -> list[Picture]:
    """A textured picture that pans and changes hue: real work for an encoder, so B-frames are used."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (height // 8 + 8, width // 8 + 8, 3)).astype(np.uint8)
    ground = coarse.repeat(16, 0).repeat(16, 1)
    return [
        np.ascontiguousarray(ground[i % 40 : i % 40 + height, 2 * i % 40 : 2 * i % 40 + width])
        for i in range(n)
    ]


def patch_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Set a, b, c, d of the display matrix of every track: (x, y) is shown at (a x + c y, b x + d y)."""
    a, b, c, d = (value << 16 for value in matrix)
    _patch(path, b"tkhd", 44, struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30))


def patch_edit_list(path: Path, seconds: float, media_time: int) -> None:
    """Show `seconds` of the first track, from `media_time` in its own clock. The movie's clock is 1000 Hz."""
    _patch(path, b"elst", 12, struct.pack(">Ii", round(seconds * 1000), media_time))


def _patch(path: Path, box: bytes, offset: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    at = content.index(box) + offset  # counted from the box's type
    content[at : at + len(data)] = data
    path.write_bytes(content)


def truncate(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def rot(path: Path, share: float, seed: int = 0) -> None:
    """Overwrite a share of the bytes of the media data, in runs of 16."""
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    end = content.index(b"moov") - 4 if b"moov" in content[start:] else len(content)
    rng = np.random.default_rng(seed)
    for at in rng.integers(start, end - 16, int((end - start) * share / 16)):
        content[at : at + 16] = rng.bytes(16)
    path.write_bytes(content)
