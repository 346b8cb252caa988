"""One stage's output folder: Parquet parts, `run.json` when it is finished, and a lock while a driver writes.

    <stage>-<fingerprint>/
      part-*.parquet   rows as they come; a part is written whole or not at all
      run.json         written last: the files that hold the finished table, one row per key, and the counts
      .lock            held by the driver that writes

Who reads a finished folder reads the files that run.json names, so a part that comes late from a dying worker
is not seen. Who resumes looks at every part on disk. A key may then stand in several rows (a retried failure, a
part written twice): the result counts, else the last attempt; `seal` leaves one.
"""

import binascii
import fcntl
import hashlib
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import tikval
from tikval.config import JobConfig, UserError
from tikval.files import delete, filesystem, is_local, list_files, read_bytes, write_bytes, write_table
from tikval.rows import Reason

SEALED_ROWS: Final = 100_000  # per file of a finished table
KEY: Final = "S16"  # a row_key as 16 bytes


@dataclass(frozen=True)
class Run:
    """What run.json says of a finished folder."""

    stage: str
    fingerprint: str
    files: list[str]
    beside: dict[str, str]  # other small tables of the folder, by name
    inputs: dict[str, str]  # upstream folder -> its state when this run read it
    rows: int
    failed: dict[str, int]  # by reason
    config: dict[str, Any]
    seconds: float
    finished_at: str
    tikval: str

    @property
    def state(self) -> str:
        """Changes whenever the finished table is written anew."""
        names = [*self.files, *self.beside.values()]
        return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]

    @property
    def retryable(self) -> int:
        return sum(n for reason, n in self.failed.items() if not Reason(reason).terminal)


@dataclass(frozen=True)
class Seen:
    """Keys already in a folder: `done` need no work; `retry` failed in a way that may pass, at `attempts`."""

    done: np.ndarray  # S16 [K], sorted, unique
    retry: np.ndarray  # S16 [R], sorted, unique
    attempts: np.ndarray  # int64 [R], the last attempt of each


