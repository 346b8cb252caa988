"""When no interval is given, in which words; and Student's t against tables."""

import numpy as np
import pytest

from tikval.stats.limits import (
    effective_groups,
    few_accounts,
    lowest_swap_p,
    why_no_interval,
    why_no_interval_of_label,
)
from tikval.stats.student import t_critical, t_two_sided


def sizes(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=np.float64)


@pytest.mark.parametrize(
    ("videos", "reason"),
    [
        ((), "0 accounts: too few for an interval"),
        ((9, 0, 0), "1 account: too few for an interval"),
        ((4, 4, 4, 2, 0), "4 accounts: too few for an interval"),
        ((50, 1, 1, 1, 1), "most videos lie in so few of the 5 accounts that they count as 1.2: "
                           "too few for an interval"),
        ((1, 1, 1, 1, 1), None),
    ],
)  # fmt: skip
def test_too_few_accounts_have_no_interval(videos: tuple[int, ...], reason: str | None) -> None:
    assert why_no_interval(sizes(*videos)) == reason


def test_too_few_positives_have_no_interval() -> None:
    assert "fewer than 5 videos" in (why_no_interval_of_label(4, 4) or "")
    assert "of one account" in (why_no_interval_of_label(5, 1) or "")
    assert why_no_interval_of_label(5, 2) is None


def test_few_accounts_are_named() -> None:
    assert few_accounts(14) == "a few accounts decide this: 14"
    assert few_accounts(15) is None


def test_accounts_are_worth_what_kish_says() -> None:
    assert effective_groups(sizes(3, 3, 3, 0)) == 3
    assert effective_groups(sizes(4, 2)) == pytest.approx(36 / 20)
    assert effective_groups(sizes()) == 0


def test_the_floor_of_a_swap_test() -> None:
    assert [lowest_swap_p(n) for n in range(7)] == [1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125]


@pytest.mark.parametrize(
    ("degrees", "critical"),
    [(1, 12.706205), (2, 4.302653), (2.5, 3.574655), (3, 3.182446), (14, 2.144787), (90.2, 1.986615)],
)  # 2.5 and 90.2 from scipy.stats.t
def test_students_t_is_that_of_tables(degrees: float, critical: float) -> None:
    assert t_critical(degrees) == pytest.approx(critical, abs=1e-6)
    assert t_two_sided(critical, degrees) == pytest.approx(0.05, abs=1e-6)
    assert t_two_sided(-critical, degrees) == pytest.approx(0.05, abs=1e-6)


def test_students_t_without_a_degree_says_nothing() -> None:
    assert t_critical(0) == float("inf")
    assert t_two_sided(0, 3) == 1
