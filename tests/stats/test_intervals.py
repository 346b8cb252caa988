"""Intervals over accounts, comparisons and corrections, against brute force and hand-computed cases."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stats.test_metrics import TWO, bools, pick, predicted, true
from tikval.evaluate.answers import Answers, SystemRun, Truth, read_answers, read_trained, read_truth
from tikval.evaluate.compare import all_comparisons, compare_pair, draw_swaps, holm
from tikval.evaluate.score_intervals import score_with_intervals
from tikval.evaluate.scores import predict_everything
from tikval.evaluate.slices import slices
from tikval.rows import LabelRow, PredictionRow, ScoreRow
from tikval.stats.arrays import Bools, Floats
from tikval.stats.intervals import (
    AccountCounts,
    Estimate,
    account_counts,
    average,
    by_group,
    common_f1_estimate,
    difference_of_parts,
    label_intervals,
    mean_f1,
    mean_f1_estimate,
    ratio_added,
    ratio_estimate,
)
from tikval.stats.limits import NO_LABELS, NO_NUMBER, NO_VARIANCE, OF_LEFT_OUT
from tikval.stats.metrics import label_f1, macro, micro, movie, prf

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
        enough=np.ones(6, dtype=bool),
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


def counted_of(truth: Truth, wrong: Bools) -> AccountCounts:
    return account_counts(truth.true, truth.true ^ wrong, truth.group, truth.n_groups)


def sizes_of(truth: Truth) -> Floats:
    return np.bincount(truth.group, minlength=truth.n_groups).astype(np.float64)


def without(counts: AccountCounts, g: int) -> AccountCounts:
    return AccountCounts(*(np.delete(column, g, axis=0) for column in counts))


def f1_of(counts: AccountCounts, how: str) -> float:
    hits_L, predicted_L, support_L = (column.sum(0) for column in counts)
    return float(mean_f1(hits_L, predicted_L, support_L, how))


def test_what_an_account_adds_is_what_leaving_it_out_takes_away() -> None:
    """CR3 is the delete-one-account jackknife of each label's F1, to the last digit."""
    truth, rng = study(0)
    counts = counted_of(truth, rng.random((60, 6)) < 0.3)
    added_GL = ratio_added(2 * counts.hits, counts.predicted + counts.support)
    whole_L = label_f1(*(column.sum(0) for column in counts))
    for g in range(truth.n_groups):
        others_L = label_f1(*(column.sum(0) for column in without(counts, g)))
        np.testing.assert_allclose(added_GL[g], whole_L - others_L, atol=1e-14)


def test_an_account_that_holds_most_of_a_label_is_capped() -> None:
    top, bottom = np.array([[6.0], [0.0]]), np.array([[8.0], [2.0]])
    assert ratio_added(top, bottom)[:, 0] == pytest.approx([(6 - 0.6 * 8) / 10 / 0.5, -0.6 * 2 / 10 / 0.8])


@pytest.mark.parametrize("how", ["macro", "weighted"])
def test_a_mean_f1_is_near_its_own_jackknife(how: str) -> None:
    truth, rng = study(2, n=600, groups=60)
    counts = counted_of(truth, rng.random((600, 6)) < 0.3)
    estimate = mean_f1_estimate(counts, sizes_of(truth), how)
    changes_G = [f1_of(counts, how) - f1_of(without(counts, g), how) for g in range(60)]
    np.testing.assert_allclose(estimate.added, changes_G, atol=2e-4)
    assert estimate.error == pytest.approx(np.sqrt(59 / 60 * np.sum(np.square(changes_G))), rel=0.02)
    assert estimate.degrees == pytest.approx(59)


def test_a_score_and_a_difference_by_hand() -> None:
    """Five accounts of two videos: every number of the formula, once."""
    one = Estimate(0.6, np.array([0.1, -0.05, 0.02, -0.03, -0.04]), np.full(5, 2.0))
    error = math.sqrt(4 / 5 * (0.01 + 0.0025 + 0.0004 + 0.0009 + 0.0016))
    found, t = one.of_score(), 2.7764451  # of 4 degrees
    for end, sign in ((found.lower, -1), (found.upper, 1)):
        logit = math.log(0.6 / 0.4) + sign * t * error / 0.24
        assert end == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)
    other = Estimate(0.5, np.zeros(5), np.full(5, 2.0))
    gap = one.minus(other).of_difference()
    assert gap.lower == pytest.approx(0.1 - t * error)
    assert gap.upper == pytest.approx(0.1 + t * error)


