"""Annotators -> a table of agreement: who is compared with whom, coded how, over which values.

Codings: `binary` (each label present or absent; the endorsed, the confronted, and all), `three_way` (confronted,
absent, endorsed) and `dominance` (the same, with dominant apart from endorsed).
"""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from tikval.annotate.annotators import ABSENT, Annotators, VideoAnnotation
from tikval.config import UserError
from tikval.evaluate.scores import ALL
from tikval.files import write_bytes
from tikval.spreadsheet import csv_of
from tikval.stats.agreement import COEFFICIENTS, MISSING, AgreementLine, Codes, Coefficient, agreement_of
from tikval.stats.arrays import Bools
from tikval.stats.footnotes import Footnotes
from tikval.stats.limits import few_accounts
from tikval.values import CONFRONTED, ENDORSED, SIGN

Coding = Literal["binary", "three_way", "dominance"]
CATEGORIES: Final[dict[Coding, int]] = {"binary": 2, "three_way": 3, "dominance": 4}
MAX_PAIRS: Final = (
    45  # of more than ten annotators only all together are compared, and each with the baseline
)
COLUMNS: Final = (
    "annotators",
    "raters",
    "baseline",
    "coding",
    "stance",
    "value",
    "videos",
    "accounts",
    "cells",
    "chance",
)

_WITH_INTERVAL: Final = COEFFICIENTS[1:]  # in the table that is printed; the first one has its in the CSV


class AgreementRow(NamedTuple):
    names: tuple[str, ...]  # compared
    coding: Coding
    stance: str  # endorsed or confronted, of binary labels; else all
    value: str  # a slug, or all
    videos: int  # that two annotators or more annotated
    line: AgreementLine

    @property
    def title(self) -> str:
        return " & ".join(self.names) if len(self.names) < 4 else f"all {len(self.names)}"

    @property
    def of(self) -> str:
        """What was judged, in one word: all, endorsed, a value, or a label."""
        return self.stance if self.value == ALL else f"{self.value}{SIGN.get(self.stance, '')}"

    @property
    def note(self) -> str:
        """Why a number is not there."""
        if not self.line.cells:
            return "no cell in common"
        return "one category only" if math.isnan(self.line.coefficients["alpha"].value) else ""

    @property
    def whys(self) -> list[str | None]:
        """The reason against an interval of each coefficient that is shown with one; None where it has one."""
        shown = (self.line.coefficients[name] for name in _WITH_INTERVAL)
        return [number.why_none for number in shown if not math.isnan(number.value)]


def compared_groups(annotators: Annotators, against: str | None) -> list[tuple[str, ...]]:
    """Names compared together: all of them, each pair, and each one with the baseline without any label.

    `against` an annotator: each other one with that one, which alone is compared with the baseline. Raises UserError
    for an unknown annotator and for fewer than two.
    """
    names = list(annotators.annotations)
    if not names:
        raise UserError("the tables hold no annotations")
    if against == ABSENT:
        return [(name, ABSENT) for name in names]
    if against is not None:
        annotators.check(against)
    if len(names) < 2:
        raise UserError(
            f"one annotator only ({names[0]}): give another table, --systems OUT, or --against {ABSENT}"
        )
    if against is not None:
        return [*((name, against) for name in names if name != against), (against, ABSENT)]
    pairs = list(itertools.combinations(names, 2))
    together = [tuple(names)] if len(names) > 2 else []
    return [*together, *(pairs if len(pairs) <= MAX_PAIRS else []), *((name, ABSENT) for name in names)]


def agreement_rows(
    annotators: Annotators,
    compared: Sequence[tuple[str, ...]],
    codings: Sequence[Coding],
    *,
    by_value: bool = False,
) -> list[AgreementRow]:
    """What `compared_rows` gives. Raises UserError where no two annotators who annotated anything have a video in
    common.
    """
    rows = compared_rows(annotators, compared, codings, by_value=by_value)
    wanted = [row for row in rows if ABSENT not in row.names] or rows
    several = sum(map(bool, annotators.annotations.values())) > 1  # a system may have failed for every video
    if several and not any(row.line.cells for row in wanted):
        raise UserError(f"no video in common ({', '.join(codings)}): {', '.join(annotators.annotations)}")
    return rows


