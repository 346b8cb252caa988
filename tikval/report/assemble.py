"""Rows of all stages -> Report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tikval.codebook import Codebook
from tikval.evaluate.scores import coverage
from tikval.report.record import Bill, Card, Failure, Frequency, Pair, Report, frequency
from tikval.rows import (
    ComparisonRow,
    LabelRow,
    PredictionRow,
    Reason,
    ScoreRow,
    ScriptRow,
    SliceRow,
    VideoRow,
)
from tikval.values import binary

LOCAL_NOTICE = (
    "Demo quality, English speech only. These values come from the embedded default: a small speech recogniser, "
    "Tesseract and sentence embeddings, without looking at what the picture shows. Do not draw conclusions "
    "about people from them."
)


@dataclass(frozen=True, slots=True)
class Tables:
    """What the stages of one study wrote, videos of the current catalog only."""

    videos: Sequence[VideoRow]
    labels: Sequence[LabelRow]
    scripts: Mapping[str, Sequence[ScriptRow]]  # by name; a study may compare several recipes, or have none
    predictions: Mapping[str, Sequence[PredictionRow]]  # by system
    scores: Sequence[ScoreRow]
    comparisons: Sequence[ComparisonRow] = ()
    slices: Sequence[SliceRow] = ()


def assemble(
    tables: Tables,
    codebook: Codebook,
    *,
    title: str,
    facts: tuple[tuple[str, str], ...],
    command: str,
    systems: tuple[tuple[str, str], ...],
    exports: tuple[tuple[str, str], ...],
    notice: str | None,
    bills: tuple[Bill, ...],
    pairs: tuple[Pair, ...],
    show_accounts: bool,
) -> Report:
    """The page's content: each failure once, at the stage where it arose, and a card for each video."""
    ids = {row["video_id"] for row in tables.videos}
    annotated = {row["video_id"]: tuple(row["stances"]) for row in tables.labels if row["video_id"] in ids}
    failures = _failures(tables)
    frequencies = [
        frequency(system, _decisions(rows), len(codebook.labels))
        for system, rows in tables.predictions.items()
    ]
    if annotated:
        frequencies.append(_people(tables, codebook))
    return Report(
        title=title,
        facts=facts,
        command=command,
        labels=codebook.labels,
        titles={value.slug: value.title for value in codebook.values},
        systems=systems,
        coverage=(
            ("catalog", coverage(tables.videos)),
            *((name, coverage(rows)) for name, rows in tables.scripts.items()),
            *((f"values: {system}", coverage(rows)) for system, rows in tables.predictions.items()),
        ),
        failures=tuple(failures),
        frequencies=tuple(frequencies),
        scores=tuple(tables.scores),
        comparisons=tuple(tables.comparisons),
        slices=tuple(tables.slices),
        pairs=pairs,
        cards=tuple(_cards(tables, annotated)),
        notice=notice,
        exports=exports,
        bills=bills,
        show_accounts=show_accounts,
    )


def _failures(tables: Tables) -> list[Failure]:
    stages: list[tuple[str, Sequence[Any]]] = [("catalog", tables.videos), *tables.scripts.items()]
    stages += [(f"values: {system}", rows) for system, rows in tables.predictions.items()]
    failed: dict[str, Failure] = {}
    for stage, rows in stages:
        for row in rows:
            if row["error"] is not None:
                failed.setdefault(
                    row["row_key"], Failure(row["video_id"], stage, row["error"], row["detail"])
                )
    return sorted(failed.values(), key=lambda failure: failure.video_id)


def _decisions(rows: Sequence[PredictionRow]) -> list[list[bool | None]]:
    return [row["decisions"] for row in rows if row["decisions"] is not None]


def _people(tables: Tables, codebook: Codebook) -> Frequency:
    """Counts of the annotated videos that are in the catalog."""
    ids = {row["video_id"] for row in tables.videos}
    stances = [row["stances"] for row in tables.labels if row["video_id"] in ids]
    return frequency("annotation", [binary(row) for row in stances], len(codebook.labels), annotated=True)


def _cards(tables: Tables, annotated: Mapping[str, tuple[int, ...]]) -> list[Card]:
    first = next(iter(tables.scripts.values()), ())
    script_of = {row["row_key"]: row for row in first}
    said: dict[str, list[PredictionRow]] = {}
    for rows in tables.predictions.values():
        for prediction in rows:
            said.setdefault(prediction["row_key"], []).append(prediction)
    cards = []
    for video in tables.videos:
        if video["error"] == Reason.DUPLICATE_ID:
            continue  # its id already has a card; it stands among the failures
        script = script_of.get(video["row_key"])
        cards.append(
            Card(
                video_id=video["video_id"],
                seconds=script["seconds"] if script else None,
                script=script["script"] if script else None,
                caption=script["caption"] if script else None,
                account=video["account"],
                predictions=tuple(said.get(video["row_key"], ())),
                annotated=annotated.get(video["video_id"]),
            )
        )
    return cards
