"""What a cascade promises, on made corpora whose answers are all known."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.cascade import (
    SAMPLE,
    Pair,
    accounts,
    check_of,
    of_promise,
    outside,
    plan_of,
    reached,
    shifted,
)
from tikval.stats.arrays import Floats
from tikval.stats.cascade import ALL_UP, CascadePlan
from tikval.stats.cascade_bounds import right_share, unknown_effect
from tikval.stats.cascade_plan import cut_at, plan_cascade
from tikval.stats.pooled_platt import fit_pooled_platt
from tikval.stats.student import f_above, few_errors, most_errors, t_two_sided


@pytest.fixture(scope="module")
def pair() -> Pair:
    return accounts(np.random.default_rng([0, 1]), by_account=0)


def sample_of(pair: Pair, seed: int = 0) -> Any:
    return np.random.default_rng(seed).permutation(len(pair.scores))[:SAMPLE]


def planned(pair: Pair, **options: Any) -> CascadePlan:
    return plan_of(pair, sample_of(pair)[: SAMPLE // 2], 0, **options)


def test_the_promise_is_kept_and_saves(pair: Pair) -> None:
    plan = planned(pair)
    rest = outside(pair, sample_of(pair))
    up = plan.goes_up(rest.scores)
    assert plan.promised == ((0.9, 0.9), (0.9, 0.9))
    assert plan.share == pytest.approx(up.mean(), abs=0.03)
    assert 0 < up.mean() < 0.9
    assert (reached(rest, np.where(up[:, None], rest.strong, plan.answers(rest.scores))) >= 0.9).all()


def test_a_higher_promise_sends_more_up(pair: Pair) -> None:
    shares = [planned(pair, recall=target, precision=target).share for target in (0.7, 0.9, 0.95)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def test_all_right_is_promised_only_where_everything_goes_up(pair: Pair) -> None:
    plan = planned(pair, recall=1.0, precision=1.0)
    assert (plan.cut, plan.share) == (ALL_UP, 1.0)


def test_a_share_is_what_goes_up_and_its_bounds_are_promised(pair: Pair) -> None:
    plan = planned(pair, share=0.5)
    assert plan.share == pytest.approx(0.5, abs=0.03)
    (row,) = [row for row in plan.rows if row.name == "cascade" and row.share == round(plan.share, 6)]
    for promised, one in zip(plan.promised, row.reached, strict=True):
        assert one is not None
        assert promised == pytest.approx((one.recall_lower, one.precision_lower))


def test_recall_and_precision_rise_with_the_share(pair: Pair) -> None:
    rows = [row for row in planned(pair).rows if row.name == "cascade"]
    for stance in (0, 1):
        for of in ("recall", "precision", "recall_lower"):
            values = [getattr(row.reached[stance], of) for row in rows]
            assert values == sorted(values)


def test_the_table_has_what_a_cascade_is_compared_with(pair: Pair) -> None:
    plan = planned(pair)
    by_name = {row.name: row for row in plan.rows}
    assert list(by_name) == ["nothing", "cheap", "cascade", "random", "strong"]
    assert by_name["random"].share == pytest.approx(plan.share, abs=1e-6)
    assert by_name["nothing"].reached[0] is not None
    assert by_name["nothing"].reached[0].recall == 0


def test_a_plan_survives_json(pair: Pair) -> None:
    plan = planned(pair)
    again = CascadePlan.from_json(json.loads(json.dumps(plan.as_json(), allow_nan=False)))
    assert again == plan
    assert (again.goes_up(pair.scores) == plan.goes_up(pair.scores)).all()


def test_a_video_without_scores_goes_up_and_a_failed_answer_is_not_counted(pair: Pair) -> None:
    scores = pair.scores.copy()
    scores[::7] = np.nan
    at = sample_of(pair)[:200]
    strong = pair.strong[at].astype(float)
    strong[:20] = np.nan
    plan = plan_cascade(scores, pair.decisions, strong, at, pair.account, pair.stance)
    assert plan.goes_up(scores)[::7].all()
    less = plan_cascade(scores, pair.decisions, strong[20:], at[20:], pair.account, pair.stance)
    assert (plan.cut, plan.promised, plan.fitted) == (less.cut, less.promised, less.fitted)
    with pytest.raises(ValueError, match="answered 1 videos"):
        plan_cascade(scores, pair.decisions, strong[:21], at[:21], pair.account, pair.stance)


def test_without_positives_nothing_is_promised_and_the_needed_sample_is_named(pair: Pair) -> None:
    rare = pair._replace(strong=pair.strong & (pair.stance == 0))
    plan = planned(rare)
    assert plan.promised == ((0.9, 0.9), None)
    assert plan.why_none[0] is None
    assert plan.why_none[1] is not None
    assert plan.why_none[1].startswith("0 positives")
    assert plan.needed[1] is not None
    assert plan.needed[1] > SAMPLE
    none = planned(rare._replace(strong=np.zeros_like(pair.strong)))
    assert (none.cut, none.promised) == (ALL_UP, (None, None))


def test_one_stance_alone(pair: Pair) -> None:
    plan = planned(pair._replace(stance=np.zeros_like(pair.stance)))
    assert plan.promised == ((0.9, 0.9), None)
    assert plan.why_none == (None, None)  # no label of the other: nothing to promise
    assert all(row.reached[1] is None for row in plan.rows)


def test_accounts_promise_no_more_than_the_corpus(pair: Pair) -> None:
    few = pair._replace(account=pair.account % 3)
    plan = planned(few, promise_for="accounts")
    assert plan.promised == (None, None)
    assert "too few for an interval" in str(plan.why_none[0])
    assert planned(pair, promise_for="accounts").promise_for == "accounts"


def test_the_check_says_kept_or_broken(pair: Pair) -> None:
    at = sample_of(pair)
    plan = planned(pair)
    nobody_up = replace(plan, cut=float("inf"))
    assert check_of(plan, pair, at, 0).verdict in ("kept", "not shown")
    assert check_of(nobody_up, pair._replace(scores=pair.scores[::-1]), at, 0).verdict == "broken"
    assert check_of(replace(plan, cut=ALL_UP), pair, at, 0).verdict == "kept"
    assert check_of(replace(plan, promised=(None, None)), pair, at, 0).verdict == "nothing promised"
    json.dumps(check_of(plan, pair, at, 0).as_json(), allow_nan=False)


def drifted_rest(scores: Floats, at: Any) -> Floats:
    out = shifted(scores, 0.6)
    out[at] = scores[at]
    return out


@pytest.mark.parametrize(
    ("change", "name"),
    [(lambda scores, at: shifted(scores, 1.0), "calibration"), (drifted_rest, "sample")],
)
def test_drift_is_noticed(pair: Pair, change: Callable[[Floats, Any], Floats], name: str) -> None:
    at = sample_of(pair)
    plan = planned(pair)
    assert check_of(plan, pair, at, 0).notices == ()
    assert name in check_of(plan, pair._replace(scores=change(pair.scores, at)), at, 0).notices


def test_the_quick_benchmark_keeps_its_promise() -> None:
    found = of_promise(accounts, 20, 10)
    assert found["kept"] >= 0.85
    assert found["lowest_reached"] > found["lowest_at_random"]


def test_bounds_are_those_of_clopper_and_pearson() -> None:
    assert most_errors(0, 29, 0.05) == pytest.approx(1 - 0.05 ** (1 / 29))
    for errors, trials in ((0, 3), (2.5, 40), (7, 120)):
        assert few_errors(errors, trials, most_errors(errors, trials, 0.05)) == pytest.approx(0.05, abs=1e-6)
    assert f_above(4.0, 1, 12) == pytest.approx(t_two_sided(2.0, 12))


def test_alike_answers_in_a_group_are_worth_less() -> None:
    trials = np.full(40, 5.0)
    errors = np.zeros(40)
    errors[:8] = 5.0  # all wrong in 8 groups
    alike = right_share(errors, trials, unknown_effect(errors, trials))
    spread = right_share(np.ones(40), trials, 1.0)
    assert alike.value == spread.value
    assert alike.effect == pytest.approx(5, rel=0.05)
    lower, wide = spread.lower(0.05), alike.lower(0.05)
    assert lower is not None
    assert wide is not None
    assert wide < lower < 0.8


def test_calibration_shrinks_to_the_stance_and_needs_no_score() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(-1, 1, (600, 6))
    truth = rng.random(x.shape) < 1 / (1 + np.exp(-x))
    scores = 1 / (1 + np.exp(-2 * x))  # twice too sure
    scores[:, 5] = np.nan
    model = fit_pooled_platt(scores, np.arange(300), truth[:300], np.zeros(6, int))
    p = model.probability(scores)
    assert np.abs(p[300:, :5].mean(0) - truth[300:, :5].mean(0)).max() < 0.08
    assert np.array(model.slope[:5]) == pytest.approx(0.5, abs=0.2)
    assert p[0, 5] == pytest.approx(truth[:300, 5].mean(), abs=0.08)


def test_a_cut_keeps_ties_together() -> None:
    doubt = np.array([np.inf, 3.0, 3.0, 1.0])
    assert (doubt > cut_at(doubt, 0.5)).sum() == 1
    assert (doubt > cut_at(doubt, 0.75)).sum() == 3
    assert (doubt > cut_at(doubt, 0.0)).sum() == 1  # what has no score cannot stay
    assert cut_at(doubt, 1.0) == ALL_UP
