"""Tables of contrasts: system against system, genre against genre, endorsed against confronted. No HTML here."""

from collections.abc import Sequence
from typing import Any, Final

from tikval.evaluate.slices import COMMON, DIFFERENCE, DROP, GENRE, WITHOUT
from tikval.report.display import display_name, two
from tikval.report.how_sure import HowSure, ends_of
from tikval.report.site.record import Report
from tikval.report.site.video_links import VideoLinks
from tikval.report.tables.comparisons import TOLD, n_tested, swap_notes
from tikval.rows import SliceRow
from tikval.stats.limits import counted

METRICS: Final = {"macro_f1": "macro F1", "weighted_f1": "weighted F1"}
SURE: Final = 0.05


def signed(value: float | None) -> str:
    """+0.04, \u22120.04, 0.00; a dash where there is no number."""
    text = two(value)
    return f"+{text}" if value is not None and round(value, 2) > 0 else text.replace("\u22120.00", "0.00")


_OF_GENRES: Final = {GENRE: two, WITHOUT: two, DIFFERENCE: signed}  # in the order of the columns


def comparison_table(report: Report) -> dict[str, Any]:
    """A line per pair and metric; `sure`: the corrected p-value is below 0.05. `below`: what stands below the table."""
    sure = HowSure(map(ends_of, report.comparisons))
    lines = [
        {
            "a": display_name(row["system_a"]),
            "b": display_name(row["system_b"]),
            "metric": METRICS.get(row["metric"], row["metric"]),
            "difference": signed(row["difference"]),
            "interval": sure.spread(ends_of(row)),
            "p": p_value(row["p"]),
            "p_holm": p_value(row["p_holm"]),
            "p_exchangeable": p_value(row.get("p_exchangeable")),
            "sure": row["p_holm"] is not None and row["p_holm"] < SURE,
            "n_videos": row["n_videos"],
            "n_groups": row["n_groups"],
            "n_labels": row["n_labels"],
        }
        for row in report.comparisons
    ]
    below = [*sure.lines, *swap_notes(report.comparisons)]
    return {"lines": lines, "tested": n_tested(report.comparisons), "below": below}


def drop_table(report: Report) -> dict[str, Any]:
    """A line per system: endorsed - confronted in each of METRICS."""
    rows = [row for row in report.slices if row["by"] == DROP]
    sure, cells = HowSure(map(ends_of, rows)), dict[str, dict[str, dict[str, str]]]()
    for row in rows:
        cell = {"value": signed(row["value"]), "interval": sure.spread(ends_of(row))}
        cells.setdefault(display_name(row["system"]), {})[row["metric"]] = cell
    lines = [{"system": system, "cells": [own[m] for m in METRICS]} for system, own in cells.items()]
    return {"lines": lines, "below": sure.lines}


def genre_table(report: Report, links: VideoLinks) -> dict[str, Any]:
    """A line per genre and system: F1 of the genre's videos, of all others, and the second less the first.

    `left_out`: the genres that are not compared, with their sizes and why.
    """
    rows = [row for row in report.slices if row["by"] in _OF_GENRES and row["metric"] == COMMON]
    shown = [row for row in rows if row["value"] is not None]
    sure, cells = HowSure(map(ends_of, shown)), dict[tuple[str, str], dict[str, SliceRow]]()
    for row in shown:
        cells.setdefault((row["slice"], row["system"]), {})[row["by"]] = row
    lines = [
        {
            "genre": genre,
            "link": links.genre(genre),
            "system": display_name(system),
            "n_videos": own[GENRE]["n_videos"],
            "n_groups": own[GENRE]["n_groups"],
            "n_labels": own[GENRE]["n_labels"],
            "everything": two(own[GENRE]["baseline"]),
            "cells": [
                {"value": show(own[by]["value"]), "interval": sure.spread(ends_of(own[by]))}
                for by, show in _OF_GENRES.items()
            ],
        }
        for (genre, system), own in sorted(cells.items(), key=lambda item: item[0][0])
        if own.keys() == _OF_GENRES.keys()
    ]
    over = dict.fromkeys(_over_text(row, rows) for row in shown if row.get("labels"))
    left_out = {
        row["slice"]: {"genre": row["slice"], "link": links.genre(row["slice"]), "why": _size_and_why(row)}
        for row in rows
        if row["by"] == GENRE and row["value"] is None
    }
    return {"lines": lines, "below": [*over, *sure.lines], "left_out": list(left_out.values())}


def _over_text(row: SliceRow, rows: Sequence[SliceRow]) -> str:
    """Which labels genres are compared over; of which system, where systems have others."""
    labels = row["labels"] or []
    several = len({tuple(other["labels"] or ()) for other in rows if other["labels"]}) > 1
    of = f"{display_name(row['system'])}: " if several else ""
    return f"{of}{counted(len(labels), 'label')}: {', '.join(labels)}."


def _size_and_why(row: SliceRow) -> str:
    videos, accounts = counted(row["n_videos"], "video"), counted(row["n_groups"], "account")
    return f"{videos} of {accounts}: {(row['why_none'] or '').removeprefix(f'{accounts}: ')}"


def p_value(p: float | None) -> str:
    return two(None) if p is None else f"< {TOLD}" if p < TOLD else f"{p:.3f}"
