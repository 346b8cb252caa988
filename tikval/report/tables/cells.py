"""ScoreRows of any set of systems -> the cells of the paper's Tables 3 to 6, its own number beside ours.

Scores are those with failed videos left out, as the paper has it; beside them stand the bounds with all of these wrong
and all right. "All" has two readings: `all` pools both stances (the paper's in Table 3), `mean` is the mean of the two
(the paper's in Table 4). Movie precision, which the paper lacks, stands beside movie recall, which is
perfect for the predict-all baseline.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tikval.evaluate.baselines import BASELINES
from tikval.evaluate.scores import ALL, LEFT_OUT, RIGHT, STANCES, WRONG
from tikval.report.averaged import averaged_labels
from tikval.report.how_sure import Ends, ends_of
from tikval.report.tables.differences import Counterpart, counterpart_of
from tikval.report.tables.published import MEANS, Published
from tikval.rows import ScoreRow
from tikval.store.runs import SystemConfig
from tikval.values import CONFRONTED, ENDORSED, LABELS, SIGN

MEAN: Final = "mean"  # of the endorsed and the confronted number
READINGS: Final = (*STANCES, MEAN)
MOVIE: Final = "movie"
TABLE_OF: Final = {ENDORSED: 5, CONFRONTED: 6}
METRICS: Final = ("precision", "recall", "f1")

Rows = Mapping[tuple[str, str, str, str], ScoreRow]  # by system, failures, stance, label


@dataclass(frozen=True, slots=True)
class Cell:
    """One number. Raises ValueError for a number of the paper without what differs."""

    table: int
    system: str
    stance: str  # one of READINGS
    what: str  # weighted, macro, movie, or a label
    metric: str  # precision, recall or f1
    value: float | None
    ends: Ends  # of the 95 % interval
    wrong: float | None  # with all failed videos wrong
    right: float | None  # with all of them right
    support: int | None  # videos, of means labels in videos; None: a mean of the two stances
    frequent: bool | None  # of a label
    over: tuple[str, ...]  # labels of a mean
    n_scored: int
    n_videos: int
    paper: float | None = None
    computed: bool = False  # the paper's number is not printed: the mean of its two that are
    counterpart: Counterpart | None = None

    def __post_init__(self) -> None:
        if self.paper is not None and self.counterpart is None:
            raise ValueError(f"{self.system}: a number of the paper without what differs from it")


def counterparts_of(
    scores: Sequence[ScoreRow], configs: Sequence[SystemConfig], pairs: Mapping[str, str], paper: Published
) -> dict[str, Counterpart]:
    """The row of the paper that `pairs` gives each system of ours, and what differs, by the system's name.

    Scores over other values than Schwartz's 19 have none. Raises ValueError for a pair whose row the paper does not
    have.
    """
    if unknown := sorted({row for row in pairs.values() if row not in paper.systems}):
        raise ValueError(f"no row of the paper: {', '.join(unknown)}; there are {', '.join(paper.systems)}")
    if not {row["label"] for row in scores if row["frequent"] is not None} <= set(LABELS):
        return {}
    known = {config.system: config for config in configs}
    return {
        name: counterpart_of(known[name], own, pairs[name], paper)
        for name in _systems(scores)
        if name in pairs and name in known and (own := [row for row in scores if row["system"] == name])
    }


def cells_of(
    scores: Sequence[ScoreRow], counterparts: Mapping[str, Counterpart], paper: Published
) -> list[Cell]:
    """The cells of Tables 3, 4, 5 and 6 one after another, systems in the order of the scores, baselines last."""
    rows = {(row["system"], row["failures"], row["stance"], row["label"]): row for row in scores}
    systems = _systems(scores)
    cells = [cell for system in systems for cell in _table_3(rows, system, counterparts.get(system), paper)]
    cells += [cell for system in systems for cell in _table_4(rows, system, counterparts.get(system), paper)]
    labels = list(dict.fromkeys(row["label"] for row in scores if row["frequent"] is not None))
    for stance in TABLE_OF:
        for system in systems:
            cells += _per_label(rows, system, stance, labels, counterparts.get(system), paper)
    over = averaged_labels(scores)
    return [cell if cell.frequent is not None else _with_labels(cell, over[cell.system]) for cell in cells]


def _with_labels(cell: Cell, labels: Sequence[str]) -> Cell:
    """A mean with its labels, those of its stance."""
    sign = SIGN.get(cell.stance, "")
    return replace(cell, over=tuple(label for label in labels if label.endswith(sign)))


def _systems(scores: Sequence[ScoreRow]) -> list[str]:
    names = list(dict.fromkeys(row["system"] for row in scores))
    return sorted(names, key=lambda name: name in BASELINES)  # stable


def _table_3(rows: Rows, system: str, counterpart: Counterpart | None, paper: Published) -> Iterator[Cell]:
    for stance in READINGS:
        for mean in MEANS:
            theirs = None
            if counterpart and stance == MEAN:
                theirs = _mean([paper.f1.get((counterpart.row, one, mean)) for one in (ENDORSED, CONFRONTED)])
            elif counterpart:
                theirs = paper.f1.get((counterpart.row, stance, mean))
            yield _cell(3, rows, system, stance, mean, "f1", counterpart, theirs, computed=stance == MEAN)


def _table_4(rows: Rows, system: str, counterpart: Counterpart | None, paper: Published) -> Iterator[Cell]:
    for stance in READINGS:
        printed = {ENDORSED: ENDORSED, CONFRONTED: CONFRONTED, MEAN: ALL}.get(stance, "")
        theirs = paper.movie_recall.get((counterpart.row, printed)) if counterpart else None
        yield _cell(4, rows, system, stance, MOVIE, "recall", counterpart, theirs)
        yield _cell(4, rows, system, stance, MOVIE, "precision", counterpart, None)


def _per_label(
    rows: Rows,
    system: str,
    stance: str,
    labels: Sequence[str],
    counterpart: Counterpart | None,
    paper: Published,
) -> Iterator[Cell]:
    for label in labels:
        if (system, LEFT_OUT, stance, label) not in rows:
            continue  # of the other stance, or not modelled
        theirs = paper.labels.get((counterpart.row, label)) if counterpart else None
        for metric in METRICS:
            number = getattr(theirs, metric) if theirs else None
            yield _cell(TABLE_OF[stance], rows, system, stance, label, metric, counterpart, number)


def _cell(
    table: int,
    rows: Rows,
    system: str,
    stance: str,
    what: str,
    metric: str,
    counterpart: Counterpart | None,
    theirs: float | None,
    *,
    computed: bool = False,
) -> Cell:
    parts = (ENDORSED, CONFRONTED) if stance == MEAN else (stance,)

    def number(failures: str, column: str) -> float | None:
        found = [rows.get((system, failures, part, what)) for part in parts]
        return _mean([None if row is None else row[column] for row in found])  # type: ignore[literal-required]

    first = rows[system, LEFT_OUT, parts[0], what]
    has_interval = stance != MEAN and (metric == "f1" or what == MOVIE)
    return Cell(
        table=table,
        system=system,
        stance=stance,
        what=what,
        metric=metric,
        value=number(LEFT_OUT, metric),
        ends=ends_of(first, metric) if has_interval else Ends(None, None, None, None),
        wrong=number(WRONG, metric),
        right=number(RIGHT, metric),
        support=None if stance == MEAN else first["support"],
        frequent=first["frequent"],
        over=(),
        n_scored=first["n_scored"],
        n_videos=first["n_videos"],
        paper=theirs,
        computed=computed and theirs is not None,
        counterpart=counterpart if theirs is not None else None,
    )


def _mean(numbers: Sequence[float | None]) -> float | None:
    """The mean of the numbers; None where one of them is missing."""
    known = [number for number in numbers if number is not None]
    return sum(known) / len(known) if len(known) == len(numbers) else None