MATRICES = st.integers(0, 2**32 - 1)


@settings(max_examples=200, deadline=None)
@given(seed=MATRICES, groups=st.integers(1, 12), labels=st.integers(1, 6), each=st.integers(1, 6))
def test_no_interval_has_no_width_and_p_agrees_with_it(
    seed: int, groups: int, labels: int, each: int
) -> None:
    rng = np.random.default_rng(seed)
    group_N = np.repeat(np.arange(groups), rng.integers(1, each + 1, groups))
    shape = (len(group_N), labels)
    true_NL, share = rng.random(shape) < rng.random(labels), rng.random()
    sizes_G = np.bincount(group_N).astype(np.float64)
    a, b = (account_counts(true_NL, true_NL ^ (rng.random(shape) < share), group_N, groups) for _ in range(2))
    for how in ("macro", "weighted"):
        first, second = (mean_f1_estimate(counts, sizes_G, how) for counts in (a, b))
        score = first.of_score()
        assert (score.lower is None) == (score.upper is None) == (score.why_none is not None)
        if score.lower is not None and score.upper is not None:
            assert 0 <= score.lower < first.value < score.upper <= 1
            assert groups >= 5
        gap = first.minus(second).of_difference()
        if gap.lower is None or gap.upper is None or gap.p is None:
            assert (gap.p, gap.upper) == (None, None)
            assert gap.why_none
        else:
            assert (gap.p < 0.05) == (not gap.lower <= 0 <= gap.upper)
    f1_L = label_f1(*(column.sum(0) for column in a))
    for f1, positives, found in zip(f1_L, true_NL.sum(0), label_intervals(f1_L, a, sizes_G), strict=True):
        assert (found.lower is None) == (found.why_none is not None)
        if found.lower is not None and found.upper is not None:
            assert 0 <= found.lower <= f1 <= found.upper <= 1
            assert found.upper - found.lower > 0.01
            assert positives >= 5


def test_a_labels_interval_is_wilsons_of_the_jaccard_index() -> None:
    """Twenty accounts of one video each: no clustering, so Wilson's interval of 12 of 16 as it stands."""
    hits = np.array([1.0] * 12 + [0.0] * 8)[:, None]
    support = np.array([1.0] * 16 + [0.0] * 4)[:, None]
    f1 = 2 * 12 / (12 + 16)
    (found,) = label_intervals(np.array([f1]), AccountCounts(hits, hits, support), np.ones(20))
    t, j, n = 2.1314495, 12 / 16, 16 * 15 / 16  # the design effect is 16 / 15: that of a variance from 16
    half = t * math.sqrt(j * (1 - j) / n + t**2 / (4 * n**2))
    for end, sign in ((found.lower, -1), (found.upper, 1)):
        share = (j + t**2 / (2 * n) + sign * half) / (1 + t**2 / n)
        assert end == pytest.approx(2 * share / (1 + share), abs=1e-6)


def test_a_label_that_is_always_right_has_an_interval_of_some_width() -> None:
    right = np.ones((6, 1))
    (found,) = label_intervals(np.array([1.0]), AccountCounts(right, right, right), np.full(6, 3.0))
    assert found.upper == 1
    assert 0.3 < (found.lower or 1) < 0.8
    (never,) = label_intervals(np.array([0.0]), AccountCounts(0 * right, right, right), np.full(6, 3.0))
    assert never.lower == 0
    assert 0.2 < (never.upper or 0) < 0.7


def test_a_difference_of_shares_stays_within_its_range() -> None:
    found = ratio_estimate(np.array([5.0, 5, 5, 5, 5, 2]), np.full(6, 5.0), np.full(6, 5.0)).of_difference()
    assert found.lower is not None
    assert 0 < found.lower < 0.9
    assert found.upper == 1.0


def test_where_nothing_differs_there_is_no_interval() -> None:
    same = AccountCounts(*(np.full((9, 2), n) for n in (1.0, 2.0, 2.0)))
    estimate = mean_f1_estimate(same, np.full(9, 4.0), "macro")
    assert estimate.of_score() == (None, None, NO_VARIANCE, None)
    assert estimate.minus(estimate).of_difference() == (None, None, NO_VARIANCE, None)
    perfect = Estimate(1.0, np.ones(9), np.full(9, 4.0))
    assert perfect.of_score().why_none == NO_VARIANCE


