"""Rates of a corpus, raw and corrected: against recomputation and simulation."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from tikval.stats import prevalence
from tikval.stats.arrays import Floats, Ints
from tikval.stats.limits import FEWEST_ACCOUNTS, effective_groups
from tikval.stats.prevalence import (
    FEWEST,
    ClusterSums,
    RateSample,
    RateSums,
    Target,
    corrected_rates,
    rate_sums,
    ratio,
    raw_rates,
)
from tikval.stats.selection import selection_gaps
from tikval.stats.student import t_critical

TARGETS: tuple[Target, ...] = ("corpus", "accounts")


def small(seed: int = 0) -> tuple[Floats, Ints, Ints, Floats]:
    """predicted [N, 3], clusters [N], annotated places and their truth."""
    rng = np.random.default_rng(seed)
    cluster = rng.permutation(np.repeat(np.arange(12), rng.integers(1, 9, 12)))
    predicted = rng.random((len(cluster), 3)).round(1)
    labelled = np.sort(rng.choice(len(cluster), len(cluster) // 2, replace=False))
    return predicted, cluster, labelled, (rng.random((len(labelled), 3)) < 0.5).astype(float)


def test_sums_over_clusters() -> None:
    predicted, cluster, labelled, truth = small()
    sums = rate_sums(predicted, cluster, labelled, truth)
    for c in range(12):
        assert sums.videos[c] == (cluster == c).sum()
        assert sums.labelled[c] == (cluster[labelled] == c).sum()
        np.testing.assert_allclose(sums.predicted[:, :][c], predicted[cluster == c].sum(0))
    order = np.argsort(cluster[labelled], kind="stable")
    np.testing.assert_allclose(sums.sample.predicted, predicted[labelled][order])
    np.testing.assert_allclose(sums.sample.true, truth[order])
    with pytest.raises(ValueError, match="annotated with"):
        rate_sums(predicted, cluster, labelled, truth[1:])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_sums_that_are_made_when_asked_for_give_the_same_numbers(
    seed: int, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted, cluster, labelled, truth = small(seed)
    weight = (np.arange(len(cluster)) % 3 + 1).astype(float) if weighted else None
    plain = rate_sums(predicted > 0.4, cluster, labelled, truth, None, weight)
    monkeypatch.setattr(prevalence, "_MOST_NUMBERS", 0)
    asked = rate_sums(predicted > 0.4, cluster, labelled, truth, None, weight)
    assert isinstance(asked.predicted, ClusterSums)
    mixed, reach = np.array([[1.0, 0], [-1, 0.5], [0, -2]]), np.array([1.0, 2.5])
    two = np.array([2, 0])
    for a, b in ((plain, asked), (plain.only(two), asked.only(two))):
        np.testing.assert_allclose(raw_rates(a), raw_rates(b))
        np.testing.assert_allclose(selection_gaps(a), selection_gaps(b))
        for target in TARGETS:
            np.testing.assert_allclose(corrected_rates(a, target), corrected_rates(b, target))
    a, b = plain.times(mixed), asked.times(mixed)
    np.testing.assert_allclose(raw_rates(a, reach), raw_rates(b, reach))
    for target in TARGETS:
        np.testing.assert_allclose(corrected_rates(a, target, reach), corrected_rates(b, target, reach))


def test_errors_are_those_of_leaving_each_cluster_out() -> None:
    predicted, cluster, labelled, truth = small()
    sums = rate_sums(predicted, cluster, labelled, truth)
    reach = np.full(3, 2.0)
    found = raw_rates(sums, reach)
    without = np.array([predicted[cluster != c].mean(0) for c in range(12)])
    error = np.sqrt(11 / 12 * ((without - predicted.mean(0)) ** 2).sum(0))
    np.testing.assert_allclose(found.estimate, predicted.mean(0))
    t = t_critical(effective_groups(sums.videos) - 1)
    np.testing.assert_allclose(found.high - found.estimate, t * error)

    def estimate(keep: Ints, power: Floats) -> Floats:
        here = np.isin(labelled, np.flatnonzero(keep))
        rows = labelled[here]
        out: Floats = truth[here].mean(0) + power * (
            predicted[keep.astype(bool)].mean(0) - predicted[rows].mean(0)
        )
        return out

    mended = corrected_rates(sums, reach=reach)
    every = np.ones(len(cluster), int)
    human, whole = estimate(every, np.zeros(3)), estimate(every, np.ones(3))
    power = (mended.estimate - human) / (whole - human)
    assert ((power >= -1e-9) & (power <= 1 + 1e-9)).all()

    def error_of(power: Floats) -> Floats:
        left = np.array([estimate((cluster != c).astype(int), power) for c in range(12)])
        out: Floats = np.sqrt(11 / 12 * ((left - estimate(every, power)) ** 2).sum(0))
        return out

    t = t_critical(effective_groups(sums.labelled) - 1)
    np.testing.assert_allclose(mended.high - mended.estimate, t * error_of(power))
    for other in np.linspace(0, 1, 21):  # no other power is better
        assert (error_of(power) <= error_of(np.full(3, other)) + 1e-12).all()


def test_a_perfect_system_has_all_videos_to_go_by_and_a_useless_one_none() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((4000, 1)) < 0.3
    cluster = np.arange(4000)
    labelled = np.arange(200)
    human = raw_rates(rate_sums(truth[:200], cluster[:200], labelled, truth[:200]))
    for predicted, share in ((truth, 0.05), (rng.random((4000, 1)) < 0.3, 1.0)):
        found = corrected_rates(rate_sums(predicted, cluster, labelled, truth[:200]))
        width = (found.high - found.low) / (human.high - human.low)
        assert width[0] ** 2 == pytest.approx(share, rel=0.15)
    found = corrected_rates(rate_sums(truth, cluster, labelled, truth[:200]))
    np.testing.assert_allclose(found.estimate, truth.mean(), rtol=1e-3)


def test_where_all_are_annotated_the_annotator_decides() -> None:
    predicted, cluster, _, _ = small()
    truth = (np.random.default_rng(5).random(predicted.shape) < 0.5).astype(float)
    found = corrected_rates(rate_sums(predicted, cluster, np.arange(len(predicted)), truth))
    np.testing.assert_allclose(found.estimate, truth.mean(0))


def test_nobody_has_it() -> None:
    """No variance is seen, but a share of 0 in 10 accounts is not known to be 0."""
    found = raw_rates(
        rate_sums(np.zeros((40, 1)), np.repeat(np.arange(10), 4), np.zeros(0, int), np.zeros((0, 1)))
    )
    assert found.estimate[0] == found.low[0] == 0
    assert 0.2 < found.high[0] < 0.4


def test_one_design_effect_for_the_shares_of_a_table() -> None:
    """err² n / p (1 - p) of each, weighed by p (1 - p); a share's own where that is larger."""
    sums = table(15, 3)
    n, worth = sums.videos.sum(), effective_groups(sums.videos)
    share, error = ratio(sums.predicted, sums.videos)
    spread = share * (1 - share)
    seen = spread > 0
    own = np.where(seen, error**2 * n / np.where(seen, spread, 1), 0)
    pooled = min(max((spread * own).sum() / spread.sum(), 1), n / worth)
    a = t_critical(worth - 1) ** 2 * np.maximum(own, pooled) / n
    high = (share + a / 2 + np.sqrt(a * (spread + a / 4))) / (1 + a)
    found = raw_rates(sums)
    np.testing.assert_allclose(found.high, high)
    assert (own > pooled).any()
    assert (own < pooled).any()


