"""Macro F1 of every system with its interval, beside the baselines: the numbers, as CSV, and drawn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tikval.evaluate.baselines import BASELINES
from tikval.evaluate.scores import ALL, BASELINE, LEFT_OUT
from tikval.report.figures.numbers import as_csv
from tikval.report.figures.style import BLACK, BLUE, GREY, legend, panels_of, short
from tikval.report.score_tables import NAMES
from tikval.rows import ScoreRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MACRO: Final = "macro"


@dataclass(frozen=True, slots=True)
class SystemScore:
    """Macro F1 of one system, or of a baseline, over both stances; failed videos are left out."""

    name: str  # as in the rows
    title: str  # for people
    is_baseline: bool
    f1: float
    lower: float | None  # of the 95 % interval; None: not computed
    upper: float | None
    videos: int  # annotated
    scored: int  # of them with a result


def scored_of(scores: Iterable[ScoreRow], systems: Sequence[str]) -> list[SystemScore]:
    """The best one first: the systems that are named, and all baselines. Raises ValueError where none has an F1."""
    found = [
        SystemScore(
            row["system"],
            NAMES.get(row["system"], row["system"]),
            row["system"] in BASELINES,
            row["f1"],
            row["lower"],
            row["upper"],
            row["n_videos"],
            row["n_scored"],
        )
        for row in scores
        if (row["stance"], row["label"], row["failures"]) == (ALL, _MACRO, LEFT_OUT)
        and row["f1"] is not None
        and (row["system"] in BASELINES or row["system"] in systems)
    ]
    if all(one.is_baseline for one in found):
        raise ValueError("no system has a macro F1")
    return sorted(found, key=lambda one: (-one.f1, one.name))


def predict_everything_score(found: Iterable[SystemScore]) -> float | None:
    """What saying every label of every video scores."""
    return next((one.f1 for one in found if one.name == BASELINE), None)


def scored_csv(found: Iterable[SystemScore]) -> bytes:
    head = ("system", "title", "baseline", "macro_f1", "lower", "upper", "n_videos", "n_scored")
    return as_csv(
        head,
        (
            (
                one.name,
                one.title,
                int(one.is_baseline),
                one.f1,
                one.lower,
                one.upper,
                one.videos,
                one.scored,
            )
            for one in found
        ),
    )


def systems_f1(found: Sequence[SystemScore]) -> "Figure":
    """A line per system, the best on top; baselines grey, and what saying everything scores as a line through all."""
    figure, panels = panels_of(1, 4.2, 0.5 + 0.23 * len(found), extra=1.6)
    panel = panels[0]
    for baselines, colour, marker, label in (
        (False, BLUE, "o", "systems"),
        (True, GREY, "D", "baselines"),
    ):
        some = [(place, one) for place, one in enumerate(found) if one.is_baseline == baselines]
        place = np.array([place for place, _ in some])
        f1 = np.array([one.f1 for _, one in some])
        ends = [[one.f1 if end is None else end for end in (one.lower, one.upper)] for _, one in some]
        if not some:
            continue
        low, high = np.array(ends).T
        # an estimate corrected for bias may lie outside of its own interval's middle, never outside of the interval
        whisker = np.clip(np.stack([f1 - low, high - f1]), 0, None)
        panel.errorbar(
            f1, place, xerr=whisker, fmt=marker, markersize=4.5, color=colour, elinewidth=1.2, capsize=2,
            markerfacecolor="white" if baselines else colour, label=label,
        )  # fmt: skip
        for (at, one), right in zip(some, high, strict=True):
            panel.annotate(
                f"{one.f1:.2f}", (max(right, one.f1), at), (5, 0), textcoords="offset points", va="center",
                fontsize=7, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.3},
            )  # fmt: skip
    if (base := predict_everything_score(found)) is not None:
        panel.axvline(base, color=BLACK, linewidth=0.8, linestyle=":", label=NAMES[BASELINE], zorder=0)
    panel.set_yticks(range(len(found)), [short(one.title, 40) for one in found])
    panel.set_ylim(len(found) - 0.4, -0.6)
    most = max(max(one.f1, one.upper or 0.0) for one in found)
    panel.set_xlim(0, min(1.08, max(0.1, 1.15 * most)))
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    panel.set_axisbelow(True)
    panel.spines["left"].set_visible(False)
    panel.set_xlabel("macro F1 with its 95 % interval")
    legend(figure, panels)
    return figure
