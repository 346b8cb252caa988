"""Numbers -> sheets: a figure with its name, its title, what it shows, and its numbers for a file and for the web."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tikval.codebook import Codebook
from tikval.evaluate.attrition import Attrition
from tikval.evaluate.prevalence import small_groups
from tikval.report.figures import charts as draw
from tikval.report.figures import data as web
from tikval.report.figures.attrition import funnel, steps_csv
from tikval.report.figures.numbers import (
    FigureSeries,
    Radar,
    above_zero,
    circle_csv,
    occurrences_csv,
    per_video_csv,
    radar_csv,
)
from tikval.report.figures.pipelines import PipelineStep, pipelines, pipelines_csv
from tikval.report.figures.rates import (
    GroupRates,
    by_genre,
    by_month,
    rates_csv,
    why_groups_have_none,
    with_values,
)
from tikval.report.figures.systems import SystemScore, has_intervals, scored_csv, systems_f1
from tikval.report.how_sure import HowSure
from tikval.stats.arrays import Bools
from tikval.stats.limits import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Sheet:
    """One figure to be drawn."""

    name: str  # of its files
    title: str  # human-readable
    shows: str  # one sentence, and then how sure its numbers are
    systems: tuple[str, ...]
    draw: "Callable[[], Figure]"  # to be called within style.styled()
    numbers: bytes  # CSV
    data: dict[str, Any]  # the same for a chart on a web page: JSON, see data.py


def titles_of(book: Codebook) -> list[str]:
    return [value.title for value in book.values]


def per_video_sheet(series: Sequence[FigureSeries]) -> Sheet:
    return Sheet(
        "figure1_values_per_video",
        "Values per video",
        "How many values a video has, endorsed or confronted, in % of the videos of each panel "
        "(the paper's Figure 1).",
        _names(series),
        partial(draw.values_per_video, series),
        per_video_csv(series),
        web.per_video_data(series),
    )


def occurrences_sheet(series: Sequence[FigureSeries], book: Codebook) -> Sheet:
    """Values that no series has in any video have no row; the numbers have them."""
    has_V = above_zero([part_V for one in series for part_V in one.counts])
    drawn = [replace(one, counts=one.counts[:, has_V]) for one in series]
    titles = [title for title, has in zip(titles_of(book), has_V, strict=True) if has]
    return Sheet(
        "figure2_occurrences",
        "Values endorsed and confronted",
        f"In how many videos each value is endorsed and confronted (the paper's Figure 2).{not_drawn(has_V)}",
        _names(series),
        partial(draw.occurrences, drawn, titles),
        occurrences_csv(series, book.slugs),
        web.occurrences_data(drawn, titles),
    )


def circle_sheet(series: Sequence[FigureSeries], book: Codebook) -> Sheet:
    return Sheet(
        "circle",
        "Schwartz's circle",
        "Schwartz's circle: the share of videos that endorse and confront each value, within the four "
        "higher-order groups; a value on a border belongs to both of its groups.",
        _names(series),
        partial(draw.circle, series, titles_of(book)),
        circle_csv(series, book.slugs),
        web.circle_data(series, titles_of(book), book.slugs),
    )


def attrition_sheet(found: Attrition) -> Sheet:
    return Sheet(
        "attrition_steps",
        "From listed to annotated",
        "How many of the listed posts could be reached, were downloaded, could be read and have a result"
        f"{f' of {found.system}' if found.system else ''}, and behind each bar what was lost since the step before; "
        "where posts are annotated, how many of those with a result are.",
        (found.system,) if found.system else (),
        partial(funnel, found),
        steps_csv(found),
        web.attrition_data(found),
    )


def pipelines_sheet(found: Mapping[str, Sequence[PipelineStep]]) -> Sheet:
    return Sheet(
        "figure3_pipelines",
        "From videos to values",
        "The steps of each system and the models that took them, from the videos to the values, as its "
        "configuration states (the paper's Figure 3).",
        tuple(found),
        partial(pipelines, found),
        pipelines_csv(found),
        web.pipelines_data(found),
    )


def radar_sheet(found: Radar, book: Codebook) -> Sheet:
    return Sheet(
        f"figure4_radar_{found.stance}",
        f"F1 of each value {found.stance}",
        f"F1 of each value {found.stance}, a line per system over {found.videos:,} annotated videos, failed ones left "
        "out, and what predicting everything would score (the paper's Figure 4); in brackets how many videos have "
        "it, a gap where there is no F1 (the paper draws 0).",
        tuple(found.f1),
        partial(draw.radar, found, titles_of(book)),
        radar_csv(found),
        web.radar_data(found, titles_of(book)),
    )


def systems_sheet(found: Sequence[SystemScore]) -> Sheet:
    sure = HowSure(one.ends for one in found).caption({one.title: one.ends for one in found})
    return Sheet(
        "systems_f1",
        "Macro F1 of the systems",
        f"Macro F1 of each system{' with its 95 % interval' * has_intervals(found)}, over the averaged labels that it "
        "models, endorsed and confronted, failed videos left out; baselines in grey, and what predicting everything "
        f"scores as a line. {sure}".strip(),
        tuple(one.name for one in found),
        partial(systems_f1, found),
        scored_csv(found),
        web.systems_data(found),
    )


def genres_sheet(sources: Sequence[GroupRates], book: Codebook) -> Sheet:
    has_V = above_zero([part_V for one in sources for part_VG in one.rate for part_V in part_VG.T])
    drawn = [with_values(one, has_V) for one in sources]
    titles = [title for title, has in zip(titles_of(book), has_V, strict=True) if has]
    return Sheet(
        "prevalence_genre",
        "Values by genre",
        "In which share of each genre's videos a value is endorsed and confronted."
        f"{not_drawn(has_V)}{_small(sources)}",
        tuple(one.name for one in sources),
        partial(by_genre, drawn, titles),
        rates_csv(sources, book.slugs, "genre"),
        web.genres_data(drawn, titles),
    )


def months_sheet(sources: Sequence[GroupRates], book: Codebook, values: Sequence[int]) -> Sheet:
    return Sheet(
        "prevalence_month",
        "Values over time",
        "In which share of each month's videos the most frequent values are endorsed and confronted"
        f"{', with 95 % intervals' if any(np.isfinite(one.low).any() for one in sources) else ''}; the numbers are of "
        f"all values.{why_groups_have_none(sources)}{_small(sources)}",
        tuple(one.name for one in sources),
        partial(by_month, sources, titles_of(book), values),
        rates_csv(sources, book.slugs, "month"),
        web.months_data(sources, titles_of(book), values),
    )


def not_drawn(shown_V: Bools) -> str:
    """A sentence on the values without a row."""
    n = int((~shown_V).sum())
    return f" Not drawn: {counted(n, 'value')} of which nothing is above 0." if n else ""


def _small(sources: Sequence[GroupRates]) -> str:
    """A sentence on the groups that are not shown by themselves."""
    small = dict(pair for one in sources for pair in one.small)
    return f" Not by themselves: {small_groups([*small.items()])}." if small else ""


def _names(series: Sequence[FigureSeries]) -> tuple[str, ...]:
    return tuple(one.name for one in series)
