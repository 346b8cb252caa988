"""Which system to use for the videos at hand: the cheapest of those that are not shown to be worse than the best.

"Shown" is what the table of comparisons shows: a difference in macro F1 whose p, corrected by Holm for all of them, is
at most 0.05. What is not shown may be there all the same; how many more labels would tell is extrapolated from the
interval at hand, whose width falls with the square root of the number of videos.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tikval.rows import ComparisonRow

ALPHA: Final = 0.05
METRIC: Final = "macro_f1"
_STEP: Final = 50  # labels, that a number of more is rounded up to
_MOST: Final = 10  # times the labels at hand: beyond, the difference is too small to be worth them


@dataclass(frozen=True)
class SystemWorth:
    """What a system is worth and what it takes, for 1,000 videos like these."""

    system: str
    macro_f1: float | None  # None: nothing is annotated, or no label is in the mean
    lower: float | None
    upper: float | None
    usd: float | None  # paid to a provider for 1,000 videos, scripts included; None: nobody knows
    hours: float | None  # for 1,000 videos as this study ran, all stages; None: not known
    languages: str
    data_go: str


@dataclass(frozen=True)
class Recommendation:
    """One system, or none, and why in sentences."""

    system: str | None
    why: tuple[str, ...]


def recommend(
    worths: Sequence[SystemWorth], rows: Sequence[ComparisonRow], baselines: Sequence[str] = ()
) -> Recommendation:
    """Recommend one of several systems from their scores and the paired differences between them."""
    scored = [worth for worth in worths if worth.macro_f1 is not None]
    if not scored:
        return _without_scores(worths)
    best = max(scored, key=lambda worth: (worth.macro_f1 or 0.0, worth.system))
    rivals = [worth for worth in scored if worth is not best and not _shown(best, worth, rows)]
    chosen = min([best, *rivals], key=lambda worth: _cost(worth, best))
    why = [_against_best(chosen, best, rows)] if chosen is not best else [_lead(best, scored, rivals)]
    if chosen is best and rivals:
        why += [_not_shown(best, rival, rows) for rival in rivals]
    why += baseline_warnings(chosen.system, rows, baselines)
    left = [worth.system for worth in worths if worth.macro_f1 is None]
    if left:
        why.append(f"not scored, and so not considered: {', '.join(left)}")
    return Recommendation(chosen.system, tuple(why))


def _without_scores(worths: Sequence[SystemWorth]) -> Recommendation:
    known = [worth for worth in worths if worth.usd is not None]
    cheapest = min(known, key=lambda worth: (worth.usd or 0.0, worth.hours or math.inf), default=None)
    told = f"the cheapest is {cheapest.system} ({money(cheapest)})" if cheapest else "no price is known"
    return Recommendation(
        None,
        (f"no system has a score, so none is recommended: {told}; label about 100 videos (tikval sample)",),
    )


def _cost(worth: SystemWorth, best: SystemWorth) -> tuple[float, float, float]:
    """What is weighed, in order: money, then time, then the score. What nobody knows counts as most."""
    usd = math.inf if worth.usd is None else round(worth.usd, 2)
    hours = math.inf if worth.hours is None else worth.hours
    return usd, hours, -(worth.macro_f1 or 0.0)


class _Pair(NamedTuple):
    row: ComparisonRow
    value: float  # a - b in macro F1, as it was asked for
    sign: int  # that turns the row's difference into it


def _pair(a: str, b: str, rows: Sequence[ComparisonRow]) -> _Pair | None:
    """The comparison of two systems; None: there is none, or it has no number."""
    for row in rows:
        if row["metric"] == METRIC and {row["system_a"], row["system_b"]} == {a, b}:
            sign = 1 if row["system_a"] == a else -1
            return None if row["difference"] is None else _Pair(row, sign * row["difference"] + 0.0, sign)
    return None


def _shown(best: SystemWorth, other: SystemWorth, rows: Sequence[ComparisonRow]) -> bool:
    """Whether `best` is shown to be better than `other`."""
    pair = _pair(best.system, other.system, rows)
    return bool(pair and pair.row["p_holm"] is not None and pair.row["p_holm"] <= ALPHA and pair.value > 0)


def _lead(best: SystemWorth, scored: Sequence[SystemWorth], rivals: Sequence[SystemWorth]) -> str:
    score = f"{best.system} has the highest macro F1 ({best.macro_f1:.2f})"
    if len(scored) == 1:
        return score
    others = len(scored) - 1 - len(rivals)
    if not rivals:
        return (
            f"{score}, and its lead over {'the other is' if others == 1 else 'each of the others is'} shown"
        )
    return f"{score}, and of those that it is not shown to be better than none is cheaper"


def _against_best(chosen: SystemWorth, best: SystemWorth, rows: Sequence[ComparisonRow]) -> str:
    cheaper = f"{money(chosen)} for 1,000 videos, {best.system} {money(best)}"
    if chosen.usd == best.usd and chosen.hours is not None and best.hours is not None:
        cheaper = f"{chosen.hours:.2g} hours for 1,000 videos, {best.system} {best.hours:.2g}"
    return f"{_not_shown(best, chosen, rows)}; {chosen.system} takes {cheaper}"


def _not_shown(best: SystemWorth, other: SystemWorth, rows: Sequence[ComparisonRow]) -> str:
    pair = _pair(best.system, other.system, rows)
    if pair is None:
        return f"{best.system} and {other.system} were not compared"
    row, ends = pair.row, (pair.row["lower"], pair.row["upper"])
    told = f"that {best.system} is better than {other.system}"
    if ends[0] is None or ends[1] is None:
        return f"{told} ({pair.value:+.3f}) is not shown: it has no interval"
    low, high = sorted((pair.sign * ends[0], pair.sign * ends[1]))
    more = _more_labels(pair.value, (high - low) / 2, row["n_videos"])
    return f"{told} ({pair.value:+.3f} [{low:+.3f}, {high:+.3f}]) is not shown; {more}"


def labels_to_tell(difference: float, half_width: float, n_videos: int) -> int | None:
    """How many more annotated videos would show a difference as large as the one found, if it is really there.

    `half_width`: of its interval over `n_videos`, which falls with the root of their number at best. None: more than
    ten times those at hand.
    """
    if abs(difference) * math.sqrt(_MOST) <= half_width:
        return None
    more = n_videos * ((half_width / abs(difference)) ** 2 - 1)
    return max(_STEP, math.ceil(more / _STEP) * _STEP)


def _more_labels(difference: float, half_width: float, n_videos: int) -> str:
    more = labels_to_tell(difference, half_width, n_videos)
    if more is None:
        return f"it would take more than {_MOST} times the {n_videos:,} labels to tell"
    return f"if it is as large as it looks, about {more:,} more labels would tell"


def baseline_warnings(system: str, rows: Sequence[ComparisonRow], baselines: Sequence[str]) -> list[str]:
    """A warning for each baseline that the system is not shown to beat."""
    notes = []
    for baseline in baselines:
        pair = _pair(system, baseline, rows)
        if pair is None:
            continue
        if pair.value <= 0:
            notes.append(
                f"it scores no better than the baseline {baseline} ({pair.value:+.3f}): do not rely on it yet"
            )
        elif pair.row["p_holm"] is None or pair.row["p_holm"] > ALPHA:
            notes.append(f"it is not shown to be better than the baseline {baseline} ({pair.value:+.3f})")
    return notes


def money(worth: SystemWorth) -> str:
    """What 1,000 videos cost, in words."""
    if worth.usd is None:
        return "a price that is not known"
    return "nothing to a provider" if worth.usd == 0 else f"{worth.usd:.2f} USD"
