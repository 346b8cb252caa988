"""The words on a tuned system: better, worse, not shown, and no interval."""

import pytest

from tikval.evaluate.tuning_verdict import tuning_verdict
from tikval.rows import ComparisonRow


def row(
    difference: float | None, lower: float | None, upper: float | None, a: str = "tuned"
) -> ComparisonRow:
    return {
        "system_a": a,
        "system_b": "local" if a == "tuned" else "tuned",
        "metric": "macro_f1",
        "difference": difference,
        "lower": lower,
        "upper": upper,
        "why_none": None if lower is not None else "4 accounts: too few for an interval",
        "p": None,
        "p_holm": None,
        "p_exchangeable": None,
        "n_videos": 100,
        "n_groups": 20,
        "n_labels": 9,
    }


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (row(0.1, 0.02, 0.18), "better than local by 0.10 [+0.02, +0.18]"),
        (row(-0.1, -0.18, -0.02, "local"), "better than local by 0.10 [+0.02, +0.18]"),
        (row(-0.1, -0.18, -0.02), "worse than local by 0.10 [-0.18, -0.02]: stay with local"),
        (row(0.1, -0.03, 0.23), "label 100 more"),  # 100 * ((0.13 / 0.10) ** 2 - 1) = 69
        (row(0.01, -0.2, 0.22), "even ten times the 100 labels"),
        (row(-0.01, -0.2, 0.18), "nor do more labels promise it"),
        (row(0.1, None, None), "which may be chance: 4 accounts: too few for an interval"),
        (row(None, None, None), "nothing to compare tuned and local by"),
    ],
)
def test_each_verdict(found: ComparisonRow, words: str) -> None:
    assert words in tuning_verdict(found, "tuned")