def test_the_runs_of_a_system_are_averaged_before_anything_is_squared() -> None:
    up, down = (Estimate(0.5, sign * np.array([0.1, -0.1, 0, 0, 0, 0]), np.ones(6)) for sign in (1, -1))
    assert average([up, up], np.ones(6)).error == pytest.approx(up.error)
    assert average([up, down], np.ones(6)).error == 0
    empty = Estimate(math.nan, np.zeros(6), np.ones(6))
    assert average([up, empty], np.ones(6)).value == 0.5
    assert math.isnan(average([empty], np.ones(6)).value)


def test_parts_of_the_videos_have_the_degrees_of_both() -> None:
    rng = np.random.default_rng(4)
    first, second = np.arange(20) < 6, np.arange(20) >= 6
    a, b = (
        Estimate(value, np.where(where, rng.normal(0, 0.02, 20), 0), np.where(where, 4.0, 0.0))
        for value, where in ((0.6, first), (0.5, second))
    )
    found, alone = difference_of_parts(a, b), a.of_difference()
    assert (found.upper or 0) + (found.lower or 0) == pytest.approx(0.2)
    assert (found.upper or 0) - (found.lower or 0) > (alone.upper or 0) - (alone.lower or 0) > 0
    small = Estimate(0.6, a.added, np.where(np.arange(20) < 4, 4.0, 0.0))
    assert difference_of_parts(small, b).why_none == "4 accounts: too few for an interval"


def test_f1_at_a_common_prevalence_does_not_see_the_prevalence() -> None:
    """Two parts with the same hits and false alarms, one with three times as many positives."""

    def part(positives: float, negatives: float) -> tuple[AccountCounts, Floats]:
        column = np.full((6, 1), 1.0)
        hits, alarms = 0.6 * positives * column, 0.1 * negatives * column
        return AccountCounts(hits, hits + alarms, positives * column), np.full(6, positives + negatives)

    rare, often = (part(*n) for n in ((10, 90), (30, 70)))
    assert f1_of(often[0], "macro") - f1_of(rare[0], "macro") > 0.15
    pi = np.array([0.2])
    expected = 2 * 0.2 * 0.6 / (0.2 * 1.6 + 0.8 * 0.1)
    for counts, videos_G in (rare, often):
        assert common_f1_estimate(counts, videos_G, pi, videos_G).value == pytest.approx(expected)
    nobody = AccountCounts(*(np.zeros((6, 1)) for _ in range(3)))
    assert math.isnan(common_f1_estimate(nobody, rare[1], pi, rare[1]).value)


def test_f1_at_a_common_prevalence_has_its_own_jackknife() -> None:
    truth, rng = study(5, n=600, groups=60)
    counts, sizes_G, pi = counted_of(truth, rng.random((600, 6)) < 0.3), sizes_of(truth), np.full(6, 0.2)
    estimate = common_f1_estimate(counts, sizes_G, pi, sizes_G)
    changes = []
    for g in range(60):
        rest_G = np.delete(sizes_G, g)
        changes.append(estimate.value - common_f1_estimate(without(counts, g), rest_G, pi, rest_G).value)
    np.testing.assert_allclose(estimate.added, changes, atol=5e-4)


def test_counts_that_are_nowhere_are_nan_and_left_out() -> None:
    hits, on_predicted, support = (np.array(x, dtype=float) for x in ([1, 0, 0], [2, 0, 1], [1, 0, 0]))
    assert mean_f1(hits, on_predicted, support, "macro") == pytest.approx((2 / 3 + 0) / 2)
    assert mean_f1(hits, on_predicted, support, "weighted") == pytest.approx(2 / 3)
    assert np.isnan(mean_f1(hits[1:2], on_predicted[1:2], support[1:2], "macro"))
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
    truth, rng = study(6)
    known = np.arange(60) < 50
    rows = score_with_intervals(guess(truth, "s", rng.random((60, 6)) < 0.3, known=known), truth)
    for stance, label in (
        ("endorsed", "a+"),
        ("all", "macro"),
        ("endorsed", "weighted"),
        ("all", "movie_micro"),
    ):
        row = pick(rows, label, stance)
        assert (row["lower"] or 1) < (row["f1"] or 0) < (row["upper"] or 0)
        assert (row["why_none"], row["n_groups"]) == (None, 12)
        other = pick(rows, label, stance, failures="wrong")
        assert (other["lower"], other["why_none"], other["n_groups"]) == (None, OF_LEFT_OUT, 12)
    assert [pick(rows, "macro", stance)["n_labels"] for stance in ("endorsed", "all")] == [3, 6]
    rare = [row for row in rows if row["failures"] == "left_out" and 0 < row["support"] < 5]
    assert rare
    assert {row["lower"] for row in rare} == {None}


