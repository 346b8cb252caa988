"""Rows of a finished table by key."""

from pathlib import Path

import pyarrow as pa
import pytest

from tests.fixtures.critic import critic_config
from tests.fixtures.rows import script
from tikval.config import UserError
from tikval.rows import ScriptRow, arrow_schema, row_key
from tikval.store.folder import Folder
from tikval.store.keyed_rows import KeyedRows


def test_each_row_is_found_in_whichever_file_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tikval.store.folder.SEALED_ROWS", 3)
    job = critic_config(tmp_path, {"kind": "gemini", "model": "m"}).scripts
    assert job is not None
    folder = Folder(job.folder)
    with pytest.raises(UserError, match="not finished"):
        KeyedRows(folder, ["script"])
    rows = [script(f"v{i}", caption=f"caption {i}") for i in range(10)]
    folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(ScriptRow)))
    folder.seal(job, {}, 0.0)
    found = KeyedRows(folder, ["caption", "error"])
    assert len(found.names) == 4
    for row in reversed(rows):
        assert found.get(row["row_key"]) == {"caption": row["caption"], "error": None}
    assert found.get(row_key("v99", 1, "1")) is None


def test_an_empty_table_has_no_row(tmp_path: Path) -> None:
    job = critic_config(tmp_path, {"kind": "gemini", "model": "m"}).scripts
    assert job is not None
    Folder(job.folder).write_part(arrow_schema(ScriptRow).empty_table())
    Folder(job.folder).seal(job, {}, 0.0)
    assert KeyedRows(Folder(job.folder), ["script"]).get(row_key("v1", 1, "1")) is None