class Folder:
    def __init__(self, uri: str) -> None:
        self.uri = uri

    @property
    def stage(self) -> str:
        return self.uri.rpartition("/")[2].partition("-")[0]

    def run(self) -> Run | None:
        data = read_bytes(f"{self.uri}/run.json")
        return Run(**json.loads(data)) if data is not None else None

    def finished(self) -> Run:
        """The run upstream. Raises UserError where it has not finished."""
        run = self.run()
        if run is None:
            raise UserError(f"{self.uri}: not finished; run the job that writes it first")
        return run

    def paths(self) -> list[str]:
        """Files of the finished table, as pyarrow and Ray open them."""
        return [f"{self.uri}/{name}" for name in self.finished().files]

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """The finished table, in memory."""
        return pa.concat_tables([read_parquet(path, columns) for path in self.paths()])

    def rows(self, catalog: "Folder") -> list[Any]:
        """The finished table's rows of videos that the catalog still lists."""
        table, wanted = self.read(), np.sort(keys_of(catalog.read(["row_key"])["row_key"]))
        rows: list[Any] = table.filter(pa.array(contains(wanted, keys_of(table["row_key"])))).to_pylist()
        return rows

    def read_beside(self, name: str) -> list[Any]:
        """Rows of a small table that lies beside the main one, [] where this run has none."""
        file = self.finished().beside.get(name)
        return read_parquet(f"{self.uri}/{file}").to_pylist() if file else []

    def parts(self) -> list[str]:
        """Names of the files of rows on disk, whether or not run.json names them."""
        return list_files(self.uri, ".parquet")

    def write_part(self, table: pa.Table) -> str:
        name = f"part-{secrets.token_hex(8)}.parquet"
        write_table(f"{self.uri}/{name}", table)
        return name

    def seen(self) -> Seen:
        """Every key on disk, whether or not the run finished. Reads three columns, part by part."""
        done, retry, attempts = [np.empty(0, KEY)], [np.empty(0, KEY)], [np.empty(0, np.int64)]
        for name in self.parts():
            table = read_parquet(f"{self.uri}/{name}", ["row_key", "attempt", "error"])
            keys, failed = keys_of(table["row_key"]), _retryable(table["error"])
            done.append(keys[~failed])
            retry.append(keys[failed])
            attempts.append(table["attempt"].to_numpy()[failed])
        finished, again, tries = (
            np.unique(np.concatenate(done)),
            np.concatenate(retry),
            np.concatenate(attempts),
        )
        again, tries = _last_attempt(again, tries)
        open_ = ~contains(finished, again)
        return Seen(finished, again[open_], tries[open_])

    def seal(self, config: JobConfig, inputs: dict[str, str], seconds: float) -> Run:
        """Make the finished table of all parts, one row per key; say so in run.json, then drop what it replaces.

        Killed at any point, the next seal finds either the old files or both, and the same rows.
        """
        names = self.parts()
        keep = self._keep(names)
        files, counts, total = [], dict[str, int](), 0
        full = [name for name, mask in keep.items() if len(mask) == SEALED_ROWS and mask.all()]
        for name in full:
            total += SEALED_ROWS
            _count(read_parquet(f"{self.uri}/{name}", ["error"]), counts)
        for table in _chunks(self.uri, {name: mask for name, mask in keep.items() if name not in full}):
            total += table.num_rows
            _count(table, counts)
            files.append(f"data-{secrets.token_hex(8)}.parquet")
            write_table(f"{self.uri}/{files[-1]}", table.sort_by("video_id"))
        if names and not full and not files:  # a table without rows is still a table
            files.append(f"data-{secrets.token_hex(8)}.parquet")
            write_table(f"{self.uri}/{files[-1]}", read_parquet(f"{self.uri}/{names[0]}").slice(0, 0))
        run = self.write_run(config, sorted([*full, *files]), inputs, total, counts, seconds)
        for name in names:
            if name not in full:
                delete(f"{self.uri}/{name}")
        return run

    def _keep(self, names: list[str]) -> dict[str, np.ndarray]:
        """bool [rows] of each file: the one row of each key that counts."""
        keys, failed, attempts = [np.empty(0, KEY)], [np.empty(0, bool)], [np.empty(0, np.int64)]
        for name in names:
            table = read_parquet(f"{self.uri}/{name}", ["row_key", "attempt", "error"])
            keys.append(keys_of(table["row_key"]))
            failed.append(table["error"].is_valid().to_numpy())
            attempts.append(table["attempt"].to_numpy())
        every = np.concatenate(keys)
        order = np.lexsort((-np.concatenate(attempts), np.concatenate(failed), every))
        first = np.ones(len(order), bool)
        first[1:] = every[order][1:] != every[order][:-1]
        keep = np.zeros(len(order), bool)
        keep[order[first]] = True
        ends = np.cumsum([len(part) for part in keys[1:]])
        return dict(zip(names, np.split(keep, ends[:-1]), strict=True)) if names else {}

    def write_run(
        self,
        config: JobConfig,
        files: list[str],
        inputs: dict[str, str],
        rows: int,
        failed: dict[str, int],
        seconds: float,
        beside: dict[str, str] | None = None,
    ) -> Run:
        run = Run(
            stage=config.stage,
            fingerprint=config.fingerprint,
            files=files,
            beside=beside or {},
            inputs=inputs,
            rows=rows,
            failed=dict(sorted(failed.items())),
            config=config.model_dump(mode="json"),
            seconds=round(seconds, 1),
            finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            tikval=tikval.__version__,
        )
        write_bytes(f"{self.uri}/run.json", json.dumps(asdict(run), indent=2).encode())
        return run

    def rewrite_run(self, run: Run, renamed: dict[str, str]) -> None:
        """Let run.json name other files for the same tables, and count their rows anew."""
        files = [renamed.get(name, name) for name in run.files]
        beside = {table: renamed.get(name, name) for table, name in run.beside.items()}
        counts, rows = dict[str, int](), 0
        for name in files:
            table = read_parquet(f"{self.uri}/{name}", ["error"])
            rows += table.num_rows
            _count(table, counts)
        again = replace(run, files=files, beside=beside, rows=rows, failed=counts)
        write_bytes(f"{self.uri}/run.json", json.dumps(asdict(again), indent=2).encode())

    def remove(self) -> None:
        """Delete the folder's files, run.json first, so that it is never half there and called finished."""
        delete(f"{self.uri}/run.json")
        for suffix in (".parquet", ".html", ".json"):
            for name in list_files(self.uri, suffix, beside=True):
                delete(f"{self.uri}/{name}")

    def sweep(self) -> None:
        """Delete what writers that were killed left half written. Only under the lock."""
        if is_local(self.uri):
            for path in Path(self.uri).glob(".tmp-*"):
                path.unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other drivers out; a driver that dies lets go. Raises UserError where another one is at work.

        On an object store there is nothing to lock with: there, do not start two drivers for one folder.
        """
        if not is_local(self.uri):
            yield
            return
        path = Path(self.uri) / ".lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+")
        except OSError as err:
            raise UserError(f"{self.uri}: cannot be written ({err.strerror}); choose another --out") from err
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                file.seek(0)
                raise UserError(
                    f"{self.uri}: in use by another run ({file.read().strip() or 'starting'})"
                ) from err
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%H:%M:%S')}")
            file.flush()
            yield


def keys_of(column: pa.ChunkedArray) -> np.ndarray:
    """Hexadecimal row keys -> S16 [N], without a Python object per row."""
    array = pc.cast(column.combine_chunks(), pa.large_string())
    if len(array) == 0:
        return np.empty(0, KEY)
    _, offsets, data = array.buffers()
    where = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(binascii.unhexlify(memoryview(data)[where[0] : where[-1]]), KEY)


def contains(sorted_keys: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """bool [N]: which of `keys` [N] stand in `sorted_keys` [K]."""
    if len(sorted_keys) == 0:
        return np.zeros(len(keys), bool)
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.asarray(sorted_keys[place] == keys)


def _retryable(errors: pa.ChunkedArray) -> np.ndarray:
    passing = pa.array([reason.value for reason in Reason if not reason.terminal])
    return np.asarray(pc.fill_null(pc.is_in(errors, passing), False).to_numpy(), bool)


def _last_attempt(keys: np.ndarray, attempts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((attempts, keys))
    keys, attempts = keys[order], attempts[order]
    last = np.ones(len(keys), bool)
    last[:-1] = keys[:-1] != keys[1:]
    return keys[last], attempts[last]


def read_parquet(uri: str, columns: list[str] | None = None) -> pa.Table:
    """One Parquet file of a local disk or an object store."""
    fs, path = filesystem(uri)
    with fs.open_input_file(path) as file:
        return pq.read_table(file, columns=columns)


def _count(table: pa.Table, counts: dict[str, int]) -> None:
    for count in pc.value_counts(table["error"].drop_null()).to_pylist():
        counts[count["values"]] = counts.get(count["values"], 0) + count["counts"]


def _chunks(uri: str, keep: dict[str, np.ndarray]) -> Iterator[pa.Table]:
    """The kept rows of all files, in tables of at most SEALED_ROWS."""
    held: list[pa.Table] = []
    rows = 0
    for name, mask in keep.items():
        table = read_parquet(f"{uri}/{name}").filter(pa.array(mask))
        while table.num_rows:
            head = table.slice(0, SEALED_ROWS - rows)
            held.append(head)
            rows += head.num_rows
            table = table.slice(head.num_rows)
            if rows == SEALED_ROWS:
                yield pa.concat_tables(held)
                held, rows = [], 0
    if held:
        yield pa.concat_tables(held)
