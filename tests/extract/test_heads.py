"""Heads on sentence vectors: what they learn, and when they leave the zero-shot answer alone."""

import numpy as np
import pytest

from tikval.extract.heads import FittedHeads, f1_thresholds, fit_heads
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.metrics import macro, prf

N, D, L = 300, 24, 4


def made(seed: int = 0, *, planted: bool = True, n: int = N) -> tuple[Floats, Floats, Bools]:
    """Vectors, zero-shot scores that know a little, and truth; planted: the vectors know the rest."""
    random = np.random.RandomState(seed)
    vectors_ND = random.standard_normal((n, D)) / np.sqrt(D)
    weights_DL = 8 * np.random.RandomState(99).standard_normal((D, L)) / np.sqrt(D)
    hint_NL = random.standard_normal((n, L))
    odds_NL = (4 * vectors_ND @ weights_DL if planted else 0) + hint_NL - 1.5
    truth_NL = random.uniform(size=(n, L)) < 1 / (1 + np.exp(-odds_NL))
    base_NL = 0.05 / (1 + np.exp(-hint_NL))
    return vectors_ND, base_NL, truth_NL


def fitted(vectors: Floats, base: Floats, truth: Floats | Bools, groups: Ints | None = None) -> FittedHeads:
    groups_N = np.arange(len(vectors)) if groups is None else groups
    return fit_heads(vectors, base, truth.astype(float), groups_N, folds=5, seed=0)


def f1(truth: Bools, predicted: Bools) -> float:
    return macro(prf(truth, predicted)).f1


def test_a_planted_head_is_learnt_and_its_out_of_fold_score_is_that_of_new_rows() -> None:
    found = fitted(*made())
    vectors, base, truth = made(1, n=2000)
    new = f1(truth, found.heads.scores(vectors, base) >= found.heads.thresholds)
    alone = f1(truth, base >= np.median(base))
    assert new > alone + 0.1
    assert f1(made()[2], found.decisions_NL) == pytest.approx(new, abs=0.06)
    assert found.heads.has_head.all()


def test_vectors_that_know_nothing_leave_the_order_of_the_zero_shot_scores() -> None:
    found = fitted(*made(planted=False))
    assert found.heads.penalty >= 3
    vectors, base, _ = made(1, planted=False)
    scores = found.heads.scores(vectors, base)
    for label in range(L):
        assert np.corrcoef(np.log(base[:, label]), np.log(scores[:, label]))[0, 1] > 0.9


def test_labels_without_any_signal_score_no_better_out_of_fold_than_chance() -> None:
    random = np.random.RandomState(5)
    vectors, base, _ = made()
    gains = []
    for _ in range(5):
        noise = random.uniform(size=(N, L)) < 0.3
        gains.append(f1(noise, fitted(vectors, base, noise).decisions_NL) - f1(noise, np.ones((N, L), bool)))
    assert np.mean(gains) < 0.02


def test_a_label_with_few_positives_has_no_head_and_decides_as_before() -> None:
    vectors, base, truth = made()
    truth[:, 0] = False
    truth[:2, 0] = True
    found = fit_heads(vectors, base, truth.astype(float), np.arange(N), folds=5, seed=0, base_threshold=0.031)
    assert found.heads.has_head.tolist() == [False, True, True, True]
    assert np.array_equal(found.decisions_NL[:, 0], base[:, 0] >= 0.031)
    scores = found.heads.scores(vectors, base)
    assert np.array_equal(scores[:, 0] >= found.heads.thresholds[0], base[:, 0] >= 0.031)


