"""Rows for tests: whole and valid, with what a test is about given by name."""

from typing import Any, TypeVar, cast

from tikval.rows import LabelRow, PredictionRow, ScriptRow, VideoRow, row_key
from tikval.values import LABELS, SLUGS

R = TypeVar("R")


def _changed(row: R, changes: dict[str, Any]) -> R:
    assert changes.keys() <= cast(dict[str, Any], row).keys(), f"no such column: {changes}"
    return cast(R, {**cast(dict[str, Any], row), **changes})


def video(video_id: str, **changes: Any) -> VideoRow:
    """A file of one byte; `error=` makes it a failure."""
    row: VideoRow = {
        "video_id": video_id,
        "row_key": row_key(video_id, 1, "1"),
        "path": f"/videos/{video_id}.mp4",
        "size_bytes": 1,
        "etag": "1",
        "account": None,
        "genre": None,
        "caption": None,
        "posted_at": None,
        "error": None,
        "detail": None,
    }
    return _changed(row, changes)


def label(video_id: str, **changes: Any) -> LabelRow:
    """Every value absent."""
    row: LabelRow = {
        "video_id": video_id,
        "account": None,
        "annotator": "human",
        "label_set": "schwartz-19",
        "stances": [0] * len(SLUGS),
    }
    return _changed(row, changes)


def script(video_id: str, **changes: Any) -> ScriptRow:
    """A result; `error=` makes it a failure without a script."""
    failed = changes.get("error") is not None
    row: ScriptRow = {
        "video_id": video_id,
        "row_key": row_key(video_id, 1, "1"),
        "attempt": 1,
        "script": None if failed else f'Genre: not stated\nSound: Yes\n\nSPEAKER: "This is {video_id}."\n',
        "caption": None,
        "seconds": None if failed else 9.0,
        "has_sound": None if failed else True,
        "language": None,
        "lost_packets": None if failed else 0,
        "content_sha": None,
        "tokens_in": None,
        "tokens_out": None,
        "cost_usd": None,
        "ledger_key": None,
        "model": "local",
        "model_served": None,
        "prompt_sha": None,
        "error": None,
        "detail": None,
    }
    return _changed(row, changes)


def prediction(video_id: str, *said: str, **changes: Any) -> PredictionRow:
    """A result that says the labels `said` (`face+`, `humility-`); `error=` makes it a failure."""
    assert set(said) <= set(LABELS), said
    failed = changes.get("error") is not None
    row: PredictionRow = {
        "video_id": video_id,
        "row_key": row_key(video_id, 1, "1"),
        "attempt": 1,
        "system": "local",
        "label_set": "schwartz-19",
        "split": None,
        "fold": None,
        "seed": None,
        "sample": None,
        "decisions": None if failed else [name in said for name in LABELS],
        "scores": None if failed else [float(name in said) for name in LABELS],
        "stances": None,
        "abstained": None if failed else not said,
        "has_sound": None,
        "notes": None,
        "tokens_in": None,
        "tokens_out": None,
        "cost_usd": None,
        "ledger_key": None,
        "model": "local",
        "model_served": None,
        "prompt_sha": None,
        "error": None,
        "detail": None,
    }
    return _changed(row, changes)
