"""Points with intervals, a row per value: what is drawn where a chart around a circle would be read from too little.

Shape letters: V values, P panels, S series of one panel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tikval.evaluate.baselines import BASELINES
from tikval.report.display import display_name
from tikval.report.figures.numbers import STANCES, FigureSeries, Radar, above_zero, exact
from tikval.report.figures.rates import GroupRates
from tikval.report.figures.style import COLOURS, GREY, MARKERS, legend, panels_of, short
from tikval.report.how_sure import Ends, ends_of
from tikval.stats.arrays import Bools, Floats
from tikval.values import SIGN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS: Final = "points"
ROUND_SUPPORT: Final = 10  # videos that half of the values must have, for a chart around a circle


@dataclass(frozen=True, slots=True)
class PointSeries:
    """One number for each value, with its interval; nan: there is none."""

    name: str
    is_plain: bool  # annotations and baselines: grey
    at: Floats  # [V]
    low: Floats  # [V]
    high: Floats  # [V]


@dataclass(frozen=True, slots=True)
class Points:
    """Panels of the same values and series."""

    of_scores: bool  # F1, else shares of videos
    panels: dict[str, list[PointSeries]]  # [P] of [S], by the stance

    @property
    def has_row(self) -> Bools:
        """[V] the values of which any number is above 0."""
        return above_zero(series.at for panel in self.panels.values() for series in panel)


def enough_for_a_circle(support: Sequence[float]) -> bool:
    """Whether at least half of the values have ROUND_SUPPORT videos."""
    return 2 * sum(videos >= ROUND_SUPPORT for videos in support) >= len(support)


def circle_has_enough(series: Sequence[FigureSeries]) -> bool:
    """The same of a circle: of every series, over the videos that endorse or confront each value."""
    return all(enough_for_a_circle(np.nan_to_num(one.counts).sum(0).tolist()) for one in series)


def points_of_rates(sources: Sequence[GroupRates]) -> Points:
    """A panel per stance, from rates of one group of videos: all."""
    return Points(
        False,
        {
            stance: [
                PointSeries(
                    one.name, not one.note, *(part[s, :, 0] for part in (one.rate, one.low, one.high))
                )
                for one in sources
            ]
            for s, stance in enumerate(STANCES)
        },
    )


def points_of_radar(found: Radar, slugs: Sequence[str]) -> Points:
    """One panel: F1 of each value, with the interval that its score has."""
    labels = [f"{slug}{SIGN[found.stance]}" for slug in slugs]
    ends = {(row["system"], row["label"]): ends_of(row) for row in found.rows}
    none = Ends(None, None, None, None)
    series = []
    for name, f1_V in found.f1.items():
        own = [ends.get((name, label), none) for label in labels]
        low_V, high_V = np.array([(one.lower, one.upper) for one in own], np.float64).T  # None is nan
        series.append(PointSeries(display_name(name), name in BASELINES, f1_V, low_V, high_V))
    return Points(True, {found.stance: series})


def points(found: Points, titles: Sequence[str]) -> "Figure":
    """Draw a panel per stance: a row per value, in it the series one below the other; hollow: no interval."""
    shown = np.flatnonzero(found.has_row)
    names = [short(titles[v], 44) for v in shown.tolist()]
    n_series = len(next(iter(found.panels.values())))
    height = max(1.8, 0.8 + max(0.2, 0.11 * n_series) * len(names))
    figure, panels = panels_of(len(found.panels), 2.6, height, extra=1.8, sharex=True, sharey=True)
    scale = 1 if found.of_scores else 100
    ends = [part for panel in found.panels.values() for one in panel for part in (one.at, one.high)]
    top = 1.0 if found.of_scores else 100 * max(0.05, float(np.nan_to_num(np.stack(ends)).max()))
    for panel, (stance, series) in zip(panels, found.panels.items(), strict=True):
        looks = zip(cycle(COLOURS), cycle(MARKERS), strict=False)
        for place, one in enumerate(series):
            colour, marker = (GREY, "D") if one.is_plain else next(looks)
            at, low, high = (scale * part[shown] for part in (one.at, one.low, one.high))
            y = np.arange(len(names)) + (place + 0.5) / n_series * 0.7 - 0.35
            errors = np.nan_to_num(np.clip(np.stack([at - low, high - at]), 0, None))
            look: dict[str, Any] = {
                "color": colour,
                "marker": marker,
                "markersize": 3.5,
                "linestyle": "",
            }
            panel.errorbar(at, y, xerr=errors, elinewidth=1, capsize=1.5, label=one.name, **look)
            none = np.isnan(low)
            panel.plot(at[none], y[none], markerfacecolor="white", zorder=3, **look)
        panel.set_yticks(np.arange(len(names)), names)
        panel.set_ylim(max(1, len(names)) - 0.4, -0.6)
        panel.set_xlim(-0.02 * top, 1.02 * top)  # room for a point at either end
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x", color="#DDDDDD", linewidth=0.5)
        panel.set_axisbelow(True)
        panel.set_xlabel("F1" if found.of_scores else "% of videos")
        panel.set_title(stance)
    legend(figure, panels)
    return figure


def points_data(found: Points, titles: Sequence[str]) -> dict[str, Any]:
    """The rows that are drawn as JSON: of each panel's series `at`, `low` and `high`, None where there is none."""
    shown = np.flatnonzero(found.has_row)
    return {
        "kind": POINTS,
        "of_scores": found.of_scores,
        "values": [titles[v] for v in shown.tolist()],
        "panels": [
            {
                "stance": stance,
                "series": [
                    {
                        "name": one.name,
                        "plain": one.is_plain,
                        **{
                            name: [exact(float(number)) for number in part[shown]]
                            for name, part in (("at", one.at), ("low", one.low), ("high", one.high))
                        },
                    }
                    for one in series
                ],
            }
            for stance, series in found.panels.items()
        ],
    }
