"""Thresholds, calibration and weights: against every threshold there is, tikval's metrics and scikit-learn."""

import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from tikval.stats.arrays import Bools, Floats
from tikval.stats.metrics import macro, prf, weighted
from tikval.stats.thresholds import (
    best_threshold,
    brier,
    ece,
    f1_macro,
    f1_weighted,
    fit_platt,
    logistic,
    logit,
    positive_weights,
    sigmoid,
)

LOOSE = np.array([1e-9, 1e-9])  # a penalty that changes nothing


def made_up(n_rows: int = 400, n_labels: int = 5, seed: int = 0) -> tuple[Floats, Bools]:
    """Scores [N, L] and labels that follow them, rarer from label to label."""
    rng = np.random.default_rng(seed)
    z_NL = rng.normal(-0.7 * np.arange(n_labels), 1.5, (n_rows, n_labels))
    return sigmoid(z_NL), rng.random((n_rows, n_labels)) < sigmoid(z_NL)


def small(draw: st.DrawFn) -> tuple[Floats, Bools]:
    n_rows, n_labels = draw(st.integers(1, 8)), draw(st.integers(1, 3))
    cells = n_rows * n_labels
    tenths = draw(st.lists(st.integers(0, 10), min_size=cells, max_size=cells))  # so that scores tie
    truth = draw(st.lists(st.booleans(), min_size=cells, max_size=cells))
    shape = n_rows, n_labels
    return np.array(tenths).reshape(shape) / 10, np.array(truth).reshape(shape)


smalls = st.composite(small)()


# thresholds


@settings(max_examples=200, deadline=None)
@given(smalls)
def test_no_threshold_is_better_than_the_global_one(case: tuple[Floats, Bools]) -> None:
    scores_NL, labels_NL = case
    if not labels_NL.any():
        with pytest.raises(ValueError, match="no label has a positive"):
            best_threshold(scores_NL, labels_NL, "global")
        return
    asked = labels_NL.any(0)

    def quality(threshold: float) -> float:
        return round(macro(prf(labels_NL[:, asked], scores_NL[:, asked] >= threshold)).f1, 9)

    (threshold,) = set(best_threshold(scores_NL, labels_NL, "global").tolist())
    candidates = np.unique(scores_NL[:, asked]).tolist()
    best = max(quality(t) for t in candidates)
    largest = max(t for t in candidates if quality(t) == best)
    assert np.array_equal(scores_NL[:, asked] >= threshold, scores_NL[:, asked] >= largest)


def test_the_threshold_stands_midway_and_predicts_least() -> None:
    scores = np.array([[0.9], [0.7], [0.3], [0.1]])
    assert best_threshold(scores, [[1], [1], [0], [0]], "global") == pytest.approx(0.5)
    # 2 of 2 hits at 0.5 is F1 1; predicting one of one: the largest
    assert best_threshold(scores, [[1], [0], [0], [0]], "global") == pytest.approx(0.8)
    # F1 2/3 at the first as at the first four: the larger threshold
    assert best_threshold(scores, [[1], [0], [0], [1]], "global") == pytest.approx(0.8)
    assert best_threshold(scores, [[1], [1], [1], [1]], "global") == pytest.approx(0.1)  # all is predicted
    below = 0.3
    for _ in range(2):  # neighbours, whose middle is one of them: the upper one once, the lower one once
        above = float(np.nextafter(below, 1))
        assert best_threshold([[above], [below]], [[True], [False]], "global") == above
        below = above


def test_the_scale_of_scores_is_nothing_to_the_global_threshold() -> None:
    scores_NL, labels_NL = made_up()
    predicted_NL = scores_NL >= best_threshold(scores_NL, labels_NL, "global")
    z_NL = logit(scores_NL)
    assert np.array_equal(predicted_NL, z_NL >= best_threshold(z_NL, labels_NL, "global"))


