"""Which of several systems is recommended, and why."""

from typing import Any

from tikval.evaluate.recommendation import SystemWorth, recommend
from tikval.rows import ComparisonRow


def worth(system: str, f1: float | None, usd: float | None = 0.0, hours: float | None = 1.0) -> SystemWorth:
    return SystemWorth(system, f1, None, None, usd, hours, "English", "nowhere")


def row(a: str, b: str, difference: float, p: float | None, half: float = 0.05, **more: Any) -> ComparisonRow:
    made: dict[str, Any] = dict.fromkeys(ComparisonRow.__annotations__)
    made |= {"system_a": a, "system_b": b, "metric": "macro_f1", "difference": difference, "n_videos": 100}
    made |= {"p": p, "p_holm": p, "lower": difference - half, "upper": difference + half}
    return made | more  # type: ignore[return-value]


def test_a_lead_that_is_shown_is_worth_its_price() -> None:
    found = recommend([worth("cheap", 0.3), worth("dear", 0.5, 40)], [row("cheap", "dear", -0.2, 0.001)])
    assert found.system == "dear"
    assert found.why == ("dear has the highest macro F1 (0.50), and its lead over the other is shown",)


def test_a_lead_that_is_not_shown_is_not_paid_for_and_it_says_how_many_labels_would_tell() -> None:
    pairs = [row("cheap", "dear", -0.04, 0.2, half=0.08)]
    found = recommend([worth("cheap", 0.46), worth("dear", 0.5, 40)], pairs)
    assert found.system == "cheap"
    # twice the width that would show 0.04 takes four times the labels: 300 more than 100
    assert "(+0.040 [-0.040, +0.120]) is not shown" in found.why[0]
    assert "about 300 more labels" in found.why[0]
    assert "dear 40.00 USD" in found.why[0]


def test_the_order_of_a_pair_does_not_matter() -> None:
    systems = [worth("cheap", 0.46), worth("dear", 0.5, 40)]
    one = recommend(systems, [row("cheap", "dear", -0.04, 0.2, half=0.08)])
    assert one == recommend(systems, [row("dear", "cheap", 0.04, 0.2, half=0.08)])


def test_a_difference_too_small_to_tell_asks_for_no_number_of_labels() -> None:
    pairs = [row("a", "b", 0.001, 0.9, half=0.1)]
    assert (
        "more than 10 times the 100 labels"
        in recommend([worth("a", 0.5, 9), worth("b", 0.499)], pairs).why[0]
    )


def test_without_an_interval_nothing_is_shown() -> None:
    why = "4 accounts: too few for an interval"
    pairs = [row("a", "b", 0.2, None, lower=None, upper=None, why_none=why)]
    found = recommend([worth("a", 0.5, 9), worth("b", 0.3)], pairs)
    assert found.system == "b"
    assert "is not shown: it has no interval" in found.why[0]


def test_a_price_that_nobody_knows_counts_as_most() -> None:
    pairs = [row("server", "paid", 0.0, 1.0)]
    assert recommend([worth("server", 0.5, None), worth("paid", 0.5, 3)], pairs).system == "paid"


def test_of_two_that_cost_the_same_the_faster_one() -> None:
    systems = [worth("slow", 0.5, 0, 10), worth("fast", 0.49, 0, 1)]
    found = recommend(systems, [row("slow", "fast", 0.01, 0.8)])
    assert found.system == "fast"
    assert "fast takes 1 hours for 1,000 videos, slow 10" in found.why[0]


def test_without_a_score_nothing_is_recommended() -> None:
    found = recommend([worth("a", None, 3), worth("b", None, 0)], [])
    assert found.system is None
    assert "the cheapest is b (nothing to a provider)" in found.why[0]


def test_a_system_that_does_not_beat_predicting_everything_is_not_praised() -> None:
    pairs = [row("a", "predict everything", -0.1, 0.001), row("a", "b", 0.2, 0.001)]
    found = recommend([worth("a", 0.2), worth("b", 0.1)], pairs, ["predict everything"])
    assert found.system == "a"
    assert "no better than the baseline predict everything (-0.100)" in found.why[-1]


def test_what_was_not_scored_is_named() -> None:
    assert "not considered: b" in recommend([worth("a", 0.2), worth("b", None)], []).why[-1]
