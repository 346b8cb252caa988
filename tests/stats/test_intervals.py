"""Draws of accounts, paired comparisons and corrections, against hand-computed cases and slow loops."""

import itertools
from typing import Any

import numpy as np
import pytest

from tests.stats.test_metrics import TWO, bools, pick, predicted, true
from tikval.evaluate.answer_counts import count_sums
from tikval.evaluate.answers import Answers, SystemRun, Truth, read_answers, read_trained, read_truth
from tikval.evaluate.compare import all_comparisons, compare_pair, draw_swaps, holm
from tikval.evaluate.scores import predict_everything, score
from tikval.evaluate.slices import slices
from tikval.rows import PredictionRow
from tikval.stats.arrays import Bools
from tikval.stats.intervals import (
    AccountDraws,
    bias_corrected,
    by_group,
    mean_f1,
    of_labels,
    of_mean,
)
from tikval.stats.metrics import macro, prf, weighted

SIX = ("a+", "b+", "c+", "a-", "b-", "c-")


def study(seed: int, n: int = 60, groups: int = 12) -> tuple[Truth, np.random.Generator]:
    rng = np.random.default_rng(seed)
    true_NL = rng.random((n, 6)) < np.array([0.5, 0.3, 0.1, 0.4, 0.2, 0.05])
    accounts = [f"a{i % groups}" for i in range(n)]
    truth = Truth(
        ids=tuple(f"v{i:03}" for i in range(n)),
        labels=SIX,
        label_set="three",
        true=true_NL,
        accounts=tuple(accounts),
        group=np.arange(n) % groups,
        frequent=np.ones(6, dtype=bool),
    )
    return truth, rng


def guess(truth: Truth, system: str, *wrongs: Bools, known: Bools | None = None) -> Answers:
    """A system that is wrong where `wrongs` are true, one run for each."""
    runs = tuple(
        SystemRun(
            truth.true,
            np.ones(len(truth.ids), dtype=bool) if known is None else known,
            truth.true ^ wrong,
            np.full(truth.true.shape, np.nan),
            np.ones(6, dtype=bool),
            np.zeros(len(truth.ids), dtype=np.int64),
        )
        for wrong in wrongs
    )
    return Answers(system, runs)


def test_a_draw_is_the_score_of_the_videos_of_the_drawn_accounts() -> None:
    truth, rng = study(0)
    answers = guess(truth, "s", rng.random((60, 6)) < 0.3, rng.random((60, 6)) < 0.2)
    draws = AccountDraws(truth.n_groups, 20, seed=1)
    assert (draws.weights.sum(1) == truth.n_groups).all()
    sums, use = count_sums(answers, truth, draws), np.array([1, 1, 0, 1, 1, 0], dtype=bool)
    labels, mean, heavy = of_labels(sums), of_mean(sums, use, "macro"), of_mean(sums, use, "weighted")
    for d, weights_G in enumerate(draws.weights):
        videos = np.concatenate([np.flatnonzero(truth.group == g) for g in np.repeat(range(12), weights_G)])
        drawn = [prf(truth.true[videos], run.predicted[videos]) for run in answers.runs]
        np.testing.assert_allclose(labels.drawn[d], np.mean([s.f1 for s in drawn], axis=0), atol=1e-12)
        some = [prf(truth.true[videos][:, use], run.predicted[videos][:, use]) for run in answers.runs]
        assert mean.drawn[d] == pytest.approx(np.mean([macro(s).f1 for s in some]), abs=1e-12)
        assert heavy.drawn[d] == pytest.approx(np.mean([weighted(s).f1 for s in some]), abs=1e-12)


