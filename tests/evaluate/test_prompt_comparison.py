"""Two prompts on few videos, and one prompt here and there: numbers by hand, and what so few videos cannot tell."""

from typing import Any

import numpy as np
import pytest

from tests.fixtures.rows import label, prediction
from tikval.evaluate.answers import Truth, read_answers, read_truth
from tikval.evaluate.compare import compare_pair, draw_swaps
from tikval.evaluate.prompt_comparison import PromptComparison, check_held_out, compare_prompts, cost_of
from tikval.values import LABELS, SLUGS

FACE = SLUGS.index("face")
NO_COST = cost_of([], [], [])


def truth_of(accounts: int, each: int = 4) -> Truth:
    """Every other video has face+."""
    rows = []
    for i in range(accounts * each):
        stances: list[int | None] = [0] * len(SLUGS)
        stances[FACE] = i % 2
        rows.append(label(f"v{i:03}", account=f"a{i // each}", stances=stances))
    return read_truth(rows, LABELS, 0.0, min_positives=5)


def answers(truth: Truth, right: float, seed: int = 0, **changes: Any) -> list[Any]:
    """Face+ as the annotator has it with this probability."""
    rng, face = np.random.default_rng(seed), LABELS.index("face+")
    given = truth.true[:, face] == (rng.random(len(truth.ids)) < right)
    return [
        prediction(name, *(["face+"] if yes else []), **changes)
        for name, yes in zip(truth.ids, given, strict=True)
    ]


def compared(truth: Truth, a: list[Any], b: list[Any]) -> PromptComparison:
    return compare_prompts(("a", "b"), (a, b), truth, (NO_COST, NO_COST))


def test_the_difference_is_that_of_all_comparisons_of_systems() -> None:
    truth = truth_of(8)
    a, b = answers(truth, 0.9), answers(truth, 0.6, seed=1)
    found = compared(truth, a, b)
    macro, micro = found.scores
    pair = compare_pair(
        read_answers(a, truth, "a"), read_answers(b, truth, "b"), truth, draw_swaps(truth.n_groups, 100)
    )
    assert (macro.difference, macro.interval) == pair.by_metric["macro_f1"][:2]
    assert found.averaged == ("face+",)
    assert macro.difference == pytest.approx(micro.difference), "one label is true or predicted at all"
    assert macro.smallest == pytest.approx((macro.interval.upper - macro.interval.lower) / 2)  # type: ignore[operator]
    assert found.power.startswith("32 videos of 8 accounts cannot tell apart less than 0.")
    (line,) = found.labels
    assert (line.label, line.positives) == ("face+", 16)
    assert all(
        alarms + 16 - hits == sum(map(bool, wrong)) for alarms, hits, wrong in _errors(line, truth, a, b)
    )
    different = {video.video_id for video in found.videos}
    assert different == {
        one["video_id"] for one, other in zip(a, b, strict=True) if one["decisions"] != other["decisions"]
    }


def _errors(line: Any, truth: Truth, *systems: list[Any]) -> list[tuple[int, int, list[bool]]]:
    face = LABELS.index("face+")
    wrong = [
        [row["decisions"][face] != yes for row, yes in zip(rows, truth.true[:, face], strict=True)]
        for rows in systems
    ]
    return list(zip(line.false_alarms, line.hits, wrong, strict=True))


def test_four_accounts_tell_nothing_in_words() -> None:
    truth = truth_of(4)
    found = compared(truth, answers(truth, 1), answers(truth, 0.5))
    assert found.scores[0].interval.lower is None
    assert found.power == (
        "16 videos of 4 accounts cannot tell these prompts apart: 4 accounts: too few for an interval"
    )
    rare = read_truth(
        [label("v0", account="a", stances=[1] + [0] * (len(SLUGS) - 1))], LABELS, 0.0, min_positives=5
    )
    assert compared(rare, [prediction("v0")], [prediction("v0")]).averaged == ()


def test_a_failure_is_no_answer_and_costs_are_of_all_steps() -> None:
    truth = truth_of(8)
    a, b = answers(truth, 0.9), answers(truth, 0.9, tokens_in=90, tokens_out=10, cost_usd=0.01)
    b[0] = prediction("v000", error="bad_reply", tokens_in=90, tokens_out=10, cost_usd=0.01)
    found = compared(truth, a, b)
    assert found.n_videos == 31
    assert "v000" not in {video.video_id for video in found.videos}
    scripts = [{"tokens_in": 900, "tokens_out": 100, "cost_usd": 0.02}] * 32
    cost = cost_of(b, scripts, truth.ids)
    assert (cost.tokens_in, cost.tokens_out) == (32 * 990, 32 * 110)
    assert cost.usd_per_thousand == pytest.approx(30)
    assert cost.failures == {"bad_reply": 1}
    assert cost_of(b[:30], [], truth.ids).failures == {"bad_reply": 1, "missing": 2}


@pytest.mark.parametrize(
    ("there", "words"), [(0.55, "over-tuned: it scores higher"), (0.97, "no over-tuning is seen")]
)
def test_a_drop_is_of_two_sets_of_accounts(there: float, words: str) -> None:
    truth = truth_of(40)
    here = {name for name, group in zip(truth.ids, truth.group, strict=True) if group < 10}
    rows = answers(truth, there, seed=3)
    rows[:40] = answers(truth, 0.97, seed=4)[:40]
    found = check_held_out("a", rows, truth, here)
    macro, _ = found.scores
    assert (found.videos, found.accounts, found.averaged) == ((40, 120), (10, 30), ("face+",))
    assert macro.drop == pytest.approx(macro.development - macro.held_out)  # type: ignore[operator]
    assert found.verdict.startswith(words)
    few = check_held_out("a", rows, truth, set(truth.ids[:12]))
    assert few.verdict == "whether it was over-tuned cannot be told: 3 accounts: too few for an interval"
