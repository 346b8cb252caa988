"""Numbers -> the paper's Figures 1, 2 and 4 and Schwartz's circle, as matplotlib's Figures, without pyplot.

To be called within style.styled(). Shape letters: V values.
"""

import math
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from tikval.evaluate.scores import BASELINE
from tikval.report.figures.numbers import STANCES, FigureSeries, Radar, group_arcs
from tikval.report.figures.style import (
    BLACK,
    BLUE,
    COLOURS,
    DASHES,
    GREY,
    MARKERS,
    OF_STANCE,
    legend,
    note_of,
    panels_of,
    short,
    title,
    unmodelled,
    wrapped,
)
from tikval.stats.arrays import Floats
from tikval.values import SLUGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def values_per_video(series: Sequence[FigureSeries]) -> "Figure":
    """Figure 1: a panel per system, in % of its videos; the annotations as a line in those of the others."""
    figure, panels = panels_of(len(series), 2.6, 2.2, sharey=True)
    human = next((one for one in series if one.is_human), None)
    most = max(len(one.per_video) for one in series)
    for panel, one in zip(panels, series, strict=True):
        places = np.arange(len(one.per_video))
        panel.bar(places, _percent(one), 0.9, color=GREY if one.is_human else BLUE)
        if human and one is not human:
            height = np.zeros(most)
            height[: len(human.per_video)] = _percent(human)
            panel.stairs(height, np.arange(most + 1) - 0.5, color=BLACK, label=human.name)
            panel.legend(frameon=False, loc="upper right")
        title(panel, one)
        panel.set_xlim(-0.6, max(most, 4) - 0.4)
        panel.locator_params(axis="x", integer=True, nbins=10)
        panel.set_xlabel("values of a video")
    figure.supylabel("% of videos", fontsize=8)
    if note := note_of(series):
        figure.supxlabel(note, fontsize=6)
    return figure


def occurrences(series: Sequence[FigureSeries], titles: Sequence[str]) -> "Figure":
    """Figure 2: in how many videos each value is confronted (to the left) and endorsed (to the right)."""
    names = [short(name, 44) for name in titles]
    height = max(1.6, 0.6 + 0.17 * len(names))
    figure, panels = panels_of(len(series), 2.4, height, extra=1.8, sharex=True, sharey=True)
    place_V = np.arange(len(names), dtype=float)
    most = max(1.0, *(float(np.nan_to_num(one.counts).max()) for one in series))
    for panel, one in zip(panels, series, strict=True):
        for s, sign in ((1, -1), (0, 1)):
            count_V = one.counts[s]
            bars = panel.barh(place_V, sign * np.nan_to_num(count_V), 0.8, label=STANCES[s], **OF_STANCE[s])
            texts = [f"{count:,.0f}" if count > 0 else "" for count in count_V]
            panel.bar_label(bars, texts, padding=2, fontsize=6)
            unmodelled(panel, np.full(len(names), sign * 0.04 * most), place_V, count_V)
        panel.axvline(0, color=BLACK, linewidth=0.6)
        panel.set_yticks(place_V, names)
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.set_xlim(-1.25 * most, 1.25 * most)
        panel.locator_params(axis="x", integer=True, nbins=6)
        panel.xaxis.set_major_formatter(lambda count, _: f"{abs(count):,.0f}")
        panel.spines["left"].set_visible(False)
        panel.tick_params(axis="y", length=0)
        panel.set_xlabel("videos")
        title(panel, one)
    legend(figure, panels, note_of(series))
    return figure


def radar(found: Radar, titles: Sequence[str]) -> "Figure":
    """Figure 4 for one stance: F1 of each value, a line per system; a gap where there is no F1."""
    figure, panels = panels_of(1, 6.2, 5.0, subplot_kw={"projection": "polar"})
    panel: Any = panels[0]
    counted = [f"{wrapped(name)} ({n:,})" for name, n in zip(titles, found.support, strict=True)]
    angle_V = _around(panel, counted, 1.07)
    closed = np.append(angle_V, angle_V[0])
    looks = zip(cycle(COLOURS), cycle(MARKERS), cycle(DASHES), strict=False)
    for name, f1_V in found.f1.items():
        look: dict[str, Any] = {"color": GREY, "linestyle": ":", "linewidth": 1.6, "marker": ".", "zorder": 4}
        if name != BASELINE:
            colour, marker, dashes = next(looks)
            look = {"color": colour, "marker": marker, "linestyle": dashes, "markersize": 4, "linewidth": 1.2}
        shown_name = name.replace("_", " ") if name == BASELINE else name
        panel.plot(closed, np.append(f1_V, f1_V[0]), label=shown_name, clip_on=False, **look)
    panel.set_ylim(0, 1)
    _rings(panel, [0.2, 0.4, 0.6, 0.8, 1.0], ["0.2", "0.4", "0.6", "0.8", "F1 = 1"], math.pi / len(titles))
    legend(figure, panels, f"{found.stance}; in brackets: annotated videos with the value")
    return figure