def test_soft_targets_train_as_hard_ones_do_and_unknown_ones_do_not() -> None:
    vectors, base, truth = made()
    soft = np.where(truth, 0.9, 0.1)
    hard, softly = fitted(vectors, base, truth), fitted(vectors, base, soft)
    assert np.corrcoef(hard.scores_NL.ravel(), softly.scores_NL.ravel())[0, 1] > 0.95
    unknown = truth.astype(float)
    unknown[:100, 2] = np.nan
    wrong = unknown.copy()
    wrong[:100, 2] = ~truth[:100, 2]
    new_vectors, new_base, new_truth = made(1, n=1000)
    known = fitted(vectors, base, unknown).heads.scores(new_vectors, new_base)[:, 2]
    misled = fitted(vectors, base, wrong).heads.scores(new_vectors, new_base)[:, 2]
    assert known[new_truth[:, 2]].mean() > misled[new_truth[:, 2]].mean() + 0.05
    assert np.isfinite(known).all()


def test_the_same_rows_give_the_same_heads_and_groups_stay_whole() -> None:
    groups = np.random.RandomState(3).randint(0, 30, N)
    one, two = fitted(*made(), groups), fitted(*made(), groups)
    assert np.array_equal(one.scores_NL, two.scores_NL)
    assert np.array_equal(one.heads.weights, two.heads.weights)
    for group in range(30):
        assert len(set(one.fold_N[groups == group])) == 1


def test_a_row_does_not_see_its_own_label() -> None:
    vectors, base, truth = made()
    one, other = np.where(truth, 0.9, 0.1), np.where(truth, 0.9, 0.1)
    other[7] = np.where(
        truth[7], 0.6, 0.4
    )  # on the same side of one half, so that the folds stay as they are
    found, again = (fitted(vectors, base, targets) for targets in (one, other))
    assert np.array_equal(found.fold_N, again.fold_N)
    assert np.array_equal(found.scores_NL[7], again.scores_NL[7])
    assert not np.array_equal(found.heads.weights, again.heads.weights)


def test_the_threshold_is_that_of_the_best_expected_f1() -> None:
    sure = np.array([[1.0], [1.0], [0.0], [0.0]])
    assert f1_thresholds(sure) == pytest.approx([0.5])
    random = np.random.RandomState(0).uniform(size=(200, 1)) ** 3
    threshold = f1_thresholds(random)[0]

    def expected(predicted: Bools) -> float:
        return float(2 * random[predicted].sum() / (predicted.sum() + random.sum()))

    best = max(expected(random >= t) for t in random[:, 0])
    assert expected(random >= threshold) == pytest.approx(best)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v, b, t, g: (v[:10], b[:10], t[:10], g[:10]), "10 labelled rows are too few"),
        (lambda v, b, t, g: (v, b, t, g * 0), "one group"),
        (lambda v, b, t, g: (v, b[:, :2], t, g), "do not fit"),
        (lambda v, b, t, g: (v, b + 1, t, g), "in \\[0, 1\\]"),
        (lambda v, b, t, g: (v, b, t * 2, g), "targets"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(change, message) -> None:  # type: ignore[no-untyped-def]
    vectors, base, truth = made()
    with pytest.raises(ValueError, match=message):
        fit_heads(*change(vectors, base, truth.astype(float), np.arange(N)), folds=5, seed=0)


def test_a_rare_label_keeps_the_defaults_decisions_where_zero_shot_scores_say_nothing() -> None:
    """Scores that speak against their labels get a slope of 0, by which a rare label would be predicted everywhere."""
    rng = np.random.default_rng(0)
    vectors, base = rng.normal(size=(60, 8)), rng.uniform(0.01, 0.99, (60, 3))
    targets = (base < 0.5).astype(float)
    targets[:, 2] = 0
    targets[0, 2], base[0, 2] = 1, 0.02
    fitted = fit_heads(vectors, base, targets, np.arange(60) // 2, folds=5, seed=0, base_threshold=0.9)
    new_ND, new_NL = rng.normal(size=(500, 8)), rng.uniform(0.01, 0.99, (500, 3))
    decided = fitted.heads.scores(new_ND, new_NL)[:, 2] >= fitted.heads.thresholds[2]
    assert decided.tolist() == (new_NL[:, 2] >= 0.9).tolist()
    assert fitted.decisions_NL[:, 2].tolist() == (base[:, 2] >= 0.9).tolist()
    assert np.allclose(fitted.scores_NL[:, 2], base[:, 2])
