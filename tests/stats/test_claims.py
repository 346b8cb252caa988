"""Tests over accounts: their numbers, what labels add to the variance, and contrasts within few accounts."""

from itertools import product
from math import inf, isnan

import numpy as np
import pytest

from tikval.stats.arrays import Floats
from tikval.stats.claims import Direction, account_means, contrast_test, labels_for_error, mean_test

A, B = np.array([0.1, 0.4, 0.3, 0.25]), np.array([0.5, 0.45, 0.7])


def test_the_tests_are_welchs_and_students() -> None:
    two = contrast_test(A, B, "differ")  # as scipy.stats.ttest_ind(A, B, equal_var=False)
    assert two.p == pytest.approx(0.03996979122419044)
    assert (two.degrees, two.estimate) == pytest.approx((4.2922548177243165, -0.2875))
    assert (two.lower, two.upper) == pytest.approx((-0.5543021876138405, -0.02069781238615931))
    one = mean_test(A, 0.2, "differ")  # as scipy.stats.ttest_1samp(A, 0.2)
    assert (one.p, one.degrees) == pytest.approx((0.3910022189557705, 3))
    assert contrast_test(A, B, "less").p == pytest.approx(two.p / 2)
    assert contrast_test(A, B, "more").p == pytest.approx(1 - two.p / 2)
    assert contrast_test(B, A, "more")[1:4] == contrast_test(A, B, "less")[1:4], "turned round"


@pytest.mark.parametrize("direction", ["more", "less", "differ"])
def test_where_nothing_varies_there_is_no_p(direction: Direction) -> None:
    same = np.full(12, 1 / 3)
    for test in (
        contrast_test(same, same + 0.1, direction),
        mean_test(same, 0.1, direction),
        mean_test(A[:1], 0.1, direction),
        contrast_test(A, B[:1], direction),
    ):
        assert isnan(test.p)
        assert isnan(test.lower)


def test_an_interval_stays_in_the_scale() -> None:
    wide = contrast_test(np.array([0.0, 1.0]), np.array([0.0, 1.0]), "differ")
    assert (wide.lower, wide.upper) == (-1, 1)


def test_values_and_their_label_variance_are_right_on_average_over_every_draw() -> None:
    truth, score = np.array([1.0, 0, 1, 0, 1, 1]), np.array([0.9, 0.4, 0.1, 0.2, 0.5, 0.8])
    pi, account = np.array([0.5, 0.2, 0.7, 0.5, 1, 0.3]), np.array([3, 3, 3, 5, 5, 8])
    inside = np.array([True] * 5 + [False])
    total, square, variance, chance = np.zeros(2), 0.0, 0.0, 0.0
    for outcome in product((False, True), repeat=6):
        drawn = np.array(outcome)
        weight, rest = drawn / pi, truth - score
        found = account_means(
            score + weight * rest, account, inside, np.where(drawn, (1 - pi) / pi**2 * rest**2, 0.0)
        )
        here = float(np.where(drawn, pi, 1 - pi).prod())
        chance += here
        total += here * found.mean
        square += here * (found.mean.mean() - (2 / 3 + 1 / 2) / 2) ** 2
        variance += here * found.label_variance
        assert (found.account.tolist(), found.videos.tolist()) == ([3, 5], [3, 2])
    assert chance == pytest.approx(1)
    np.testing.assert_allclose(total, [2 / 3, 1 / 2])
    assert variance == pytest.approx(square)


def test_a_weighted_mean_is_of_the_labelled_videos_alone() -> None:
    found = account_means(
        np.array([1.0, 0, 9]), np.zeros(3, int), np.array([True, True, False]), None, np.array([3.0, 1, 1])
    )
    assert (found.mean.tolist(), found.label_variance) == ([0.75], 0)


def test_labels_take_away_only_what_labels_add() -> None:
    # labels add 0.03 of 0.04 with 100 of 1,000 labelled, and 0.01 with 250: 0.03 (1/250 - 1/1000) / (1/100 - 1/1000)
    assert labels_for_error(0.04, 0.03, 0.02, 100, 1000) == 150
    assert labels_for_error(0.04, 0.03, 0.05, 100, 1000) == 0
    assert labels_for_error(0.04, 0.03, 0.01, 100, 1000) is None, "accounts differ by as much"
    assert labels_for_error(0.04, 0.03, 0.02, 1000, 1000) is None, "all are labelled"
    assert labels_for_error(0.04, 0.03, inf, 0, 1000) is None, "no label tells how much they add"


def test_differences_within_ten_accounts_cover_and_do_not_reject_too_often() -> None:
    """Accounts of 8 to 80 videos, errors that differ by account and period: the long form is benchmarks/claims.py."""
    rng, studies, difference = np.random.default_rng(0), 400, 0.1
    covered = rejected = 0
    for _ in range(studies):
        change = _changes(rng, 10, difference)
        test = mean_test(change, 0.0, "differ")
        covered += test.lower <= difference <= test.upper
        rejected += mean_test(change - difference, 0.0, "differ").p <= 0.05
    assert covered / studies >= 0.95 - 3 * (0.05 * 0.95 / studies) ** 0.5
    assert rejected / studies <= 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5


def _changes(rng: np.random.Generator, accounts: int, difference: float) -> Floats:
    """[G] later less earlier, corrected by the labels of half of the videos."""
    account = np.repeat(np.arange(accounts), rng.integers(8, 80, accounts))
    later = np.arange(len(account)) % 2
    rate = rng.beta(3, 7, accounts)[account] * 0.9 + difference * later
    truth = rng.random(len(account)) < rate
    hits, alarms = rng.beta(6.4, 1.6, (2, accounts)), rng.beta(0.8, 7.2, (2, accounts))
    says = rng.random(len(account)) < np.where(truth, hits[later, account], alarms[later, account])
    phi = says + 2 * (rng.random(len(account)) < 0.5) * (truth.astype(float) - says)
    sides = [account_means(phi, account, later == part).mean for part in (1, 0)]
    return np.asarray(sides[0] - sides[1])
