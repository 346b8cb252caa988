"""The verdict on one claim, of a closed list, with its reason in words. docs/claims.md has these rules as a table.

Decided by the corrected rates of one system, with Holm's correction over the family at what the look may spend. All
other ways of measuring must then point the same way.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tikval.claims.measured import MeasuredClaim
from tikval.claims.wording import way_in_words
from tikval.config.claims import Claim
from tikval.stats.limits import counted


class Verdict(StrEnum):
    HOLDS = "holds in all ways of measuring"
    DEPENDS = "depends on the model"
    NOT_SHOWN = "not shown"
    TOO_FEW_LABELS = "too few labels"
    TOO_FEW_ACCOUNTS = "too few accounts"
    NOT_DECLARED = "not declared before the look"


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a verdict rests on."""

    claim: Claim
    deciding: MeasuredClaim  # corrected, by the declared system
    others: Sequence[MeasuredClaim]  # every other way
    p_holm: float | None  # of `deciding`, over the family
    alpha: float  # that the look may spend
    shown_at: int | None  # the look that has shown it, this one or one before
    more_labels: int | None  # that are expected to show it; None: all labels would not


def judge(on: Grounds) -> tuple[Verdict, str]:
    """The verdict of a declared claim, and why."""
    if on.shown_at is not None:
        against = [line for one in (on.deciding, *on.others) if (line := _disagreement(on, one))]
        if against:
            return Verdict.DEPENDS, f"{_shown(on)}; but {'; '.join(against)}"
        silent = sum(other.estimate is None for other in on.others)
        left = f"; {counted(silent, 'way')} of measuring gave no number" if silent else ""
        return (
            Verdict.HOLDS,
            f"{_shown(on)}; {counted(len(on.others) - silent, 'other way')} of measuring: all point there{left}",
        )
    return _not_shown(on)


def _not_shown(on: Grounds) -> tuple[Verdict, str]:
    one = on.deciding
    if one.p is None or one.estimate is None:
        why = one.why_none or "no number"
        if one.too_few == "labels":
            return Verdict.TOO_FEW_LABELS, why
        if one.too_few == "accounts":
            return Verdict.TOO_FEW_ACCOUNTS, f"{why}; more labels will not help"
        return Verdict.NOT_SHOWN, why
    p = f"after Holm's correction p is {_p(on.p_holm)}, above {on.alpha:.3g}"
    if not agrees(on.claim, one.estimate, one.estimate):
        return Verdict.NOT_SHOWN, f"the estimate does not point where the claim does; {p}"
    if on.more_labels is not None:
        return (
            Verdict.TOO_FEW_LABELS,
            f"{p}; some {on.more_labels:,} more labels would show a difference as large",
        )
    if abs(one.estimate) < between_accounts(one):
        return (
            Verdict.NOT_SHOWN,
            f"{p}; the estimate is no larger than what chance brings about between accounts",
        )
    return (
        Verdict.TOO_FEW_ACCOUNTS,
        f"{p}; more labels will not help: not even labels of all videos would show a difference as large",
    )


def between_accounts(one: MeasuredClaim) -> float:
    """The standard error that would be left if all videos were labelled."""
    return math.sqrt(max((one.error or 0.0) ** 2 - (one.label_variance or 0.0), 0.0))


def agrees(claim: Claim, estimate: float | None, deciding: float | None) -> bool | None:
    """Whether a way points where the claim does; a claim without a direction points where the deciding one does."""
    if estimate is None or deciding is None:
        return None
    sign = {"more": 1.0, "less": -1.0, "differ": math.copysign(1.0, deciding)}[claim.direction]
    return sign * estimate > 0


def _name(one: MeasuredClaim) -> str:
    return way_in_words(one.way, one.system, one.sample, one.seed, one.prompt_sha)


def _disagreement(on: Grounds, other: MeasuredClaim) -> str | None:
    """How a way of measuring speaks against a claim that is shown, now; None: it does not."""
    deciding, name = on.deciding.estimate, _name(other)
    if agrees(on.claim, other.estimate, deciding) is False:
        return f"{name}: points the other way ({_points(other.estimate)})"
    if other.way != "corrected" or other.lower is None or other.upper is None or deciding is None:
        return None
    if (other.p is None or other.p > on.alpha) and not other.lower <= deciding <= other.upper:
        return f"{name}: does not show it, and its interval excludes {_points(deciding)}"
    return None


def _shown(on: Grounds) -> str:
    p = f", p {_p(on.p_holm)} after Holm's correction" if on.p_holm is not None else ""
    p += f" now, and {on.alpha:.3g} to spend" if on.p_holm is None or on.p_holm > on.alpha else ""
    return f"shown at look {on.shown_at} by {_name(on.deciding)}: {_points(on.deciding.estimate)}{p}"


def _points(estimate: float | None) -> str:
    return "no number" if estimate is None else f"{100 * estimate:+.1f} points"


def _p(p: float | None) -> str:
    return "-" if p is None else "below 0.001" if p < 0.001 else f"{p:.3f}"
