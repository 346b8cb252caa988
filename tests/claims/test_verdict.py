"""Which verdict stands when: the rules of docs/claims.md, on made measurements."""

from dataclasses import replace
from typing import Any

import pytest

from tikval.claims.measured import MeasuredClaim
from tikval.claims.verdict import Grounds, Verdict, judge
from tikval.config.claims import Claim

CLAIM = Claim(label="hedonism+", group={"genre": "food"}, against={"genre": "travel"})


def measured(estimate: float | None = 0.2, **changes: Any) -> MeasuredClaim:
    one = MeasuredClaim(
        claim="c",
        way="corrected",
        system="a",
        estimate=estimate,
        error=0.05,
        degrees=20.0,
        p=0.001,
        lower=None if estimate is None else estimate - 0.1,
        upper=None if estimate is None else estimate + 0.1,
        accounts_a=12,
        accounts_b=12,
        videos_a=60,
        videos_b=60,
        labelled_a=30,
        labelled_b=30,
        positives_a=9,
        positives_b=9,
    )
    return replace(one, **changes)


def verdict(
    *others: MeasuredClaim, deciding: MeasuredClaim | None = None, claim: Claim = CLAIM, **changes: Any
) -> tuple[Verdict, str]:
    given = {"p_holm": 0.002, "alpha": 0.01, "shown_at": 1, "more_labels": None, **changes}
    return judge(Grounds(claim, deciding or measured(), others, **given))


def test_what_all_ways_agree_on_holds() -> None:
    others = [
        measured(0.1, way="raw"),
        measured(0.3, way="annotated", system=None),
        measured(0.25, system="b"),
    ]
    found, why = verdict(*others)
    assert found == Verdict.HOLDS
    assert "shown at look 1 by a, corrected: +20.0 points" in why
    assert "3 other ways" in why
    assert "1 way of measuring gave no number" in verdict(*others, measured(None, system="c"))[1]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (measured(-0.02, system="b", seed=2), "b, corrected, seed 2: points the other way (-2.0 points)"),
        (measured(0.0, way="raw"), "a, raw: points the other way"),
        (
            measured(0.05, system="b", p=0.3),
            "b, corrected: does not show it, and its interval excludes +20.0 points",
        ),
    ],
)
def test_a_claim_that_another_way_denies_depends_on_the_model(other: MeasuredClaim, reason: str) -> None:
    found, why = verdict(measured(system="c"), other)
    assert found == Verdict.DEPENDS
    assert reason in why
    assert "c, corrected" not in why


def test_another_system_that_shows_less_of_it_does_not_deny_it() -> None:
    assert verdict(measured(0.05, system="b", p=0.001))[0] == Verdict.HOLDS
    assert verdict(measured(0.15, system="b", p=0.3))[0] == Verdict.HOLDS


def test_a_claim_without_a_direction_points_where_it_was_shown() -> None:
    either = CLAIM.model_copy(update={"direction": "differ"})
    assert verdict(measured(-0.1, way="raw"), deciding=measured(-0.2), claim=either)[0] == Verdict.HOLDS
    assert verdict(measured(0.1, way="raw"), deciding=measured(-0.2), claim=either)[0] == Verdict.DEPENDS
    less = CLAIM.model_copy(update={"direction": "less"})
    assert verdict(measured(-0.1, way="raw"), deciding=measured(-0.2), claim=less)[0] == Verdict.HOLDS


@pytest.mark.parametrize(
    ("deciding", "more", "expected", "reason"),
    [
        (measured(p=0.02), 240, Verdict.TOO_FEW_LABELS, "240 more labels"),
        (measured(p=0.02), None, Verdict.TOO_FEW_ACCOUNTS, "more labels will not help"),
        (measured(0.04, p=0.2), None, Verdict.NOT_SHOWN, "chance brings about between accounts"),
        (measured(-0.2, p=0.99), None, Verdict.NOT_SHOWN, "does not point where the claim does"),
        (
            measured(p=None, why_none="3 positives", too_few="labels"),
            None,
            Verdict.TOO_FEW_LABELS,
            "3 positives",
        ),
        (
            measured(p=None, why_none="9 accounts", too_few="accounts"),
            None,
            Verdict.TOO_FEW_ACCOUNTS,
            "9 accounts",
        ),
        (measured(None, p=None, why_none="no such videos"), None, Verdict.NOT_SHOWN, "no such videos"),
    ],
)
def test_what_is_not_shown_says_what_it_lacks(
    deciding: MeasuredClaim, more: int | None, expected: Verdict, reason: str
) -> None:
    found, why = verdict(deciding=deciding, shown_at=None, p_holm=0.2, more_labels=more)
    assert found == expected
    assert reason in why


def test_labels_that_differ_are_what_more_labels_take_away() -> None:
    """The estimate is below its error, and above what would be left of it."""
    little = measured(0.04, p=0.2, label_variance=0.05**2 - 0.01**2)
    assert verdict(deciding=little, shown_at=None)[0] == Verdict.TOO_FEW_ACCOUNTS
