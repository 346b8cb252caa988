"""What is refused before anything looks into a file."""

import os
import pickle
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from tests.fixtures.stores import FakeStore
from tikval import files
from tikval.config import UserError
from tikval.files import UMASK, check_parquet, iter_parquet, open_lock, read_parquet, read_schema, write_bytes
from tikval.sources.tables import open_table
from tikval.store.lock import lock

RAN: list[str] = []


class Hostile:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return RAN.append, ("code of the table ran",)


def write_pickled(path: Path, nested: bool = False) -> str:
    """A table as Ray writes a column of Python objects, where each cell is unpickled when somebody looks at it."""
    names = {b"ARROW:extension:name": b"ray.data.arrow_pickled_object", b"ARROW:extension:metadata": b""}
    cell = pa.field("script", pa.binary(), metadata=names)
    field = pa.field("outer", pa.struct([cell])) if nested else cell
    value: Any = pickle.dumps(Hostile())
    table = pa.table([pa.array([{"script": value} if nested else value], field.type)], pa.schema([field]))
    pq.write_table(table, path)
    return str(path)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    "read", [read_parquet, read_schema, check_parquet, lambda uri: list(open_table(uri))]
)
def test_a_column_that_runs_code_is_refused(read: Any, nested: bool, tmp_path: Path) -> None:
    import ray.data  # noqa: F401 - what brings the type

    with pytest.raises(UserError, match="extension type"):
        read(write_pickled(tmp_path / "part.parquet", nested))
    assert not RAN


@pytest.mark.parametrize("before", range(8))
def test_the_type_is_seen_wherever_its_name_stands(before: int, tmp_path: Path) -> None:
    """Base64 spells a text in three ways, depending on what stands before it."""
    names = {b"a" * before: b"", b"ARROW:extension:name": b"arrow.json"}
    field = pa.field("x" * (before + 1), pa.string(), metadata=names)
    path = str(tmp_path / "part.parquet")
    pq.write_table(pa.table([pa.array(["{}"])], pa.schema([field])), path)
    with pytest.raises(UserError, match="extension type"):
        read_parquet(path)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"x" * 100, b"\xff" * 12])
def test_what_is_no_table_is_an_error_and_no_crash(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    path.write_bytes(data)
    with pytest.raises(pa.ArrowInvalid):
        read_parquet(str(path))
    with pytest.raises(UserError, match="not a Parquet file"):
        list(open_table(str(path)))


def test_a_plain_table_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / "part.parquet")
    table = pa.table({"a": [1], "b": [["x"]], "c": pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))})
    pq.write_table(table, path)
    assert read_parquet(path).equals(table)
    assert read_schema(path) == table.schema
    assert [row for _, row in open_table(path)] == [{"a": 1, "b": ["x"], "c": [1.0, 2.0]}]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("setting", "file", "folder"),
    [(None, 0o600, 0o700), ("", 0o600, 0o700), ("027", 0o640, 0o750), ("0007", 0o660, 0o770)],
)
def test_what_is_written_is_its_users_alone_unless_told_otherwise(
    setting: str | None, file: int, folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(UMASK, raising=False)
    if setting is not None:
        monkeypatch.setenv(UMASK, setting)
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    for mask in (0o022, 0o077):  # of the process, which is most machines' default and nobody's decision
        before = os.umask(mask)
        try:
            write_bytes(str(there / f"{mask}" / "scripts" / "part.parquet"), b"")
            open_lock(there / f"{mask}" / ".lock").close()
        finally:
            os.umask(before)
        assert mode(there / f"{mask}" / "scripts" / "part.parquet") == file
        assert mode(there / f"{mask}" / ".lock") == file
        assert mode(there / f"{mask}") == mode(there / f"{mask}" / "scripts") == folder
    assert mode(there) == 0o755  # somebody's decision


@pytest.mark.parametrize("setting", ["77", "0o77", "rwx", "777", "088", "-77"])
def test_a_mask_that_is_none_is_named(setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UMASK, setting)
    with pytest.raises(UserError, match="TIKVAL_UMASK"):
        write_bytes(str(tmp_path / "new" / "file"), b"")


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "pipe", "folder"])
def test_a_lock_is_never_somebody_elses_file(kind: str, tmp_path: Path) -> None:
    treasure, place = tmp_path / "treasure", tmp_path / "out"
    place.mkdir()
    lock_file = place / ".lock"
    if kind != "dangling":
        treasure.write_text("precious")
    if kind in ("link", "dangling"):
        lock_file.symlink_to(treasure)
    elif kind == "hard link":
        lock_file.hardlink_to(treasure)
    elif kind == "pipe":
        os.mkfifo(lock_file)
    else:
        lock_file.mkdir()
    with pytest.raises(UserError, match="cannot be written"), lock(str(place)):
        pass
    if kind == "dangling":
        assert not treasure.exists()
    else:
        assert treasure.read_text() == "precious"


