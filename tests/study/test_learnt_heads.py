"""Heads that learnt from a video before it was erased are named, until they are learnt anew."""

from pathlib import Path

import pyarrow as pa
import pytest

from tikval.files import write_bytes, write_table
from tikval.store.folder import Folder
from tikval.study.learnt_models import models_that_learnt, note_models


def test_heads_are_named_until_they_are_learnt_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = str(tmp_path)
    monkeypatch.setattr("tikval.study.learnt_models.erased_hashes", lambda out, ids: set(ids))
    folder = Folder(f"{out}/tuned-0123456789ab")
    write_table(
        f"{folder.uri}/_labelled-0.parquet", pa.table({"video_id": ["v1", "v2"], "row_key": ["a", "b"]})
    )
    write_bytes(f"{folder.uri}/heads.npz", b"old")
    note_models(out, folder, frozenset({"v3"}))
    assert models_that_learnt(out) == {}
    note_models(out, folder, frozenset({"v1", "v3"}))
    assert models_that_learnt(out) == {"tuned-0123456789ab/heads.npz": 1}
    write_bytes(f"{folder.uri}/heads.npz", b"new")
    assert models_that_learnt(out) == {}