@pytest.mark.parametrize("label", ["movie", "movie_micro"])
def test_recall_and_precision_of_videos_have_intervals(label: str) -> None:
    truth, rng = study(8, n=240, groups=40)
    wrong = rng.random((240, 6)) < 0.3
    row = pick(score_with_intervals(guess(truth, "s", wrong), truth), label)
    here = (movie if label == "movie" else micro)(truth.true, truth.true ^ wrong)
    assert (row["precision"], row["recall"]) == pytest.approx(here[:2])
    apart = []
    for g in range(40):
        rest = truth.group != g
        apart.append((movie if label == "movie" else micro)(truth.true[rest], (truth.true ^ wrong)[rest])[:2])
    errors = np.sqrt(39 / 40 * ((np.array(apart) - here[:2]) ** 2).sum(0))
    for what, error in zip(("precision", "recall"), errors, strict=True):
        low, value, high = row[f"{what}_lower"], row[what], row[f"{what}_upper"]  # type: ignore[literal-required]
        half = 2.0227 * error / (value * (1 - value))
        for end, sign in ((low, -1), (high, 1)):
            assert end == pytest.approx(
                1 / (1 + math.exp(-(math.log(value / (1 - value)) + sign * half))), abs=1e-3
            )


def test_four_accounts_have_no_interval_anywhere_and_every_row_says_why() -> None:
    truth, rng = study(9, n=14, groups=4)
    a, b = (guess(truth, name, rng.random((14, 6)) < 0.3) for name in "ab")
    rows = score_with_intervals(a, truth)
    ends = [key for key in ScoreRow.__annotations__ if key.endswith(("lower", "upper"))]
    assert {row[end] for row in rows for end in ends} == {None}  # type: ignore[literal-required]
    assert all(row["why_none"] for row in rows)
    assert pick(rows, "macro")["why_none"] == "4 accounts: too few for an interval"
    pairs = all_comparisons([a, b], [predict_everything(truth)], truth, draw_swaps(4, 2_000))
    assert {(row["lower"], row["upper"], row["p"], row["p_holm"]) for row in pairs} == {(None,) * 4}
    assert {row["why_none"] for row in pairs} == {"4 accounts: too few for an interval"}
    assert all(row["difference"] is not None and (row["p_exchangeable"] or 0) >= 0.125 for row in pairs)
    parts = slices(a, truth, {video: "food" if i < 7 else "news" for i, video in enumerate(truth.ids)})
    assert {(row["lower"], row["upper"]) for row in parts} == {(None, None)}
    assert all(row["why_none"] for row in parts)


def test_one_account_is_compared_with_nothing() -> None:
    truth = labelled({"1": (1, 0), "2": (0, 0)}, {"1": "x", "2": "x"})
    answers = read_answers([predicted("1", [True] * 4), predicted("2", [False] * 4)], truth, "s")
    (macro_row, _) = all_comparisons([answers], [predict_everything(truth)], truth, draw_swaps(1, 100))
    assert macro_row["difference"] is not None
    assert (macro_row["p"], macro_row["p_exchangeable"]) == (None, None)


def test_saying_everything_has_no_interval_of_its_recall_and_one_of_its_precision() -> None:
    truth, _ = study(10)
    row = pick(score_with_intervals(predict_everything(truth), truth), "movie")
    assert (row["recall"], row["recall_lower"]) == (1, None)
    assert (row["precision_lower"] or 1) < (row["precision"] or 0)
    assert row["why_none"] == f"recall: {NO_VARIANCE}"


