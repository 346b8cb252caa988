"""Several systems as one: better than each, untouched by what is missing, never fitted on test rows."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tikval.config import Protocol
from tikval.finetune.combine import (
    STRENGTHS,
    ScoredFold,
    averaged,
    choose_strength,
    decide_fold,
    ensemble,
    features,
    fit,
    out_of_fold,
)
from tikval.stats.arrays import Bools, Floats
from tikval.stats.folds import Fold, groups_of, make_folds
from tikval.stats.thresholds import brier, sigmoid

IDS = [f"v{i:03}" for i in range(300)]
GROUPS = groups_of([f"a{i // 6}" for i in range(300)], [None] * 300, IDS)


def made_up(seed: int = 0) -> tuple[Bools, Floats, Floats, Floats]:
    """Labels [N, 4] of two values; two systems' scores with errors of their own; an LLM's stances [N, 2]."""
    rng = np.random.default_rng(seed)
    stance_NV = rng.choice([-1, 0, 1], p=[0.2, 0.5, 0.3], size=(300, 2))
    labels_NL = np.concatenate([stance_NV == 1, stance_NV == -1], axis=1)
    first, second = (sigmoid(3 * labels_NL - 2 + rng.normal(0, 1.5, (300, 4))) for _ in range(2))
    predicted_NV = np.where(rng.random((300, 2)) < 0.7, stance_NV, rng.choice([-1, 0, 1, 2], size=(300, 2)))
    return labels_NL, first, second, predicted_NV.astype(np.float64)


def folds() -> list[Fold]:
    return make_folds(IDS, GROUPS, made_up()[0], Protocol(partitions=1))


def whole(scored: list[ScoredFold]) -> Floats:
    """[N, L] scores of the folds' test rows; nan for rows that none tests."""
    scores_NL = np.full((300, 4), np.nan)
    for each in scored:
        scores_NL[each.test] = each.scores
    return scores_NL


def test_features_of_known_values() -> None:
    made = features([[[0.5, 0.5]], [[float(sigmoid(np.array(2.0))), 0.0]]], [[[-1]]])
    assert made.shape == (1, 2, 3)
    assert made[0, 0] == pytest.approx([0, 2, -1])
    assert made[0, 1, ::2].tolist() == [0, 1]
    assert -14 < made[0, 1, 1] < -13  # a score of 0 has a finite logit
    assert features(stances=[[[2, 0]]])[0, :, 0].tolist() == [1, 0, -1, 0]
    for scores in ([], [[[0.5]], [[0.5, 0.5]]]):
        with pytest.raises(ValueError, match="of one shape"):
            features(scores)


def test_it_is_scikit_learns_regression_on_standardised_features() -> None:
    labels_NL, first, second, predicted = made_up()
    x_NLF = features([first, second], [predicted])
    combined = fit(x_NLF, labels_NL, strength=5.0)
    for label in range(4):
        x_NF = x_NLF[:, label]
        standard = (x_NF - x_NF.mean(0)) / x_NF.std(0)
        theirs = LogisticRegression(C=1 / 5, tol=1e-10, max_iter=1000).fit(standard, labels_NL[:, label])
        assert combined.weight[label] == pytest.approx(theirs.coef_[0], abs=1e-4)
        assert combined.apply(x_NLF)[:, label] == pytest.approx(
            theirs.predict_proba(standard)[:, 1], abs=1e-4
        )


def test_together_they_are_better_than_each() -> None:
    labels_NL, first, second, predicted = made_up()
    alone = [
        brier(whole(out_of_fold(x, labels_NL, GROUPS, IDS, folds())), labels_NL)
        for x in (features([first]), features([second]), features(stances=[predicted]))
    ]
    together = out_of_fold(features([first, second], [predicted]), labels_NL, GROUPS, IDS, folds())
    assert brier(whole(together), labels_NL) < min(alone) - 0.01


def test_a_test_rows_own_label_is_nothing_to_its_score() -> None:
    labels_NL, first, second, predicted = made_up()
    x_NLF, made = features([first, second], [predicted]), folds()
    before = out_of_fold(x_NLF, labels_NL, GROUPS, IDS, made)
    test = [IDS.index(name) for name in made[0].test]
    chooses = [IDS.index(name) for name in made[0].validation]
    after = []
    for rows in (test, chooses):
        changed = labels_NL.copy()
        changed[rows] = ~changed[rows]
        after.append((changed, out_of_fold(x_NLF, changed, GROUPS, IDS, made)))
    (own, unmoved), (others, moved) = after
    for n, same in ((0, True), (1, False)):
        assert np.array_equal(before[n].scores, unmoved[n].scores) == same
        assert np.array_equal(before[n].other_scores, unmoved[n].other_scores) == same
    assert not np.array_equal(before[0].scores, moved[0].scores)

    # nor to its threshold and calibration, which the other rows choose
    def decided(scored: ScoredFold, labels: Bools) -> tuple[list[float], list[list[float]]]:
        its = decide_fold(scored, labels, "per_label", calibrate=True)
        return its.thresholds.tolist(), its.scores.tolist()

    assert decided(before[0], labels_NL) == decided(unmoved[0], own)
    assert decided(before[0], labels_NL) != decided(moved[0], others)
    mean = averaged(ensemble([first, second]), IDS, made)
    assert decided(mean[0], labels_NL) == decided(mean[0], own)
    assert decided(mean[0], labels_NL) != decided(mean[0], others)
    assert decided(mean[1], labels_NL) != decided(mean[1], own)