def table(accounts: int, seed: int, concentration: float = 4) -> RateSums:
    """38 labels, rare and frequent, of accounts with some 9 videos; nothing is annotated."""
    rng = np.random.default_rng(seed)
    rates = np.geomspace(0.002, 0.5, 38)
    videos = np.maximum(1, rng.poisson(9, accounts))
    shares = rng.beta(concentration * rates, concentration * (1 - rates), (accounts, 38))
    none = RateSample(np.zeros(0, int), np.zeros((0, 38)), np.zeros((0, 38)), None)
    return RateSums(videos.astype(float), rng.binomial(videos[:, None], shares).astype(float), none)


@pytest.mark.parametrize("accounts", [5, 6, 8, 15, 30, 91])
def test_what_nobody_has_has_no_higher_upper_end_than_what_somebody_has(accounts: int) -> None:
    for seed in range(50):
        found = raw_rates(table(accounts, seed))
        nobody = found.estimate == 0
        if nobody.any() and not np.isnan(found.high).any():
            assert found.high[nobody].max() <= found.high[~nobody].min()
            assert found.high[nobody].min() == found.high[nobody].max(), "one design effect a column"


@pytest.mark.parametrize("accounts", [1, 2, 3, 4])
def test_fewer_than_five_accounts_have_no_interval(accounts: int) -> None:
    sums = table(accounts, 1)
    for found in (raw_rates(sums), raw_rates(sums, np.ones(38))):
        assert not np.isnan(found.estimate).any()
        assert np.isnan([found.low, found.high]).all()