def test_a_label_needs_positives_to_be_averaged() -> None:
    stances = {str(i): (1, -1 if i < 4 else 0) for i in range(20)}
    accounts = {str(i): f"x{i % 10}" for i in range(20)}
    rows: list[LabelRow] = [
        {**true(video, *codes), "account": accounts[video]} for video, codes in stances.items()
    ]
    assert read_truth(rows, TWO, 0.05).frequent.tolist() == [True, False, False, True]
    made = read_truth(rows, TWO, 0.05, min_positives=5)
    assert made.frequent.tolist() == [True, False, False, False]
    assert read_truth(rows, TWO, 0.05, min_positives=1).frequent.tolist() == [True, False, False, True]
    one: list[LabelRow] = [{**row, "account": "x"} for row in rows]
    assert not read_truth(one, TWO, 0.05, min_positives=5).frequent.any(), "all of one account"
    named = read_truth(rows, TWO, 0.05, min_positives=5, averaged=["a+", "b-"])
    assert named.frequent.tolist() == [True, False, False, True]
    with pytest.raises(ValueError, match="not of the codebook: c"):
        read_truth(rows, TWO, 0.05, averaged=["a+", "c+"])
    answers = read_answers([predicted(str(i), [True] * 4) for i in range(20)], made, "s")
    scores = score_with_intervals(answers, made)
    assert [row["label"] for row in scores if row["frequent"] and row["failures"] == "left_out"] == ["a+"]
    empty = pick(scores, "macro", "confronted")
    assert (empty["f1"], empty["why_none"], empty["n_labels"]) == (None, NO_LABELS, 0)
    trained = Answers("t", answers.runs, trained=True)
    assert trained.averaged(made).tolist() == [True, False, False, False], (
        "what was trained needs positives too"
    )


def test_the_videos_of_an_account_move_together() -> None:
    """Forty copies of one video are worth no more than one."""
    truth, _ = study(3, n=480, groups=480)
    wrong = np.tile(np.random.default_rng(5).random((12, 6)) < 0.3, (40, 1))
    same = Truth(
        *(truth.ids, truth.labels, truth.label_set, np.tile(truth.true[:12], (40, 1)), truth.accounts),
        group=np.arange(480) % 12,
        frequent=truth.frequent,
        enough=truth.enough,
    )

    def width(groups: np.ndarray[Any, Any]) -> float:
        apart = Truth(
            *(
                same.ids,
                same.labels,
                same.label_set,
                same.true,
                same.accounts,
                groups,
                same.frequent,
                same.enough,
            )
        )
        row = pick(score_with_intervals(guess(apart, "s", wrong), apart), "macro")
        return (row["upper"] or 0) - (row["lower"] or 0)

    assert width(np.arange(480) % 12) > 4 * width(np.arange(480))


def test_an_interval_of_runs_is_that_of_their_mean() -> None:
    truth = labelled({str(i): (i % 2, 0) for i in range(16)}, {str(i): f"x{i}" for i in range(16)})

    def rows(split: str, wrong: str) -> list[PredictionRow]:
        return [
            {
                **predicted(str(i), [bool(i % 2) != (str(i) in wrong), None, None, None]),
                "split": split,
                "seed": 0,
                "fold": i % 2,
            }
            for i in range(16)
        ]

    opposite = rows("p-0", "1") + rows("p-1", "3")
    answers = read_trained(opposite, truth, "s", by_fold=False)
    row = pick(score_with_intervals(answers, truth), "macro")
    once = read_trained(rows("p-0", "1"), truth, "s", by_fold=False)
    alone = pick(score_with_intervals(once, truth), "macro")
    assert row["f1"] == alone["f1"]
    assert (row["lower"] or 0) > (alone["lower"] or 0), "their errors are not at the same accounts"


def test_p_of_a_swap_is_that_of_all_swaps() -> None:
    """Of 2^6 ways to swap, counted one by one."""
    truth, rng = study(7, n=30, groups=6)
    a, b = (guess(truth, name, rng.random((30, 6)) < p) for name, p in (("a", 0.1), ("b", 0.3)))
    found = compare_pair(a, b, truth, draw_swaps(6, 20_000)).by_metric["macro_f1"]

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
    assert found.p_exchangeable == pytest.approx(np.mean(every), abs=1e-12)
    (drawn,) = {compare_pair(a, b, truth, draw_swaps(6, 63)).by_metric["macro_f1"].p_exchangeable}
    assert drawn == pytest.approx(np.mean(every), abs=0.2)