def test_counts_that_are_nowhere_are_nan_and_left_out() -> None:
    hits, on_predicted, support = (np.array(x, dtype=float) for x in ([1, 0, 0], [2, 0, 1], [1, 0, 0]))
    every = np.ones(3, dtype=bool)
    assert mean_f1(hits, on_predicted, support, every, "macro") == pytest.approx((2 / 3 + 0) / 2)
    assert mean_f1(hits, on_predicted, support, every, "weighted") == pytest.approx(2 / 3)
    assert np.isnan(mean_f1(hits, on_predicted, support, np.array([False, True, False]), "macro"))
    assert bias_corrected(0.5, np.array([np.nan, np.nan])) == (None, None)
    assert bias_corrected(float("nan"), np.array([0.5])) == (None, None)
    assert bias_corrected(0.25, np.array([0.25, np.nan])) == (0.25, 0.25)
    assert by_group(bools("10", "11", "01"), np.array([2, 0, 2]), 4).tolist() == [
        *([1, 1], [0, 0]),
        *([1, 1], [0, 0]),
    ]
    assert by_group(bools()[:0].reshape(0, 2), np.array([], dtype=np.int64), 1).tolist() == [[0, 0]]


def labelled(stances: dict[str, tuple[int, int]], accounts: dict[str, str]) -> Truth:
    rows = [true(video, *codes) for video, codes in stances.items()]
    for row in rows:
        row["account"] = accounts.get(row["video_id"])
    return read_truth(rows, TWO, 0.0)


def test_intervals_stand_in_the_rows_of_results_only() -> None:
    truth = labelled(
        {"1": (1, 0), "2": (1, -1), "3": (0, -1), "4": (1, 0)}, {"1": "x", "2": "x", "3": "y", "4": "z"}
    )
    assert truth.group.tolist() == [0, 0, 1, 2]
    predictions = [predicted(v, [v != "3", False, False, v == "2"]) for v in "123"] + [
        predicted("4", None, "timeout")
    ]
    rows = score(read_answers(predictions, truth, "s"), truth, AccountDraws(3, 200))
    a = pick(rows, "a+", "endorsed")
    assert (a["f1"], a["lower"], a["upper"]) == (1, 1, 1)
    b = pick(rows, "b-", "confronted")  # y alone: 0; x alone: 1
    assert b["f1"] == pytest.approx(2 / 3)
    assert (b["lower"], b["upper"]) == (0, 1)
    assert pick(rows, "a-", "confronted")["lower"] is None  # neither predicted nor true
    for aggregate in ("macro", "weighted"):
        row = pick(rows, aggregate)
        assert row["lower"] is not None
        assert row["upper"] is not None
        assert row["lower"] < (row["f1"] or 0) < row["upper"]
        assert pick(rows, aggregate, failures="wrong")["lower"] is None
    assert pick(rows, "movie")["lower"] is None
    assert score(read_answers(predictions, truth, "s"), truth)[0]["lower"] is None, "not asked for"


def test_one_account_has_no_interval() -> None:
    truth = labelled({"1": (1, 0), "2": (0, 0)}, {"1": "x", "2": "x"})
    answers = read_answers([predicted("1", [True] * 4), predicted("2", [False] * 4)], truth, "s")
    assert {row["lower"] for row in score(answers, truth, AccountDraws(1, 100))} == {None}
    (macro_row, _) = all_comparisons([answers], [predict_everything(truth)], truth, AccountDraws(1, 100), 100)
    assert macro_row["difference"] is not None
    assert (macro_row["lower"], macro_row["p"], macro_row["p_holm"]) == (None, None, None)


def test_the_videos_of_an_account_move_together() -> None:
    """Forty copies of one video are worth no more than one."""
    truth, _ = study(3, n=480, groups=480)
    wrong = np.tile(np.random.default_rng(5).random((12, 6)) < 0.3, (40, 1))
    same = Truth(
        *(truth.ids, truth.labels, truth.label_set, np.tile(truth.true[:12], (40, 1)), truth.accounts),
        group=np.arange(480) % 12,
        frequent=truth.frequent,
    )

    def width(groups: np.ndarray[Any, Any]) -> float:
        apart = Truth(
            *(same.ids, same.labels, same.label_set, same.true, same.accounts, groups, same.frequent)
        )
        row = pick(score(guess(apart, "s", wrong), apart, AccountDraws(apart.n_groups, 500)), "macro")
        return (row["upper"] or 0) - (row["lower"] or 0)

    assert width(np.arange(480) % 12) > 4 * width(np.arange(480))


