"""Clips with known captions for benchmarks/captions.py: made by drawing, kept in the cache folder.

H x W pixels.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.media_clips import Painter, Spec

_VERSION: Final = 1
_SLIDES: Final = [
    "eat slowly", "call your mother", "plant a tree", "keep a promise", "learn to dance", "share your lunch",
    "sleep enough", "read old books", "say thank you", "fix what broke", "walk to work", "ask for help",
]  # fmt: skip
_WORDS: Final = [*"this is why we never throw away good bread at home".split(), "okay"]
_STATIC: Final = "three habits that\nchanged my life"
_SCROLL: Final = ["written by nobody", "music by the wind", "thanks to the rain", "filmed in a garden"]
_GROUNDS: Final = ["#27408b", "#fff3d6", "#1b1b1b", "#8b2252", "#2e8b57", "#dddddd"]

Picture = NDArray[np.uint8]  # [H, W, 3] RGB


@dataclass(frozen=True)
class Captioned:
    """A clip, and the captions in it in order."""

    name: str
    width: int
    height: int
    rate: int
    gop: int
    seconds: float
    captions: tuple[str, ...]
    paint: Callable[["Captioned"], Iterator[Picture]]


def clip_file(clip: Captioned) -> Path:
    """The file, made where it is not there yet."""
    cache = Path(os.environ.get("TIKVAL_CACHE", Path(tempfile.gettempdir()) / "tikval-cache"))
    folder = cache / "benchmark-clips"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"captions-{clip.name}-v{_VERSION}.mp4"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.part")
        with av.open(str(part), "w", format="mp4") as container:
            video: Any = container.add_stream("libx264", rate=clip.rate)
            video.width, video.height, video.pix_fmt = clip.width, clip.height, "yuv420p"
            video.options = {"preset": "veryfast", "crf": "24", "g": str(clip.gop)}
            for index, picture in enumerate(clip.paint(clip)):
                frame = VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, clip.rate)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        part.replace(path)
    return path


def written(picture: Image.Image, text: str, y: float, size: int, fill: str, outline: str | None) -> None:
    """Draw centred text, its middle at `y` pixels from the top."""
    ImageDraw.Draw(picture).multiline_text(
        (picture.width / 2, y), text, fill, ImageFont.load_default(size), "mm", align="center",
        stroke_width=size // 12 if outline else 0, stroke_fill=outline,
    )  # fmt: skip


def _moving(clip: Captioned) -> Iterator[tuple[float, Image.Image]]:
    """Handheld video without text, 30 pictures a second of it."""
    painter = Painter(Spec(clip.width, clip.height, 1))
    for index in range(round(clip.seconds * clip.rate)):
        planes = painter.picture(round(index * 30 / clip.rate))
        rgb = VideoFrame.from_ndarray(planes, format="yuv420p").to_ndarray(format="rgb24")
        yield index / clip.rate, Image.fromarray(rgb)


def _paint_slides(clip: Captioned) -> Iterator[Picture]:
    for index, text in enumerate(clip.captions):
        ground = _GROUNDS[index % len(_GROUNDS)]
        picture = Image.new("RGB", (clip.width, clip.height), ground)
        dark = np.asarray(picture)[0, 0].mean() < 128
        written(
            picture,
            text,
            clip.height * (0.2 + 0.05 * index),
            clip.width // 12,
            "white" if dark else "black",
            None,
        )
        for _ in range(round(clip.seconds / len(clip.captions) * clip.rate)):
            yield np.asarray(picture)


def _paint_words(clip: Captioned) -> Iterator[Picture]:
    """A word at a time, each for 0.4 to 0.6 seconds, as automatic captions come."""
    ends = np.cumsum([(0.4, 0.5, 0.6)[index % 3] for index in range(len(clip.captions))])
    for seconds, picture in _moving(clip):
        word = clip.captions[min(int(np.searchsorted(ends, seconds, "right")), len(ends) - 1)]
        written(picture, word, clip.height * 0.62, clip.width // 9, "white", "black")
        yield np.asarray(picture)


def _paint_static(clip: Captioned) -> Iterator[Picture]:
    for _, picture in _moving(clip):
        for text in clip.captions:
            written(picture, text, clip.height * 0.25, clip.width // 13, "#ffe100", "black")
        yield np.asarray(picture)


def _paint_scroll(clip: Captioned) -> Iterator[Picture]:
    """Credits: every line crosses the picture from below."""
    for seconds, picture in _moving(clip):
        for index, text in enumerate(clip.captions):
            y = clip.height * (1.1 + 0.25 * index - 0.25 * seconds)
            written(picture, text, y, clip.width // 13, "white", "black")
        yield np.asarray(picture)


def _paint_photos(clip: Captioned) -> Iterator[Picture]:
    """Six pictures without text, each for a sixth of the time, standing still."""
    for index in range(6):
        planes = Painter(Spec(clip.width, clip.height, 1)).picture(40 * index)
        rgb = VideoFrame.from_ndarray(planes, format="yuv420p").to_ndarray(format="rgb24")
        for _ in range(round(clip.seconds / 6 * clip.rate)):
            yield rgb.astype(np.uint8)


CLIPS: Final = [
    Captioned("slides", 360, 640, 5, 250, 24, tuple(_SLIDES), _paint_slides),
    Captioned("words", 576, 1024, 30, 250, 6, tuple(_WORDS), _paint_words),
    Captioned("static", 576, 1024, 30, 250, 10, (_STATIC,), _paint_static),
    Captioned("none", 576, 1024, 30, 250, 10, (), _paint_static),
    Captioned("scroll", 576, 1024, 30, 250, 8, tuple(_SCROLL), _paint_scroll),
    Captioned("photos", 576, 1024, 30, 250, 12, (), _paint_photos),
    Captioned("slides-keyframes", 576, 1024, 30, 30, 24, tuple(_SLIDES), _paint_slides),
    Captioned("words-keyframes", 576, 1024, 30, 30, 6, tuple(_WORDS), _paint_words),
    Captioned("static-keyframes", 576, 1024, 30, 30, 30, (_STATIC,), _paint_static),
    Captioned("none-keyframes", 576, 1024, 30, 30, 30, (), _paint_static),
]
