"""A stage's folder: one row per key whatever was written, killed or raced; whole files; one driver at a time."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tikval.store.folder as module
from tests.fixtures.rows import script, video
from tikval.config import CatalogConfig, ScriptConfig, UserError
from tikval.files import read_parquet, write_bytes, write_table
from tikval.rows import Reason, ScriptRow, VideoRow, arrow_schema, row_key
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.lock import is_locked, lock
from tikval.store.row_keys import KEY, contains, keys_of
from tikval.store.status import read_status
from tikval.store.tables import iter_rows

TIMEOUT, CRASHED, UNREADABLE = Reason.TIMEOUT.value, Reason.CRASHED.value, Reason.UNREADABLE.value
ROOT = Path(__file__).parents[2]


def config_of(out: Path | str) -> ScriptConfig:
    return ScriptConfig(videos=CatalogConfig(videos="clips", out=str(out)), out=str(out))


def table(*rows: ScriptRow) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=arrow_schema(ScriptRow))


def failed(video_id: str, attempt: int, error: str = TIMEOUT) -> ScriptRow:
    return script(video_id, attempt=attempt, error=error)


@pytest.fixture
def ten_rows_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEALED_ROWS", 10)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(config_of(tmp_path).folder)


def seal(folder: Folder) -> FolderRun:
    return folder.seal(config_of(Path(folder.uri).parent), {"upstream": "state"}, 1.0)


def rows_of(folder: Folder) -> dict[str, tuple[int, str | None]]:
    """video_id -> attempt and error, after a check that each stands once."""
    rows = folder.read().to_pylist()
    assert len({row["row_key"] for row in rows}) == len(rows)
    return {row["video_id"]: (row["attempt"], row["error"]) for row in rows}


def key(video_id: str) -> bytes:
    return bytes.fromhex(row_key(video_id, 1, "1"))


def done_of(folder: Folder) -> set[bytes]:
    return {bytes(k).ljust(16, b"\0") for k in folder.seen().done}


def retry_of(folder: Folder) -> dict[bytes, int]:
    seen = folder.seen()
    return {bytes(k).ljust(16, b"\0"): int(n) for k, n in zip(seen.retry, seen.attempts, strict=True)}


# which row of a key counts


@pytest.mark.parametrize(
    ("history", "counts", "done"),
    [
        ([script("a")], (1, None), True),
        ([failed("a", 1)], (1, TIMEOUT), False),
        ([failed("a", 1, UNREADABLE)], (1, UNREADABLE), True),
        ([failed("a", 1), script("a", attempt=2)], (2, None), True),
        ([failed("a", 2), script("a", attempt=1)], (1, None), True),
        ([failed("a", 1), failed("a", 2, CRASHED)], (2, CRASHED), False),
        ([failed("a", 10, CRASHED), failed("a", 9)], (10, CRASHED), False),
        ([failed("a", 1), failed("a", 2, UNREADABLE)], (2, UNREADABLE), True),
        ([script("a"), script("a")], (1, None), True),
        ([failed("a", 1), failed("a", 1)], (1, TIMEOUT), False),
    ],
)
@pytest.mark.parametrize("parts", [1, 2])
def test_the_result_counts_else_the_last_attempt(
    folder: Folder, history: list[ScriptRow], counts: tuple[int, str | None], done: bool, parts: int
) -> None:
    for part in [history] if parts == 1 else [[row] for row in history]:
        folder.write_part(table(*part))
    last = max(row["attempt"] for row in history)
    for _ in range(2):  # on the parts, then on the sealed file
        assert done_of(folder) == ({key("a")} if done else set())
        assert retry_of(folder) == ({} if done else {key("a"): last})
        run = seal(folder)
        assert rows_of(folder) == {"a": counts}
        assert run.rows == 1
        assert run.failed == ({} if counts[1] is None else {counts[1]: 1})
        assert run.retryable == (0 if done else 1)


def test_a_folder_that_is_not_there(folder: Folder) -> None:
    assert folder.run() is None
    seen = folder.seen()
    assert (len(seen.done), len(seen.retry), len(seen.attempts)) == (0, 0, 0)
    with pytest.raises(UserError, match="not finished"):
        folder.read()


def test_an_unfinished_folder_cannot_be_read(folder: Folder) -> None:
    folder.write_part(table(script("a")))
    with pytest.raises(UserError, match="not finished; run the job"):
        folder.read()
    assert done_of(folder) == {key("a")}


def test_rows_are_sealed_whole(folder: Folder) -> None:
    rows = [script("b", caption="naïve", seconds=1.5), script("a"), failed("c", 3)]
    folder.write_part(table(rows[0]))
    folder.write_part(table(*rows[1:]))
    run = seal(folder)
    assert folder.read().to_pylist() == [rows[1], rows[0], rows[2]]
    assert folder.read(["video_id"]).column_names == ["video_id"]
    assert folder.run() == run
    assert (run.stage, run.inputs, run.rows) == ("scripts", {"upstream": "state"}, 3)
    assert run.failed == {TIMEOUT: 1}
    assert [f"{folder.uri}/{name}" for name in run.files] == folder.paths()
    assert sorted(path.name for path in Path(folder.uri).iterdir()) == sorted([*run.files, "run.json"])


def test_sealing_again_changes_no_row(folder: Folder) -> None:
    folder.write_part(table(script("a"), failed("b", 1)))
    folder.write_part(table(failed("a", 1), script("c")))
    seal(folder)
    once = folder.read()
    seal(folder)
    assert folder.read().equals(once)
    assert len(folder.paths()) == 1


def test_a_late_part_is_not_read_but_seen(folder: Folder) -> None:
    folder.write_part(table(script("a"), failed("b", 1)))
    run = seal(folder)
    folder.write_part(table(script("b", attempt=2), script("c")))
    assert rows_of(folder) == {"a": (1, None), "b": (1, TIMEOUT)}
    assert folder.run() == run
    assert done_of(folder) == {key("a"), key("b"), key("c")}
    assert seal(folder).state != run.state
    assert rows_of(folder) == {"a": (1, None), "b": (2, None), "c": (1, None)}


def test_rows_leave_out_what_the_catalog_no_longer_lists(folder: Folder, tmp_path: Path) -> None:
    catalog, listing = Folder(config_of(tmp_path).videos.folder), config_of(tmp_path).videos
    replaced = video("b", row_key=row_key("b", 2, "2"))
    videos = pa.Table.from_pylist([video("a"), replaced, video("d")], schema=arrow_schema(VideoRow))
    catalog.write_run(listing, [catalog.write_part(videos)], {}, 3, {}, 0)
    folder.write_part(table(*(script(name) for name in "abc")))
    seal(folder)
    assert [row["video_id"] for row in folder.rows(catalog)] == ["a"]


@pytest.mark.usefixtures("ten_rows_a_file")
def test_rows_of_some_videos_are_read_without_the_others(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, listing = Folder(config_of(tmp_path).videos.folder), config_of(tmp_path).videos
    videos = [video(f"{n:03}") for n in range(100)]
    part = catalog.write_part(pa.Table.from_pylist(videos, schema=arrow_schema(VideoRow)))
    catalog.write_run(listing, [part], {}, 100, {}, 0)
    folder.write_part(table(*(script(f"{n:03}") for n in range(100))))
    seal(folder)
    full, read = list[str](), iter_rows

    def counted(uri: str, stage: str, columns: Any = None) -> Any:
        full.extend([uri] * (stage == "scripts" and columns is None))
        return read(uri, stage, columns)

    monkeypatch.setattr(module, "iter_rows", counted)
    some = ["007", "003", "042", "elsewhere"]
    assert sorted(row["video_id"] for row in folder.rows(catalog, some)) == ["003", "007", "042"]
    assert len(full) < 5, "files of ten rows that hold one of them"
    assert folder.rows(catalog, []) == []
    assert {*folder.rows(catalog, some, ["video_id"])[0]} == {"video_id"}


def test_side_tables(folder: Folder, tmp_path: Path) -> None:
    write_table(f"{folder.uri}/_notes-1.parquet", pa.table({"note": ["x"]}))
    part = folder.write_part(table(script("a")))
    folder.write_run(config_of(tmp_path), [part], {}, 1, {}, 0, {"notes": "_notes-1.parquet"})
    assert folder.read_side_table("notes") == [{"note": "x"}]
    assert folder.read_side_table("other") == []
    assert done_of(folder) == {key("a")}


def test_remove_leaves_nothing_to_read(folder: Folder) -> None:
    folder.write_part(table(script("a")))
    seal(folder)
    write_bytes(f"{folder.uri}/index.html", b"a")
    write_table(f"{folder.uri}/_notes-1.parquet", pa.table({"note": ["x"]}))
    folder.remove()
    assert folder.run() is None
    assert not list(Path(folder.uri).iterdir())


# sealed files


def sizes(folder: Folder) -> list[int]:
    return sorted((read_parquet(path).num_rows for path in folder.paths()), reverse=True)


def test_no_file_is_larger_than_its_bytes(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [
        table(*(script(f"{i:02}", caption="word " * 100) for i in range(n, n + 4))) for n in range(0, 40, 4)
    ]
    monkeypatch.setattr(module, "SEALED_BYTES", 2 * parts[0].nbytes)
    for part in parts:
        folder.write_part(part)
    seal(folder)
    assert sizes(folder) == [8, 8, 8, 8, 8]


def test_a_relative_folder_of_a_submitted_job_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    for uri in ("out/scripts-1", "out/scripts-1", str(tmp_path / "scripts-2")):
        with Folder(uri).lock():
            pass
    message = capsys.readouterr().err
    assert message.count("warning") == 1
    assert "out/scripts-1 lies in Ray's temporary copy" in message


@pytest.mark.usefixtures("ten_rows_a_file")
def test_full_files_are_left_as_they_are(folder: Folder) -> None:
    for n in range(0, 25, 5):
        folder.write_part(table(*(script(f"{i:02}") for i in range(n, n + 5))))
    first = seal(folder)
    assert sizes(folder) == [10, 10, 5]
    full = {name for name in first.files if read_parquet(f"{folder.uri}/{name}").num_rows == 10}
    stamps = {name: Path(folder.uri, name).stat().st_mtime_ns for name in full}
    folder.write_part(table(*(script(f"{i:02}") for i in range(25, 28)), failed("00", 1)))
    second = seal(folder)
    assert sizes(folder) == [10, 10, 8]
    assert full < set(second.files)
    assert {name: Path(folder.uri, name).stat().st_mtime_ns for name in full} == stamps
    assert (second.rows, second.failed) == (28, {})
    assert set(rows_of(folder)) == {f"{i:02}" for i in range(28)}


@pytest.mark.usefixtures("ten_rows_a_file")
def test_a_full_file_with_a_row_that_no_longer_counts_is_written_anew(folder: Folder) -> None:
    folder.write_part(table(*(script(f"{i:02}") for i in range(9)), failed("09", 1)))
    first = seal(folder)
    assert first.failed == {TIMEOUT: 1}
    folder.write_part(table(script("09", attempt=2), failed("10", 1, UNREADABLE)))
    second = seal(folder)
    assert sizes(folder) == [10, 1]
    assert (second.rows, second.failed) == (11, {UNREADABLE: 1})
    assert rows_of(folder)["09"] == (2, None)
    assert not set(first.files) & {path.name for path in Path(folder.uri).iterdir()}


# killed on the way


class Killed(BaseException):
    """Ends the work as a signal would: nothing handles it."""


def kill(*_: Any) -> None:
    raise Killed


@pytest.mark.usefixtures("ten_rows_a_file")
@pytest.mark.parametrize(
    ("place", "survive"),
    [("write_table", 0), ("write_table", 1), ("write_bytes", 0), ("delete", 0), ("delete", 1), ("delete", 2)],
)
def test_a_driver_killed_while_it_seals(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, place: str, survive: int
) -> None:
    """Whatever was done before the kill, the next seal finds the same rows."""
    folder.write_part(table(*(script(f"{i:02}") for i in range(12)), failed("12", 1)))
    seal(folder)
    folder.write_part(table(*(script(f"{i:02}") for i in range(13, 25)), failed("25", 1, UNREADABLE)))
    folder.write_part(table(script("12", attempt=2), script("00")))
    before, done = rows_of(folder), done_of(folder)
    wanted = {f"{i:02}": (1, None) for i in range(25)} | {"12": (2, None), "25": (1, UNREADABLE)}
    work: Callable[..., Any] = getattr(module, place)
    calls = 0

    def mortal(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return kill() if calls > survive else work(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module, place, mortal)
        with pytest.raises(Killed):
            seal(folder)
    assert done_of(folder) == done
    assert rows_of(folder) in (before, wanted)
    if place == "delete":
        assert rows_of(folder) == wanted
    run = seal(folder)
    assert rows_of(folder) == wanted
    assert (run.rows, run.failed) == (26, {UNREADABLE: 1})
    assert {path.name for path in Path(folder.uri).iterdir()} == {*run.files, "run.json"}


def test_there_is_never_half_a_file(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_part(table(script("a")))
    before = seal(folder)
    for err in (OSError("no space left"), Killed()):
        with monkeypatch.context() as patch:

            def fail(*_: Any, err: BaseException = err) -> None:
                raise err

            patch.setattr(Path, "replace", fail)
            with pytest.raises(type(err)):
                folder.write_part(table(script("b")))
            with pytest.raises(type(err)):
                seal(folder)
        assert {path.name for path in Path(folder.uri).iterdir()} == {*before.files, "run.json"}
        assert folder.run() == before
        assert rows_of(folder) == {"a": (1, None)}


def test_temporary_files_of_the_dead_are_no_parts(folder: Folder) -> None:
    folder.write_part(table(script("a")))
    Path(folder.uri, ".tmp-0123456789abcdef").write_bytes(b"PAR1 half")
    Path(folder.uri, ".part-0.parquet").write_bytes(b"PAR1 half")
    assert done_of(folder) == {key("a")}
    assert seal(folder).rows == 1


# one driver at a time

HOLDER = """
import sys