def compared_rows(
    annotators: Annotators,
    compared: Sequence[tuple[str, ...]],
    codings: Sequence[Coding],
    *,
    by_value: bool = False,
) -> list[AgreementRow]:
    """Agreement of each group of names in each coding, pooled over the values, and of each value if asked for.

    Intervals come from a jackknife over accounts; a video without one stands alone.
    """
    videos = sorted({video for videos in annotators.annotations.values() for video in videos})
    owners = [annotators.accounts.get(video) for video in videos]
    keys = [
        f"account {owner}" if owner else f"video {video}" for owner, video in zip(owners, videos, strict=True)
    ]
    clusters_N = np.unique(np.array(keys), return_inverse=True)[1]
    rows = []
    for coding in codings:
        codes = {name: _codes(annotators, name, videos, coding) for name in annotators.annotations}
        where, pools_PV = _pools(annotators.slugs, coding, by_value)
        made = [_rows(names, codes, clusters_N, coding, where, pools_PV) for names in compared]
        rows += [row for of_one_pool in zip(*made, strict=True) for row in of_one_pool]
    return rows


def _rows(
    names: tuple[str, ...],
    codes: dict[str, Codes],
    clusters_N: NDArray[np.int64],
    coding: Coding,
    where: Sequence[tuple[str, str]],
    pools_PV: Bools,
) -> list[AgreementRow]:
    n_categories, absent = CATEGORIES[coding], _absent(coding)
    first = codes[names[0]]
    nothing = np.where(first == MISSING, np.int8(MISSING), np.int8(absent))
    codes_RNV = np.stack([nothing if name == ABSENT else codes[name] for name in names])
    rated_RN = (codes_RNV != MISSING).any(2)
    here = rated_RN.any(0)
    _, clusters = np.unique(clusters_N[here], return_inverse=True)  # those of these videos, numbered anew
    lines = agreement_of(codes_RNV[:, here], n_categories, absent, pools_PV, clusters)
    videos = int((rated_RN.sum(0) > 1).sum())
    return [AgreementRow(names, coding, *at, videos, line) for at, line in zip(where, lines, strict=True)]


def _absent(coding: Coding) -> int:
    """The category that stands for it."""
    return 0 if coding == "binary" else 1


def _codes(annotators: Annotators, name: str, videos: Sequence[str], coding: Coding) -> Codes:
    """[N, V], or [N, L] of binary labels, as categories: a label's truth, or the stance + 1."""
    annotations = annotators.annotations[name]
    n_items = len(annotators.slugs) * (2 if coding == "binary" else 1)
    codes = np.full((len(videos), n_items), MISSING, dtype=np.int8)
    for n, video in enumerate(videos):
        if video in annotations:
            codes[n] = [
                MISSING if x is None else x + _absent(coding) for x in _coded(annotations[video], coding)
            ]
    return codes


def _coded(annotation: VideoAnnotation, coding: Coding) -> Sequence[int | None]:
    return {
        "binary": annotation.labels,
        "three_way": annotation.three_way,
        "dominance": annotation.with_dominance,
    }[coding]


def _pools(slugs: Sequence[str], coding: Coding, by_value: bool) -> tuple[list[tuple[str, str]], Bools]:
    """(stance, value) of each pool and the items in it, [P, V] or [P, L]."""
    every, one = np.ones((1, len(slugs)), dtype=bool), np.eye(len(slugs), dtype=bool)
    if coding != "binary":
        single = [(ALL, slug) for slug in slugs]
        return [(ALL, ALL), *(single if by_value else [])], np.concatenate(
            [every, one[: len(slugs) * by_value]]
        )
    both = np.array([[True, True], [True, False], [False, True]])  # all labels, endorsed, confronted
    single = [(stance, slug) for stance in (ENDORSED, CONFRONTED) for slug in slugs]
    pooled = [(stance, ALL) for stance in (ALL, ENDORSED, CONFRONTED)]
    by_label = np.eye(2 * len(slugs), dtype=bool)[: 2 * len(slugs) * by_value]
    return [*pooled, *(single if by_value else [])], np.concatenate([np.kron(both, every), by_label])