def circle(series: Sequence[FigureSeries], titles: Sequence[str]) -> "Figure":
    """Schwartz's circle: of each value the share of videos that endorse and confront it, around it the groups."""
    from matplotlib.ticker import MaxNLocator

    figure, panels = panels_of(len(series), 5.4, 4.9, 2, subplot_kw={"projection": "polar"})
    top = 100 * max(0.01, *(float(np.nan_to_num(one.shares).max()) for one in series))
    step = 2 * math.pi / len(SLUGS)
    panel: Any
    for panel, one in zip(panels, series, strict=True):
        angle_V = _around(panel, [wrapped(name) for name in titles], 1.42 * top)
        for s, side in ((0, -0.21), (1, 0.21)):
            percent_V = 100 * one.shares[s]
            at_V = angle_V + side * step
            panel.bar(at_V, np.nan_to_num(percent_V), 0.4 * step, label=STANCES[s], **OF_STANCE[s])
            unmodelled(panel, at_V, np.full(len(at_V), 0.06 * top), percent_V)
        _groups(panel, step, top)
        panel.set_ylim(0, 1.3 * top)
        panel.set_rorigin(-0.25 * top)  # room in the middle, where bars would be too thin to see
        panel.spines["inner"].set(color=GREY, linewidth=0.6)
        ticks = [float(tick) for tick in MaxNLocator(4).tick_values(0, top) if 0 < tick <= top]
        _rings(panel, ticks, [f"{tick:g} %" for tick in ticks], step / 2)
        title(panel, one, pad=42)
    legend(figure, panels, note_of(series))
    return figure


def _groups(panel: Any, step: float, top: float) -> None:
    """Draw arcs of the higher-order groups; a value on a border is half of each."""
    for name, begin, end in group_arcs(SLUGS):
        arc = np.linspace(begin + 0.06, end - 0.06, 60) * step
        panel.plot(arc, np.full(60, 1.1 * top), color=BLACK, linewidth=1.5, solid_capstyle="butt")
        middle = (begin + end) / 2 * step
        turn = -math.degrees(middle)
        turn += 180 if math.cos(middle) < 0 else 0  # never upside down
        white = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        panel.text(middle, 1.21 * top, name, rotation=turn, ha="center", va="center", fontsize=7, bbox=white)


def _around(panel: Any, labels: Sequence[str], far: float) -> Floats:
    """Write clockwise from the top: a label per value at `far`. Returns the angles [V]."""
    panel.set_theta_zero_location("N")
    panel.set_theta_direction(-1)
    panel.spines["polar"].set_visible(False)
    angle_V: Floats = np.arange(len(labels)) * 2 * math.pi / len(labels)
    panel.set_xticks(angle_V, [""] * len(labels))
    panel.grid(color="#CCCCCC", linewidth=0.5)
    panel.set_axisbelow(True)
    for angle, label in zip(angle_V, labels, strict=True):
        right, up = math.sin(angle), math.cos(angle)
        ha = "center" if abs(right) < 0.1 else "left" if right > 0 else "right"
        va = "bottom" if up > 0.9 else "top" if up < -0.9 else "center"
        panel.text(angle, far, label, ha=ha, va=va, fontsize=7)
    return angle_V


def _rings(panel: Any, ticks: Sequence[float], labels: Sequence[str], angle: float) -> None:
    """Draw circles at `ticks`, their labels above whatever is drawn."""
    panel.set_yticks(ticks, [""] * len(ticks))
    white = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.2}
    for tick, label in zip(ticks, labels, strict=True):
        panel.text(angle, tick, label, ha="center", va="center", fontsize=6, bbox=white, zorder=5)


def _percent(one: FigureSeries) -> Floats:
    return 100 * np.array(one.per_video) / one.videos
