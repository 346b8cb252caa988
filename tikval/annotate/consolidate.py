"""Two independent annotators and a third who resolves their discrepancies (the paper's section 3.2) as one.

Annotations of all three -> one table of annotations, which a catalog reads.
"""

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from tikval.annotate.agreement import put_csv
from tikval.config import UserError
from tikval.rows import LabelRow
from tikval.spreadsheet import csv_of

ANNOTATOR: Final = "consolidated"  # as the published annotations are read
_NAMED: Final = 5  # ids in a message
AGREED: Final = "agreed"  # all gave one stance
ONE_CODER: Final = "one coder only"
NEITHER: Final = "third as neither"
UNDECIDED: Final = "undecided"
ONE_ANNOTATOR: Final = "annotated by one of the two only"
NO_THIRD: Final = "the two differ, and the third did not annotate it"

Answer = TypeVar("Answer", int, str)
Stances = Mapping[str, Sequence[int | None]]  # [V] codes of each video that one annotator annotated


def letter(place: int) -> str:
    """What stands for the name of the coder in a place: A, B, ..."""
    return string.ascii_uppercase[place] if place < len(string.ascii_uppercase) else str(place + 1)


def as_coder(place: int) -> str:
    return f"third as {letter(place)}"


def decide_stance(answers: Sequence[Answer | None], third: Answer | None) -> tuple[Answer | None, str]:
    """The answer on one cell, and where it came from: all coders alike, one coder only, the third, or undecided.

    Answers are compared as coded: endorsed and dominant differ. None is no answer, and nobody agrees with it.
    """
    first = answers[0] if answers else None
    if first is not None and all(answer == first for answer in answers):
        return first, AGREED if len(answers) > 1 else ONE_CODER
    if third is None:
        return None, UNDECIDED
    return third, as_coder(answers.index(third)) if third in answers else NEITHER


class Consolidated(NamedTuple):
    stances: dict[str, list[int]]  # of each video that could be decided
    decided: dict[str, int]  # cells (a value of a video), by where their stance came from
    left_out: dict[str, str]  # every other video of the two, and why


def consolidate_stances(first: Stances, second: Stances, third: Stances) -> Consolidated:
    """The stance on each value of each video: what the first two agree on, else what the third coded.

    A video is left out whole where it cannot be decided, since a cell without a stance would read as absent. Videos of
    the third alone are none of this.
    """
    done: dict[str, list[int]] = {}
    decided: Counter[str] = Counter()
    undecided: dict[str, str] = {}
    for video in dict.fromkeys([*first, *second]):
        if video not in first or video not in second:
            undecided[video] = ONE_ANNOTATOR
            continue
        judge = third.get(video, [None] * len(first[video]))
        cells = [decide_stance((a, b), c) for a, b, c in zip(first[video], second[video], judge, strict=True)]
        codes = [code for code, _ in cells if code is not None]
        if len(codes) < len(cells):
            undecided[video] = NO_THIRD
            continue
        done[video] = codes
        decided.update(origin for _, origin in cells)
    return Consolidated(done, dict(decided), undecided)


def consolidate_rows(
    rows: Sequence[LabelRow], third: str, two: Sequence[str]
) -> tuple[Consolidated, tuple[str, str]]:
    """What became of the annotations, and the first two annotators; `two` may be left out where there are no others.

    Raises UserError for an unknown annotator, for two that are not two, and where nothing could be consolidated.
    """
    names = list(dict.fromkeys(row["annotator"] for row in rows))
    for name in (third, *two):
        if name not in names:
            raise UserError(f"{name}: no such annotator; there are {', '.join(sorted(names))}")
    first_two = list(two) or [name for name in names if name != third]
    if len(set(first_two)) != 2 or len(first_two) != 2 or third in first_two:
        raise UserError(
            f"two annotators besides {third} are needed, not {', '.join(first_two) or 'none'}: "
            "name them with --annotator, twice"
        )
    coded = coded_by_all(rows, (*first_two, third))
    first, second, judge = (
        {row["video_id"]: [row["stances"][v] for v in coded] for row in rows if row["annotator"] == name}
        for name in (*first_two, third)
    )
    done = consolidate_stances(first, second, judge)
    if not done.stances:
        raise UserError(f"nothing to consolidate: {left_out(done)}")
    return done, (first_two[0], first_two[1])


def coded_by_all(rows: Sequence[LabelRow], names: Sequence[str]) -> list[int]:
    """Places of the values that each of these annotators has a stance on in any video. Raises UserError for none."""
    mine = [[row["stances"] for row in rows if row["annotator"] == name] for name in names]
    coded = [
        v
        for v in range(len(mine[0][0]))
        if all(any(stances[v] is not None for stances in of_one) for of_one in mine)
    ]
    if not coded:
        raise UserError(f"{', '.join(names)}: have no value in common that they annotated")
    return coded


def left_out(done: Consolidated) -> str:
    """Videos that could not be decided, by reason."""
    reasons = []
    for reason, n in Counter(done.left_out.values()).most_common():
        ids = [video for video, why in done.left_out.items() if why == reason]
        reasons.append(f"{n} {reason} ({', '.join(ids[:_NAMED])}{', ...' if n > _NAMED else ''})")
    return "; ".join(reasons) or "no video was annotated by either of the two"


def summary_of(done: Consolidated, two: tuple[str, str], third: str) -> str:
    """How many values of videos were decided how."""
    counts = Counter(done.decided)
    total = counts.total()
    return (
        f"{len(done.stances)} videos, {total:,} stances: {counts[AGREED]:,} ({counts[AGREED] / total:.1%}) agreed on; "
        f"{third} coded as {two[0]} in {counts[as_coder(0)]:,}, as {two[1]} in {counts[as_coder(1)]:,}, "
        f"as neither in {counts[NEITHER]:,}"
    )


def write_consolidated(
    done: Consolidated, rows: Sequence[LabelRow], slugs: Sequence[str], file: Path
) -> None:
    """Write the plain form of annotations over the values `slugs`, which a catalog reads."""
    accounts = {row["video_id"]: row["account"] for row in rows if row["account"]}
    drawn = {row["video_id"]: row["probability"] for row in rows if row["probability"] is not None}
    head = ["video_id", "account", "annotator", *(["probability"] if drawn else []), *slugs]
    lines = [
        [
            *(video, accounts.get(video, ""), ANNOTATOR),
            *([drawn.get(video, "")] if drawn else []),
            *stances,
        ]
        for video, stances in done.stances.items()
    ]
    put_csv(file, csv_of([head, *lines]))
