"""Decoded frames -> RGB pictures as they are to be shown, small and at full size.

H x W pixels.
"""

from typing import Final

import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

# Pinned, as scalers differ; the nearest to what VideoMAE's own image processor does.
_SCALER: Final = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT

Picture = NDArray[np.uint8]  # [H, W, 3] RGB


class Taker:
    """Keeps the pictures asked for, turned as they are to be shown."""

    def __init__(self, small: set[int], full: set[int], side: int) -> None:
        self.stamps = small | full
        self.small: dict[int, Picture] = {}
        self.full: dict[int, Picture] = {}
        self.width = self.height = 0  # as shown
        self._small, self._full, self._side = small, full, side
        self._scaled: tuple[int, int] | None = None  # width, height before turning

    def take(self, stamp: int, frame: VideoFrame) -> None:
        if self._scaled is None:
            self._scaled = _scaled(frame.width, frame.height, self._side)
            self.height, self.width = _turned(
                np.empty((frame.height, frame.width, 0), np.uint8), frame
            ).shape[:2]
        if stamp in self._small:
            self.small[stamp] = _turned(_rgb(frame, *self._scaled), frame)
        if stamp in self._full:
            self.full[stamp] = _turned(_rgb(frame, frame.width, frame.height), frame)


def _scaled(width: int, height: int, side: int) -> tuple[int, int]:
    short = min(width, height)
    return round(width * side / short), round(height * side / short)


def _rgb(frame: VideoFrame, width: int, height: int) -> Picture:
    scaled = frame.reformat(width, height, "rgb24", interpolation=_SCALER, threads=1)
    return scaled.to_ndarray().astype(np.uint8, copy=False)


def _turned(picture: Picture, frame: VideoFrame) -> Picture:
    """Apply the display matrix: rotation by quarter turns and mirroring, as players do.

    The matrix is 3 x 3 row-major, native int32; a point (x, y) is shown at (a x + c y, b x + d y).
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):
        return picture
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        picture = picture.swapaxes(0, 1)
        flip_rows, flip_columns = b < 0, c < 0
    else:
        flip_rows, flip_columns = d < 0, a < 0
    picture = picture[::-1] if flip_rows else picture
    picture = picture[:, ::-1] if flip_columns else picture
    return np.ascontiguousarray(picture)