def test_an_interval_of_runs_is_that_of_their_mean() -> None:
    truth = labelled({str(i): (i % 2, 0) for i in range(8)}, {str(i): f"x{i}" for i in range(8)})

    def rows(split: str, wrong: str) -> list[PredictionRow]:
        return [
            {
                **predicted(str(i), [bool(i % 2) != (str(i) in wrong), None, None, None]),
                "split": split,
                "seed": 0,
                "fold": i % 2,
            }
            for i in range(8)
        ]

    opposite = rows("p-0", "1") + rows("p-1", "3")
    answers = read_trained(opposite, truth, "s", by_fold=False)
    row = pick(score(answers, truth, AccountDraws(8, 400)), "a+", "endorsed")
    alone = pick(
        score(read_trained(rows("p-0", "1"), truth, "s", by_fold=False), truth, AccountDraws(8, 400)),
        "a+",
        "endorsed",
    )
    assert row["f1"] == alone["f1"] == pytest.approx(6 / 7)
    assert (row["lower"] or 0) > (alone["lower"] or 0), "their errors are not at the same accounts"


def test_p_of_a_swap_is_that_of_all_swaps() -> None:
    """Of 2^6 ways to swap, counted one by one."""
    truth, rng = study(7, n=30, groups=6)
    a, b = (guess(truth, name, rng.random((30, 6)) < p) for name, p in (("a", 0.1), ("b", 0.3)))
    found = compare_pair(a, b, truth, AccountDraws(6, 200), draw_swaps(6, 20_000)).by_metric["macro_f1"]

    def gap(swap: tuple[int, ...]) -> float:
        swapped = np.array(swap, dtype=bool)[truth.group][:, None]
        swapped_pair = [
            np.where(swapped, one.runs[0].predicted, other.runs[0].predicted)
            for one, other in ((b, a), (a, b))
        ]
        first, second = (macro(prf(truth.true, predicted_NL)).f1 for predicted_NL in swapped_pair)
        return first - second

    assert found.value == pytest.approx(gap((0,) * 6), abs=1e-12)
    every = [abs(gap(swap)) >= abs(gap((0,) * 6)) - 1e-12 for swap in itertools.product((0, 1), repeat=6)]
    assert found.p == pytest.approx(np.mean(every), abs=0.01)


def test_the_same_system_twice_differs_by_nothing_and_a_better_one_by_something() -> None:
    truth, rng = study(11, n=240, groups=60)
    bad, good = rng.random((240, 6)) < 0.3, rng.random((240, 6)) < 0.05
    a, twin, b = guess(truth, "a", bad), guess(truth, "twin", bad), guess(truth, "b", good)
    rows = all_comparisons([a, twin, b], [predict_everything(truth)], truth, AccountDraws(60, 300), 500)
    assert len(rows) == 2 * (3 + 3)
    by_pair = {(row["system_a"], row["system_b"], row["metric"]): row for row in rows}
    same = by_pair["a", "twin", "macro_f1"]
    assert (same["difference"], same["lower"], same["upper"], same["p"], same["p_holm"]) == (0, 0, 0, 1, 1)
    better = by_pair["a", "b", "weighted_f1"]
    assert better["difference"] is not None
    assert better["upper"] is not None
    assert better["difference"] < better["upper"] < 0
    assert better["p"] == pytest.approx(1 / 501)
    assert better["p_holm"] == pytest.approx(6 / 501)
    assert (better["n_videos"], better["n_groups"], better["n_labels"]) == (240, 60, 6)
    assert by_pair["b", "predict_everything", "macro_f1"]["n_videos"] == 240


def test_p_values_are_uniform_where_two_systems_are_alike() -> None:
    p_values = []
    for seed in range(60):
        truth, rng = study(seed, n=60, groups=20)
        account = rng.random((2, 20, 6)) < 0.4  # errors belong to accounts
        a, b = (guess(truth, str(i), account[i][truth.group] & (rng.random((60, 6)) < 0.7)) for i in (0, 1))
        p = compare_pair(a, b, truth, AccountDraws(20, 100), draw_swaps(20, 300)).by_metric["macro_f1"].p
        p_values.append(p or 0)
    assert 0.35 < np.mean(p_values) < 0.65
    assert np.mean(np.array(p_values) < 0.1) < 0.25


