"""Edges of a small grey picture, and where there are so many of both kinds that they may be strokes of letters.

H x W pixels, C = W / 8 cells in a row, R = H / 8 rows of cells: a row of a cell's edges is one byte.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

CELL_PX: Final = 8  # side of a cell
MIN_EDGES: Final = 6  # of a cell with a stroke in it
_CONTRAST: Final = 24  # of 127, across two pixels

Grey = NDArray[np.uint8]  # [H, W]
Edges = NDArray[np.uint8]  # [2, H, C] bits: where it gets lighter to the right, and where darker
Cells = NDArray[np.bool_]  # [R, C]
Counts = NDArray[np.int64]  # [R, C], of each cell
Box = tuple[int, int, int, int]  # of cells: top, bottom, left, right


def edges_of(grey: Grey) -> Edges:
    height, width = (length // CELL_PX * CELL_PX for length in grey.shape)
    half = (grey[:height, :width] >> 1).astype(np.int8)
    step = np.zeros_like(half)
    step[:, :-2] = half[:, 2:] - half[:, :-2]
    return np.packbits(np.stack([step > _CONTRAST, step < -_CONTRAST]), axis=2)


def n_edges(edges: Edges) -> int:
    return int(np.bitwise_count(edges).sum())


def count_edges(edges: Edges) -> Counts:
    """How many edges of both kinds there are in each cell, [R, C]."""
    both: Counts = _count_kinds(edges).sum(0)
    return both


def _count_kinds(edges: Edges) -> Counts:
    """How many edges of each kind there are in each cell, [2, R, C]."""
    kinds, height, columns = edges.shape
    counts: Counts = (
        np.bitwise_count(edges).reshape(kinds, height // CELL_PX, CELL_PX, columns).sum(2, dtype=np.int64)
    )
    return counts


def stroke_cells(edges: Edges) -> Cells:
    """Cells with edges enough, of both kinds in them or next to them: the border of a thing has one."""
    kinds = _count_kinds(edges)
    lighter, darker = (_spread(kind >= 2, 0, 1) for kind in kinds)
    enough: Cells = kinds.sum(0) >= MIN_EDGES
    return enough & lighter & darker


def _spread(cells: Cells, rows: int, columns: int) -> Cells:
    """Cells that are marked, or have a marked one so near."""
    near = cells.copy()
    for _ in range(rows):
        near[1:] |= near[:-1].copy()
        near[:-1] |= near[1:].copy()
    for _ in range(columns):
        near[:, 1:] |= near[:, :-1].copy()
        near[:, :-1] |= near[:, 1:].copy()
    return near


def part_of(edges: Edges, box: Box) -> Edges:
    top, bottom, left, right = box
    return edges[:, CELL_PX * top : CELL_PX * bottom, left:right]


def is_within(inner: Box, outer: Box) -> bool:
    """Whether a box is inside another, but for a cell at its border."""
    return all((a >= b - 1, b >= a - 1)[at % 2] for at, (a, b) in enumerate(zip(inner, outer, strict=True)))


def boxes_meet(one: Box, other: Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def clipped(box: Box, shape: tuple[int, ...]) -> Box:
    top, bottom, left, right = box
    return max(0, top), min(shape[0], bottom), max(0, left), min(shape[1], right)


def n_strokes(edges: Edges) -> int:
    """How many strokes stand side by side: in four rows at least."""
    bits = np.unpackbits(edges, axis=2)
    begins = np.count_nonzero(bits[:, :, 1:] > bits[:, :, :-1], axis=2).min(0)
    return int(np.sort(begins)[-4])


def line_boxes(fresh: Cells, text: Cells) -> list[tuple[Box, Box]]:
    """Boxes around cells with new edges, lines near each other in one; and around all text in these lines."""
    boxes: list[tuple[Box, Box]] = []
    near = _spread(fresh, 1, 2)
    while near.any():
        rows, columns = _take_group(near, fresh)
        if len(rows) < 2:
            continue
        top, bottom = int(rows.min()), int(rows.max()) + 1
        left, right = int(columns.min()), int(columns.max()) + 1
        seed = clipped((top - 1, bottom + 1, left - 1, right + 1), fresh.shape)
        line: NDArray[np.bool_] = text[top:bottom].any(0)  # type: ignore[assignment]
        gap = max(2, (bottom - top) // 2)
        while line[max(0, left - gap) : left].any():
            left -= 1
        while line[right : right + gap].any():
            right += 1
        boxes.append((seed, clipped((top - 1, bottom + 1, left - 2, right + 2), fresh.shape)))
    return boxes


def _take_group(near: Cells, fresh: Cells) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the fresh cells in a connected group of near ones, which is taken out of these."""
    first = np.argwhere(near)[0]
    todo, group = [(int(first[0]), int(first[1]))], []
    near[todo[0]] = False
    while todo:
        row, column = todo.pop()
        group.append((row, column))
        for at in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= at[0] < near.shape[0] and 0 <= at[1] < near.shape[1] and near[at]:
                near[at] = False
                todo.append(at)
    cells = np.array([at for at in group if fresh[at]], np.int64).reshape(-1, 2)
    return cells[:, 0], cells[:, 1]
