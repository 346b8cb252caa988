"""The data of the page that lists all videos: columns over N videos, and their texts in chunks.

A page that was opened from disk may not fetch, so data are classic scripts that assign to `window.tikval`. No key
of an object comes from outside: names stand in lists, and everything else points into these.

Shape letters: N videos, S systems, V values, L = 2V labels.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from tikval.report.site.rates import account_names
from tikval.report.site.record import Card, Report
from tikval.report.site.texts import clean_text, hidden
from tikval.rows import PredictionRow
from tikval.values import binary

CHUNK_BYTES: Final = 1_000_000  # of the texts, which are loaded when somebody searches
CAPTION_CHARS: Final = 120  # that the list shows; the whole caption stands in the texts


def browse_files(report: Report) -> Iterator[tuple[str, bytes]]:
    """Yield (path in the site, ASCII bytes): `data/text-0.js`, ... then `data/videos.js`, which has how many they are.

    Raises ValueError for two answers of one system to a video, and for annotations over another number of values.
    """
    n_chunks = 0
    for number, (first, columns) in enumerate(_chunks(report)):
        assigned = f"(tikval.texts = tikval.texts || [])[{number}]"
        yield f"data/text-{number}.js", assign(assigned, {"first": first, **columns})
        n_chunks += 1
    yield "data/videos.js", assign("tikval.videos", {**_columns(report), "text_files": n_chunks})


def _columns(report: Report) -> dict[str, Any]:
    """What the list shows of each video and filters by; captions and scripts in full are in the texts."""
    return {
        "in_all": max(report.n_videos or 0, len(report.cards)),
        **_value_columns(report),
        **_video_columns(report),
        **_group_columns(report),
        **_failure_columns(report.cards),
        **_prediction_columns(report),
    }


def _value_columns(report: Report) -> dict[str, Any]:
    slugs = [label[:-1] for label in report.labels[: len(report.labels) // 2]]
    return {
        "slugs": [clean_text(slug) for slug in slugs],
        "titles": [clean_text(report.titles.get(slug, slug)) for slug in slugs],
    }


def _video_columns(report: Report) -> dict[str, Any]:
    cards = report.cards
    return {
        "id": [clean_text(card.video_id) for card in cards],
        "key": [clean_text(card.key) for card in cards],
        "seconds": [_seconds(card) for card in cards],
        "caption": [_beginning(_shown(card, card.caption, report)) for card in cards],
    }


def _group_columns(report: Report) -> dict[str, Any]:
    """The names of accounts, genres and months, and of each video its place among them."""
    names = account_names(report)
    accounts, account_N = _points(card.account for card in report.cards)
    genres, genre_N = _points(card.genre for card in report.cards)
    months, month_N = _points(card.month for card in report.cards)
    return {
        "accounts": [clean_text(names[account]) for account in accounts],
        "account": account_N,
        "genres": [clean_text(genre) for genre in genres],
        "genre": genre_N,
        "months": [clean_text(month) for month in months],
        "month": month_N,
        **_mark_columns(report.cards),
    }


def _mark_columns(cards: Sequence[Card]) -> dict[str, Any]:
    """What sources say of posts: of each video places in `marks`; and plays, where one tells them."""
    marks, _ = _points(sorted({mark for card in cards for mark in card.marks}))
    at = {mark: place for place, mark in enumerate(marks)}
    return {
        "marks": [clean_text(mark) for mark in marks],
        "mark": [[at[mark] for mark in card.marks] for card in cards],
        "plays": [card.counts.get("plays") for card in cards],
    }


def _failure_columns(cards: Sequence[Card]) -> dict[str, Any]:
    """The names of stages, and of each video pairs of a place among them and a reason."""
    stages = list(dict.fromkeys(failure.stage for card in cards for failure in card.failures))
    at = {stage: place for place, stage in enumerate(stages)}
    return {
        "stages": [clean_text(stage) for stage in stages],
        "failures": [[[at[one.stage], clean_text(one.reason)] for one in card.failures] for card in cards],
    }


def _prediction_columns(report: Report) -> dict[str, Any]:
    systems = _systems(report)
    answers_SN = [[_answer(card, system) for card in report.cards] for system in systems]
    unmodelled_S = [_unmodelled(answers_N) for answers_N in answers_SN]
    return {
        "systems": [clean_text(system) for system in systems],
        # [N]: the labels that people annotated, or null
        "annotated": [_annotated(card, report) for card in report.cards],
        # places of the labels that nobody looked for, in whatever video
        "not_annotated": sorted(
            {
                i
                for card in report.cards
                for i, true in enumerate(binary(card.annotated or ()))
                if true is None
            }
        ),
        # [S][N]: the labels that a system predicts, or the reason of its failure, or null where it has no row
        "said": [[_predicted(answer) for answer in answers_N] for answers_N in answers_SN],
        # [S]: the labels that a system does not model; null where that differs between videos, [S][N] below it
        "unmodelled": [common for common, _ in unmodelled_S],
        "unmodelled_of": [of for _, of in unmodelled_S],
    }


def _systems(report: Report) -> list[str]:
    """The systems in the order of the report; one that only cards know comes last."""
    known = [name for name, _ in report.systems]
    return list(
        dict.fromkeys([*known, *(row["system"] for card in report.cards for row in card.predictions)])
    )


def _points(names: Iterable[str | None]) -> tuple[list[str], list[int | None]]:
    """Distinct names in the order in which they appear, and for each of the given ones its place among them."""
    places: dict[str, int] = {}
    points = [places.setdefault(name, len(places)) if name else None for name in names]
    return list(places), points


def _answer(card: Card, system: str) -> PredictionRow | None:
    rows = [row for row in card.predictions if row["system"] == system]
    if len(rows) > 1:
        raise ValueError(f"two answers of {system} to the video {card.video_id}")
    return rows[0] if rows else None


def _predicted(answer: PredictionRow | None) -> list[int] | str | None:
    """Places of the predicted labels, the best score first, else in order; a failure's reason; None for no row."""
    if answer is None:
        return None
    decisions, scores = answer["decisions"], answer["scores"]
    if answer["error"] is not None or decisions is None:
        return str(clean_text(answer["error"] or "no result"))
    predicted = [i for i, decided in enumerate(decisions) if decided]
    return sorted(predicted, key=lambda i: -(scores[i] or 0.0)) if scores else predicted