def test_a_pair_is_compared_on_what_both_predicted_and_model() -> None:
    truth, rng = study(13)
    wrong = rng.random((60, 6)) < 0.3
    early, late = np.arange(60) < 40, np.arange(60) >= 20
    a, b = guess(truth, "a", wrong, known=early), guess(truth, "b", np.zeros_like(wrong), known=late)
    some = np.array([1, 1, 1, 0, 1, 1], dtype=bool)
    runs = tuple(SystemRun(r.true, r.known, r.predicted, r.scores, some, r.fold) for r in b.runs)
    made = compare_pair(a, Answers("b", runs), truth, AccountDraws(12, 100), draw_swaps(12, 100))
    both = early & late
    expected = macro(prf(truth.true[both][:, some], (truth.true ^ wrong)[both][:, some])).f1 - 1
    assert (made.n_videos, made.n_labels) == (20, 5)
    assert made.by_metric["macro_f1"].value == pytest.approx(expected, abs=1e-12)
    nobody = compare_pair(guess(truth, "a", wrong, known=early), guess(truth, "b", wrong, known=~early), truth,
                     AccountDraws(12, 100), draw_swaps(12, 100))  # fmt: skip
    assert (nobody.n_videos, nobody.by_metric["macro_f1"]) == (0, (None, (None, None), None))


def test_every_run_of_one_is_paired_with_the_only_run_of_another() -> None:
    truth, rng = study(17)
    first, second, third = (rng.random((60, 6)) < 0.2 for _ in range(3))
    draws, swaps = AccountDraws(12, 100), draw_swaps(12, 100)
    both = compare_pair(guess(truth, "a", first, second), guess(truth, "b", third), truth, draws, swaps)
    alone = [
        compare_pair(guess(truth, "a", w), guess(truth, "b", third), truth, draws, swaps)
        for w in (first, second)
    ]
    expected = np.mean([made.by_metric["macro_f1"].value for made in alone])
    assert both.by_metric["macro_f1"].value == pytest.approx(expected, abs=1e-12)


def test_holm_by_hand() -> None:
    corrected = holm([0.01, 0.04, None, 0.03, 0.005])
    assert corrected == [
        pytest.approx(0.03),
        pytest.approx(0.06),
        None,
        pytest.approx(0.06),
        pytest.approx(0.02),
    ]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_genres_and_the_drop_between_stances() -> None:
    truth, rng = study(19)
    wrong = rng.random((60, 6)) < 0.3
    answers = guess(truth, "s", wrong)
    genre = {
        video: "food" if i % 12 < 4 else "news" if i % 12 < 8 else None for i, video in enumerate(truth.ids)
    }
    rows = slices(answers, truth, AccountDraws(12, 200), genre)
    by = {(row["by"], row["slice"], row["metric"]): row for row in rows}
    assert {place[:2] for place in by} == {
        ("drop", "endorsed - confronted"),
        *itertools.product(("genre", "without_genre"), ("food", "news")),
    }
    food = np.arange(60) % 12 < 4
    for name, where in (("genre", food), ("without_genre", ~food)):
        row = by[name, "food", "macro_f1"]
        expected = macro(prf(truth.true[where], (truth.true ^ wrong)[where])).f1
        assert row["value"] == pytest.approx(expected, abs=1e-12)
        assert (row["n_videos"], row["n_groups"]) == ((20, 4) if name == "genre" else (40, 8))
        assert (row["lower"] or 1) < expected < (row["upper"] or 0)
    halves = [macro(prf(truth.true[:, k], (truth.true ^ wrong)[:, k])).f1 for k in (slice(3), slice(3, 6))]
    drop = by["drop", "endorsed - confronted", "macro_f1"]
    assert drop["value"] == pytest.approx(halves[0] - halves[1], abs=1e-12)
    assert {
        row["by"] for row in slices(answers, truth, AccountDraws(12, 100), dict.fromkeys(truth.ids, "food"))
    } == {"drop"}