def test_most_videos_in_a_few_of_many_accounts_have_no_interval() -> None:
    """G* < 4: nine accounts, two of which have nearly everything."""
    videos = np.array([200, 200, 3, 3, 3, 3, 3, 3, 3.0])
    none = RateSample(np.zeros(0, int), np.zeros((0, 1)), np.zeros((0, 1)), None)
    found = raw_rates(RateSums(videos, videos[:, None] / 3, none))
    assert np.isnan(found.high).all()


def test_no_interval_of_a_few_accounts_is_narrow() -> None:
    for seed in range(100):
        found = raw_rates(table(5 + seed % 4, seed))
        assert np.isnan(found.high).all() or (found.high - found.low).min() > 0.01


def test_measures_stay_within_their_reach() -> None:
    rng = np.random.default_rng(0)
    score = rng.choice([-2.0, 2.0], (5, 20))
    found = raw_rates(rate_sums(score, np.arange(5), np.zeros(0, int), np.zeros((0, 20))), np.full(20, 2.0))
    given = ~np.isnan(found.low)
    assert ((found.low >= -2) & (found.high <= 2))[given].all()
    assert (found.low == -2)[given].any()
    assert (found.high == 2)[given].any()


def test_too_little_to_correct() -> None:
    cluster, labelled = np.arange(40) % 10, np.arange(40)
    for having in (FEWEST - 1, FEWEST, 40 - FEWEST, 40 - FEWEST + 1):
        truth = (np.arange(40) < having).astype(float)[:, None]
        for target in TARGETS:
            found = corrected_rates(rate_sums(truth, cluster, labelled, truth), target)
            assert np.isnan(found.estimate[0]) == (not FEWEST <= having <= 40 - FEWEST)
    only = np.flatnonzero(cluster == 3)
    one = corrected_rates(rate_sums(np.ones((40, 1)), cluster, only, np.array([[0.0], [0], [1], [1]])))
    assert np.isnan(one.estimate).all()


@pytest.mark.filterwarnings("error")
def test_a_label_that_no_annotated_video_has_divides_nothing_by_zero() -> None:
    cluster, labelled = np.arange(60) % 10, np.arange(30)
    predicted = (np.arange(60) % 7 == 0).astype(float)[:, None]
    for share in (0, 1):
        for target in TARGETS:
            found = corrected_rates(
                rate_sums(predicted, cluster, labelled, np.full((30, 1), float(share))), target
            )
            assert np.isnan(found).all()


def test_means_that_are_no_shares() -> None:
    """Without any variance, or with few annotated accounts, no interval is made up."""
    score, cluster, reach = np.full((40, 1), 0.25), np.arange(40) % 10, np.ones(1)
    flat = rate_sums(score, cluster, np.arange(20), score[:20])
    for found in (raw_rates(flat, reach), corrected_rates(flat, reach=reach)):
        assert found.estimate[0] == pytest.approx(0.25)
        assert np.isnan([found.low[0], found.high[0]]).all()
    few = np.flatnonzero(cluster < FEWEST_ACCOUNTS - 1)
    assert np.isnan(corrected_rates(rate_sums(score, cluster, few, score[few]), reach=reach).estimate).all()


def test_of_this_corpus_what_is_annotated_is_known() -> None:
    """Each annotated video more makes the interval of this corpus shorter, until nothing is left to estimate."""
    rng = np.random.default_rng(4)
    truth = rng.random((400, 1)) < 0.3
    guessed = truth ^ (rng.random((400, 1)) < 0.2)
    cluster, order = np.arange(400) % 40, rng.permutation(400)
    widths = []
    for n in (50, 100, 200, 399):
        rows = order[:n]
        found = corrected_rates(rate_sums(guessed, cluster, rows, truth[rows]), "corpus")
        widths.append(float(found.high[0] - found.low[0]))
        # se² = (1 - m/N) var(true - power · guessed) / m
        rest = (
            truth[rows, 0]
            - np.polyfit(guessed[rows, 0], truth[rows, 0].astype(float), 1)[0] * guessed[rows, 0]
        )
        error = np.sqrt((1 - n / 400) * rest.var(ddof=1) / n)
        p = truth[rows].mean()
        a = t_critical(n - 1) ** 2 * error**2 / (p * (1 - p))
        at = found.estimate[0]
        assert widths[-1] == pytest.approx(2 * np.sqrt(a * (at * (1 - at) + a / 4)) / (1 + a), rel=1e-6)
    assert widths == sorted(widths, reverse=True)
    every = corrected_rates(rate_sums(guessed, cluster, np.arange(400), truth), "corpus")
    assert every.estimate[0] == pytest.approx(truth.mean())
    assert np.isnan(every.low[0]), "counted, not estimated"


