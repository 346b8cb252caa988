"""Coverage and scores as plain dictionaries for the templates. No HTML here."""

import math
from collections.abc import Mapping
from typing import Any

from tikval.evaluate.baselines import BASELINES
from tikval.evaluate.scores import BASELINE, LEFT_OUT, MISSING, RIGHT, STANCES, WRONG, Coverage
from tikval.report.display import display_name, two
from tikval.report.site.record import Report
from tikval.rows import Reason, ScoreRow

Numbers = dict[tuple[str, str, str, str], ScoreRow]  # by system, failures, stance, label


def kind_of(reason: str) -> str:
    """Whether trying again can help; "missing" is no Reason, as no row has it."""
    if reason == MISSING:
        return "not run yet"
    if reason not in set(Reason):
        return "unknown"
    return "terminal" if Reason(reason).terminal else "retryable"


def title_of(report: Report, v: int) -> str:
    slug = report.labels[v][:-1]
    return report.titles.get(slug, slug)


def coverage_line(stage: str, counts: Coverage) -> dict[str, Any]:
    """One stage, with the widths of its bar in percent of the rows that came in."""
    failed = sum(counts.failures.values())
    whole = max(counts.rows, 1)
    parts = (
        ("predicted", counts.results - counts.abstained),
        ("abstained", counts.abstained),
        ("failed", failed),
    )
    bar, x = [], 0.0
    for name, number in parts:
        bar.append({"name": name, "x": round(x, 3), "width": round(100 * number / whole, 3)})
        x += 100 * number / whole
    share = 100 * counts.results / whole
    return {
        "stage": stage,
        "rows": counts.rows,
        "results": counts.results,
        # never round up to a coverage that was not reached
        "share": f"{math.floor(share * 10) / 10:g} %",
        "abstained": counts.abstained,
        "failed": failed,
        "reasons": [(reason, number, kind_of(reason)) for reason, number in counts.failures.items()],
        "bar": bar,
    }


def score_tables(report: Report) -> dict[str, Any]:
    """F1 and movie lines per system, the baselines last, and per-label lines with the baseline's F1."""
    rows: Numbers = {(r["system"], r["failures"], r["stance"], r["label"]): r for r in report.scores}
    names = list(dict.fromkeys(r["system"] for r in report.scores))
    scored = [name for name in names if name not in BASELINES]
    baselines = [name for name in BASELINES if name in names]
    first = report.scores[0]
    return {
        "n_videos": first["n_videos"],
        "label_set": first["label_set"],
        "lines": [_line(rows, system) for system in (*scored, *baselines)],
        "details": [
            {
                "system": system,
                "labels": labels,
                "ranked": any(rank != two(None) for line in labels for rank in line["ranks"]),
            }
            for system in scored
            if (labels := _labels(report, rows, system))
        ],
        "intervals": any(r.get("lower") is not None for r in report.scores),
        "bounded": any(r["n_scored"] < r["n_videos"] for r in report.scores),
    }


def _line(rows: Numbers, system: str) -> dict[str, Any]:
    own = [r for (name, failures, _, _), r in rows.items() if name == system and failures == LEFT_OUT]
    return {
        "system": display_name(system),
        "baseline": system in BASELINES,
        "n_labels": sum(r["frequent"] is True for r in own),
        "n_scored": own[0]["n_scored"],
        "failed": own[0]["n_videos"] - own[0]["n_scored"],
        "f1": [_cell(rows, system, stance, how, "f1") for stance in STANCES for how in ("macro", "weighted")],
        "movie": [
            _cell(rows, system, stance, label, what)
            for stance in STANCES
            for label in ("movie", "movie_micro")
            for what in ("recall", "precision")
        ],
    }


def _cell(rows: Numbers, system: str, stance: str, label: str, what: str) -> dict[str, Any]:
    def number(name: str, failures: str) -> float | None:
        row = rows.get((name, failures, stance, label))
        value = None if row is None else row[what]  # type: ignore[literal-required]
        return value if isinstance(value, float) else None

    value, low, high = (number(system, failures) for failures in (LEFT_OUT, WRONG, RIGHT))
    baseline = number(BASELINE, LEFT_OUT)
    bounds = None if low is None or high is None or low == high else f"{low:.2f} to {high:.2f}"
    # recall cannot be compared: predicting everything recovers everything
    below = what != "recall" and value is not None and baseline is not None and value < baseline
    return {
        "value": two(value),
        "interval": interval(rows.get((system, LEFT_OUT, stance, label))) if what == "f1" else "",
        "bounds": bounds,
        "below": below and system not in BASELINES,
    }


def interval(row: Mapping[str, Any] | ScoreRow | None) -> str:
    """`[0.36, 0.46]`, or nothing: also for rows that were written before there were intervals."""
    lower, upper = (None, None) if row is None else (row.get("lower"), row.get("upper"))
    return "" if lower is None or upper is None else f"[{two(lower)}, {two(upper)}]"


def _labels(report: Report, rows: Numbers, system: str) -> list[dict[str, Any]]:
    half = len(report.labels) // 2
    out = []
    for i, label in enumerate(report.labels):
        stance = STANCES[i >= half]
        row = rows.get((system, LEFT_OUT, stance, label))
        if row is None:
            continue
        base = rows.get((BASELINE, LEFT_OUT, stance, label))
        out.append(
            {
                "title": title_of(report, i % half),
                "stance": stance,
                "frequent": row["frequent"],
                "support": row["support"],
                "numbers": [two(row["precision"]), two(row["recall"])],
                "f1": {"value": two(row["f1"]), "interval": interval(row)},
                "ranks": [two(number) for number in (row["average_precision"], row["brier"], row["ece"])],
                "baseline": two(base["f1"] if base else None),
            }
        )
    return out
