"""How often each value is predicted, by genre and over the months: the numbers, as CSV, and drawn.

Shape letters: V values, G groups of videos (genres or months).
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tikval.report.figures.numbers import STANCES, as_csv, exact
from tikval.report.figures.style import BLUE, GREY, VERMILLION, legend, panels_of, short, wrapped
from tikval.stats.arrays import Bools, Floats
from tikval.stats.prevalence import RateLine
from tikval.values import SIGN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_GROUPS: Final = 20  # genres that are drawn: those with the most videos
MOST_VALUES: Final = 6  # that are drawn over the months
FEWEST_MONTHS: Final = 3  # for lines and bands over time
_ENOUGH: Final = "have enough videos to be shown by themselves"
_COLOUR: Final = (BLUE, VERMILLION)  # by stance
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class GroupRates:
    """In which share of each group's videos one system, or the annotations, have a label."""

    name: str
    note: str  # what the rates are not; empty for annotations
    groups: tuple[str, ...]  # [G]
    videos: tuple[int, ...]  # [G] with a result
    rate: Floats  # [2, V, G] endorsed, confronted; nan: not modelled, or no video
    low: Floats  # [2, V, G] of the 95 % interval; nan: none
    high: Floats
    why_none: tuple[str | None, ...]  # [G] why a group's rates have no interval
    small: tuple[tuple[str, int], ...] = ()  # groups that are not shown by themselves, and their videos


def rates_of(
    name: str,
    lines: Iterable[RateLine],
    slugs: Sequence[str],
    note: str = "",
    small: tuple[tuple[str, int], ...] = (),
) -> GroupRates:
    """The rates of a system's lines, groups in their order there; what is no label of `slugs` is passed over."""
    place = {
        f"{slug}{SIGN[stance]}": (s, v) for s, stance in enumerate(STANCES) for v, slug in enumerate(slugs)
    }
    kept = [line for line in lines if line.what in place]
    videos = {line.group: line.videos for line in kept}
    why = {line.group: line.why_none for line in kept}
    numbers = np.full((3, len(STANCES), len(slugs), len(videos)), np.nan)
    groups = tuple(videos)
    for line in kept:
        s, v = place[line.what]
        ends = [np.nan if end is None else end for end in (line.low, line.high)]
        numbers[:, s, v, groups.index(line.group)] = line.rate, *ends
    rate, low, high = numbers
    sizes, reasons = tuple(videos.values()), tuple(why.values())
    return GroupRates(name, note, groups, sizes, rate, low, high, reasons, small)


def genres_of(rates: GroupRates, named: Collection[str]) -> GroupRates:
    """The genres with the most videos, in their order. Raises ValueError where fewer than two are of those `named`."""
    if sum(group in named for group in rates.groups) < 2:
        raise ValueError(f"fewer than two genres {_ENOUGH}{_sizes(rates, named)}")
    most = np.argsort([-n for n in rates.videos], kind="stable")[:MOST_GROUPS]
    return _only(rates, sorted(most.tolist()))


def months_of(rates: GroupRates) -> GroupRates:
    """The months from the first to the last; one between them without enough videos is there, with nan.

    So is one right before or after them that is too small to be shown by itself, with its number of videos. Raises
    ValueError where fewer than two have enough.
    """
    known = {group: g for g, group in enumerate(rates.groups) if _MONTH.fullmatch(group)}
    if len(known) < 2:
        raise ValueError(f"fewer than two months {_ENOUGH}{_sizes(rates, known)}")
    small = dict(rates.small)
    first, last = (12 * int(month[:4]) + int(month[5:]) - 1 for month in (min(known), max(known)))
    while _month(first - 1) in small:
        first -= 1
    while _month(last + 1) in small:
        last += 1
    months = [_month(at) for at in range(first, last + 1)]
    part = _only(rates, [known.get(month, -1) for month in months])
    videos = tuple(n or small.get(month, 0) for month, n in zip(months, part.videos, strict=True))
    return replace(part, groups=tuple(months), videos=videos)


def _month(at: int) -> str:
    return f"{at // 12:04d}-{at % 12 + 1:02d}"


def _sizes(rates: GroupRates, named: Collection[str]) -> str:
    """Which groups there are, with their videos, where a chart of them would stand."""
    shown = [(g, n) for g, n in zip(rates.groups, rates.videos, strict=True) if g in named]
    named_with_sizes = [f"{group} ({n:,})" for group, n in (*shown, *rates.small)[:MOST_GROUPS]]
    return f": {', '.join(named_with_sizes)}" if named_with_sizes else ""