def test_few_positives_move_a_labels_threshold_little() -> None:
    """Eleven labels are told apart at 0.75; the scores of another are of a scale of their own."""
    scores_NL, labels_NL = np.tile(np.linspace(0.5, 1, 400), (12, 1)).T, np.zeros((400, 12), dtype=bool)
    labels_NL[200:] = True
    scores_NL[:, 2], labels_NL[:, 2] = np.linspace(0.001, 0.1, 400), False
    (every,) = set(best_threshold(scores_NL, labels_NL, "global").tolist())
    assert best_threshold(scores_NL, labels_NL, "per_label")[2] == every
    moved = []
    for positives in (1, 5, 20, 80):
        labels_NL[-positives:, 2] = True
        own = best_threshold(scores_NL[:, [2]], labels_NL[:, [2]], "global")[0]
        (every,) = set(best_threshold(scores_NL, labels_NL, "global").tolist())
        moved.append((best_threshold(scores_NL, labels_NL, "per_label")[2] - every) / (own - every))
    assert moved == pytest.approx([1 / 21, 1 / 5, 1 / 2, 4 / 5])


def test_labels_without_positives_do_not_move_the_threshold() -> None:
    scores_NL, labels_NL = made_up(n_labels=3)
    more = np.column_stack([scores_NL, np.full(400, 0.99)]), np.column_stack([labels_NL, np.zeros(400, bool)])
    assert (
        best_threshold(*more, "global")[:3].tolist()
        == best_threshold(scores_NL, labels_NL, "global").tolist()
    )


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(wrong: float) -> None:
    scores_NL, labels_NL = made_up()
    scores_NL[3, 1] = wrong
    for use in (fit_platt, brier, ece, lambda s, y: best_threshold(s, y, "global")):
        with pytest.raises(ValueError, match="1 scores are not finite"):
            use(scores_NL, labels_NL)
        with pytest.raises(ValueError, match="one shape"):
            use(scores_NL[:5], labels_NL)


def test_thresholds_of_a_study_take_no_time() -> None:
    scores_NL, labels_NL = made_up(n_rows=20_000, n_labels=38)
    start = time.perf_counter()
    best_threshold(scores_NL, labels_NL, "per_label")
    assert time.perf_counter() - start < 10  # about 0.5 s alone on a core


# F1


@settings(max_examples=100, deadline=None)
@given(smalls)
def test_f1_is_that_of_evaluation(case: tuple[Floats, Bools]) -> None:
    scores_NL, labels_NL = case
    predicted_NL = scores_NL > 0.5
    scores = prf(labels_NL, predicted_NL)
    assert f1_macro(labels_NL, predicted_NL) == pytest.approx(macro(scores).f1, nan_ok=True)
    assert f1_weighted(labels_NL, predicted_NL) == pytest.approx(weighted(scores).f1, nan_ok=True)


# weights


def test_positive_weights() -> None:
    labels_NL = np.zeros((10, 5), dtype=bool)
    for label, positives in enumerate([1, 2, 5, 8]):
        labels_NL[:positives, label] = True
    assert positive_weights(labels_NL, cap=6).tolist() == [6, 4, 1, 1, 1]
    assert positive_weights(labels_NL, cap=20).tolist() == [9, 4, 1, 1, 1]


# calibration


def test_newton_finds_scikit_learns_minimum() -> None:
    rng = np.random.default_rng(0)
    x_NF = rng.normal(size=(200, 4))
    truth_N = rng.random(200) < sigmoid(x_NF @ [1.0, -2.0, 0.0, 0.5])
    theirs = LogisticRegression(C=1 / 3, fit_intercept=False, tol=1e-10, max_iter=1000).fit(x_NF, truth_N)
    ours = logistic(x_NF, truth_N, np.full(4, 3.0), np.zeros(4))
    assert ours == pytest.approx(theirs.coef_[0], abs=1e-5)