@pytest.mark.parametrize("target", ["corpus", "accounts"])
def test_weights_undo_a_choice_by_genre(target: Target) -> None:
    """60 of 100 annotated videos from one genre of four, in which a label is more frequent."""
    biased, fair = list[float](), list[float]()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        cluster = np.arange(2000) % 100
        of_genre = cluster % 4 == 3
        truth = rng.random((2000, 1)) < np.where(of_genre, 0.6, 0.2)[:, None]
        guessed = truth ^ (rng.random((2000, 1)) < 0.1)
        rows = np.concatenate(
            [
                rng.choice(np.flatnonzero(of_genre == some), n, replace=False)
                for some, n in ((True, 60), (False, 40))
            ]
        )
        probability = np.where(of_genre[rows], 60 / 500, 40 / 1500)
        for found, weights in ((biased, None), (fair, probability)):
            sums = rate_sums(guessed, cluster, rows, truth[rows], weights)
            found.append(corrected_rates(sums, target).estimate[0] - truth.mean())
    assert np.mean(biased) > 0.02
    assert abs(np.mean(fair)) < 0.01


def test_weights_that_are_all_the_same_change_no_estimate() -> None:
    predicted, cluster, labelled, truth = small()
    share = np.full(len(labelled), len(labelled) / len(predicted))
    for target in TARGETS:
        plain, weighted = (
            corrected_rates(rate_sums(predicted > 0.5, cluster, labelled, truth, p), target)
            for p in (None, share)
        )
        np.testing.assert_allclose(plain.estimate, weighted.estimate)
        np.testing.assert_allclose(plain.high, weighted.high)


def simulated(seed: int, rate: float, of_whole_accounts: bool) -> tuple[RateSums, Floats]:
    """50 small corpora of the same accounts: rates, hits and false alarms differ from account to account."""
    rng = np.random.default_rng(seed)
    sizes = np.maximum(1, rng.lognormal(np.log(12), 0.6, 80).astype(int))
    account, width = np.repeat(np.arange(80), sizes), 50
    shares, hits = rng.beta(rate * 4, (1 - rate) * 4, (80, width)), rng.beta(8, 2, (80, width))
    alarms = rng.beta(1, 9, (80, width))
    truth = rng.random((len(account), width)) < shares[account]
    predicted = rng.random(truth.shape) < np.where(truth, hits[account], alarms[account])
    if of_whole_accounts:
        labelled = np.flatnonzero(np.isin(account, rng.choice(80, 30, replace=False)))
    else:
        labelled = rng.choice(len(account), len(account) // 3, replace=False)
    expected = np.full(width, rate * 0.8 + (1 - rate) * 0.1)
    return rate_sums(predicted, account, labelled, truth[labelled]), expected


@pytest.mark.parametrize("of_whole_accounts", [False, True])
@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_intervals_cover_what_they_should_in_500_corpora(rate: float, of_whole_accounts: bool) -> None:
    drawn = [simulated(seed, rate, of_whole_accounts) for seed in range(10)]
    predicted, mended = [raw_rates(sums) for sums, _ in drawn], [corrected_rates(sums) for sums, _ in drawn]

    def covered(intervals: Iterable[Any], targets: Iterable[Any]) -> float:
        return float(
            np.mean(
                [(each.low <= at) & (at <= each.high) for each, at in zip(intervals, targets, strict=True)]
            )
        )

    assert 0.92 < covered(predicted, [expected for _, expected in drawn]) < 0.98
    assert 0.92 < covered(mended, [rate] * 10) < 0.98
    biased, fair = (np.mean([each.estimate for each in some]) - rate for some in (predicted, mended))
    assert abs(fair) < 0.005
    assert biased == pytest.approx(0.1 - 0.3 * rate, abs=0.01)  # false alarms, less what is missed
    if rate == 0.1:
        assert covered(predicted, [rate] * 10) < 0.1, "who does not correct is sure of a wrong rate"


def test_intervals_that_ignore_accounts_are_too_narrow() -> None:
    drawn = [simulated(seed, 0.3, False) for seed in range(10)]
    hits = []
    for sums, expected in drawn:
        share = sums.predicted.sum(0) / sums.videos.sum()
        half = 1.96 * np.sqrt(share * (1 - share) / sums.videos.sum())
        hits.append(np.abs(share - expected) <= half)
    assert np.mean(hits) < 0.85