def test_a_lock_names_its_holder_and_is_free_afterwards(tmp_path: Path) -> None:
    with lock(str(tmp_path)):
        assert f"process {os.getpid()}" in (tmp_path / ".lock").read_text()
        with (
            pytest.raises(UserError, match=f"in use by another run .process {os.getpid()}"),
            lock(str(tmp_path)),
        ):
            pass
    with lock(str(tmp_path)):
        pass


# folders of a store


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    store = FakeStore({"bucket/model/config.json": b"{}", "bucket/model/deep/weights.pt": b"w" * 10})
    monkeypatch.setattr(files, "filesystem", store.filesystem)
    files._fetched.cache_clear()
    return store


def test_a_models_folder_is_fetched_once(model: FakeStore) -> None:
    folder = Path(files.fetch_folder("s3://bucket/model"))
    assert (folder / "deep" / "weights.pt").read_bytes() == b"w" * 10
    assert folder.stat().st_mode & 0o777 == 0o700
    assert files.fetch_folder("s3://bucket/model") == str(folder)
    assert len(model.opened) == 2


def test_a_folder_that_the_disk_has_no_room_for_is_refused_unread(model: FakeStore) -> None:
    model.sizes["bucket/model/deep/weights.pt"] = 2**60
    with pytest.raises(UserError, match="MB left"):
        files.fetch_folder("s3://bucket/model")
    assert not model.opened


@pytest.mark.parametrize("name", ["../out", "deep/../../out"])
def test_no_name_leads_out_of_the_folder(name: str, model: FakeStore) -> None:
    model.objects[f"bucket/model/{name}"] = b"x"
    with pytest.raises(UserError, match="leads out"):
        files.fetch_folder("s3://bucket/model")


def test_a_folder_without_files_is_named(model: FakeStore) -> None:
    with pytest.raises(UserError, match="no such folder"):
        files.fetch_folder("s3://bucket/none")


def test_a_table_is_read_some_rows_at_a_time(tmp_path: Path) -> None:
    file, text = str(tmp_path / "long.parquet"), "".join(map(chr, range(32, 127))) * 20
    with pq.ParquetWriter(file, pa.schema([("text", pa.string())]), compression="none") as writer:
        for n in range(64):
            writer.write_table(pa.table({"text": [f"{n} {k} {text}" for k in range(200)]}))
    before, most = pa.total_allocated_bytes(), 0
    for rows in iter_parquet(file, None, 200):
        assert rows.num_rows == 200
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < Path(file).stat().st_size / 4


class SlowStore(BaseHTTPRequestHandler):
    """An S3 that thinks for four seconds before it lists one object, and counts how often it was asked."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        time.sleep(4)
        when = "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        item = f"<Contents><Key>x/a.mp4</Key><Size>1</Size>{when}</Contents>"
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{item}</ListBucketResult>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def test_a_store_may_think_before_it_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowStore)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    try:
        fs, place = files.filesystem("s3://slow/x")
        assert [found.path for found in fs.get_file_info(pafs.FileSelector(place))] == ["slow/x/a.mp4"]
        assert SlowStore.asked == 1
    finally:
        server.shutdown()
        server.server_close()