def test_newton_ends_at_the_minimum_around_a_prior() -> None:
    rng = np.random.default_rng(0)
    x_NF, prior, penalty = rng.normal(size=(60, 2)), np.array([1.0, -2.0]), np.array([3.0, 8.0])
    truth_N = rng.random(60) < 0.5

    def loss(w: Floats) -> float:
        p_N = sigmoid(x_NF @ w)
        return float(-np.log(np.where(truth_N, p_N, 1 - p_N)).sum() + (penalty * (w - prior) ** 2).sum() / 2)

    found = logistic(x_NF, truth_N, penalty, prior)
    for step in ([0.01, 0], [-0.01, 0], [0, 0.01], [0, -0.01]):
        assert loss(found + step) > loss(found)


def test_newton_survives_separable_labels() -> None:
    x_NF = np.column_stack([np.linspace(-100, 100, 50), np.ones(50)])
    weights = logistic(x_NF, x_NF[:, 0] > 0, np.full(2, 1e-3), np.zeros(2))
    assert np.isfinite(weights).all()
    assert ((x_NF @ weights > 0) == (x_NF[:, 0] > 0)).all()


def test_platt_is_scikit_learns_without_the_pull_to_identity() -> None:
    scores_NL, labels_NL = made_up()
    distorted = sigmoid(2.5 * logit(scores_NL) + 1)
    platt = fit_platt(distorted, labels_NL, strength=1e-9)
    for label in range(labels_NL.shape[1]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # versions disagree on how to say: no penalty
            theirs = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(
                logit(distorted[:, [label]]), labels_NL[:, label]
            )
        assert platt.slope[label] == pytest.approx(theirs.coef_[0, 0], abs=1e-4)
        assert platt.offset[label] == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_platt_mends_distorted_scores_of_other_rows() -> None:
    scores_NL, labels_NL = made_up(n_rows=2000)
    distorted = sigmoid(2.5 * logit(scores_NL) + 1)
    mended = fit_platt(distorted[:1000], labels_NL[:1000]).apply(distorted[1000:])
    held = labels_NL[1000:]
    assert brier(mended, held) < brier(distorted[1000:], held) - 0.01
    assert ece(mended, held) < 0.03 < ece(distorted[1000:], held)
    by_score = np.argsort(distorted[1000:], axis=0)
    assert (np.diff(np.take_along_axis(mended, by_score, axis=0), axis=0) >= 0).all()


def test_platt_changes_little_where_there_is_little_to_learn_from() -> None:
    scores_NL, labels_NL = made_up(n_rows=6)
    strong = fit_platt(scores_NL, labels_NL, strength=1e6)
    assert strong.slope == pytest.approx(np.ones(5), abs=1e-3)
    assert strong.offset == pytest.approx(np.zeros(5), abs=1e-3)
    assert strong.apply(scores_NL) == pytest.approx(scores_NL, abs=1e-3)
    one = fit_platt(scores_NL[:1], np.zeros((1, 5), dtype=bool))
    assert (abs(one.slope - 1) < 1).all()
    assert np.isfinite(fit_platt(np.ones((4, 1)), np.zeros((4, 1), dtype=bool)).offset).all()


def test_brier_is_scikit_learns() -> None:
    scores_NL, labels_NL = made_up()
    assert brier(scores_NL, labels_NL) == pytest.approx(
        brier_score_loss(labels_NL.ravel(), scores_NL.ravel())
    )


@pytest.mark.parametrize("bins", [1, 5, 15])
def test_ece_is_that_of_scikit_learns_curve(bins: int) -> None:
    scores_NL, labels_NL = made_up(n_rows=90 * bins, n_labels=1)
    share, mean = calibration_curve(labels_NL[:, 0], scores_NL[:, 0], n_bins=bins, strategy="quantile")
    assert ece(scores_NL, labels_NL, bins) == pytest.approx(np.abs(share - mean).mean(), abs=2e-3)


def test_ece_of_known_cases() -> None:
    assert ece([0.5] * 4, [1, 0, 1, 0], bins=4) == 0  # equal scores, whatever their order
    assert ece([0.5] * 4, [0, 0, 1, 1], bins=2) == 0
    assert ece([0.0, 1.0], [1, 0]) == 1
    assert ece([0.25, 0.25, 0.75, 0.75], [0, 0, 1, 1], bins=2) == pytest.approx(0.25)
