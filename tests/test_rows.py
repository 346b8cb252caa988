"""Row types and their Parquet schemas, the identity of a video, and which failures are retryable."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.rows import label, prediction, script, video
from tikval.cli.look import HINTS
from tikval.rows import (
    AccountRow,
    EmbeddingRow,
    LabelRow,
    PredictionRow,
    Reason,
    ScoreRow,
    ScriptRow,
    VideoRow,
    arrow_schema,
    row_key,
)

REQUIRED = {
    VideoRow: {"video_id", "row_key", "path", "size_bytes", "etag"},
    AccountRow: {"account"},
    LabelRow: {"video_id", "annotator", "label_set", "stances"},
    ScriptRow: {"video_id", "row_key", "attempt", "model"},
    EmbeddingRow: {"video_id", "row_key", "attempt", "model"},
    PredictionRow: {"video_id", "row_key", "attempt", "system", "label_set", "model"},
    ScoreRow: {"system", "label_set", "failures", "stance", "label", "support", "n_videos", "n_scored"},
}


@pytest.mark.parametrize("kind", REQUIRED, ids=lambda kind: kind.__name__)
def test_a_schema_has_every_key_and_knows_what_may_be_null(kind: type) -> None:
    schema = arrow_schema(kind)
    assert set(schema.names) == set(kind.__annotations__)
    assert {field.name for field in schema if not field.nullable} == REQUIRED[kind]


def test_types_of_columns() -> None:
    predictions, videos = arrow_schema(PredictionRow), arrow_schema(VideoRow)
    assert predictions.field("decisions").type == pa.list_(pa.bool_())
    assert predictions.field("scores").type == pa.list_(pa.float32())
    assert predictions.field("attempt").type == pa.int64()
    assert videos.field("posted_at").type == pa.timestamp("us", tz="UTC")
    assert arrow_schema(LabelRow).field("stances").type == pa.list_(pa.int8())


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        (VideoRow, video("a", posted_at=datetime(2026, 3, 1, 12, tzinfo=UTC), caption="naïve 🙂")),
        (VideoRow, video("a", error=Reason.EMPTY_FILE, detail="no bytes")),
        (LabelRow, label("a", stances=[-1, 0, 1, 2])),
        (ScriptRow, script("a")),
        (ScriptRow, script("a", error=Reason.TIMEOUT)),
        (PredictionRow, prediction("a", decisions=[True, None], scores=[0.5, None])),
        (PredictionRow, prediction("a", error=Reason.BAD_REPLY)),
    ],
)
def test_rows_come_back_from_parquet_as_they_were(tmp_path: Path, kind: type, row: Any) -> None:
    table = pa.Table.from_pylist([row], schema=arrow_schema(kind))
    pq.write_table(table, tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [row]


def test_a_row_without_identity_cannot_be_written(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{**script("a"), "video_id": None}], schema=arrow_schema(ScriptRow))
    with pytest.raises(pa.ArrowInvalid, match="video_id"):
        pq.write_table(table, tmp_path / "a.parquet")


def test_row_key_stays_the_same_for_ever() -> None:
    assert row_key("a/b", 10, "17") == "12b110f779df76dac0487744698abe79"


@given(st.tuples(st.text(), st.integers(0), st.text()), st.tuples(st.text(), st.integers(0), st.text()))
def test_row_key_tells_states_apart(a: tuple[str, int, str], b: tuple[str, int, str]) -> None:
    def clean(state: tuple[str, int, str]) -> tuple[str, int, str]:
        return state[0].replace("\0", "0"), state[1], state[2].replace("\0", "0")

    a, b = clean(a), clean(b)
    assert (row_key(*a) == row_key(*b)) == (a == b)
    assert len(bytes.fromhex(row_key(*a))) == 16


@pytest.mark.parametrize("state", [("a", 11, "17"), ("a", 10, "18"), ("b", 10, "17"), ("a", 1, "017")])
def test_row_key_changes_with_id_size_and_etag(state: tuple[str, int, str]) -> None:
    assert row_key(*state) != row_key("a", 10, "17")


def test_each_reason_is_terminal_or_may_pass() -> None:
    may_pass = {
        "missing_file",
        "permission_denied",
        "too_long",
        "too_large",
        "timeout",
        "out_of_memory",
        "crashed",
        "no_space",
        "no_process",
        "bad_reply",
        "wrong_model",
        "rate_limited",
        "server_error",
        "over_budget",
        "not_asked",
        "minor",
        "internal_error",
    }
    for_good = {
        "duplicate_id",
        "invalid_id",
        "invalid_row",
        "not_a_file",
        "empty_file",
        "unreadable",
        "damaged",
        "no_video",
        "no_text",
        "not_stripped",
        "blocked",
        "no_score",
        "rejected",
        "too_many_tokens",
        "truncated",
    }
    assert {reason for reason in Reason if not reason.terminal} == may_pass
    assert {reason for reason in Reason if reason.terminal} == for_good


def test_people_are_told_what_to_do_about_each_reason() -> None:
    assert set(HINTS) == set(Reason)