import pyarrow as pa

from tests.fixtures.rows import script
from tikval.store.folder import Folder
from tikval.rows import ScriptRow, arrow_schema

folder = Folder(sys.argv[1])
with folder.lock():
    for n in range(1_000_000):
        rows = [script(f"{n}/{i}") for i in range(200)]
        folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(ScriptRow)))
        print(n, flush=True)
"""


@pytest.fixture
def holder(folder: Folder) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock and writes parts until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder.uri], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)] == ["0\n", "1\n", "2\n"]
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_second_driver_is_refused_until_the_first_is_dead(
    folder: Folder, holder: subprocess.Popen[str]
) -> None:
    with (
        pytest.raises(UserError, match=rf"in use by another run \(process {holder.pid} on ") as err,
        folder.lock(),
    ):
        pytest.fail("two drivers")
    assert folder.uri in str(err.value)
    assert holder.poll() is None
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with folder.lock():
        parts = list(Path(folder.uri).glob("*.parquet"))
        assert len(parts) >= 3
        assert all(read_parquet(str(path)).num_rows == 200 for path in parts)
        assert seal(folder).rows == 200 * len(parts)


def test_a_lock_is_let_go_at_the_end(folder: Folder) -> None:
    with pytest.raises(RuntimeError), folder.lock():
        raise RuntimeError
    with folder.lock():
        message = Path(folder.uri, ".lock").read_text()
        with pytest.raises(UserError, match="in use"), folder.lock():
            pytest.fail("two drivers")
    assert message.startswith(f"process {os.getpid()} on ")
    with folder.lock():
        assert Path(folder.uri, ".lock").read_text().count("process") == 1


@pytest.mark.parametrize("place", ["", "file://"])  # a lock of the kernel's, and a lease as on a store
def test_who_asks_learns_of_a_driver_and_leaves_no_trace(tmp_path: Path, place: str) -> None:
    uri = f"{place}{tmp_path}/stage"
    assert not is_locked(uri)
    assert not (tmp_path / "stage").exists()
    (tmp_path / "stage").mkdir()  # a store has none
    with lock(uri):
        assert is_locked(uri)
        assert is_locked(uri)
    assert not is_locked(uri)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot be written .*choose another --out"),
        Folder(f"{tmp_path}/file/x").lock(),
    ):
        pytest.fail("locked")


# keys

keys = st.binary(min_size=16, max_size=16)
near = st.binary(min_size=1, max_size=1).map(lambda end: b"\0" * 15 + end)  # zeros and ends that differ


def as_array(given: list[bytes]) -> np.ndarray:
    return np.array(given, KEY) if given else np.empty(0, KEY)


@given(st.lists(st.lists(keys | near, max_size=5), max_size=4), st.data())
def test_keys_of_sliced_and_chunked_columns(chunks: list[list[bytes]], data: st.DataObject) -> None:
    column = pa.chunked_array(
        [pa.array([k.hex() for k in chunk], pa.string()) for chunk in chunks], pa.string()
    )
    start = data.draw(st.integers(0, len(column)))
    length = data.draw(st.integers(0, len(column) - start))
    wanted = [k for chunk in chunks for k in chunk]
    assert keys_of(column).tobytes() == b"".join(wanted)
    assert keys_of(column.slice(start, length)).tobytes() == b"".join(wanted[start : start + length])


def test_keys_of_a_filtered_column_and_of_large_strings() -> None:
    names = [row_key(str(n), 1, "") for n in range(5)]
    column = pa.chunked_array([names[:3], names[3:]])
    picked = column.filter(pa.array([False, True, False, False, True]))
    assert [k.hex() for k in keys_of(picked)] == [names[1], names[4]]
    large = pa.chunked_array([column.combine_chunks().cast(pa.large_string())])
    assert [k.hex() for k in keys_of(large.slice(2, 2))] == names[2:4]


@given(st.sets(keys | near, max_size=8), st.lists(keys | near, max_size=8))
def test_contains(held: set[bytes], asked: list[bytes]) -> None:
    asked += sorted(held)[:4]
    found = contains(np.sort(as_array(sorted(held))), as_array(asked))
    assert found.tolist() == [k in held for k in asked]


# everything together, against the rule in plain Python


class KeyedRow(NamedTuple):
    video: int
    attempt: int
    error: str | None


def rule(rows: list[KeyedRow]) -> dict[int, set[KeyedRow]]:
    """For each video the rows that may count: results, else final failures, else those of the last attempt."""
    out: dict[int, set[KeyedRow]] = {}
    for video_id in {row.video for row in rows}:
        mine = [row for row in rows if row.video == video_id]
        results = [row for row in mine if row.error is None]
        final = [row for row in mine if row.error == UNREADABLE]
        pool = results or final or mine
        out[video_id] = {row for row in pool if row.attempt == max(other.attempt for other in pool)}
    return out


keyed_rows = st.builds(
    KeyedRow, st.integers(0, 5), st.integers(1, 3), st.sampled_from([None, TIMEOUT, CRASHED, UNREADABLE])
)


@settings(max_examples=25, deadline=None)
@given(
    batches=st.lists(
        st.lists(st.lists(keyed_rows, min_size=1, max_size=5), max_size=3), min_size=1, max_size=3
    ),
    rows_a_file=st.sampled_from([1, 2, 3, 100]),
)
def test_folders_follow_the_rule(batches: list[list[list[KeyedRow]]], rows_a_file: int) -> None:
    """Batches of parts, with a seal after each batch."""
    with tempfile.TemporaryDirectory() as out, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SEALED_ROWS", rows_a_file)
        folder = Folder(config_of(out).folder)
        disk: list[KeyedRow] = []
        for parts in batches:
            for part in parts:
                rows = [script(str(v), attempt=attempt, error=error) for v, attempt, error in part]
                folder.write_part(table(*rows))
                disk += part
            done = {row.video for row in disk if row.error in (None, UNREADABLE)}
            retry = {row.video: row.attempt for row in sorted(disk, key=lambda row: row.attempt)}
            assert done_of(folder) == {key(str(v)) for v in done}
            assert retry_of(folder) == {key(str(v)): n for v, n in retry.items() if v not in done}
            if not disk:
                continue
            run = seal(folder)
            kept = [KeyedRow(int(v), *row) for v, row in rows_of(folder).items()]
            allowed = rule(disk)
            assert {row.video for row in kept} == allowed.keys()
            assert all(row in allowed[row.video] for row in kept)
            assert run.rows == len(kept)
            assert sum(run.failed.values()) == sum(row.error is not None for row in kept)
            assert all(n == rows_a_file for n in sizes(folder)[:-1])
            assert json.loads(Path(folder.uri, "run.json").read_text())["rows"] == len(kept)
            disk = kept


# folders that an earlier version wrote

RUN_OF_0_1_0 = """{
  "stage": "catalog",
  "fingerprint": "e3f7b8d0e677",
  "files": ["data-7ec50ab490f98e3b.parquet"],
  "beside": {"accounts": "_accounts-b3a0adebf91280fd.parquet", "labels": "_labels-3da08532fe4be242.parquet"},
  "inputs": {},
  "rows": 17,
  "failed": {},
  "config": {
    "out": "out/demo",
    "max_failed_share": 0.5,
    "videos": "examples/videos.csv",
    "annotations": "examples/labels.csv",
    "accounts": null,
    "codebook": "prompts/codebook.yaml"
  },
  "seconds": 1.0,
  "finished_at": "2026-11-28T01:38:13.175+00:00",
  "tikval": "0.1.0"
}"""


def test_a_folder_of_the_first_version_is_read_and_written_as_it_was(folder: Folder) -> None:
    write_bytes(f"{folder.uri}/run.json", RUN_OF_0_1_0.encode())
    run = folder.finished()
    assert run.state == "e8d05c5cf90dc8d3"  # what stages of that version wrote down as their input
    assert run.side_tables == json.loads(RUN_OF_0_1_0)["beside"]
    assert json.loads(run.to_json()) == json.loads(RUN_OF_0_1_0)
    assert CatalogConfig.model_validate(run.config).fingerprint == run.fingerprint


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"beside": ' + b"[" * 500 + b"]" * 500 + b"}",
        RUN_OF_0_1_0.replace('"rows": 17', '"rows": {"a": []}').encode(),
        RUN_OF_0_1_0.replace('"failed": {}', '"failed": {"because": 1}').encode(),
        RUN_OF_0_1_0.replace("data-7ec50ab490f98e3b", "../../other/data-1").encode(),
        RUN_OF_0_1_0.replace('"stage": "catalog",', "").encode(),
    ],
)
def test_a_run_that_tikval_did_not_write_is_one_line(folder: Folder, data: bytes) -> None:
    write_bytes(f"{folder.uri}/run.json", data)
    with pytest.raises(UserError, match=r"run\.json: ") as err:
        folder.run()
    assert "\n" not in str(err.value)
    write_bytes(f"{folder.uri}/status.json", data)
    with pytest.raises(UserError, match=r"status\.json: "):
        read_status(folder.uri)


# a store whose lists are behind


def test_rows_that_an_old_list_lacks_are_not_called_finished(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [folder.write_part(table(script(name))) for name in "ab"]
    config, listed = config_of(Path(folder.uri).parent), np.sort(np.array([key("a"), key("b")], "S16"))
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "parts", lambda self: parts[:1])
        with pytest.raises(
            UserError, match=r"1 rows are in no file that is listed.*run the same command again"
        ):
            folder.seal(config, {}, 1.0, listed=listed)
    assert folder.run() is None
    assert set(parts) <= set(folder.parts())
    assert folder.seal(config, {}, 1.0, listed=listed).rows == 2
    assert rows_of(folder) == {"a": (1, None), "b": (1, None)}