def test_the_same_system_twice_differs_by_nothing_and_a_better_one_by_something() -> None:
    truth, rng = study(11, n=240, groups=60)
    bad, good = rng.random((240, 6)) < 0.3, rng.random((240, 6)) < 0.05
    a, twin, b = guess(truth, "a", bad), guess(truth, "twin", bad), guess(truth, "b", good)
    rows = all_comparisons([a, twin, b], [predict_everything(truth)], truth, draw_swaps(60, 500))
    assert len(rows) == 2 * (3 + 3)
    by_pair = {(row["system_a"], row["system_b"], row["metric"]): row for row in rows}
    same = by_pair["a", "twin", "macro_f1"]
    assert (same["difference"], same["lower"], same["p"], same["p_holm"]) == (0, None, None, None)
    assert (same["why_none"], same["p_exchangeable"]) == (NO_VARIANCE, 1)
    better = by_pair["a", "b", "weighted_f1"]
    assert better["difference"] is not None
    assert better["upper"] is not None
    assert better["difference"] < better["upper"] < 0
    assert better["p_exchangeable"] == pytest.approx(1 / 501)
    given = [row["p"] for row in rows if row["p"] is not None]
    assert len(given) == 10, "all but the two of the twins"
    assert [row["p_holm"] for row in rows] == [pytest.approx(p) for p in holm([row["p"] for row in rows])]
    assert 0 < (better["p"] or 0) < 1e-6
    assert (better["n_videos"], better["n_groups"], better["n_labels"]) == (240, 60, 6)
    assert by_pair["b", "predict_everything", "macro_f1"]["n_videos"] == 240


def test_p_values_are_uniform_where_two_systems_are_alike() -> None:
    p_values = []
    for seed in range(60):
        truth, rng = study(seed, n=60, groups=20)
        account = rng.random((2, 20, 6)) < 0.4  # errors belong to accounts
        a, b = (guess(truth, str(i), account[i][truth.group] & (rng.random((60, 6)) < 0.7)) for i in (0, 1))
        found = compare_pair(a, b, truth, draw_swaps(20, 300)).by_metric["macro_f1"]
        p_values.append((found.interval.p or 0, found.p_exchangeable or 0))
    assert (np.abs(np.mean(p_values, axis=0) - 0.5) < 0.15).all()
    assert (np.mean(np.array(p_values) < 0.1, axis=0) < 0.25).all()


def test_a_pair_is_compared_on_what_both_predicted_and_model() -> None:
    truth, rng = study(13)
    wrong = rng.random((60, 6)) < 0.3
    early, late = np.arange(60) < 40, np.arange(60) >= 20
    a, b = guess(truth, "a", wrong, known=early), guess(truth, "b", np.zeros_like(wrong), known=late)
    some = np.array([1, 1, 1, 0, 1, 1], dtype=bool)
    runs = tuple(SystemRun(r.true, r.known, r.predicted, r.scores, some, r.fold) for r in b.runs)
    made = compare_pair(a, Answers("b", runs), truth, draw_swaps(12, 100))
    both = early & late
    expected = macro(prf(truth.true[both][:, some], (truth.true ^ wrong)[both][:, some])).f1 - 1
    assert (made.n_videos, made.n_labels) == (20, 5)
    assert made.by_metric["macro_f1"].value == pytest.approx(expected, abs=1e-12)
    nobody = compare_pair(guess(truth, "a", wrong, known=early), guess(truth, "b", wrong, known=~early), truth,
                     draw_swaps(12, 100))  # fmt: skip
    assert (nobody.n_videos, nobody.by_metric["macro_f1"]) == (0, (None, (None, None, NO_NUMBER, None), None))


