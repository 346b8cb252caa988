"""Two independent annotators and a third who resolves their discrepancies (the paper's section 3.2) as one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

AGREED: Final = "agreed"  # the first two gave one stance
WITH_FIRST, WITH_SECOND = "with_first", "with_second"  # they did not, and the third said as one of them
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
    """Per value of each video: what the first two agree on, else what the third says.

    Stances are compared as coded: endorsed and dominant differ. A video is left out whole where it cannot be decided,
    since a cell without a stance would read as absent. Videos of the third alone are none of this.
    """
    stances: dict[str, list[int]] = {}
    decided: Counter[str] = Counter(dict.fromkeys(DECISIONS, 0))
    left_out: dict[str, str] = {}
    for video in dict.fromkeys([*first, *second]):
        if video not in first or video not in second:
            left_out[video] = ONE_ANNOTATOR
            continue
        a, b = first[video], second[video]
        if list(a) != list(b) and video not in third:
            left_out[video] = NO_THIRD
            continue
        judge = third.get(video, a)  # asked for nothing where the two are the same
        stances[video] = [x if x == y else z for x, y, z in zip(a, b, judge, strict=True)]
        decided.update(_decision(x, y, z) for x, y, z in zip(a, b, judge, strict=True))
    return Consolidated(stances, dict(decided), left_out)


def _decision(first: int, second: int, third: int) -> str:
    if first == second:
        return AGREED
    return {first: WITH_FIRST, second: WITH_SECOND}.get(third, WITH_NEITHER)
