"""Macro F1 of every system with its interval, beside the baselines: the numbers, as CSV, and drawn."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tikval.evaluate.baselines import BASELINES
from tikval.evaluate.scores import ALL, BASELINE, LEFT_OUT
from tikval.report.display import BASELINE_NAMES, display_name
from tikval.report.figures.numbers import as_csv
from tikval.report.figures.style import BLACK, BLUE, GREY, legend, panels_of, short
from tikval.report.how_sure import Ends, ends_of
from tikval.rows import ScoreRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MACRO: Final = "macro"


@dataclass(frozen=True, slots=True)
class SystemScore:
    """Macro F1 of one system, or of a baseline, over both stances; failed videos are left out."""

    name: str  # as in the rows
    title: str  # human-readable
    is_baseline: bool
    f1: float
    ends: Ends  # of the 95 % interval
    videos: int  # annotated
    scored: int  # of them with a result


def scored_of(scores: Iterable[ScoreRow], systems: Sequence[str]) -> list[SystemScore]:
    """The scores of the named systems and all baselines, the best first. Raises ValueError where no system has one."""
    found = [
        SystemScore(
            row["system"],
            display_name(row["system"]),
            row["system"] in BASELINES,
            row["f1"],
            ends_of(row),
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
    """The macro F1 of the predict-all baseline; None where it has none."""
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
                one.ends.lower,
                one.ends.upper,
                one.videos,
                one.scored,
            )
            for one in found
        ),
    )


def has_intervals(found: Iterable[SystemScore]) -> bool:
    return any(one.ends.lower is not None for one in found)


def systems_f1(found: Sequence[SystemScore]) -> "Figure":
    """Draw a line per system, the best on top; baselines grey, and a line through all at the predict-all baseline."""
    figure, panels = panels_of(1, 4.2, 0.5 + 0.23 * len(found), extra=1.6)
    panel = panels[0]
    for is_baseline, look in (
        (False, {"fmt": "o", "color": BLUE, "markerfacecolor": BLUE, "label": "systems"}),
        (True, {"fmt": "D", "color": GREY, "markerfacecolor": "white", "label": "baselines"}),
    ):
        _intervals(panel, {y: one for y, one in enumerate(found) if one.is_baseline == is_baseline}, look)
    if (base := predict_everything_score(found)) is not None:
        panel.axvline(
            base, color=BLACK, linewidth=0.8, linestyle=":", label=BASELINE_NAMES[BASELINE], zorder=0
        )
    panel.set_yticks(range(len(found)), [short(one.title, 40) for one in found])
    panel.set_ylim(len(found) - 0.4, -0.6)
    most = max(max(one.f1, one.ends.upper or 0.0) for one in found)
    panel.set_xlim(0, min(1.08, max(0.1, 1.15 * most)))
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    panel.set_axisbelow(True)
    panel.spines["left"].set_visible(False)
    panel.set_xlabel("macro F1 with its 95 % interval" if has_intervals(found) else "macro F1")
    legend(figure, panels)
    return figure


def _intervals(panel: "Axes", by_place: Mapping[int, SystemScore], look: dict[str, Any]) -> None:
    """Draw F1 at the given places from the top, with its digits to the right; a point alone has no interval."""
    if not by_place:
        return
    f1 = np.array([one.f1 for one in by_place.values()])
    ends = [(one.ends.lower, one.ends.upper) for one in by_place.values()]
    low, high = np.array(ends, dtype=np.float64).T  # None is nan: nothing is drawn
    panel.errorbar(
        f1,
        list(by_place),
        xerr=np.stack([f1 - low, high - f1]),
        markersize=4.5,
        elinewidth=1.2,
        capsize=2,
        **look,
    )
    for (place, one), right in zip(by_place.items(), np.fmax(f1, high), strict=True):
        panel.annotate(
            f"{one.f1:.2f}", (right, place), (5, 0), textcoords="offset points", va="center",
            fontsize=7, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.3},
        )  # fmt: skip
