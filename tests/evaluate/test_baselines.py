"""What a score is compared with: guesses by frequency, account names, people; and what scores are worth alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.stats.test_metrics import TWO, bools, pick, predicted, true
from tikval.evaluate.answers import read_answers, read_truth
from tikval.evaluate.baselines import (
    ACCOUNT_APART,
    ACCOUNT_SHARED,
    HUMAN,
    PRIOR,
    account_name_baselines,
    frequency_prior,
    human_agreement,
)
from tikval.evaluate.evaluation import evaluate_systems
from tikval.evaluate.scores import BASELINE, score
from tikval.rows import LabelRow
from tikval.sources.labels import read_labels
from tikval.stats.metrics import macro, movie, prf, weighted
from tikval.stats.ranking import average_precision, ranking_of_labels
from tikval.values import LABELS, SLUGS

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "tiktok_annotations.csv"


def test_average_precision_by_hand() -> None:
    def ap(scores: list[float], true_N: str) -> float:
        return average_precision(np.array(scores), bools(true_N)[0])

    assert ap([0.9, 0.8, 0.7], "101") == pytest.approx((1 + 2 / 3) / 2)
    assert ap([0.5, 0.5, 0.5, 0.5], "0100") == 0.25  # ties: the label's share, in any order
    assert ap([0.9, 0.5, 0.5, 0.1], "0110") == pytest.approx(2 / 3)
    assert ap([0.2], "1") == 1.0
    assert np.isnan(ap([0.2, 0.3], "00"))


@pytest.mark.parametrize("seed", range(8))
def test_ranking_agrees_with_scikit_learn(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    truth, scores = rng.random((50, 7)) < 0.3, rng.random((50, 7)).round(1)  # many ties
    truth[0] = True
    mine = ranking_of_labels(scores, truth)
    theirs = metrics.average_precision_score(truth, scores, average=None)
    np.testing.assert_allclose(mine[:, 0], theirs, rtol=0, atol=1e-12)
    brier = [metrics.brier_score_loss(truth[:, i], scores[:, i]) for i in range(7)]
    np.testing.assert_allclose(mine[:, 1], brier, rtol=0, atol=1e-12)


def test_scores_that_are_missing_or_no_probabilities() -> None:
    scores = np.array([[0.5, np.nan, 1.5], [0.5, 0.2, -1.0]])
    ranks = ranking_of_labels(scores, bools("101", "010"))
    np.testing.assert_equal(np.isnan(ranks), [[False] * 3, [True] * 3, [False, True, True]])
    np.testing.assert_allclose(ranks[0], [0.5, 0.25, 0])
    assert np.isnan(ranking_of_labels(np.zeros((0, 2)), np.zeros((0, 2), dtype=bool))).all()


def test_what_scores_are_worth_stands_in_the_rows() -> None:
    truth = read_truth([true("1", 1, -1), true("2", 0, 0), true("3", 1, 0)], TWO, 0.0)
    rows = [predicted("1", [True, True, False, True]), predicted("2", [True, False, False, None])]
    rows[1]["decisions"] = [True, False, False, True]
    rows[0]["scores"], rows[1]["scores"] = [0.9, 0.1, 0.2, 0.5], [0.6, 0.2, 0.3, None]
    lines = score(read_answers(rows, truth, "s"), truth)
    a, b = pick(lines, "a+", "endorsed"), pick(lines, "b+", "endorsed")
    assert a["average_precision"] == 1.0
    assert a["brier"] == pytest.approx((0.01 + 0.36) / 2)
    assert b["average_precision"] is None  # nobody endorses it
    assert b["brier"] == pytest.approx((0.01 + 0.04) / 2)
    assert pick(lines, "b-", "confronted")["brier"] is None  # one video has no score for it
    assert pick(lines, "macro")["average_precision"] == 1.0
    assert pick(lines, "weighted")["brier"] == a["brier"]  # b+ has no support
    assert pick(lines, "a+", "endorsed", "wrong")["brier"] is None
    rows[0]["scores"] = [0.5]
    with pytest.raises(ValueError, match="not 4 scores: 1"):
        read_answers(rows, truth, "s")


def test_the_frequency_prior_is_what_random_guesses_come_to() -> None:
    truth = read_truth(
        [true(str(i), int(i < 6) - int(6 <= i < 9), int(i < 2) - int(i == 3)) for i in range(12)], TWO, 0.0
    )
    rows, rng = frequency_prior(truth), np.random.default_rng(0)
    share_L = truth.true.mean(0)
    scores, movies, pooled = [], [], np.zeros(3)
    for _ in range(6_000):
        guess = rng.random(truth.true.shape) < share_L
        one = prf(truth.true, guess)
        scores.append([*macro(one), *weighted(one), *np.nan_to_num(one.f1)])
        movies.append(movie(truth.true, guess)[:2])
        pooled += [(truth.true & guess).sum(), guess.sum(), truth.true.sum()]
    mean = np.mean(scores, axis=0)
    macro_row, weighted_row = pick(rows, "macro"), pick(rows, "weighted")
    for row, drawn in ((macro_row, mean[:3]), (weighted_row, mean[3:6])):
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx(drawn, abs=0.01)
    f1 = [row["f1"] for row in rows if row["frequent"] is not None and row["failures"] == "left_out"]
    assert f1 == pytest.approx(mean[6:], abs=0.01)
    of_pairs = pick(rows, "movie_micro")
    expected = pooled[0] / pooled[1], pooled[0] / pooled[2]
    assert [of_pairs["precision"], of_pairs["recall"]] == pytest.approx(expected, abs=0.01)
    of_videos = pick(rows, "movie")
    assert [of_videos["precision"], of_videos["recall"]] == pytest.approx(
        np.nanmean(movies, axis=0), abs=0.01
    )


def test_the_frequency_prior_of_extremes() -> None:
    truth = read_truth([true("1", 1, 0), true("2", 1, 0)], TWO, 0.0)
    rows = frequency_prior(truth)
    assert pick(rows, "a+", "endorsed")["f1"] == 1.0  # always true, always predicted
    assert pick(rows, "b+", "endorsed")["f1"] is None  # never true, never predicted
    assert pick(rows, "movie", "confronted")["recall"] is None
    assert frequency_prior(read_truth([], TWO, 0.0)) == []
    many = read_truth([true(str(i), int(i % 3 == 0), 0) for i in range(6_000)], TWO, 0.0)
    assert pick(frequency_prior(many), "a+", "endorsed")["f1"] == pytest.approx(1 / 3, abs=1e-3)


def of_accounts(n: int, per: int) -> list[LabelRow]:
    """Every account endorses the first value in all its videos, or in none."""
    return [
        {**true(f"{a}-{i}", int(a % 2), int(i == 0) - int(i == 1)), "account": f"account{a}"}
        for a in range(n)
        for i in range(per)
    ]


def test_an_account_name_is_worth_much_only_where_it_is_shared() -> None:
    truth = read_truth(of_accounts(20, 6), TWO, 0.05)
    shared, apart = account_name_baselines(truth)
    assert (shared.system, apart.system) == (ACCOUNT_SHARED, ACCOUNT_APART)
    f1 = [pick(score(a, truth), "a+", "endorsed")["f1"] for a in (shared, apart)]
    assert (f1[0] or 0) > 0.95
    assert (f1[1] or 1) < 0.7  # predicting it for all: 2/3
    assert "a-" not in {row["label"] for row in score(shared, truth)}, "a label that nobody has"
    nameless = read_truth([{**row, "account": None} for row in of_accounts(20, 6)], TWO, 0.05)
    assert account_name_baselines(nameless) == []
    with pytest.raises(ValueError, match="training part"):
        account_name_baselines(read_truth(of_accounts(2, 6), TWO, 0.05))


def test_people_against_people() -> None:
    rows = [
        *(true(v, *codes, annotator="x") for v, codes in {"1": (1, 0), "2": (1, -1), "3": (0, 0)}.items()),
        *(true(v, *codes, annotator="y") for v, codes in {"1": (1, 0), "2": (0, -1), "4": (1, 1)}.items()),
    ]
    final = [true(v, 1, 0, annotator="final") for v in "1234"]
    truth = read_truth([*rows, *final], TWO, 0.0, "final")
    people = human_agreement([*rows, *final], truth, "final")
    assert people is not None
    lines = score(people, truth)
    a = pick(lines, "a+", "endorsed")  # over videos 1 and 2, both ways
    assert [a["f1"], a["precision"], a["recall"]] == pytest.approx([2 / 3, 0.75, 0.75])
    assert (a["n_videos"], a["n_scored"], lines[0]["system"]) == (2, 2, HUMAN)
    two = read_truth(rows, TWO, 0.0, "x")
    pair = human_agreement(rows, two, "x")
    assert pair is not None
    assert pick(score(pair, two), "a+", "endorsed")["f1"] == pytest.approx(2 / 3)
    assert human_agreement(final, read_truth(final, TWO, 0.0), None) is None
    with pytest.raises(ValueError, match=r"annotations: 1$"):
        human_agreement([*rows, *final, rows[0]], truth, "final")


def test_a_study_has_every_baseline_and_notes_what_it_left_out() -> None:
    rows = of_accounts(20, 6)
    truth = read_truth(rows, TWO, 0.05)
    system = read_answers([predicted(v, [True, False, False, False]) for v in truth.ids], truth, "s")
    made = evaluate_systems([system], truth, rows, permutations=100)
    assert {row["system"] for row in made.scores} == {BASELINE, PRIOR, ACCOUNT_SHARED, ACCOUNT_APART, "s"}
    assert {row["system_b"] for row in made.comparisons} <= {BASELINE, ACCOUNT_APART}
    assert made.notes == []
    few = of_accounts(2, 6)
    small = evaluate_systems([], read_truth(few, TWO, 0.05), few, permutations=100)
    assert {row["system"] for row in small.scores} == {BASELINE, PRIOR}
    assert "training part" in small.notes[0]
    assert evaluate_systems([], read_truth([], TWO, 0.0), []).scores == []
    with pytest.raises(ValueError, match="name of a baseline: frequency_prior"):
        evaluate_systems([read_answers([], truth, PRIOR)], truth, rows)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published annotations are not here")
def test_baselines_on_the_published_annotations() -> None:
    rows = read_labels(str(PUBLISHED), SLUGS, "schwartz-19")
    made = evaluate_systems([], read_truth(rows, LABELS, 0.051), rows, permutations=100)

    def f1(system: str) -> tuple[Any, Any]:
        own = [row for row in made.scores if row["system"] == system]
        return pick(own, "macro")["f1"], pick(own, "weighted")["f1"]

    assert f1(BASELINE) == pytest.approx((0.283, 0.329), abs=5e-4)
    assert f1(ACCOUNT_SHARED) == pytest.approx((0.343, 0.386), abs=5e-4)
    assert f1(ACCOUNT_APART) == pytest.approx((0.283, 0.329), abs=5e-4)
    assert f1(PRIOR) == pytest.approx((0.169, 0.201), abs=5e-4)
    own = [row for row in made.scores if row["system"] == BASELINE]
    row = pick(own, "macro")
    assert row["lower"] == pytest.approx(0.2734, abs=5e-4)
    assert row["upper"] == pytest.approx(0.2919, abs=5e-4)
