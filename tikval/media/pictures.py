"""Decoded frames -> RGB pictures as they are to be shown, small and at full size.

H x W pixels.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from tikval.media.changes import SIDE_PX as WATCHED_SIDE_PX
from tikval.media.changes import Cutout, TextWatch, due_stamps
from tikval.media.reading import Scaler

# Pinned, as scalers differ; the nearest to what VideoMAE's own image processor does.
_SCALER: Final = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
# without exact rounding FFmpeg repeats colours instead of interpolating them, as whoever asks it for RGB gets them
_PLAIN: Final = Interpolation.BILINEAR | Interpolation.BITEXACT

Picture = NDArray[np.uint8]  # [H, W, 3] RGB
Matrix = tuple[int, int, int, int]  # a, b, c, d of the display matrix


@dataclass(frozen=True)
class Small:
    """The small pictures: their short side in pixels, and how they are scaled."""

    side: int
    scaler: Scaler

    def lengths(self, frame: VideoFrame) -> tuple[int, int]:
        """Width and height of a video's small pictures, by its first picture, before turning."""
        short = min(frame.width, frame.height)
        exact = frame.width * self.side / short, frame.height * self.side / short
        # transformers rounds down
        return (
            (int(exact[0]), int(exact[1])) if self.scaler == "pillow" else (round(exact[0]), round(exact[1]))
        )

    def of(
        self, frame: VideoFrame, width: int, height: int, reformatter: VideoReformatter | None = None
    ) -> Picture:
        """The picture at this size; one `reformatter` for many pictures saves work."""
        if self.scaler == "fast":
            return rgb(frame, width, height, reformatter=reformatter)
        large = Image.fromarray(rgb(frame, frame.width, frame.height, _PLAIN))
        return np.asarray(large.resize((width, height), Image.Resampling.BILINEAR))


@dataclass(frozen=True)
class Taken:
    """What pass 2 yields."""

    frames: NDArray[np.uint8]  # [T, H, W, 3] RGB, small
    key_frames: list[Picture]  # at full size
    key_seconds: list[float]
    n_frames: int  # of the whole video
    width: int  # as shown
    height: int
    lost: int  # packets or pictures that could not be decoded
    cutouts: list[Cutout] = field(default_factory=list)


class Taker:
    """Keeps the pictures asked for, turned as they are to be shown, and shows others to who watches for text.

    `watched`: stamps of the pictures that the watch may see, where they are decoded, and their seconds. `due`: those of
    them that are to be decoded in any case, as the ones next to them are too far away.
    """

    def __init__(
        self,
        small: set[int],
        full: set[int],
        size: Small,
        watch: TextWatch | None = None,
        watched: dict[int, float] | None = None,
    ) -> None:
        self.stamps = small | full
        self.watch, self.watched = watch, watched or {}
        self.due = due_stamps(self.watched)
        self.small: dict[int, Picture] = {}
        self.full: dict[int, Picture] = {}
        self.width = self.height = 0  # as shown
        self._small, self._full, self._size = small, full, size
        self._scaled: tuple[int, int] | None = None  # width, height before turning
        self._matrix: Matrix | None = None
        self._reformatter = VideoReformatter()  # keeps what FFmpeg computes for a pair of sizes
        self._watched_reformatter = VideoReformatter()

    def take(self, stamp: int, frame: VideoFrame) -> None:
        """Keep a picture; the first one tells the size and the turn of all."""
        if self._scaled is None:
            self._scaled = self._size.lengths(frame)
            self._matrix = _matrix(frame)
            empty = np.empty((frame.height, frame.width, 0), np.uint8)
            self.height, self.width = _turned(empty, self._matrix).shape[:2]
        if stamp in self._small:
            small = self._size.of(frame, *self._scaled, self._reformatter)
            self.small[stamp] = _turned(small, self._matrix)
        if stamp in self._full:
            self.full[stamp] = _turned(rgb(frame, frame.width, frame.height), self._matrix)

    def show(self, stamp: int, frame: VideoFrame) -> None:
        """Show a decoded picture to the watch, if there is one and it is time."""
        if self.watch is None or self._scaled is None or not self.watch.is_due(self.watched.get(stamp)):
            return
        scale = min(1, WATCHED_SIDE_PX / min(frame.width, frame.height))
        width, height = round(frame.width * scale), round(frame.height * scale)
        reformat = self._watched_reformatter.reformat
        grey = reformat(frame, width, height, "gray8", interpolation=_SCALER, threads=1).to_ndarray()
        self.watch.see(
            self.watched[stamp],
            _turned(grey.astype(np.uint8, copy=False), self._matrix),
            lambda: _turned(rgb(frame, frame.width, frame.height), self._matrix),
        )


def rgb(
    frame: VideoFrame,
    width: int,
    height: int,
    scaler: Interpolation = _SCALER,
    reformatter: VideoReformatter | None = None,
) -> Picture:
    reformat = (reformatter or VideoReformatter()).reformat
    picture = reformat(frame, width, height, "rgb24", interpolation=scaler, threads=1)
    return picture.to_ndarray().astype(np.uint8, copy=False)


def _matrix(frame: VideoFrame) -> Matrix | None:
    """The display matrix, 3 x 3 row-major; a point (x, y) is shown at (a x + c y, b x + d y).

    It is read off a tiny copy: in PyAV a frame and its side data hold each other, so the frame itself would stay in
    memory until the garbage collector happens to run (by then it was 400 MB).
    """
    matrix = frame.reformat(16, 16, "gray8").side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):
        return None
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    return a, b, c, d


def _turned(picture: Picture, matrix: Matrix | None) -> Picture:
    """Apply the display matrix: rotation by quarter turns and mirroring, as players do."""
    if matrix is None:
        return picture
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        picture = picture.swapaxes(0, 1)
        flip_rows, flip_columns = b < 0, c < 0
    else:
        flip_rows, flip_columns = d < 0, a < 0
    picture = picture[::-1] if flip_rows else picture
    picture = picture[:, ::-1] if flip_columns else picture
    return np.ascontiguousarray(picture)
