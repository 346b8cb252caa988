"""Tables of how often values are predicted: by value, by account; where on the circle false alarms lie. No HTML."""

import math
from collections.abc import Mapping
from typing import Any

from tikval.evaluate.prevalence import why_no_ends
from tikval.report.site.record import Report
from tikval.report.site.score_tables import title_of
from tikval.report.site.video_links import VideoLink, VideoLinks
from tikval.stats.circle import MEASURES
from tikval.stats.prevalence import RateLine
from tikval.values import CONFRONTED, ENDORSED, SIGN


def rate_tables(report: Report, links: VideoLinks) -> list[dict[str, Any]]:
    """One table per system: lines of values with both stances, and of the circle's groups and axes."""
    half = len(report.labels) // 2
    out = []
    for rates in report.rates:
        lines = {line.what: line for line in rates.lines}
        first = next(iter(rates.lines), None)
        values = [
            {
                "title": title_of(report, v),
                "link": links.value(rates.system, v),
                "cells": [
                    _cell(lines.get(label), links.label(rates.system, label))
                    for label in (report.labels[v], report.labels[half + v])
                ],
            }
            for v in range(half)
        ]
        measures = [
            {"title": name.replace("_", " "), "cell": _cell(lines[name])}
            for name in MEASURES
            if name in lines
        ]
        out.append(
            {
                "system": rates.system,
                "header": rates.header,
                "is_human": rates.is_human,
                "videos": first.videos if first else 0,
                "accounts": first.clusters if first else 0,
                "corrected": any(line.corrected is not None for line in rates.lines),
                "has_intervals": any(line.low is not None for line in rates.lines),
                "why_none": why_no_ends(rates.lines) if rates.lines else [],
                "values": values,
                "measures": measures,
                "notes": rates.notes,
            }
        )
    return out


def _cell(line: RateLine | None, link: VideoLink | None = None) -> dict[str, Any] | None:
    """A rate as text; None where the label is not modelled, which is not a rate of zero."""
    if line is None:
        return None
    return {
        "rate": percent(line.rate),
        "link": link,
        "interval": percents(line.low, line.high),
        "corrected": percent(line.corrected),
        "corrected_interval": percents(line.corrected_low, line.corrected_high),
    }


def confusion_lines(report: Report) -> list[dict[str, Any]]:
    """False alarms by kind, beside what chance would give, of every system that has been compared with people."""
    return [
        {
            "system": rates.system,
            "stance": each.stance,
            "kind": each.kind,
            "observed": each.observed,
            "expected": f"{each.expected:.1f}",
            "ratio": "\u2013" if math.isnan(each.ratio) else f"{each.ratio:.2f}",
            "interval": "" if math.isnan(each.low) else f"[{each.low:.2f}, {each.high:.2f}]",
        }
        for rates in report.rates
        for each in rates.confusions
    ]


def account_names(report: Report) -> dict[str, str]:
    """What the site calls each account: by its name only where the report shows accounts, else by a number."""
    known = dict.fromkeys(
        [card.account for card in report.cards] + [account.name for account in report.accounts]
    )
    names = [name for name in known if name]
    return {name: name if report.show_accounts else f"account {n}" for n, name in enumerate(names, 1)}


def account_lines(report: Report, names: Mapping[str, str], links: VideoLinks) -> list[dict[str, Any]]:
    """One line per account, by the name that the report may show, with what each system predicts most often."""
    lines = []
    for account in report.accounts:
        name = names.get(account.name, "") if account.name else ""
        most = {
            system: [
                _share(report, label, share, links.label_of_account(system, label, account.name, name))
                for label, share in pairs
            ]
            for system, pairs in account.most.items()
        }
        lines.append(
            {
                "name": name or None,
                "link": links.account(account.name, name),
                "genre": account.genre,
                "of_genre": links.genre(account.genre),
                "videos": account.videos,
                "failed": account.failed,
                "of_failed": links.failed_of_account(account.name, name),
                "annotated": account.annotated,
                "most": [{"system": system, "labels": labels} for system, labels in most.items()],
            }
        )
    return lines


def _share(report: Report, label: str, share: float, link: VideoLink | None) -> dict[str, Any]:
    slug, sign = label[:-1], label[-1]
    return {
        "title": report.titles.get(slug, slug),
        "stance": ENDORSED if sign == SIGN[ENDORSED] else CONFRONTED,
        "share": percent(share),
        "link": link,
    }


def percent(rate: float | None) -> str:
    """A share in percent, with one decimal below 10 %; a dash where there is no number."""
    if rate is None:
        return "\u2013"
    text = f"{100 * rate:z.1f}" if abs(rate) < 0.1 else f"{100 * rate:.0f}"
    return f"{text} %".replace("-", "\u2212")


def percents(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return f"[{100 * low:z.1f}, {100 * high:z.1f}]".replace("-", "\u2212")
