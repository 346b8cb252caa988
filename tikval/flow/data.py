"""The edge to Ray Data: run one stage over the rows that still need it.

    upstream Parquet -> rows to do -> actors that hold the stage -> parts on disk -> counts for the driver

Stages map list[Row] -> list[Row] and never see Ray. Every row that goes in comes out once: a stage that loses,
adds or repeats a row, or returns other keys than its row type's, is an error; an exception over one row becomes
that row's failure and the job goes on.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from tikval.config import JobConfig, Pool, UserError
from tikval.files import filesystem, read_parquet
from tikval.flow.folder import Folder, Run
from tikval.flow.keys import Seen, contains, keys_of
from tikval.flow.observe import Observer, log
from tikval.flow.progress import StageProgress
from tikval.flow.session import cores, on_cluster, start_ray
from tikval.rows import Reason, arrow_schema


class Stage(Protocol):
    """What one actor holds."""

    def __call__(self, rows: list[Any]) -> list[Any]: ...

    def failure(self, row: Any, reason: Reason, detail: str) -> Any:
        """The failure row of an input row."""


SMALL = 20_000  # rows to do that the driver may hold; more are read on the cluster
MAX_PARTS = 200  # of one run: what a kill can cost is one part of each writer
MAX_PART_ROWS = 2_000


def run_stage(
    config: JobConfig,
    make_stage: Callable[[], Stage],
    *,
    source: JobConfig,
    catalog: JobConfig,
    out: type,
    pool: Pool,
) -> Run:
    """Bring one folder up to date with the folder before it, and return what run.json says.

    `make_stage` is called once in each actor. Only videos of the current catalog are worked on; rows of others
    stay where they are.
    Raises UserError where the upstream run is not finished or another driver works on this folder.
    """
    folder, upstream = Folder(config.folder), Folder(source.folder)
    begin = time.monotonic()
    with folder.lock():
        inputs = {upstream.uri: upstream.finished().state}
        before = folder.run()
        if before and before.inputs == inputs and not before.retryable:
            return before
        seen = folder.seen()
        wanted = np.unique(Folder(catalog.folder).keys())
        if source is not catalog and not contains(np.sort(upstream.keys()), wanted).all():
            raise UserError(f"{upstream.uri}: older than the catalog; run the job that writes it first")
        todo = wanted[~contains(seen.done, wanted)]
        if len(todo):
            _compute(folder, upstream, make_stage, todo, seen, name=config.stage, out=out, pool=pool)
            _check_written(folder, todo)
        elif before and set(before.files) == set(folder.parts()):  # else a driver died before it could seal
            return folder.write_run(config, before.files, inputs, before.rows, before.failed, before.seconds)
        if not folder.parts():
            folder.write_part(arrow_schema(out).empty_table())
        return folder.seal(config, inputs, time.monotonic() - begin)


def _compute(
    folder: Folder,
    upstream: Folder,
    make_stage: Callable[[], Stage],
    todo: np.ndarray,
    seen: Seen,
    *,
    name: str,
    out: type,
    pool: Pool,
) -> None:
    start_ray()
    from ray.data import TaskPoolStrategy
    from ray.exceptions import RayError

    again = contains(seen.retry, todo)
    work = Todo(todo, todo[again], seen.attempts[np.searchsorted(seen.retry, todo[again])])
    per_part = int(np.clip(len(todo) // MAX_PARTS, 1, MAX_PART_ROWS))
    written = (
        _rows_to_do(upstream.paths(), work, pool.batch_rows)
        .map_batches(
            _Actor,
            fn_constructor_kwargs={
                "make_stage": make_stage,
                "out": out,
                "run": folder.uri.rpartition("/")[2],
            },
            batch_format="pyarrow",
            batch_size=pool.batch_rows,
            num_cpus=pool.cpus,
            num_gpus=pool.gpus,
            compute=_actors(pool, len(todo)),
        )
        .map_batches(
            _write,
            fn_kwargs={"folder": folder},
            batch_format="pyarrow",
            batch_size=per_part,
            compute=TaskPoolStrategy(size=None if on_cluster() else 1),  # here one writer keeps up
        )
    )
    with StageProgress(name, len(todo), len(seen.done), folder.uri) as progress:
        try:
            for row in written.iter_rows():
                progress.advance(row["rows"], dict(zip(row["reasons"], row["counts"], strict=True)))
        except RayError as err:
            raise _cause(err) from err


def _actors(pool: Pool, rows: int) -> Any:
    from ray.data import ActorPoolStrategy

    calls = -(-rows // pool.batch_rows)
    if pool.actors is not None:
        return ActorPoolStrategy(size=min(pool.actors, calls))
    if not on_cluster():
        return ActorPoolStrategy(size=min(cores(), calls))
    return ActorPoolStrategy(min_size=1, max_size=calls)  # as many as there is room for, also when nodes come


def _check_written(folder: Folder, todo: np.ndarray) -> None:
    """Rows that another node wrote to a disk of its own must not be missed in silence."""
    seen = folder.seen()
    if not contains(np.sort(np.concatenate([seen.done, seen.retry])), todo).all():
        raise UserError(f"{folder.uri}: rows are missing; on a cluster `out` must lie where all nodes write")


class Todo(NamedTuple):
    keys: np.ndarray  # S16 [K] sorted
    retried: np.ndarray  # S16 [R] sorted, those of `keys` that failed before
    attempts: np.ndarray  # int64 [R] the last attempt of each

    def of(self, table: pa.Table) -> pa.Table:
        """Rows whose key is to do, with `attempt` set to the one that now begins."""
        table = table.filter(pa.array(contains(self.keys, keys_of(table["row_key"]))))
        keys = keys_of(table["row_key"])
        attempt = np.ones(len(keys), np.int64)
        again = contains(self.retried, keys)
        attempt[again] += self.attempts[np.searchsorted(self.retried, keys[again])]
        if "attempt" in table.column_names:
            table = table.drop_columns(["attempt"])
        return table.append_column("attempt", pa.array(attempt))


def _rows_to_do(paths: list[str], work: Todo, batch_rows: int) -> Any:
    """A dataset of the upstream rows to do, one block per call of the stage, so that every actor gets some."""
    import ray.data

    if len(work.keys) <= SMALL:  # no read tasks: seconds of worker start-up on a laptop
        table = pa.concat_tables(work.of(read_parquet(path)) for path in paths)
        return ray.data.from_arrow(
            [table.slice(at, batch_rows).combine_chunks() for at in range(0, table.num_rows, batch_rows)]
        )
    work_ref = ray.put(work)

    def keep(table: Any) -> Any:
        return ray.get(work_ref).of(table)  # arrays in shared memory, not copied

    return (
        # with our filesystem: the one that Ray makes of a URI knows no endpoint of an S3-compatible store
        ray.data.read_parquet([filesystem(path)[1] for path in paths], filesystem=filesystem(paths[0])[0])
        .map_batches(keep, batch_format="pyarrow", batch_size=None)
        .repartition(target_num_rows_per_block=batch_rows)
    )


class _Actor:
    def __init__(self, make_stage: Callable[[], Stage], out: type, run: str) -> None:
        self.stage = make_stage()
        self.schema = arrow_schema(out)
        self.observer = Observer(run)

    def __call__(self, table: pa.Table) -> pa.Table:
        rows, begin = table.to_pylist(), time.monotonic()
        try:
            done = self.stage(rows)
        except UserError:
            raise
        except Exception:
            if len(rows) > 1:
                log.exception("a batch of %d rows failed; its rows are now tried one by one", len(rows))
            done = [result for row in rows for result in self._one(row)]
        self._check(rows, done)
        self.observer.came_out(done, time.monotonic() - begin)
        return pa.Table.from_pylist(done, schema=self.schema)

    def _one(self, row: Any) -> list[Any]:
        try:
            return self.stage([row])
        except Exception as err:
            self.observer.bug(row)
            return [self.stage.failure(row, Reason.INTERNAL_ERROR, f"{type(err).__name__}: {err}"[:500])]

    def _check(self, rows: list[Any], done: list[Any]) -> None:
        """Arrow would fill missing keys with null and drop extra ones without a word."""
        names = set(self.schema.names)
        for row in done:
            if row.keys() != names:
                raise TypeError(f"a stage returned the keys {sorted(row)}, want {sorted(names)}")
        if sorted(row["row_key"] for row in rows) != sorted({row["row_key"] for row in done}):
            raise ValueError("a stage lost, added or repeated rows")


def _write(table: pa.Table, folder: Folder) -> pa.Table:
    """Write one part and pass its counts on: rows never travel through the driver."""
    folder.write_part(table)
    counted = table["error"].drop_null().value_counts().to_pylist()
    counts = {
        "rows": [table.num_rows],
        "reasons": [[count["values"] for count in counted]],
        "counts": [[count["counts"] for count in counted]],
    }
    types = {"rows": pa.int64(), "reasons": pa.list_(pa.string()), "counts": pa.list_(pa.int64())}
    return pa.table({name: pa.array(values, types[name]) for name, values in counts.items()})


def _cause(err: BaseException) -> BaseException:
    """What went wrong in a worker, without Ray's wrapping: a UserError there is a UserError here."""
    cause: BaseException | None = err
    while cause is not None:
        if isinstance(cause, UserError):
            return UserError(str(cause))
        cause = getattr(cause, "cause", None) or cause.__cause__
    if "UserError: " in str(err):
        return UserError(str(err).rpartition("UserError: ")[2].splitlines()[0])
    return err
