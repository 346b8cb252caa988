"""Batches with known probabilities: the probabilities by hand, estimates right on average by counting every outcome."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from tikval.stats.adaptive import (
    BatchDesign,
    DrawWeights,
    doubt,
    draw_by_probability,
    draw_weights,
    drawing_probabilities,
    recalibrated,
    uniform_share,
)
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.batch_rates import BatchSample, after, needed


def test_probabilities_by_hand() -> None:
    found = drawing_probabilities(np.array([0.0, 1.0, 3.0]), 1, 0.5)
    np.testing.assert_allclose(found, [1 / 6, 1 / 6 + 1 / 8, 1 / 6 + 3 / 8])
    capped = drawing_probabilities(np.array([0.0, 0.0, 1.0]), 2, 0.5)
    np.testing.assert_allclose(capped, [0.5, 0.5, 1.0])
    assert drawing_probabilities(np.zeros(4), 2, 0.2).tolist() == [0.5] * 4
    assert drawing_probabilities(np.ones(2), 3, 0.5).tolist() == [1, 1]


@pytest.mark.parametrize(("n", "uniform"), [(1, 0.5), (7, 0.2), (40, 0.5), (59, 0.2)])
def test_no_weight_is_above_the_cap(n: int, uniform: float) -> None:
    u = np.random.default_rng(n).beta(0.2, 3, 60)
    found = drawing_probabilities(u, n, uniform)
    assert found.sum() == pytest.approx(n)
    assert (1 / found).max() <= 60 / (uniform * n) + 1e-9
    assert found.max() <= 1 + 1e-12


def test_half_is_even_until_200_labels_have_recalibrated_the_scores() -> None:
    assert [uniform_share(n) for n in (0, 1, 199, 200)] == [1.0, 0.5, 0.5, 0.2]


def test_doubt_of_one_label_and_of_several() -> None:
    p = np.array([[0.5, 0.1], [0.1, 0.1]])
    np.testing.assert_allclose(doubt(p[:, :1]), [0.5, 0.3])
    own = 0.3 * 0.7, 0.1 * 0.9
    expected = [np.sqrt((a / own[0] + 0.09 / own[1]) / 2) for a in (0.25, 0.09)]
    np.testing.assert_allclose(doubt(p), expected)


def test_as_many_are_drawn_as_asked_each_with_its_probability() -> None:
    rng = np.random.default_rng(0)
    p, number = drawing_probabilities(rng.random(9), 4, 0.5), rng.random(9)
    starts = (np.arange(20_000) + 0.5) / 20_000
    drawn = np.array([draw_by_probability(p, number, start) for start in starts])
    assert set(drawn.sum(1).tolist()) == {4}
    np.testing.assert_allclose(drawn.mean(0), p, atol=1e-3)


TRUTH = np.array([True, False, True])


def second(labelled: Bools) -> tuple[Floats, Floats]:
    """Probabilities of a second batch, moved by the labels of the first; and what an even draw would have given."""
    likely = 0.6 if (TRUTH & labelled).any() else 0.2
    return np.where(labelled, 0.0, np.array([likely, 0.5, 1 - likely])), np.full(3, 0.4)


def draws(probability: Floats) -> Iterator[tuple[float, Bools]]:
    """Every outcome of independent draws, with how likely it is."""
    for outcome in product([False, True], repeat=len(probability)):
        drawn = np.array(outcome)
        yield float(np.where(drawn, probability, 1 - probability).prod()), drawn


def every_outcome(elsewhere: Bools) -> Iterator[tuple[float, DrawWeights, Bools]]:
    """`elsewhere`: labelled outside any batch, after the first."""
    first = np.array([0.3, 0.5, 0.2])
    for chance, drawn in draws(first):
        one = drawn | elsewhere
        probability, even = second(one)
        for chance_2, two in draws(probability):
            batch = np.where(drawn, 0, np.where(two, 1, -1))
            designs = [BatchDesign(first, first, np.zeros(3, bool)), BatchDesign(probability, even, one)]
            yield chance * chance_2, draw_weights(designs, batch, one | two), one | two


@pytest.mark.parametrize("elsewhere", [[False, False, False], [True, False, False]])
def test_the_estimate_is_right_on_average_over_all_outcomes_and_so_is_its_variance(
    elsewhere: list[bool],
) -> None:
    p = np.array([[0.7], [0.1], [0.2]])
    weights, total, square, variance, expected = np.zeros(3), 0.0, 0.0, 0.0, 0.0
    for chance, found, labelled in every_outcome(np.array(elsewhere)):
        at = np.flatnonzero(labelled)
        sample = BatchSample(p, at, TRUTH[at][:, None], found, np.arange(3))
        estimate = float(sample.phi.sum())
        weights += chance * found.weight
        total += chance * estimate
        square += chance * estimate**2
        variance += chance * float(found.factor[at] @ sample.residual[:, 0] ** 2)
        expected += chance * float(found.spread @ (TRUTH - p[:, 0]) ** 2)
    np.testing.assert_allclose(weights, 1)
    assert total == pytest.approx(TRUTH.sum())
    assert variance == pytest.approx(square - total**2)
    assert expected == pytest.approx(square - total**2)


def test_a_video_that_came_later_is_estimated_by_the_later_batch_alone() -> None:
    designs = [
        BatchDesign(np.array([0.5, 0.0]), np.array([0.5, 0.0]), np.zeros(2, bool)),
        BatchDesign(np.array([0.0, 0.25]), np.array([0.25, 0.25]), np.array([True, False])),
        BatchDesign(np.zeros(2), np.zeros(2), np.array([True, False])),
    ]
    found = draw_weights(designs, np.array([0, 1]), np.ones(2, bool))
    np.testing.assert_allclose(found.weight, [3 / 4 * 2 + 1 / 4, 4])
    assert draw_weights(designs, np.array([0, -1]), np.array([True, False])).precision[1] == pytest.approx(
        1 / 3
    )


def scored(n: int = 400) -> tuple[Floats, Bools, Ints]:
    rng = np.random.default_rng(1)
    truth = rng.random(n) < 0.3
    return np.clip(0.3 + 0.4 * truth + rng.normal(0, 0.2, n), 0, 1), truth, np.arange(n) % 5


def test_recalibrated_scores_do_not_know_their_own_label_and_say_what_is_true() -> None:
    score, truth, fold = scored()
    group, at = np.zeros(400, int), np.arange(200)
    p = recalibrated(score, group, fold, at, truth[at])
    assert p[truth].mean() > p[~truth].mean() + 0.3
    assert p.mean() == pytest.approx(truth.mean(), abs=0.05)
    other = truth[at].copy()
    other[fold[at] == 2] ^= True
    np.testing.assert_allclose(
        recalibrated(score, group, fold, at, other)[fold == 2], p[fold == 2], atol=1e-12
    )


def test_useless_and_inverted_scores_leave_the_labels_alone() -> None:
    score, truth, fold = scored()
    group = np.zeros(400, int)
    inverted = recalibrated(1 - score, group, fold, np.arange(400), truth)
    assert inverted.std() < 0.02
    same = recalibrated(np.full(400, 0.5), group, fold, np.arange(400), truth)
    assert same.mean() == pytest.approx(truth.mean(), abs=0.02)


def even_sample(size: int, labelled: int, rate: float, *, alike: bool = True) -> BatchSample:
    """A uniform draw with scores that say nothing."""
    probability = np.full(size, labelled / size)
    batch = np.where(np.arange(size) < labelled, 0, -1)
    found = draw_weights([BatchDesign(probability, probability, np.zeros(size, bool))], batch, batch >= 0)
    truth = np.arange(labelled) < rate * labelled
    cluster = np.arange(size) % 50 if alike else np.arange(size) // 40
    return BatchSample(np.full((size, 1), rate), np.arange(labelled), truth[:, None], found, cluster)


def test_how_many_more_labels_a_width_takes() -> None:
    """Of a uniform draw the variance is (1 - n/N) p (1 - p) / n, and a further one continues it."""
    sample = even_sample(4000, 200, 0.25)
    np.testing.assert_allclose(sample.draw_variance(), (1 - 200 / 4000) * 0.1875 / 200)
    np.testing.assert_allclose(after(sample, 200, 0.5).variance, (1 - 400 / 4000) * 0.1875 / 400, rtol=0.02)
    (more,) = needed(sample, 0.04, 0.5)
    assert more is not None
    assert 1.96 * np.sqrt((1 - (200 + more) / 4000) * 0.1875 / (200 + more)) == pytest.approx(0.04, abs=0.002)
    assert needed(sample, 0.2, 0.5) == [0]


def test_ten_labelled_that_have_it_before_there_is_an_interval() -> None:
    few = even_sample(4000, 90, 0.1)
    assert few.having.tolist() == [9]
    assert np.isnan(few.rates().low).all()
    assert few.rates().estimate == pytest.approx(0.1)
    assert needed(few, 0.9, 0.5) == [10], "a tenth of them will have it"
    enough = even_sample(4000, 100, 0.1).rates()
    assert (enough.low < 0.1).all()


def test_where_accounts_differ_no_number_of_labels_is_enough() -> None:
    sample = even_sample(4000, 400, 0.25, alike=False)
    assert needed(sample, 0.05, 0.5) == [0]
    assert needed(sample, 0.05, 0.5, between_K=np.array([0.05**2])) == [None]
    assert sample.between_accounts() > sample.draw_variance()
    assert sample.rates(of_accounts=True).high > sample.rates().high
