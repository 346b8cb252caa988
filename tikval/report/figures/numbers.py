"""What Figures 1, 2 and 4 and the circle show, as numbers, and the same as CSV: nothing is drawn here.

Shape letters: N videos, V values, L = 2V labels, K values of one video at most.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tikval.evaluate.baselines import BASELINES
from tikval.evaluate.scores import BASELINE, LEFT_OUT
from tikval.rows import ScoreRow
from tikval.spreadsheet import csv_bytes_of
from tikval.stats.arrays import Bools, Floats
from tikval.stats.circle import GROUPS
from tikval.stats.decisions import Decisions
from tikval.values import CONFRONTED, ENDORSED, SIGN

STANCES: Final = (ENDORSED, CONFRONTED)
_MOSTLY: Final = 0.5  # of the times that a system judged a video: then the video counts as having it

Line = Sequence[str | int | float | None]


@dataclass(frozen=True, slots=True)
class FigureSeries:
    """The values that one system predicts, or the annotator coded, in the videos that it has a result for."""

    name: str
    videos: int
    per_video: tuple[int, ...]  # [K + 1] videos with 0, 1, ... K values, endorsed or confronted
    counts: Floats  # [2, V] videos that endorse and confront each value; nan: the label is not modelled
    is_human: bool = False

    @property
    def shares(self) -> Floats:
        """The shares of its videos [2, V]."""
        share: Floats = self.counts / self.videos
        return share


def series_of(
    name: str, predicted: NDArray[Any] | Decisions, modelled_L: Bools, *, is_human: bool = False
) -> FigureSeries:
    """The counts of one system, of its decisions [N, L].

    Shares are added up for `counts`; a value is one of a video's where it was predicted at least half of the times. A
    value of both stances counts once per video. Raises ValueError for arrays that do not fit each other, and without
    videos.
    """
    n_videos, n_labels = predicted.shape
    if n_labels % 2 or modelled_L.shape != (n_labels,):
        raise ValueError(f"{name}: predicted is {predicted.shape}, modelled is {modelled_L.shape}")
    if not n_videos:
        raise ValueError(f"{name}: no video has a result")
    half = n_labels // 2
    values_N, counts_L = np.zeros(n_videos, np.int16), np.full(n_labels, np.nan)
    for value in range(half):
        has_it = np.zeros(n_videos, bool)
        for k in (value, value + half):
            if modelled_L[k]:
                column = predicted[:, k]
                has_it |= column >= _MOSTLY
                counts_L[k] = column.sum(dtype=np.float64)
        values_N += has_it
    return FigureSeries(
        name, n_videos, tuple(np.bincount(values_N).tolist()), counts_L.reshape(2, half), is_human
    )


@dataclass(frozen=True, slots=True)
class Radar:
    """F1 of every value with one stance: the predict-all baseline first, then the systems in the scores' order."""

    stance: str
    videos: int  # annotated
    support: tuple[int, ...]  # [V] videos in which the label is true
    f1: dict[str, Floats]  # by system [V]; nan: not modelled, or true of no video
    rows: tuple[ScoreRow, ...]  # behind the lines


def radar_of(scores: Iterable[ScoreRow], slugs: Sequence[str], stance: str, systems: Sequence[str]) -> Radar:
    """The radar of scores with failed videos left out; of the baselines only predict-all is drawn.

    Raises ValueError where there is nothing to draw.
    """
    if len(slugs) < 3:
        raise ValueError(f"a radar needs three values, there are {len(slugs)}")
    labels = [f"{slug}{SIGN[stance]}" for slug in slugs]
    drawn = [BASELINE, *(name for name in systems if name not in BASELINES)]
    of_label = {
        (row["system"], row["label"]): row
        for row in scores
        if row["failures"] == LEFT_OUT and row["system"] in drawn and row["label"] in labels
    }
    base = [of_label.get((BASELINE, label)) for label in labels]
    support = tuple(row["support"] if row else 0 for row in base)
    if not any(support):
        raise ValueError(f"no annotated video has a value {stance}")
    f1 = {}
    for name in drawn:
        rows = [of_label.get((name, label)) for label in labels]
        number_V = np.array([np.nan if not row or row["f1"] is None else row["f1"] for row in rows])
        number_V[np.array(support) == 0] = np.nan
        if not np.isnan(number_V).all():
            f1[name] = number_V
    kept = tuple(row for name in f1 for label in labels if (row := of_label.get((name, label))))
    return Radar(stance, max(row["n_videos"] for row in kept), support, f1, kept)


def above_zero(parts: Iterable[Floats]) -> Bools:
    """Which of V rows have a number above 0 in any of these arrays [V]; all, where none has: a chart has rows."""
    some_V: Bools = np.any(np.nan_to_num(np.stack(list(parts))) > 0, axis=0)
    return some_V if some_V.any() else np.ones(len(some_V), bool)


def group_arcs(slugs: Sequence[str]) -> list[tuple[str, float, float]]:
    """The higher-order groups around the circle: title, where each begins and where it ends.

    In places of values: the first value's middle is 0, it reaches from -0.5 to 0.5. A group ends in the middle of a
    value that it shares with the next one.
    """
    arcs = []
    for group, weight_of in GROUPS.items():
        at = [slugs.index(slug) for slug in weight_of]
        begin, end = (
            place + (edge if weight_of[slugs[place]] == 1 else 0.0)
            for place, edge in ((min(at), -0.5), (max(at), 0.5))
        )
        arcs.append((group.replace("self_", "self-").replace("_", " "), begin, end))
    return arcs


def per_video_csv(series: Sequence[FigureSeries]) -> bytes:
    return as_csv(
        ("system", "videos", "values_of_the_video", "count", "share"),
        (
            (one.name, one.videos, values, count, count / one.videos)
            for one in series
            for values, count in enumerate(one.per_video)
        ),
    )


def occurrences_csv(series: Sequence[FigureSeries], slugs: Sequence[str]) -> bytes:
    """A line per system, value and stance; a label that is not modelled has an empty count."""
    return as_csv(
        ("system", "videos", "value", "stance", "count", "share"),
        (
            (one.name, one.videos, slug, stance, *map(exact, (one.counts[s, v], one.shares[s, v])))
            for one in series
            for v, slug in enumerate(slugs)
            for s, stance in enumerate(STANCES)
        ),
    )


def radar_csv(radar: Radar) -> bytes:
    columns = ("system", "stance", "label", "support", "f1", "lower", "upper", "n_scored", "n_videos")
    return as_csv(columns, ([row[name] for name in columns] for row in radar.rows))  # type: ignore[literal-required]


def circle_csv(series: Sequence[FigureSeries], slugs: Sequence[str]) -> bytes:
    """A line per system and value; `place` counts from 0 around the circle, a value on a border has two groups."""
    groups = {slug: " and ".join(group for group in GROUPS if slug in GROUPS[group]) for slug in slugs}
    return as_csv(
        ("system", "videos", "place", "value", "groups", "endorsed_share", "confronted_share"),
        (
            (one.name, one.videos, place, slug, groups[slug], *map(exact, one.shares[:, place]))
            for one in series
            for place, slug in enumerate(slugs)
        ),
    )


def exact(number: float) -> float | int | None:
    """The number with as few digits as tell it exactly; None for nan."""
    if np.isnan(number):
        return None
    return int(number) if float(number).is_integer() else float(number)


def as_csv(head: Sequence[str], rows: Iterable[Line]) -> bytes:
    return csv_bytes_of(chain([head], rows), "\n")
