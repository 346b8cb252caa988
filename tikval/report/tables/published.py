"""The paper's Tables 3 to 6 as data (published.yaml), and Table 3 computed anew from Tables 5 and 6.

A number of the paper means nothing beside one of ours without what differs in data, prompt and model:
tikval/report/tables/differences.py names that.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import yaml

from tikval.evaluate.scores import ALL, STANCES
from tikval.stats.metrics import LabelScores, macro, weighted
from tikval.values import CONFRONTED, ENDORSED, SIGN, SLUGS

MEANS: Final = ("weighted", "macro")  # in the order of Table 3
TOLERANCE: Final = 0.02  # of Table 3 from Tables 5 and 6: all of them are printed with two digits
_NOISE: Final = 1e-9  # 0.24 - 0.22 is a little more than 0.02 in floats


class Numbers(NamedTuple):
    """The numbers of one system and label; None: blank in the paper."""

    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class PaperSystem:
    title: str  # as Table 3 names it
    model: str  # which models the paper had
    remark: str | None = None  # what to know before it is compared with


class Known(NamedTuple):
    """A number of Table 3 that does not follow from Tables 5 and 6."""

    system: str
    stance: str
    mean: str
    why: str


@dataclass(frozen=True, slots=True)
class Published:
    source: str
    videos: int  # as the paper states
    published_rows: int  # of the annotations as its authors published them
    systems: Mapping[str, PaperSystem]  # by the name that the tables below use
    counterparts: Mapping[str, str]  # name of a system of ours -> of the paper's
    starred: frozenset[str]  # labels in fewer than 5 % of the videos, by the paper's own stars
    f1: Mapping[tuple[str, str, str], float]  # Table 3, by system, stance and mean; "all" pools the stances
    movie_recall: Mapping[tuple[str, str], float]  # Table 4; "all" is the mean of the two stances
    labels: Mapping[tuple[str, str], Numbers]  # Tables 5 and 6, by system and label; none where it has NA
    exceptions: tuple[Known, ...]

    @property
    def averaged(self) -> tuple[str, ...]:
        """The 18 labels that Table 3 runs over."""
        every = [f"{slug}{sign}" for sign in SIGN.values() for slug in SLUGS]
        return tuple(label for label in every if label not in self.starred)


@functools.cache
def published() -> Published:
    """The tables as shipped with tikval."""
    tables = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    systems = {name: PaperSystem(**about) for name, about in tables["systems"].items()}
    labels = {
        (system, f"{slug}{SIGN[stance]}"): Numbers(*numbers)
        for table, stance in (("table_5", ENDORSED), ("table_6", CONFRONTED))
        for slug, triples in tables[table].items()
        # language models stand first, and alone where the paper has NA for the others
        for system, numbers in zip(systems, triples, strict=False)
    }
    places = [(stance, mean) for stance in STANCES for mean in MEANS]
    return Published(
        source=tables["source"],
        videos=tables["videos"],
        published_rows=tables["published_rows"],
        systems=systems,
        counterparts=tables["counterparts"],
        starred=frozenset(tables["starred"]),
        f1={
            (system, *place): number
            for system, numbers in tables["table_3"].items()
            for place, number in zip(places, numbers, strict=True)
        },
        movie_recall={
            (system, stance): number
            for system, numbers in tables["table_4"].items()
            for stance, number in zip(STANCES, numbers, strict=True)
        },
        labels=labels,
        exceptions=tuple(Known(**known) for known in tables["exceptions"]),
    )


@dataclass(frozen=True, slots=True)
class Check:
    """A number of Table 3, as printed and as computed from Tables 5 and 6."""

    system: str
    stance: str
    mean: str
    computed: float
    printed: float
    known: str | None  # why it is an exception

    @property
    def holds(self) -> bool:
        return abs(self.computed - self.printed) <= TOLERANCE + _NOISE


def table_3_anew(support: Mapping[str, int], paper: Published | None = None) -> list[Check]:
    """Every number of Table 3 out of Tables 5 and 6, by this project's own means over labels.

    `support`: in how many videos each label is true. Means run over the labels without a star, over those of both
    stances together for "all". An F1 that is left blank is that of its precision and recall. Raises ValueError for
    a label without a support.
    """
    paper = paper or published()
    if missing := [label for label in paper.averaged if label not in support]:
        raise ValueError(f"labels without a support: {', '.join(missing)}")
    why = {known[:3]: known.why for known in paper.exceptions}
    checks = []
    for (system, stance, mean), printed in paper.f1.items():
        signs = SIGN.values() if stance == ALL else (SIGN[stance],)
        names = [label for label in paper.averaged if label[-1] in signs]
        rows = [_whole(paper.labels[system, label]) for label in names]
        numbers_3L = np.array(rows, dtype=float).T
        counts_L = np.array([support[label] for label in names], dtype=np.int64)
        precision_L, recall_L, f1_L = numbers_3L
        scores = LabelScores(precision_L, recall_L, f1_L, counts_L)
        computed = (macro if mean == "macro" else weighted)(scores).f1
        known = why.get((system, stance, mean))
        checks.append(Check(system, stance, mean, computed, printed, known))
    return checks


def _whole(numbers: Numbers) -> tuple[float, float, float]:
    precision, recall, f1 = numbers
    assert precision is not None
    assert recall is not None
    both = precision + recall
    return precision, recall, f1 if f1 is not None else 2 * precision * recall / both if both else 0.0
