"""The numbers of the figures as JSON, for charts on a web page: those of the CSV, and human-readable titles.

Made from the same numbers as the CSV; nan is None. `kind` names which chart it is. No ids and no accounts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from tikval.evaluate.attrition import Attrition
from tikval.evaluate.scores import BASELINE
from tikval.report.display import display_name
from tikval.report.figures.attrition import losses_at, step_names
from tikval.report.figures.numbers import STANCES, FigureSeries, Radar, exact, group_arcs
from tikval.report.figures.pipelines import PipelineStep
from tikval.report.figures.points import POINTS
from tikval.report.figures.rates import GroupRates, is_course, too_small
from tikval.report.figures.style import RAW
from tikval.report.figures.systems import SystemScore, predict_everything_score
from tikval.stats.arrays import Floats

Data = dict[str, Any]

PER_VIDEO, OCCURRENCES, RADAR, CIRCLE, PIPELINES, SYSTEMS, GENRES, MONTHS, ATTRITION, _ = KINDS = (
    "per_video",
    "occurrences",
    "radar",
    "circle",
    "pipelines",
    "systems_f1",
    "genres",
    "months",
    "attrition",
    POINTS,
)
_TIMES: Final = ("rate", "low", "high")


def per_video_data(series: Sequence[FigureSeries]) -> Data:
    """One series per system, whose `counts` are of videos with 0, 1, 2 ... values."""
    return {
        "kind": PER_VIDEO,
        "note": _note(series),
        "series": [{**_of(one), "counts": list(one.per_video)} for one in series],
    }


def occurrences_data(series: Sequence[FigureSeries], titles: Sequence[str]) -> Data:
    """One series per system: by stance the number of videos for each of `values`."""
    return {
        "kind": OCCURRENCES,
        "note": _note(series),
        "values": list(titles),
        "series": [{**_of(one), **_stances(one.counts)} for one in series],
    }


def circle_data(series: Sequence[FigureSeries], titles: Sequence[str], slugs: Sequence[str]) -> Data:
    """One series per system: by stance the share of the videos, from 0 to 1; `groups` as numbers.group_arcs."""
    return {
        "kind": CIRCLE,
        "note": _note(series),
        "values": list(titles),
        "groups": [{"name": name, "begin": begin, "end": end} for name, begin, end in group_arcs(slugs)],
        "series": [{**_of(one), **_stances(one.shares)} for one in series],
    }


def radar_data(found: Radar, titles: Sequence[str]) -> Data:
    return {
        "kind": RADAR,
        "stance": found.stance,
        "videos": found.videos,
        "values": list(titles),
        "support": list(found.support),
        "series": [
            {"name": display_name(name), "baseline": name == BASELINE, "f1": _plain(f1_V)}
            for name, f1_V in found.f1.items()
        ],
    }


def systems_data(found: Sequence[SystemScore]) -> Data:
    """The systems, the best one first; `everything` is the score of the predict-all baseline."""
    return {
        "kind": SYSTEMS,
        "everything": predict_everything_score(found),
        "systems": [
            {
                "name": one.title,
                "baseline": one.is_baseline,
                "f1": one.f1,
                "lower": one.ends.lower,
                "upper": one.ends.upper,
                "videos": one.videos,
                "scored": one.scored,
            }
            for one in found
        ],
    }


def genres_data(sources: Sequence[GroupRates], titles: Sequence[str]) -> Data:
    """One source per system: by stance and value the share of each genre's videos, from 0 to 1."""
    return {
        "kind": GENRES,
        "values": list(titles),
        "sources": [
            {
                "name": one.name,
                "note": one.note,
                "genres": list(one.groups),
                "videos": list(one.videos),
                **_stances(one.rate),
            }
            for one in sources
        ],
    }


def months_data(sources: Sequence[GroupRates], titles: Sequence[str], values: Sequence[int]) -> Data:
    """One source per system: by stance rate, low and high in each month, from 0 to 1, of the most frequent `values`."""
    return {
        "kind": MONTHS,
        "lines": is_course(sources),
        "values": [titles[v] for v in values],
        "sources": [
            {
                "name": one.name,
                "note": one.note,
                "months": list(one.groups),
                "videos": list(one.videos),
                "small": too_small(one),
                **{
                    stance: [
                        {name: _plain(part[s, v]) for name, part in zip(_TIMES, _parts(one), strict=True)}
                        for v in values
                    ]
                    for s, stance in enumerate(STANCES)
                },
            }
            for one in sources
        ],
    }


def pipelines_data(found: Mapping[str, Sequence[PipelineStep]]) -> Data:
    return {
        "kind": PIPELINES,
        "systems": [
            {
                "name": name,
                "steps": [{"what": step.what, "model": step.model, "how": step.how} for step in steps],
            }
            for name, steps in found.items()
        ],
    }


def attrition_data(found: Attrition) -> Data:
    """The steps from listed to annotated; `lost`: why posts do not reach a step, and how many."""
    return {
        "kind": ATTRITION,
        "steps": [
            {
                "name": name,
                "posts": found.total.reached[place],
                "lost": [{"why": why, "posts": posts} for why, posts in losses_at(found, place)],
            }
            for place, name in enumerate(step_names(found))
        ],
    }


def _of(one: FigureSeries) -> Data:
    return {"name": one.name, "human": one.is_human, "videos": one.videos}


def _note(series: Sequence[FigureSeries]) -> str:
    return "" if all(one.is_human for one in series) else RAW


def _parts(one: GroupRates) -> tuple[Floats, Floats, Floats]:
    return one.rate, one.low, one.high


def _stances(numbers: Floats) -> Data:
    """The numbers [2, ...] by the name of their stance."""
    return {stance: _plain(part) for stance, part in zip(STANCES, numbers, strict=True)}


def _plain(numbers: Floats) -> list[Any]:
    """Lists of numbers as in the CSV, nan as None."""
    return [exact(float(part)) if np.ndim(part) == 0 else _plain(part) for part in numbers]