def too_small(rates: GroupRates) -> list[int | None]:
    """[G] the videos of each group that is too small to be shown by itself; None for the others."""
    small = dict(rates.small)
    return [small.get(group) for group in rates.groups]


def is_course(sources: Sequence[GroupRates]) -> bool:
    """Whether enough months have rates for a line and a band: two of them are two points."""
    return any(int(np.isfinite(one.rate).any((0, 1)).sum()) >= FEWEST_MONTHS for one in sources)


def most_predicted(rates: GroupRates, most: int = MOST_VALUES) -> list[int]:
    """Places of the values that are most frequent, whatever the stance; none that no video has."""
    times_V = (np.nan_to_num(rates.rate) * np.array(rates.videos)).sum((0, 2))
    order = np.argsort(-times_V, kind="stable")
    return [int(v) for v in order[:most] if times_V[v] > 0]


def _only(rates: GroupRates, at: Sequence[int]) -> GroupRates:
    """The rates of some groups; -1 stands for one without videos."""
    none = np.array(at) < 0
    rate, low, high = (np.where(none, np.nan, part[:, :, at]) for part in (rates.rate, rates.low, rates.high))
    groups = tuple("" if g < 0 else rates.groups[g] for g in at)
    videos = tuple(0 if g < 0 else rates.videos[g] for g in at)
    why = tuple(None if g < 0 else rates.why_none[g] for g in at)
    return replace(rates, groups=groups, videos=videos, rate=rate, low=low, high=high, why_none=why)


def with_values(rates: GroupRates, has_V: Bools) -> GroupRates:
    """The rates of some values."""
    rate, low, high = (part[:, has_V] for part in (rates.rate, rates.low, rates.high))
    return replace(rates, rate=rate, low=low, high=high)


def why_groups_have_none(sources: Iterable[GroupRates]) -> str:
    """Sentences on the groups whose rates have no interval, by reason; empty where all have one."""
    found: dict[str, dict[str, None]] = {}
    for one in sources:
        for group, why in zip(one.groups, one.why_none, strict=True):
            if why:
                found.setdefault(why, {})[group] = None
    return "".join(f" {', '.join(groups)}: {why}." for why, groups in found.items())


def rates_csv(sources: Iterable[GroupRates], slugs: Sequence[str], by: str) -> bytes:
    """A line per system, group and label; `by` names the column of the groups.

    A group that begins like a formula of a spreadsheet gets a quote before it.

    Empty cells: the label is not modelled, or there is no interval, and why. A group that is not shown by itself has a
    line with its size alone.
    """
    sources = list(sources)
    rates = (
        (
            *(one.name, one.note, group, one.videos[g]),
            *(slug, stance),
            *(exact(part[s, v, g]) for part in (one.rate, one.low, one.high)),
            one.why_none[g] or "",
        )
        for one in sources
        for g, group in enumerate(one.groups)
        if group not in dict(one.small)
        for v, slug in enumerate(slugs)
        for s, stance in enumerate(STANCES)
    )
    small = (
        (one.name, one.note, group, videos, "", "", "", "", "", "too few videos")
        for one in sources
        for group, videos in one.small
    )
    header = ("system", "note", by, "videos", "value", "stance", "rate", "lower", "upper", "why_none")
    return as_csv(header, chain(rates, small))