def _unmodelled(answers_N: Sequence[PredictionRow | None]) -> tuple[list[int] | None, list[Any] | None]:
    """Places of the labels that no result has, where that is the same for all of them; else those of each video."""
    of: list[list[int] | None] = [
        None
        if answer is None or answer["error"] is not None or answer["decisions"] is None
        else [i for i, decided in enumerate(answer["decisions"]) if decided is None]
        for answer in answers_N
    ]
    different = {tuple(places) for places in of if places is not None}
    if len(different) > 1:
        return None, of
    return list(next(iter(different), ())), None


def _annotated(card: Card, report: Report) -> list[int] | None:
    if card.annotated is None:
        return None
    if 2 * len(card.annotated) != len(report.labels):
        raise ValueError(f"annotations of {card.video_id} that do not have {len(report.labels) // 2} stances")
    return [i for i, is_true in enumerate(binary(card.annotated)) if is_true]


def _seconds(card: Card) -> float | None:
    return round(card.seconds, 1) if card.seconds is not None and math.isfinite(card.seconds) else None


def _shown(card: Card, text: str | None, report: Report) -> str:
    return clean_text(text if report.show_accounts else hidden(text, card.account)) or ""


def _beginning(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= CAPTION_CHARS else words[: CAPTION_CHARS - 1].rstrip() + "\u2026"


def _chunks(report: Report) -> Iterator[tuple[int, dict[str, list[str]]]]:
    """Yield (place of the first video, captions and scripts of it and the next ones), about CHUNK_BYTES each."""
    first, size = 0, 0
    captions: list[str] = []
    scripts: list[str] = []
    for at, card in enumerate(report.cards):
        caption, script = (_shown(card, text, report) for text in (card.caption, card.script))
        captions.append(caption)
        scripts.append(script)
        size += len(json.dumps([caption, script]))  # as it is written: six bytes for a letter beyond ASCII
        if size >= CHUNK_BYTES:
            yield first, {"caption": captions, "script": scripts}
            first, size, captions, scripts = at + 1, 0, [], []
    if captions:
        yield first, {"caption": captions, "script": scripts}


def assign(name: str, value: Any) -> bytes:
    """A script that sets `name`. ASCII without "<": whatever the strings hold, they end neither it nor a page."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return (
        f"window.tikval = window.tikval || {{}};\n{name} = {text.replace('<', chr(92) + 'u003c')};\n".encode()
    )
