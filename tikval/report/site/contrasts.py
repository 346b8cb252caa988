"""Tables of contrasts: system against system, genre against genre, endorsed against confronted. No HTML here."""

from typing import Any, Final

from tikval.evaluate.slices import COMMON, DIFFERENCE, DROP, GENRE, WITHOUT
from tikval.report.display import BASELINE_NAMES, display_name, two
from tikval.report.site.record import Report
from tikval.report.site.score_tables import interval

METRICS: Final = {"macro_f1": "macro F1", "weighted_f1": "weighted F1"}
SURE: Final = 0.05


def comparison_lines(report: Report) -> list[dict[str, Any]]:
    """One line per pair and metric; `sure`: the corrected p-value is below 0.05."""
    return [
        {
            "a": display_name(row["system_a"]),
            "b": display_name(row["system_b"]),
            "metric": METRICS.get(row["metric"], row["metric"]),
            "difference": signed(row["difference"]),
            "interval": interval(row),
            "p": p_value(row["p"]),
            "p_holm": p_value(row["p_holm"]),
            "sure": row["p_holm"] is not None and row["p_holm"] < SURE,
            "n_videos": row["n_videos"],
            "n_groups": row["n_groups"],
        }
        for row in report.comparisons
    ]


def drop_lines(report: Report) -> list[dict[str, Any]]:
    """One line per system: endorsed - confronted in each of METRICS."""
    cells: dict[str, dict[str, dict[str, str]]] = {}
    for row in report.slices:
        if row["by"] == DROP:
            cell = {"value": signed(row["value"]), "interval": interval(row)}
            cells.setdefault(display_name(row["system"]), {})[row["metric"]] = cell
    return [{"system": system, "cells": [own[m] for m in METRICS]} for system, own in cells.items()]


def genre_lines(report: Report) -> list[dict[str, Any]]:
    """One line per genre and system: F1 of the genre's videos, of all others, and the second less the first."""
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for row in report.slices:
        if row["by"] in (GENRE, WITHOUT, DIFFERENCE) and row["metric"] == COMMON:
            cells.setdefault((row["slice"], row["system"]), {})[row["by"]] = row
    return [
        {
            "genre": genre,
            "system": display_name(system),
            "baseline": system in BASELINE_NAMES,
            "n_videos": own[GENRE]["n_videos"],
            "n_groups": own[GENRE]["n_groups"],
            "cells": [
                {"value": show(own[by]["value"]), "interval": interval(own[by])}
                for by, show in ((GENRE, two), (WITHOUT, two), (DIFFERENCE, signed))
            ],
        }
        for (genre, system), own in sorted(cells.items(), key=lambda item: item[0][0])
        if own.keys() == {GENRE, WITHOUT, DIFFERENCE}
    ]


def signed(value: float | None) -> str:
    """+0.04, \u22120.04, 0.00; a dash where there is no number."""
    text = two(value)
    return f"+{text}" if value is not None and round(value, 2) > 0 else text.replace("\u22120.00", "0.00")


def p_value(p: float | None) -> str:
    return two(None) if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