def by_genre(sources: Sequence[GroupRates], titles: Sequence[str]) -> "Figure":
    """Draw two panels a source: a row per value, a column per genre, in % of the genre's videos."""
    from matplotlib.colors import LinearSegmentedColormap

    n_groups, names = max(len(one.groups) for one in sources), [short(name, 44) for name in titles]
    width, height = max(1.8, 0.33 * n_groups + 0.3), max(1.8, 0.19 * len(names) + 1.1)
    figure, panels = panels_of(2 * len(sources), width, height, across=2, extra=1.8)
    for n, panel in enumerate(panels):
        one, s = sources[n // 2], n % 2
        percent_VG = 100 * one.rate[s]
        # one scale for a stance, so that its panels compare
        top = 100 * max(0.01, *(float(np.nan_to_num(each.rate[s]).max()) for each in sources))
        shade = LinearSegmentedColormap.from_list(STANCES[s], ["#FFFFFF", _COLOUR[s]]).with_extremes(
            bad="#EEEEEE"
        )
        panel.pcolormesh(
            np.ma.masked_invalid(percent_VG), cmap=shade, vmin=0, vmax=top, edgecolors="white", linewidth=0.5
        )
        for (v, g), percent in np.ndenumerate(percent_VG):
            text = "x" if np.isnan(percent) else f"{percent:.0f}"
            colour = "white" if percent > 0.6 * top else GREY if percent < 0.5 or text == "x" else "black"
            panel.text(g + 0.5, v + 0.5, text, ha="center", va="center", fontsize=6, color=colour)
        columns = [f"{short(name, 24)} ({size:,})" for name, size in zip(one.groups, one.videos, strict=True)]
        panel.set_xticks(
            np.arange(len(columns)) + 0.5, columns, rotation=45, ha="right", rotation_mode="anchor"
        )
        panel.set_yticks(np.arange(len(names)) + 0.5, names if s == 0 else [""] * len(names))
        panel.set_ylim(len(names), 0)
        panel.tick_params(length=0)
        for spine in panel.spines.values():
            spine.set_visible(False)
        panel.set_title(f"{_who(one, 30)}\n{STANCES[s]}, % of the genre's videos", fontsize=8)
    return figure


def by_month(sources: Sequence[GroupRates], titles: Sequence[str], values: Sequence[int]) -> "Figure":
    """Draw a row of panels a source, a panel per value: both stances, in % of the month's videos.

    With 95 % bands, of fewer than FEWEST_MONTHS months points with intervals. A month that is too small has its number
    of videos in its place.
    """
    is_line = is_course(sources)
    figure, panels = panels_of(
        len(sources) * len(values), 1.5, 1.7, across=len(values), extra=0.5, sharey=True
    )
    for n, panel in enumerate(panels):
        one, v = sources[n // len(values)], values[n % len(values)]
        at = np.arange(len(one.groups))
        for s, (marker, dash) in enumerate((("o", "-"), ("s", "--"))):
            look = {
                "color": _COLOUR[s],
                "linewidth": 1.2,
                "linestyle": dash,
                "marker": marker,
                "markersize": 2.5,
            }
            _course(panel, one, s, v, look, is_line=is_line)
        for m, n_small in enumerate(too_small(one)):
            if n_small:
                panel.annotate(
                    f"n = {n_small}", (m, 0), (0, 3), textcoords="offset points", rotation=90, ha="center",
                    fontsize=5, color=GREY,
                )  # fmt: skip
        step = -(-len(at) // 4)
        panel.set_xticks(
            at[::step], one.groups[::step], rotation=45, ha="right", rotation_mode="anchor", fontsize=6
        )
        panel.set_xlim(-0.4, len(at) - 0.6)
        panel.set_ylim(bottom=0)
        panel.set_title(wrapped(titles[v]), fontsize=7)
        panel.grid(axis="y", color="#DDDDDD", linewidth=0.5)
        if n % len(values) == 0:
            panel.set_ylabel(f"{_who(one, 20)}\n% of the month's videos", fontsize=7)
    legend(figure, panels)
    return figure


def _course(panel: "Axes", one: GroupRates, s: int, v: int, look: dict[str, Any], *, is_line: bool) -> None:
    """Draw one stance of one value over the months: a line with its band or, of few months, points with intervals."""
    at, rate, low, high = (
        np.arange(len(one.groups)),
        *(100 * part[s, v] for part in (one.rate, one.low, one.high)),
    )
    if not is_line:
        errors = np.stack([np.clip(rate - low, 0, None), np.clip(high - rate, 0, None)])
        look = {**look, "linestyle": "", "elinewidth": 1, "capsize": 2, "markersize": 4}
        panel.errorbar(at + 0.12 * s - 0.06, rate, yerr=errors, label=STANCES[s], **look)
        return
    panel.plot(at, rate, label=STANCES[s], **look)
    panel.fill_between(at, low, high, color=_COLOUR[s], alpha=0.2, linewidth=0)
    panel.vlines(at, low, high, color=_COLOUR[s], alpha=0.3, linewidth=0.8)  # of a month by itself, too


def _who(one: GroupRates, most: int) -> str:
    name = short(one.name, most)
    return f"{name}, {one.note}" if one.note else name
