"""Prompts against each other, and a prompt against the videos that were held out, on a terminal."""

import math
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from tikval.evaluate.prompt_comparison import (
    AGREEMENTS,
    DifferentVideo,
    HeldOutCheck,
    PromptComparison,
    PromptCost,
    in_words,
)
from tikval.report.display import two
from tikval.stats.agreement import Coefficient
from tikval.stats.intervals import Interval

_SHOWN: Final = 25  # videos that are judged differently


def show_prompt_comparison(found: PromptComparison, shown: dict[str, str], console: Console) -> None:
    """Print it; `shown`: the name of each video whose id names somebody."""
    a, b = found.names
    table = Table("", f"A: {a}", f"B: {b}", "A - B [95 %]", title="F1", title_justify="left")
    for one in found.scores:
        table.add_row(
            one.metric,
            _score(one.a, one.interval_a),
            _score(one.b, one.interval_b),
            in_words(one.difference, one.interval),
        )
    console.print(table)
    console.print(f"macro F1 over {', '.join(found.averaged) or 'no label: none has positives enough'}")
    hits = Table("label", "videos with it", "hits A", "hits B", "false alarms A", "false alarms B")
    for line in found.labels:
        hits.add_row(line.label, *(str(n) for n in (line.positives, *line.hits, *line.false_alarms)))
    console.print(hits)
    _show_videos(found.videos, shown, console)
    agreed = Table("who agrees", "same decision", "AC1", "alpha")
    for pair, coefficients in found.agreement.items():
        agreed.add_row(pair, *(_coefficient(coefficients[name]) for name in AGREEMENTS))
    console.print(agreed)
    costs = Table("", "tokens in", "tokens out", "USD", "USD per 1,000 videos", "failed")
    for name, cost in zip(("A", "B"), found.costs, strict=True):
        costs.add_row(name, *_cost(cost))
    console.print(costs)
    console.print(f"* {found.power}")


def show_held_out(found: HeldOutCheck, console: Console) -> None:
    table = Table("", "development", "held out [95 %]", "drop [95 %]", title=found.name, title_justify="left")
    for one in found.scores:
        table.add_row(
            one.metric,
            _score(one.development, Interval(None, None)),
            _score(one.held_out, one.interval),
            in_words(one.drop, one.drop_interval),
        )
    console.print(table)
    here, there = (
        f"{videos} videos of {accounts} accounts"
        for videos, accounts in zip(found.videos, found.accounts, strict=True)
    )
    console.print(f"development: {here}; held out: {there}")
    console.print(
        f"macro F1 over {', '.join(found.averaged) or 'no label: none has positives enough in both'}"
    )
    console.print(found.verdict)


def _show_videos(videos: Sequence[DifferentVideo], shown: dict[str, str], console: Console) -> None:
    table = Table("judged differently", "A alone gives", "B alone gives")
    for video in videos[:_SHOWN]:
        name = shown.get(video.video_id, video.video_id)
        table.add_row(name, *(_marked(labels) for labels in (video.only_a, video.only_b)))
    if videos:
        console.print(table)
    more = f"; the first {_SHOWN} are shown" if len(videos) > _SHOWN else ""
    console.print(f"{len(videos)} videos are judged differently{more} (✓ as annotated, ✗ not)")


def _marked(labels: Sequence[tuple[str, bool]]) -> str:
    return ", ".join(f"{label} {'✓' if right else '✗'}" for label, right in labels) or "-"


def _score(value: float | None, interval: Interval) -> str:
    if value is None:
        return "-"
    ends = "" if interval.lower is None else f" [{two(interval.lower)}, {two(interval.upper)}]"
    return f"{two(value)}{ends}"


def _coefficient(found: Coefficient) -> str:
    if math.isnan(found.value):
        return "-"
    ends = "" if math.isnan(found.low) else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{found.value:.2f}{ends}"


def _cost(cost: PromptCost) -> list[str]:
    failed = ", ".join(f"{reason} {n}" for reason, n in cost.failures.items()) or "none"
    if not cost.tokens_in + cost.tokens_out:
        return ["no calls", "-", "-", "-", failed]
    per = "-" if math.isnan(cost.usd_per_thousand) else f"{cost.usd_per_thousand:.2f}"
    return [f"{cost.tokens_in:,}", f"{cost.tokens_out:,}", f"{cost.usd:.4f}", per, failed]
