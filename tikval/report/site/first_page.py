"""What the first page begins with: the answer, its chart, examples, and how many videos it is about."""

from collections.abc import Mapping
from typing import Any

from tikval.report.site.answer import LedRates, answer_sentence, led_rates
from tikval.report.site.examples import example_videos
from tikval.report.site.ranked import ranked_chart
from tikval.report.site.record import Report
from tikval.report.site.video_links import VideoLinks


def first_page(report: Report, links: VideoLinks, names: Mapping[str, str]) -> dict[str, Any]:
    """What its template shows before the scores."""
    led = led_rates(report)
    others = [
        (rates.system, f"rates-{n}")
        for n, rates in enumerate(report.rates, 1)
        if led is not None and rates.system != led.system
    ]
    return {
        "led": led,
        "sentence": answer_sentence(report, led, links),
        "others": others,
        "chart_of": ranked_chart(report, led, links) if led else None,
        "examples": example_videos(report, led, links, names) if led else None,
        "covered": covered_line(report, led),
    }


def covered_line(report: Report, led: LedRates | None) -> str:
    """How many videos have a result of the system that the report leads with, in one sentence."""
    stages = dict(report.coverage)
    systems = [*([led.system] if led else []), *(name for name, _ in report.systems)]
    stage = next((f"values: {name}" for name in systems if f"values: {name}" in stages), None)
    if stage is None:
        return ""
    counts = stages[stage]
    failed = sum(counts.failures.values())
    more = [f"{failed:,} failed"] if failed else []
    more += [f"in {counts.abstained:,} it found nothing to judge"] if counts.abstained else []
    have = f"{counts.results:,} of {counts.rows:,} videos have a result of {stage.removeprefix('values: ')}"
    return "; ".join([have, *more]) + "."