def test_every_run_of_one_is_paired_with_the_only_run_of_another() -> None:
    truth, rng = study(17)
    first, second, third = (rng.random((60, 6)) < 0.2 for _ in range(3))
    swaps = draw_swaps(12, 100)
    both = compare_pair(guess(truth, "a", first, second), guess(truth, "b", third), truth, swaps)
    alone = [
        compare_pair(guess(truth, "a", w), guess(truth, "b", third), truth, swaps) for w in (first, second)
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


def genres_of(truth: Truth) -> dict[str, str | None]:
    return {
        video: "food" if i % 12 < 6 else "news" if i % 12 < 11 else None for i, video in enumerate(truth.ids)
    }


def test_genres_are_compared_over_the_labels_that_all_have() -> None:
    truth, rng = study(19, n=120)
    wrong = rng.random((120, 6)) < 0.3
    answers, at = guess(truth, "s", wrong), np.arange(120) % 12
    rows = slices(answers, truth, genres_of(truth))
    by = {(row["by"], row["slice"]): row for row in rows if row["by"] != "drop"}
    assert by.keys() == set(itertools.product(("genre", "without_genre", "difference"), ("food", "news")))
    food, news = at < 6, (at >= 6) & (at < 11)
    fixed = np.logical_and.reduce([truth.true[w].sum(0) >= 5 for w in (food, news, ~food, ~news)])
    assert 2 < fixed.sum() < 6, "some are too rare in one of them"
    pi = truth.true[:, fixed].mean(0)

    def expected(where: Bools) -> float:
        true, predicted = truth.true[where][:, fixed], (truth.true ^ wrong)[where][:, fixed]
        hits, alarms = (true & predicted).sum(0) / true.sum(0), (~true & predicted).sum(0) / (~true).sum(0)
        return float((2 * pi * hits / (pi * (1 + hits) + (1 - pi) * alarms)).mean())

    for name, where, n_groups in (("genre", food, 6), ("without_genre", ~food, 6)):
        row = by[name, "food"]
        assert row["value"] == pytest.approx(expected(where), abs=1e-12)
        assert row["baseline"] == pytest.approx((2 * pi / (1 + pi)).mean())
        assert (row["n_videos"], row["n_groups"], row["n_labels"]) == (60, n_groups, fixed.sum())
        assert (row["lower"] or 1) < expected(where) < (row["upper"] or 0)
    gap = by["difference", "food"]
    assert gap["value"] == pytest.approx(expected(~food) - expected(food), abs=1e-12)
    assert (gap["lower"] or 1) < (gap["value"] or 0) < (gap["upper"] or -1)
    assert {row["by"] for row in slices(answers, truth, dict.fromkeys(truth.ids, "food"))} == {"drop"}


def test_a_small_genre_is_named_and_leaves_the_others_their_labels() -> None:
    truth, rng = study(20, n=240, groups=24)
    answers, at = guess(truth, "s", rng.random((240, 6)) < 0.3), np.arange(240) % 24
    genre: dict[str, str | None] = {
        video: "food" if place < 10 else "news" if place < 20 else "art" if place == 20 else None
        for video, place in zip(truth.ids, at, strict=True)
    }
    rows = [row for row in slices(answers, truth, genre) if row["by"] == "genre"]
    found = {row["slice"]: row for row in rows}
    assert found["art"]["why_none"] == "1 account: too few to compare"
    assert (found["art"]["value"], found["art"]["n_videos"], found["art"]["n_groups"]) == (None, 10, 1)
    assert found["food"]["value"] is not None
    assert (found["food"]["n_labels"] or 0) >= 5


def test_genres_without_a_label_in_common_say_so() -> None:
    truth, rng = study(22, n=120, groups=12)
    at = np.arange(120) % 12 < 6
    for label in range(6):
        truth.true[at == (label < 3), label] = False
    answers = guess(truth, "s", rng.random((120, 6)) < 0.3)
    genre = {video: "food" if one else "news" for video, one in zip(truth.ids, at, strict=True)}
    rows = [row for row in slices(answers, truth, genre) if row["by"] != "drop"]
    assert {row["why_none"] for row in rows} == {
        "no label has 5 positives in every genre: nothing to compare over"
    }
    assert {(row["value"], row["baseline"], row["n_labels"]) for row in rows} == {(None, None, 0)}


def test_the_drop_between_stances() -> None:
    truth, rng = study(19)
    wrong = rng.random((60, 6)) < 0.3
    rows = slices(guess(truth, "s", wrong), truth, {})
    assert [(row["by"], row["metric"]) for row in rows] == [("drop", "macro_f1"), ("drop", "weighted_f1")]
    halves = [macro(prf(truth.true[:, k], (truth.true ^ wrong)[:, k])).f1 for k in (slice(3), slice(3, 6))]
    drop = rows[0]
    assert drop["value"] == pytest.approx(halves[0] - halves[1], abs=1e-12)
    assert (drop["lower"] or 1) < (drop["value"] or 0) < (drop["upper"] or -1)
