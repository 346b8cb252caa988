"""Where text appears in a video, found in small grey pictures while it is decoded.

Text that stands still has strokes: edges from dark to light and back, close together, which stay where they are from
one look to the next while the ground behind them moves. Where such edges come up, the place is cut out of the picture,
to be read once (captions.py), however long it stays.

H x W pixels of a small picture, R x C cells of it (strokes.py).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tikval.media.strokes import (
    CELL_PX,
    MIN_EDGES,
    Box,
    Cells,
    Edges,
    Grey,
    boxes_meet,
    clipped,
    count_edges,
    edges_of,
    is_within,
    line_boxes,
    n_edges,
    n_strokes,
    part_of,
    stroke_cells,
)

SIDE_PX: Final = 288  # short side of the small pictures
WORK_SIDE_PX: Final = 576  # short side at which text is read: more is slower and not better
STEP_SECONDS: Final = 0.17  # between two looks: a word of an automatic caption stays for two or three
_DENSE_SECONDS: Final = 0.045  # between pictures: so close, every fourth is enough
_MIN_STEADY: Final = 0.6  # share of a cell's edges that stay: where less do, it is the ground
_MIN_STROKES: Final = 2  # side by side
_STAYS: Final = 0.7  # share of its edges by which a text is still there
_WHOLE: Final = 0.92  # share by which all of it is
_CUTOUT_PX: Final = 40_000  # what a cut-out costs to read beside its area, in pixels

Picture = NDArray[np.uint8]  # [H, W, 3] RGB


@dataclass(eq=False)
class Cutout:
    """A place with text in it, cut out of a picture whose short side is WORK_SIDE_PX."""

    picture: Picture
    top: int  # pixels of that picture
    left: int
    first_seconds: float  # that show it
    last_seconds: float
    strokes: int

    @property
    def cost_px(self) -> int:
        return self.picture.size // 3 + _CUTOUT_PX


@dataclass(eq=False)
class _Shown:
    """Text that is on the screen now."""

    box: Box
    edges: Edges  # of the box, that have been there since
    known: Edges  # all that came up with it
    cutout: Cutout
    share: float = 1.0  # of its edges that are there still


def resized(picture: Picture, short_side: int) -> Picture:
    """A picture, or a part of one, as it is where the short side of the whole is WORK_SIDE_PX, tripled at most."""
    scale = min(WORK_SIDE_PX / short_side, 3)
    if scale == 1:
        return picture
    height, width = picture.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(picture).resize(size, method))


def due_stamps(seconds_of: dict[int, float]) -> set[int]:
    """The pictures to look at where there are few, of those in order with their seconds; the rest is dense enough."""
    due: set[int] = set()
    last = -STEP_SECONDS
    for (stamp, seconds), (_, following) in pairwise([*seconds_of.items(), (0, float("inf"))]):
        if seconds - last >= STEP_SECONDS:
            last = seconds
            if following - seconds > _DENSE_SECONDS:
                due.add(stamp)
    return due


class TextWatch:
    """Is shown the pictures of a video in order, and keeps a cut-out of each text that appears.

    `seconds`: when the video's pictures are shown, in order. `pictures`: the area of as many pictures is cut out at
    most, which bounds memory and the time to read them; where there is more, what stays longest is kept. At as many
    even times, moving text is cut out too.
    """

    def __init__(self, seconds: Sequence[float], pictures: int) -> None:
        self._seconds, self._pictures = seconds, pictures
        self._even = list(np.linspace(seconds[0], seconds[-1], pictures)) if pictures else []
        self._shown: list[_Shown] = []
        self._gone: list[Cutout] = []
        self._last: tuple[float, Edges] | None = None
        self._moving: Callable[[], None] | None = (
            None  # to do when the next picture has told what stands still
        )
        self._area_px = 0.0  # of one picture

    def restart(self) -> None:
        """Forget what was seen: the video is shown anew."""
        self.__init__(self._seconds, self._pictures)  # type: ignore[misc]

    def is_due(self, seconds: float | None) -> bool:
        """Whether a picture of that time is to be looked at; None: of no time that counts."""
        return seconds is not None and (self._last is None or not 0 <= seconds - self._last[0] < STEP_SECONDS)

    def see(self, seconds: float, grey: Grey, picture: Callable[[], Picture]) -> None:
        """Look at a small picture; `picture` makes it in full, where it is needed."""
        edges = edges_of(grey)
        self._area_px = grey.size * (WORK_SIDE_PX / min(grey.shape)) ** 2
        if self._last is None or self._last[1].shape != edges.shape:
            self._close()
        else:
            self._compare(self._last[1], edges, self._last[0], seconds, picture)
        if self._stands(seconds):
            self._compare(edges, edges, seconds, seconds, picture)
        self._last = seconds, edges
        if self._moving is not None:
            self._moving()
            self._moving = None
        if self._even and self._even[0] <= seconds:
            self._even = [later for later in self._even if later > seconds]
            strokes = self._unknown(stroke_cells(edges))
            self._moving = lambda: self._cut_moving(strokes, seconds, picture)

    def cutouts(self) -> list[Cutout]:
        """What was cut out, in order of time and then from top to bottom."""
        self._close()
        return sorted(self._gone, key=lambda cutout: (cutout.first_seconds, cutout.top, cutout.left))

    def _stands(self, seconds: float) -> bool:
        """Whether a picture is shown so long that it tells by itself what stands still."""
        after = bisect_right(self._seconds, seconds + 1e-6)
        if after == len(self._seconds):  # how long the last one is shown is not known: as the one before
            return after == 1 or self._seconds[-1] - self._seconds[-2] > 1.5 * STEP_SECONDS
        return self._seconds[after] - seconds > 1.5 * STEP_SECONDS

    def _close(self) -> None:
        for shown in self._shown:
            self._keep(shown.cutout)
        self._shown = []

    def _compare(
        self, before: Edges, now: Edges, since: float, seconds: float, picture: Callable[[], Picture]
    ) -> None:
        steady, known = before & now, np.zeros_like(now)
        for shown in list(self._shown):
            part_of(known, shown.box)[...] |= shown.known
            shown.share = n_edges(part_of(now, shown.box) & shown.edges) / n_edges(shown.edges)
            if shown.share < _STAYS:
                self._shown.remove(shown)
                self._keep(shown.cutout)
                continue
            shown.edges &= part_of(now, shown.box)  # what shone through from the ground goes
            shown.cutout.last_seconds = seconds
        n_steady = count_edges(steady)
        text = stroke_cells(steady) & (n_steady >= _MIN_STEADY * count_edges(now))
        new = steady & ~known
        for seed, line in line_boxes(text & (count_edges(new) >= MIN_EDGES), text):
            if n_strokes(part_of(steady, seed)) >= _MIN_STROKES:
                self._appear(line, steady, n_edges(part_of(new, seed)), (since, seconds), picture)

    def _appear(
        self,
        box: Box,
        steady: Edges,
        n_new: int,
        seconds: tuple[float, float],
        picture: Callable[[], Picture],
    ) -> None:
        """Cut out a text that came up in a box, with what stands there already, unless something only passes it."""
        first, last = seconds
        for old in [old for old in self._shown if boxes_meet(old.box, box)]:
            whole = old.share >= _WHOLE
            if whole and is_within(box, old.box) and n_new < 0.25 * n_edges(old.edges):
                return
            box = min(box[0], old.box[0]), max(box[1], old.box[1]), box[2], box[3]
            if whole and not is_within(old.box, box):
                continue
            self._shown.remove(old)
            if whole:  # it has grown
                first = min(first, old.cutout.first_seconds)
            else:
                self._keep(old.cutout)
        edges = part_of(steady, box).copy()
        strokes = n_strokes(edges)
        self._shown.append(_Shown(box, edges, edges.copy(), _cut(picture(), box, first, last, strokes)))

    def _unknown(self, strokes: Cells) -> Cells:
        """Strokes outside the text that is shown."""
        for shown in self._shown:
            top, bottom, left, right = shown.box
            strokes[top:bottom, left:right] = False
        return strokes

    def _cut_moving(self, strokes: Cells, seconds: float, picture: Callable[[], Picture]) -> None:
        rows, columns = self._unknown(strokes).nonzero()
        if len(rows) >= 4:
            box = int(rows.min()) - 1, int(rows.max()) + 2, int(columns.min()) - 2, int(columns.max()) + 3
            self._keep(_cut(picture(), clipped(box, strokes.shape), seconds, seconds, len(rows)))

    def _keep(self, cutout: Cutout) -> None:
        self._gone.append(cutout)
        while sum(kept.cost_px for kept in self._gone) > self._pictures * self._area_px > 0:
            self._gone.remove(min(self._gone, key=_worth))


def _worth(cutout: Cutout) -> float:
    """What is read first where not everything can be: much text that stays."""
    return min(cutout.strokes, 10) * (0.2 + min(cutout.last_seconds - cutout.first_seconds, 1))


def _cut(picture: Picture, box: Box, first_seconds: float, last_seconds: float, strokes: int) -> Cutout:
    short = min(picture.shape[:2])
    cell = CELL_PX * max(1, short / SIDE_PX)  # pixels of the picture in full
    top, bottom, left, right = (round(cell * side) for side in box)
    part = resized(picture[top:bottom, left:right], short)
    scale = WORK_SIDE_PX / short
    return Cutout(part, round(top * scale), round(left * scale), first_seconds, last_seconds, strokes)