def test_a_decision_is_a_score_and_a_threshold() -> None:
    labels_NL, first, _, _ = made_up()
    (scored, *_) = averaged(first, IDS, folds())
    plain = decide_fold(scored, labels_NL, 0.3, calibrate=False)
    assert np.array_equal(plain.scores, scored.scores)
    assert plain.thresholds.tolist() == [0.3] * 4
    assert np.array_equal(plain.decisions, scored.scores >= 0.3)
    distorted = scored._replace(**{name: getattr(scored, name) ** 3 for name in ("scores", "other_scores")})
    mended = decide_fold(distorted, labels_NL, "global", calibrate=True)
    truth = labels_NL[scored.test]
    assert brier(mended.scores, truth) < brier(distorted.scores, truth) - 0.01
    assert len(set(mended.thresholds.tolist())) == 1
    nothing = scored._replace(others=scored.others[:0], other_scores=scored.other_scores[:0])
    assert decide_fold(nothing, labels_NL, 0.5, calibrate=False).thresholds.tolist() == [0.5] * 4
    for threshold, calibrate in (("global", False), (0.5, True)):
        with pytest.raises(ValueError, match="empty"):
            decide_fold(nothing, labels_NL, threshold, calibrate)  # type: ignore[arg-type]


def test_a_missing_feature_pulls_neither_way() -> None:
    labels_NL, first, second, predicted = made_up()
    x_NLF = features([first, second], [predicted])
    combined = fit(x_NLF, labels_NL, strength=1.0)
    lacking, mean = x_NLF[:5].copy(), x_NLF[:5].copy()
    lacking[:, :, 1], mean[:, :, 1] = np.nan, x_NLF[:, :, 1].mean(0)
    assert combined.apply(lacking) == pytest.approx(combined.apply(mean))
    assert not np.allclose(combined.apply(lacking), combined.apply(x_NLF[:5]))

    some = x_NLF.copy()
    some[::3, :, 2] = np.nan
    fitted = fit(some, labels_NL, strength=1.0)
    assert fitted.mean[:, 2] == pytest.approx(np.nanmean(some[:, :, 2], axis=0))
    assert fitted.scale[:, 2] == pytest.approx(np.nanstd(some[:, :, 2], axis=0))
    assert np.isfinite(fitted.weight).all()
    some[:, :, 2] = np.nan  # nobody has it
    without = fit(x_NLF[:, :, :2], labels_NL, strength=1.0)
    assert fit(some, labels_NL, strength=1.0).apply(some) == pytest.approx(without.apply(x_NLF[:, :, :2]))


def test_noise_is_regularised_away_and_signal_is_not() -> None:
    labels_NL, first, _, _ = made_up()
    noise = np.random.default_rng(1).normal(size=(300, 4, 12))
    assert choose_strength(noise, labels_NL, GROUPS)[0] >= 100
    assert choose_strength(features([first]), labels_NL, GROUPS)[0] <= 10
    assert choose_strength(np.zeros((300, 4, 1)), labels_NL, GROUPS)[0] == max(STRENGTHS)  # all are equal
    with pytest.raises(ValueError, match="one group"):
        choose_strength(noise, labels_NL, np.zeros(300, dtype=np.int64))


def test_strength_is_chosen_by_groups() -> None:
    """A feature that names the account is perfect within accounts and worthless outside."""
    rng = np.random.default_rng(0)
    account_N = np.arange(120) % 15
    labels_NL = (rng.random(15) < 0.5)[account_N][:, None]
    names_NLF = np.eye(15)[account_N][:, None, :]
    assert choose_strength(names_NLF, labels_NL, account_N)[0] == max(STRENGTHS)
    assert choose_strength(names_NLF, labels_NL, np.arange(120))[0] == min(STRENGTHS)


def test_folds_of_one_partition_at_a_time() -> None:
    labels_NL, first, *_ = made_up()
    two = make_folds(IDS, GROUPS, labels_NL, Protocol(partitions=2))
    with pytest.raises(ValueError, match="one partition"):
        out_of_fold(features([first]), labels_NL, GROUPS, IDS, two)
    with pytest.raises(ValueError, match="one partition"):
        averaged(first, IDS, two)
    half = whole(out_of_fold(features([first]), labels_NL, GROUPS, IDS, two[:1]))
    tested = np.isin(IDS, two[0].test)
    assert np.isfinite(half[tested]).all()
    assert np.isnan(half[~tested]).all()


def test_a_label_without_positives_stays_finite() -> None:
    labels_NL, first, *_ = made_up()
    labels_NL[:, 1] = False
    p_NL = fit(features([first]), labels_NL, strength=1.0).apply(features([first]))
    assert p_NL[:, 1].max() < 0.01


def test_ensemble_is_the_mean_of_probabilities() -> None:
    assert ensemble([[[0.1, 0.2]], [[0.3, 0.6]]]).tolist() == [[pytest.approx(0.2), pytest.approx(0.4)]]
    assert ensemble([[[0.1]]] * 4 + [[[0.999999]]])[0, 0] < 0.5
    for wrong, message in (([], "one shape"), ([[[1]], [[1, 2]]], "one shape"), ([[[np.nan]]], "not finite")):
        with pytest.raises(ValueError, match=message):
            ensemble(wrong)
