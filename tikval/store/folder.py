"""One stage's output folder: Parquet parts, `run.json` when it is finished, and a lock while a driver writes.

    <stage>-<fingerprint>/
      part-*.parquet   rows as they come; a part is written whole or not at all
      run.json         written last: the files that hold the finished table, one row per key, and the counts
      .lock            held by the driver that writes; on an object store lock.json

Who reads a finished folder reads the files that run.json names, so a part that comes late from a dying worker
is not seen. Who resumes looks at every part on disk. A key may then stand in several rows (a retried failure, a
part written twice): the result counts, else the last attempt; `seal` leaves one.
"""

import functools
import json
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import tikval
from tikval.config import JobConfig, UserError
from tikval.files import (
    delete,
    delete_folder,
    is_local,
    list_files,
    parse_json,
    read_bytes,
    write_bytes,
    write_table,
)
from tikval.store.folder_run import FolderRun
from tikval.store.lock import lock
from tikval.store.row_keys import KEY, KeyIndex, SeenKeys, contains, keys_of
from tikval.store.tables import iter_rows, read_table_of

SEALED_ROWS: Final = 100_000  # per file of a finished table, or
SEALED_BYTES: Final = 128 * 2**20  # in memory: as much as `seal` holds at once, and one part

_ASKED: Final = "asked.json"
SITE_FOLDERS: Final = (
    "assets",
    "calls",
    "charts",
    "data",
    "pictures",
    "tables",
    "videos",
)  # below a report's folder


