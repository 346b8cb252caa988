"""The chart of the first page: values ranked, endorsed to the right and confronted to the left, with intervals.

Widths are in percent of one side, so that the template draws with numbers alone: it needs no script.
"""

from typing import Any, Final

from tikval.report.site.answer import CORRECTED, LedRate, LedRates
from tikval.report.site.rates import percent
from tikval.report.site.record import Report
from tikval.report.site.score_tables import title_of
from tikval.report.site.video_links import VideoLinks
from tikval.values import CONFRONTED, ENDORSED

_ENDS: Final = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)  # where the scale may end


def ranked_chart(report: Report, rates: LedRates, links: VideoLinks) -> dict[str, Any]:
    """Rows of values by the larger of their two shares, the scale's end, and what has no row, by reason.

    A value that no video has is not drawn but named, and so is one whose labels are not modelled or not corrected.
    """
    half = len(report.labels) // 2
    largest = max((max(rate.share, rate.high or 0.0) for rate in rates.of.values()), default=0.0)
    end = next((at for at in _ENDS if at >= largest), 1.0)
    rows, empty, unknown = list[tuple[float, dict[str, Any]]](), list[str](), list[str]()
    for v in range(half):
        own = [rates.of.get(report.labels[at]) for at in (v, half + v)]
        known = [rate.share for rate in own if rate]
        if not known:
            unknown.append(title_of(report, v))
        elif max(known) <= 0.0:
            empty.append(title_of(report, v))
        else:
            cells = [
                _cell(rate, stance, end, rates, links)
                for rate, stance in zip(own, (ENDORSED, CONFRONTED), strict=True)
            ]
            link = links.value(rates.system, v)
            rows.append((max(known), {"title": title_of(report, v), "link": link, "cells": cells}))
    ranked = [row for _, row in sorted(rows, key=lambda pair: -pair[0])]
    none = "too few annotated videos to correct" if rates.way == CORRECTED else "not modelled"
    return {
        "rows": ranked,
        "ends": [percent(end), percent(end / 2)],
        "empty": empty,
        "unknown": unknown,
        "none": none,
        "has_gaps": any(cell is None for row in ranked for cell in row["cells"]),
    }


def _cell(
    rate: LedRate | None, stance: str, end: float, rates: LedRates, links: VideoLinks
) -> dict[str, Any] | None:
    """One side of a row; the left one is drawn from right to left."""
    if rate is None:
        return None

    def at(share: float | None) -> float | None:
        if share is None:
            return None
        x = 100 * min(1.0, max(0.0, share) / end)
        return round(x if stance == ENDORSED else 100 - x, 2)

    zero, dot = (at(0.0) or 0.0), (at(rate.share) or 0.0)
    return {
        "stance": stance,
        "share": percent(rate.share),
        "interval": rate.interval,
        "link": links.label(rates.system, rate.label),
        "dot": dot,
        "bar": (min(zero, dot), round(abs(dot - zero), 2)),
        "low": at(rate.low),
        "high": at(rate.high),
    }
