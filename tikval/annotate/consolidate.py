"""Two independent annotators and a third who resolves their discrepancies (the paper's section 3.2) as one.

Annotations of all three -> one table of annotations, which a catalog reads.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tikval.annotate.agreement import put_csv
from tikval.config import UserError
from tikval.rows import LabelRow
from tikval.spreadsheet import csv_of

ANNOTATOR: Final = "consolidated"  # as the published annotations are read
_NAMED: Final = 5  # ids in a message
AGREED: Final = "agreed"  # the first two gave one stance
WITH_FIRST, WITH_SECOND = "with_first", "with_second"  # they did not, and the third coded as one of them
WITH_NEITHER: Final = "with_neither"
DECISIONS: Final = (AGREED, WITH_FIRST, WITH_SECOND, WITH_NEITHER)
ONE_ANNOTATOR: Final = "annotated by one of the two only"
NO_THIRD: Final = "the two differ, and the third did not annotate it"

Stances = Mapping[str, Sequence[int]]  # [V] codes of each video that one annotator annotated


class Consolidated(NamedTuple):
    stances: dict[str, list[int]]  # of each video that could be decided
    decided: dict[str, int]  # cells (a value of a video), by DECISIONS
    left_out: dict[str, str]  # every other video of the two, and why


def consolidate_stances(first: Stances, second: Stances, third: Stances) -> Consolidated:
    """The stance on each value of each video: what the first two agree on, else what the third coded.

    Stances are compared as coded: endorsed and dominant differ. A video is left out whole where it cannot be decided,
    since a cell without a stance would read as absent. Videos of the third alone are none of this.
    """
    stances: dict[str, list[int]] = {}
    decided: Counter[str] = Counter(dict.fromkeys(DECISIONS, 0))
    undecided: dict[str, str] = {}
    for video in dict.fromkeys([*first, *second]):
        if video not in first or video not in second:
            undecided[video] = ONE_ANNOTATOR
            continue
        a, b = first[video], second[video]
        if list(a) != list(b) and video not in third:
            undecided[video] = NO_THIRD
            continue
        judge = third.get(video, a)  # asked for nothing where the two are the same
        stances[video] = [x if x == y else z for x, y, z in zip(a, b, judge, strict=True)]
        decided.update(_decision(x, y, z) for x, y, z in zip(a, b, judge, strict=True))
    return Consolidated(stances, dict(decided), undecided)


def _decision(first: int, second: int, third: int) -> str:
    if first == second:
        return AGREED
    return {first: WITH_FIRST, second: WITH_SECOND}.get(third, WITH_NEITHER)


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
        {row["video_id"]: [row["stances"][v] or 0 for v in coded] for row in rows if row["annotator"] == name}
        for name in (*first_two, third)
    )
    done = consolidate_stances(first, second, judge)
    if not done.stances:
        raise UserError(f"nothing to consolidate: {left_out(done)}")
    return done, (first_two[0], first_two[1])


def coded_by_all(rows: Sequence[LabelRow], names: Sequence[str]) -> list[int]:
    """Places of the values that all of these annotators looked for in all their videos. Raises UserError for none."""
    mine = [row["stances"] for row in rows if row["annotator"] in names]
    coded = [v for v in range(len(mine[0])) if all(stances[v] is not None for stances in mine)]
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
    counts = done.decided
    total = sum(counts.values())
    return (
        f"{len(done.stances)} videos, {total:,} stances: {counts[AGREED]:,} ({counts[AGREED] / total:.1%}) agreed on; "
        f"{third} coded as {two[0]} in {counts[WITH_FIRST]:,}, as {two[1]} in {counts[WITH_SECOND]:,}, "
        f"as neither in {counts[WITH_NEITHER]:,}"
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