class Folder:
    def __init__(self, uri: str) -> None:
        self.uri = uri

    @property
    def name(self) -> str:
        """Stage and fingerprint: the same wherever the study lies."""
        return self.uri.rpartition("/")[2]

    @property
    def stage(self) -> str:
        return self.name.partition("-")[0]

    def run(self) -> FolderRun | None:
        """What run.json says; None where there is none. Raises UserError for one that tikval did not write."""
        data = read_bytes(f"{self.uri}/run.json")
        try:
            return FolderRun.from_json(data) if data is not None else None
        except ValueError as err:
            raise UserError(f"{self.uri}/run.json: {err}") from err

    def finished(self) -> FolderRun:
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
        return pa.concat_tables(list(self.tables(columns)))

    def tables(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The finished table file by file, so that no more than one file is in memory."""
        return (self.table(name, columns) for name in self.finished().files)

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """One file of rows, whether or not run.json names it, as the stage's row type has them.

        Raises UserError where it cannot be read so.
        """
        return read_table_of(f"{self.uri}/{name}", self.stage, columns)

    def read_listed(self, keys: np.ndarray, columns: list[str] | None = None) -> pa.Table:
        """Rows of the finished table whose key is among `keys`, S16 [K] sorted; no more of the others than a batch.

        A folder keeps rows of files that were removed or replaced: who counts, counts what the catalog lists.
        """

        return self._joined(self.iter_listed(keys, columns), columns)

    def iter_listed(self, keys: np.ndarray, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows of `read_listed` some at a time; no table where there are none."""

        def among(table: pa.Table) -> np.ndarray:
            return contains(keys, keys_of(table["row_key"]))

        return self._filtered(among, ["row_key"], columns)

    def read_videos(self, video_ids: Collection[str], columns: list[str] | None = None) -> pa.Table:
        """Rows of the finished table of these videos, in the same way."""
        wanted = pa.array(sorted(video_ids), pa.string())
        found = self._filtered(
            lambda table: pc.is_in(table["video_id"], wanted).to_numpy(), ["video_id"], columns
        )
        return self._joined(found, columns)

    def _filtered(
        self, keep: Callable[[pa.Table], np.ndarray], by: list[str], columns: list[str] | None
    ) -> Iterator[pa.Table]:
        """The rows that `keep` tells by the columns `by`; a file is read in full only where it has one."""
        wanted = None if columns is None else list(dict.fromkeys([*columns, *by]))
        for name in self.finished().files:
            if not any(keep(table).any() for table in iter_rows(f"{self.uri}/{name}", self.stage, by)):
                continue
            for table in iter_rows(f"{self.uri}/{name}", self.stage, wanted):
                some = table.filter(pa.array(keep(table)))
                yield some if columns is None else some.select(columns)

    def _joined(self, tables: Iterator[pa.Table], columns: list[str] | None) -> pa.Table:
        parts = list(tables)
        return pa.concat_tables(parts) if parts else self.table(self.finished().files[0], columns).slice(0, 0)

    def keys(self) -> np.ndarray:
        """Row keys of the finished table, S16 [N]."""
        held = bytearray()  # which grows where it lies: joined in the end keys would stand in memory twice
        for table in self.tables(["row_key"]):
            held += keys_of(table["row_key"]).tobytes()
        return np.frombuffer(held, KEY)

    def sorted_keys(self) -> np.ndarray:
        """The same, sorted."""
        keys = self.keys()
        keys.sort()
        return keys

    def distinct(self, column: str) -> set[str]:
        """The texts of one column of the finished table."""
        return {
            text for table in self.tables([column]) for text in table[column].unique().drop_null().to_pylist()
        }

    def rows(
        self, catalog: "Folder", only: Collection[str] | None = None, columns: list[str] | None = None
    ) -> list[Any]:
        """The finished table's rows of videos that the catalog still lists; `only`: of those with these ids."""
        keys = catalog.keys() if only is None else keys_of(catalog.read_videos(only, ["row_key"])["row_key"])
        rows: list[Any] = self.read_listed(np.sort(keys), columns).to_pylist()
        return rows

    def read_side_table(self, name: str) -> list[Any]:
        """Rows of a small table that lies beside the main one, [] where this run has none."""
        file = self.finished().side_tables.get(name)
        return read_table_of(f"{self.uri}/{file}", name).to_pylist() if file else []

    def parts(self) -> list[str]:
        """Names of the files of rows on disk, whether or not run.json names them."""
        return list_files(self.uri, ".parquet")

    def write_part(self, table: pa.Table) -> str:
        name = f"part-{secrets.token_hex(8)}.parquet"
        write_table(f"{self.uri}/{name}", table)
        return name

    def seen(self) -> SeenKeys:
        """Every key on disk, whether or not the run finished. Reads three columns, part by part."""
        return KeyIndex(self._keys(self.parts())).seen()

    def _keys(self, names: list[str]) -> Iterator[pa.Table]:
        return (self.table(name, ["row_key", "attempt", "error"]) for name in names)

    def seal(
        self,
        config: JobConfig,
        inputs: dict[str, str],
        seconds: float,
        finish: "Finish | None" = None,
        *,
        listed: np.ndarray | None = None,
        computed: int | None = None,
    ) -> FolderRun:
        """Make the finished table of all parts, one row per key; say so in run.json, then drop what it replaces.

        `finish` may put other files in the place of those, and tables beside them. `listed`: S16 [K] sorted, the keys
        whose rows run.json counts; None: all. `computed`: rows that `seconds` were spent on. Raises UserError where
        rows of `listed` are lacking.

        Killed at any point, the next seal finds either the old files or both, and the same rows.
        """
        names = self.parts()
        keep = dict(zip(names, KeyIndex(self._keys(names)).the_one_that_counts(), strict=True))
        files = []
        full = [name for name, mask in keep.items() if name.startswith("full-") and mask.all()]
        for table in self._chunks({name: mask for name, mask in keep.items() if name not in full}):
            kind = "full" if _is_full(table) else "data"
            files.append(f"{kind}-{secrets.token_hex(8)}.parquet")
            write_table(f"{self.uri}/{files[-1]}", table.sort_by("video_id"))
        if names and not full and not files:  # a table without rows is still a table
            files.append(f"data-{secrets.token_hex(8)}.parquet")
            write_table(f"{self.uri}/{files[-1]}", self.table(names[0]).slice(0, 0))
        made = sorted([*full, *files])
        tables = {
            name
            for name in list_files(self.uri, ".parquet", include_side_tables=True)
            if name.startswith("_")
        }
        final, side_tables = finish(self, made) if finish else (made, {})
        counts = self.counted(final, listed)
        if listed is not None and counts[0] < len(
            listed
        ):  # nothing is deleted, and the folder not called finished
            raise UserError(
                f"{self.uri}: {len(listed) - counts[0]} rows are in no file that is listed; a store may show old lists "
                "for a while: run the same command again"
            )
        run = self.write_run(config, final, inputs, *counts, seconds, side_tables, computed)
        for name in {*names, *made, *tables} - {*final, *side_tables.values()}:
            delete(f"{self.uri}/{name}")
        return run

    def _chunks(self, keep: dict[str, np.ndarray]) -> Iterator[pa.Table]:
        """The kept rows of all files, in tables that are full, but for the last."""
        held: pa.Table | None = None
        for name, mask in keep.items():
            part = self.table(name).filter(pa.array(mask))
            held = part if held is None else pa.concat_tables([held, part])
            while held.num_rows and _is_full(held):
                yield held.slice(0, SEALED_ROWS)
                held = held.slice(SEALED_ROWS)
        if held is not None and held.num_rows:
            yield held

    def counted(self, files: list[str], listed: np.ndarray | None) -> tuple[int, dict[str, int]]:
        """Rows of some files whose key is among `listed` (None: all), and the failures among them by reason."""
        rows, failed = 0, Counter[str]()
        for name in files:
            table = self.table(name, ["error", *([] if listed is None else ["row_key"])])
            if listed is not None:
                table = table.filter(pa.array(contains(listed, keys_of(table["row_key"]))))
            rows += table.num_rows
            for count in pc.value_counts(table["error"].drop_null()).to_pylist():
                failed[count["values"]] += count["counts"]
        return rows, dict(failed)

    def write_run(
        self,
        config: JobConfig,
        files: list[str],
        inputs: dict[str, str],
        rows: int,
        failed: dict[str, int],
        seconds: float,
        side_tables: dict[str, str] | None = None,
        computed: int | None = None,
    ) -> FolderRun:
        run = FolderRun(
            stage=config.stage,
            fingerprint=config.fingerprint,
            files=files,
            side_tables=side_tables or {},
            inputs=inputs,
            rows=rows,
            failed=dict(sorted(failed.items())),
            config=config.model_dump(mode="json"),
            seconds=round(seconds, 1),
            finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            tikval=tikval.__version__,
            computed=computed,
        )
        write_bytes(f"{self.uri}/run.json", run.to_json())
        return run

    def rewrite_run(self, run: FolderRun, renamed: dict[str, str]) -> None:
        """Let run.json name other files for the same tables without some rows, and count those that are left."""
        files = [renamed.get(name, name) for name in run.files]
        side_tables = {table: renamed.get(name, name) for table, name in run.side_tables.items()}
        rows, failed = self.counted(files, None)
        failed = {
            reason: min(n, run.failed[reason]) for reason, n in failed.items() if run.failed.get(reason)
        }
        # with rows that were not listed there may be more than were counted before
        rows = min(rows, run.rows)
        again = replace(run, files=files, side_tables=side_tables, rows=rows, failed=failed)
        write_bytes(f"{self.uri}/run.json", again.to_json())

    def ask(self) -> None:
        """Note that this folder's run was asked for now: of several recipes the last one asked for counts."""
        write_bytes(
            f"{self.uri}/{_ASKED}", json.dumps(datetime.now(UTC).isoformat(timespec="milliseconds")).encode()
        )

    def asked_at(self) -> str | None:
        """When `ask` was called last, as `finished_at` is written; None: never."""
        data = read_bytes(f"{self.uri}/{_ASKED}")
        return None if data is None else str(parse_json(data, f"{self.uri}/{_ASKED}"))

    def commits(self) -> dict[str, str | None]:
        """The commits of the models that this folder's rows come from, by name, as its first start pinned them."""
        data = read_bytes(f"{self.uri}/commits.json")
        commits: dict[str, str | None] = (
            parse_json(data, f"{self.uri}/commits.json") if data is not None else {}
        )
        return commits

    def keep_commits(self, commits: dict[str, str | None]) -> None:
        if commits != self.commits():
            write_bytes(f"{self.uri}/commits.json", json.dumps(commits, indent=2).encode())

    def remove(self) -> None:
        """Delete the folder's files, run.json first, so that it is never half there and called finished."""
        delete(f"{self.uri}/run.json")
        for suffix in (".parquet", ".html", ".json", ".csv", ".md"):
            for name in list_files(self.uri, suffix, include_side_tables=True):
                delete(f"{self.uri}/{name}")
        for name in SITE_FOLDERS:
            delete_folder(f"{self.uri}/{name}")

    def sweep(self) -> None:
        """Delete what writers that were killed left half written. Only under the lock."""
        if is_local(self.uri):
            for path in Path(self.uri).glob(".tmp-*"):
                path.unlink(missing_ok=True)

    def lock(self) -> AbstractContextManager[None]:
        """Keep other drivers out; a dead driver holds nothing. Raises UserError where another one is at work."""
        _warn_of_a_temporary_place(self.uri)
        return lock(self.uri)


@functools.cache  # once per folder
def _warn_of_a_temporary_place(uri: str) -> None:
    if is_local(uri) and not Path(uri).is_absolute() and "working_dir_files" in Path.cwd().parts:
        print(
            f"tikval: warning: {uri} lies in Ray's temporary copy of the folder that was submitted ({Path.cwd()}); "
            "give an absolute path or a URI as `out` to keep it",
            file=sys.stderr,
        )


# Sees the whole table before it is called finished, as the names of its files: the names of those that take their
# place, and tables beside them by name.
Finish = Callable[[Folder, list[str]], tuple[list[str], dict[str, str]]]


def _is_full(table: pa.Table) -> bool:
    return bool(table.num_rows >= SEALED_ROWS or table.nbytes >= SEALED_BYTES)
