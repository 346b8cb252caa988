"""Coverage and scores as plain dictionaries for the templates. No HTML here."""

import math
from collections.abc import Sequence
from typing import Any, Final

from tikval.evaluate.baselines import BASELINES
from tikval.evaluate.corpus import ANNOTATIONS
from tikval.evaluate.scores import ALL, BASELINE, LEFT_OUT, MISSING, RIGHT, STANCES, WRONG, Coverage
from tikval.report.display import display_name, two
from tikval.report.how_sure import HowSure, ends_of
from tikval.report.site.record import Report
from tikval.report.site.video_links import VideoLink, VideoLinks
from tikval.rows import Reason, ScoreRow
from tikval.stats.limits import FEWEST_POSITIVES

_F1: Final = ("macro", "weighted")
_MOVIE: Final = ("movie", "movie_micro")
_OF_VIDEOS: Final = ("recall", "precision")

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


def score_tables(report: Report, links: VideoLinks) -> dict[str, Any]:
    """F1 and movie lines per system, the baselines last, and per-label lines with the baseline's F1."""
    rows: Numbers = {(r["system"], r["failures"], r["stance"], r["label"]): r for r in report.scores}
    names = list(dict.fromkeys(r["system"] for r in report.scores))
    scored = [name for name in names if name not in BASELINES]
    baselines = [name for name in BASELINES if name in names]
    first = report.scores[0]
    sure_f1 = HowSure(ends_of(row) for row in _left_out(rows, _F1))
    sure_movie = HowSure(ends_of(row, what) for row in _left_out(rows, _MOVIE) for what in _OF_VIDEOS)
    return {
        "n_videos": first["n_videos"],
        "label_set": first["label_set"],
        "lines": [_line(rows, system, sure_f1, sure_movie, links) for system in (*scored, *baselines)],
        "details": [part for system in scored if (part := _detail(report, rows, system, links))],
        "averaged": report.averaged,
        "intervals": any(r.get("lower") is not None for r in report.scores),
        "sure_f1": sure_f1.lines,
        "sure_movie": sure_movie.lines,
        "bounded": any(r["n_scored"] < r["n_videos"] for r in report.scores),
    }


def _left_out(rows: Numbers, labels: Sequence[str]) -> list[ScoreRow]:
    return [row for (_, failures, _, label), row in rows.items() if failures == LEFT_OUT and label in labels]


def _line(
    rows: Numbers, system: str, sure_f1: HowSure, sure_movie: HowSure, links: VideoLinks
) -> dict[str, Any]:
    own = [r for (name, failures, _, _), r in rows.items() if name == system and failures == LEFT_OUT]

    def behind(who: str, stance: str) -> VideoLink | None:
        return None if stance == ALL or system in BASELINES else links.stance(who, stance)

    return {
        "system": display_name(system),
        "baseline": system in BASELINES,
        "n_labels": sum(r["frequent"] is True for r in own),
        "n_scored": own[0]["n_scored"],
        "failed": own[0]["n_videos"] - own[0]["n_scored"],
        "f1": [
            _cell(rows, system, stance, how, "f1", sure_f1) | {"link": behind(system, stance)}
            for stance in STANCES
            for how in _F1
        ],
        "movie": [
            _cell(rows, system, stance, label, what, sure_movie)
            | {"link": behind(ANNOTATIONS if what == "recall" else system, stance)}
            for stance in STANCES
            for label in _MOVIE
            for what in _OF_VIDEOS
        ],
    }


def _cell(rows: Numbers, system: str, stance: str, label: str, what: str, sure: HowSure) -> dict[str, Any]:
    def number(name: str, failures: str) -> float | None:
        row = rows.get((name, failures, stance, label))
        value = None if row is None else row[what]  # type: ignore[literal-required]
        return value if isinstance(value, float) else None

    value, low, high = (number(system, failures) for failures in (LEFT_OUT, WRONG, RIGHT))
    baseline, row = number(BASELINE, LEFT_OUT), rows.get((system, LEFT_OUT, stance, label))
    bounds = None if low is None or high is None or low == high else f"{low:.2f} to {high:.2f}"
    # recall cannot be compared: predicting everything recovers everything
    below = what != "recall" and value is not None and baseline is not None and value < baseline
    return {
        "value": two(value),
        "interval": sure.spread(ends_of(row, what)) if row else "",
        "bounds": bounds,
        "below": below and system not in BASELINES,
    }


def _detail(report: Report, rows: Numbers, system: str, links: VideoLinks) -> dict[str, Any] | None:
    """One system's table of labels; None where it models none."""
    half = len(report.labels) // 2
    own = [
        (i, STANCES[i >= half], row)
        for i, label in enumerate(report.labels)
        if (row := rows.get((system, LEFT_OUT, STANCES[i >= half], label)))
    ]
    sure = HowSure(ends_of(row) for _, _, row in own if row["support"] >= FEWEST_POSITIVES)
    labels = _labels(report, rows, own, sure, links)
    ranked = any(rank != two(None) for line in labels for rank in line["ranks"])
    if not labels:
        return None
    few = any(line["few"] for line in labels)
    return {"system": system, "labels": labels, "ranked": ranked, "few": few, "sure": sure.lines}


def _labels(
    report: Report, rows: Numbers, own: Sequence[tuple[int, str, ScoreRow]], sure: HowSure, links: VideoLinks
) -> list[dict[str, Any]]:
    """A line for each label; `few`: so few videos have it that its numbers say nothing."""
    half, out = len(report.labels) // 2, []
    for i, stance, row in own:
        label, few = row["label"], row["support"] < FEWEST_POSITIVES and row["f1"] is not None
        base = rows.get((BASELINE, LEFT_OUT, stance, label))
        out.append(
            {
                "title": title_of(report, i % half),
                "stance": stance,
                "frequent": row["frequent"],
                "support": row["support"],
                "links": {
                    "value": links.value(row["system"], i % half),
                    "annotated": links.label(ANNOTATIONS, label),
                    "predicted": links.label(row["system"], label),
                    "hits": links.hits(row["system"], label),
                },
                "few": few,
                "numbers": [two(row["precision"]), two(row["recall"])],
                "f1": {
                    "value": two(row["f1"]),
                    "interval": f"n = {row['support']}" if few else sure.spread(ends_of(row)),
                },
                "ranks": [two(number) for number in (row["average_precision"], row["brier"], row["ece"])],
                "baseline": two(base["f1"] if base else None),
            }
        )
    return out
