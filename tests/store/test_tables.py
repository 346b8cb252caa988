"""Tables that somebody else wrote: cast, completed, or refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.rows import script, video
from tikval.config import CatalogConfig, ScriptConfig, UserError
from tikval.rows import EmbeddingRow, LabelRow, ScriptRow, VideoRow, arrow_schema
from tikval.store import tables
from tikval.store.folder import Folder
from tikval.store.row_keys import keys_of
from tikval.store.tables import iter_rows, read_table_of

SCRIPTS = pa.Table.from_pylist([script("a"), script("b", error="timeout")], schema=arrow_schema(ScriptRow))


def changed(name: str, column: Any) -> pa.Table:
    return SCRIPTS.set_column(SCRIPTS.schema.get_field_index(name), name, column)


def nested(depth: int) -> pa.DataType:
    kind = pa.int8()
    for _ in range(depth):
        kind = pa.struct([pa.field("a", kind)])
    return kind


def reading(table: pa.Table, tmp_path: Path, stage: str = "scripts") -> pa.Table:
    pq.write_table(table, tmp_path / "part.parquet")
    return read_table_of(f"{tmp_path}/part.parquet", stage)


@pytest.mark.parametrize(
    "table",
    [
        SCRIPTS,
        changed("script", SCRIPTS["script"].dictionary_encode()),
        changed("script", SCRIPTS["script"].cast(pa.large_string())),
        changed("row_key", SCRIPTS["row_key"].cast(pa.binary())),
        changed("attempt", SCRIPTS["attempt"].cast(pa.int8())),
        changed("lost_packets", SCRIPTS["lost_packets"].cast(pa.float64())),
        changed("language", pa.nulls(2)),
        SCRIPTS.select(list(reversed(SCRIPTS.column_names))),
        SCRIPTS.drop_columns(["language", "cost_usd"]),  # as an earlier version wrote it
        SCRIPTS.append_column("later", pa.array([1, 2])),
        SCRIPTS.append_column("later", pa.nulls(2, nested(50))),
    ],
)
def test_other_types_of_the_same_rows_are_cast(table: pa.Table, tmp_path: Path) -> None:
    assert reading(table, tmp_path).equals(SCRIPTS)


@pytest.mark.parametrize(
    ("table", "what"),
    [
        (changed("script", pa.array([["x"], None])), "column script is list<"),
        (changed("script", pa.array([{"a": 1}, None])), "column script is struct<"),
        (changed("script", pa.nulls(2, nested(60))), "column script is struct<"),
        (changed("script", pa.nulls(2, nested(200))), "cannot be read as a table"),
        (SCRIPTS.append_column("later", pa.nulls(2, nested(200))), "cannot be read as a table"),
        (changed("seconds", pa.array(["long", None])), "column seconds is string"),
        (changed("attempt", pa.array([2**63, 1], pa.uint64())), "column attempt is uint64"),
        (changed("has_sound", pa.array([[True], None])), "column has_sound is list"),
        (SCRIPTS.drop_columns(["row_key"]), "has no column row_key"),
        (changed("row_key", pa.array(["0" * 32, None])), "column row_key has empty cells"),
        (changed("video_id", pa.array([None, "b"])), "column video_id has empty cells"),
        (changed("error", pa.array([None, "because"])), "'because' is no reason"),
        (SCRIPTS.append_column("script", pa.array(["x", "y"])), "column twice"),
        (
            changed("script", pa.StringArray.from_buffers(2, *pa.array([b"\xff", b"\xfe"]).buffers()[1:])),
            "cannot be read as a table",
        ),
    ],
)
def test_what_cannot_be_these_rows_is_one_line(table: pa.Table, what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"part\.parquet: ") as err:
        reading(table, tmp_path)
    assert what in str(err.value)
    assert "\n" not in str(err.value)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"x" * 100, b"\xff" * 12])
def test_no_table_at_all_is_one_line(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "part.parquet").write_bytes(data)
    with pytest.raises(UserError, match="cannot be read as a table"):
        read_table_of(f"{tmp_path}/part.parquet", "scripts")


def test_a_catalog_without_columns_that_came_later_is_read(tmp_path: Path) -> None:
    old = pa.Table.from_pylist([video("a"), video("b")], schema=arrow_schema(VideoRow)).drop_columns(
        ["genre"]
    )
    assert reading(old, tmp_path, "catalog")["genre"].to_pylist() == [None, None]
    assert set(reading(old, tmp_path, "catalog").column_names) == set(VideoRow.__annotations__)


def test_a_table_of_another_kind_is_left_as_it_is(tmp_path: Path) -> None:
    assert reading(pa.table({"x": [[1]]}), tmp_path, "sweep").to_pylist() == [{"x": [1]}]


def test_facts_of_a_file_stay(tmp_path: Path) -> None:
    made = reading(SCRIPTS.replace_schema_metadata({"tikval": "{}"}), tmp_path)
    assert (made.schema.metadata or {})[b"tikval"] == b"{}"


def test_vectors_stay_as_wide_as_they_were_written(tmp_path: Path) -> None:
    made = arrow_schema(EmbeddingRow, vector=3).empty_table()
    assert reading(made, tmp_path, "embeddings").schema.field("vector").type.list_size == 3


def test_many_rows_come_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_BATCH_ROWS", 10)
    rows = pa.Table.from_pylist([script(f"{n:03}") for n in range(95)], schema=arrow_schema(ScriptRow))
    pq.write_table(rows, tmp_path / "part.parquet")
    parts = list(iter_rows(f"{tmp_path}/part.parquet", "scripts"))
    assert max(part.num_rows for part in parts) == 10
    assert pa.concat_tables(parts).equals(rows)
    monkeypatch.setattr(tables, "_MAX_ROWS", 50)
    with pytest.raises(UserError, match="more than 50 rows"):
        read_table_of(f"{tmp_path}/part.parquet", "scripts")


def test_parts_of_two_versions_become_one_table(tmp_path: Path) -> None:
    config = ScriptConfig(out=str(tmp_path), videos=CatalogConfig(out=str(tmp_path), videos="videos"))
    folder = Folder(config.folder)
    folder.write_part(SCRIPTS.slice(0, 1).drop_columns(["language"]))
    folder.write_part(changed("script", SCRIPTS["script"].dictionary_encode()).slice(1))
    assert folder.seal(config, {}, 1.0).rows == 2
    assert folder.read().equals(SCRIPTS)


def test_a_side_table_is_cast_too(tmp_path: Path) -> None:
    config = CatalogConfig(out=str(tmp_path), videos="videos")
    folder = Folder(config.folder)
    Path(folder.uri).mkdir()
    row = {"video_id": "a", "account": None, "annotator": "ann", "label_set": "x", "stances": [1]}
    row |= {"probability": None}
    kind = arrow_schema(LabelRow)
    pq.write_table(
        pa.Table.from_pylist([row], schema=kind).drop_columns(["account", "probability"]),
        f"{folder.uri}/_labels-1.parquet",
    )
    folder.write_run(config, [], {}, 0, {}, 0, {"labels": "_labels-1.parquet"})
    assert folder.read_side_table("labels") == [row]


@pytest.mark.parametrize("keys", [["0" * 31], ["x" * 32], ["0" * 31, "0" * 33], [None]])
def test_a_key_that_is_none_is_one_line(keys: list[Any]) -> None:
    with pytest.raises(UserError, match="32 hexadecimal digits"):
        keys_of(pa.chunked_array([pa.array(keys, pa.string())]))
    assert keys_of(pa.chunked_array([pa.array(["0" * 32])])).dtype == np.dtype("S16")