def show_agreement(rows: Sequence[AgreementRow], console: Console, of: Sequence[str] | None = None) -> None:
    """Print coefficients with their 95 % intervals, and below them why any is missing.

    `of`: what is judged, for each row; else as `AgreementRow.of` has it.
    """
    head = (
        "coding",
        "of",
        "annotators",
        "videos",
        "accounts",
        "cells",
        "same",
        "AC1",
        "alpha",
        "kappa",
        "positive",
    )
    table, footnotes = Table(*head), Footnotes(why for row in rows for why in row.whys)
    if notes := any(row.note for row in rows):
        table.add_column("note")
    for row, what in zip(rows, of or [row.of for row in rows], strict=True):
        same, *others = (row.line.coefficients[name] for name in COEFFICIENTS)
        counts = (f"{row.videos:,}", f"{row.line.clusters:,}", f"{row.line.cells:,}", _number(same))
        cells = [row.coding, what, row.title, *counts, *(_with_interval(one, footnotes) for one in others)]
        table.add_row(*cells, *([row.note] if notes else []))
    console.print(table)
    accounts = [row.line.clusters for row in rows if None in row.whys]
    for line in [*footnotes.lines, few_accounts(min(accounts)) if accounts else None]:
        if line:
            console.print(f"* {line}")


def write_agreement_csv(rows: Sequence[AgreementRow], file: Path) -> None:
    """One line per comparison, coding and pool, numbers in full. Raises UserError where it cannot be written."""
    put_csv(file, csv_of(agreement_lines(rows)))


def agreement_lines(rows: Sequence[AgreementRow]) -> list[list[object]]:
    """The table of `write_agreement_csv`: its head, and a line for each row."""
    numbers = [f"{name}{end}" for name in COEFFICIENTS for end in ("", "_low", "_high")]
    lines: list[list[object]] = [[*COLUMNS, *numbers, "no_interval", "note"]]
    for row in rows:
        title, absent = " & ".join(row.names), ABSENT in row.names
        about = [title, len(row.names), absent, row.coding, row.stance, row.value, row.videos]
        found = [row.line.coefficients[name] for name in COEFFICIENTS]
        estimates = [number for one in found for number in (one.value, one.low, one.high)]
        cells = ["" if math.isnan(number) else number for number in (row.line.expected, *estimates)]
        lines.append([*about, row.line.clusters, row.line.cells, *cells, _reasons(found), row.note])
    return lines


def put_csv(file: Path, text: str) -> None:
    """Write a CSV file. Raises UserError for another name, and where it cannot be written."""
    if file.suffix != ".csv":
        raise UserError(f"{file}: the name must end in .csv")
    try:
        write_bytes(str(file), text.encode())
    except OSError as err:
        raise UserError(f"{file}: cannot be written ({err.strerror})") from err


def _reasons(found: Sequence[Coefficient]) -> str:
    """Why coefficients of a line have no interval; those of only some are named."""
    names: dict[str, list[str]] = {}
    for name, one in zip(COEFFICIENTS, found, strict=True):
        if one.why_none:
            names.setdefault(one.why_none, []).append(name)
    shown = sum(not math.isnan(one.value) for one in found)
    return "; ".join(
        why if len(some) == shown else f"{', '.join(some)}: {why}" for why, some in names.items()
    )


def _number(estimate: Coefficient) -> str:
    return "-" if math.isnan(estimate.value) else f"{estimate.value:.3f}"


def _with_interval(estimate: Coefficient, footnotes: Footnotes) -> str:
    ends = "" if math.isnan(estimate.low) else f"[{estimate.low:.3f}, {estimate.high:.3f}]"
    return f"{_number(estimate)} {ends or footnotes.mark(estimate.why_none)}".strip()
