"""The edge to Ray Data: run one stage over the rows that still need it.

    upstream Parquet -> rows to do -> actors of each step -> parts on disk -> counts for the driver

Steps stream: while one row is decoded, another is encoded, and Ray Data holds a step back when what waits for the
next one fills its share of the object store. Rows between two steps are never on disk.

Stages map list[Row] -> list[Row] and never see Ray. Every row that goes in comes out once: a stage that loses,
adds or repeats a row, or returns other keys than its row type's, is an error; an exception over one row becomes
that row's failure and the job goes on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from tikval.config import JobConfig, Pool, UserError
from tikval.files import check_parquet
from tikval.flow.observe import Observer, log
from tikval.flow.session import check_gpus, cpus, on_cluster, start_ray
from tikval.machine import cores
from tikval.rows import Reason
from tikval.store.folder import Finish, Folder
from tikval.store.folder_run import FolderRun
from tikval.store.progress import StageProgress
from tikval.store.row_keys import SeenKeys, contains
from tikval.store.tables import iter_rows
from tikval.store.todo import Todo, check_written, keys_to_do, listed_keys, of_some


class Stage(Protocol):
    """What one actor holds."""

    def __call__(self, rows: list[Any]) -> list[Any]: ...

    def failure(self, row: Any, reason: Reason, detail: str) -> Any:
        """The failure row of an input row."""


class Step(NamedTuple):
    """One pool of actors."""

    make_stage: Callable[[], Stage]  # called once in each actor
    out: pa.Schema  # of the rows that leave it
    pool: Pool
    calls: int = 1  # of the stage at once in each actor, from as many threads
    waiting: int = 0  # of `calls`: those that only wait, so that others need not


class RayStep(NamedTuple):
    """A step that Ray brings, such as an engine for language models: a dataset to a dataset, row for row."""

    apply: Callable[[Any], Any]
    pool: Pool


class Ahead(NamedTuple):
    """Work of the driver before its rows stream, which may send them through steps of its own, as often as it likes."""

    steps: Sequence[Step]
    run: Callable[[Callable[[], Iterator[Any]]], None]  # gets what starts such a pass, and gives its rows
    waits: Callable[[], bool]  # whether there is work even where no row is to do


class Chain:
    """Stages one after another in one actor: for work that waits for others rather than computes.

    The second takes rows of the first one by one, as it has room for them: pictures lie in no memory before.
    """

    def __init__(self, *make_stages: Callable[[], Stage]) -> None:
        self.stages = [make() for make in make_stages]

    def __call__(self, rows: list[Any]) -> list[Any]:
        first, *others = self.stages
        made: Any = (one for row in rows for one in first([row]))
        for stage in others:
            made = stage(made)
        return list(made)

    def failure(self, row: Any, reason: Reason, detail: str) -> Any:
        for stage in self.stages:
            row = stage.failure(row, reason, detail)
        return row


SMALL = 20_000  # rows to do that the driver may hold; more are read on the cluster
MAX_PARTS = 100  # of one run: what a kill can cost is one part of each writer
MAX_PART_ROWS = 2_000
CALLS_PER_ACTOR = (
    25  # at least, where the size of a call is left to us: few rows share better, many cost less
)
MAX_CALL_ROWS = 4


def run_stage(
    config: JobConfig,
    steps: Sequence[Step | RayStep],
    *,
    source: JobConfig,
    catalog: JobConfig,
    check: Callable[[np.ndarray], None] = lambda todo: None,
    context: Callable[[int], AbstractContextManager[Any]] = nullcontext,
    ahead: Ahead | None = None,
    in_flight_mb: int | None = None,
    settings: dict[str, str] | None = None,
    finish: Finish | None = None,
    only: np.ndarray | None = None,
) -> FolderRun:
    """Bring one folder up to date with the folder before it, and return what run.json says.

    Only videos of the current catalog are worked on and counted; rows of others stay where they are. At most
    `in_flight_mb` of rows wait in the object store between steps (None: Ray Data's own share of it). `check` gets the
    row keys to do, before Ray starts, and may raise UserError. `context` is entered on the driver, once Ray runs, for
    as long as the rows stream: actors that stages ask by name; `ahead` runs inside it first. `finish` looks at the
    whole table before it is called finished; `settings` are those of its own, which recompute no row. `only`: row keys
    that are worked on, and no others, unless all were before; the same folder goes on with more later.
    Raises UserError where the upstream run is not finished or another driver works on this folder.
    """
    folder, upstream, begin = Folder(config.folder), Folder(source.folder), time.monotonic()
    with folder.lock():
        inputs = {upstream.uri: upstream.finished().state, **(settings or {})}
        before = folder.run()
        only = None if before and before.inputs == inputs else only  # all were judged before
        inputs |= of_some(only)
        waits = ahead is not None and ahead.waits()
        if before and not waits and _is_complete(before, inputs, Folder(catalog.folder).finished().rows):
            return before
        seen = folder.seen()
        wanted = listed_keys(catalog, only)
        if source is not catalog and not contains(upstream.sorted_keys(), wanted).all():
            raise UserError(f"{upstream.uri}: older than the catalog; run the job that writes it first")
        todo = keys_to_do(wanted, seen)
        if len(todo) or waits:
            check(todo)
            start_ray()
            check_gpus(max(step.pool.gpus for step in steps))
            with context(len(todo)):
                rows = partial(_streamed, folder, upstream, todo, seen, in_flight_mb)
                if ahead:
                    ahead.run(lambda: _taken(rows(ahead.steps)) if len(todo) else iter(()))
                if len(todo):
                    progress = StageProgress(config.stage, len(todo), len(wanted) - len(todo), folder.uri)
                    _compute(folder, rows(steps, observed=True), len(todo), progress)
            check_written(folder, todo)
        elif before and not finish and set(before.files) == set(folder.parts()):
            # else a driver died before its seal
            counts = folder.counted(before.files, wanted)
            seconds, computed = before.seconds, before.computed
            return folder.write_run(config, before.files, inputs, *counts, seconds, computed=computed)
        if not folder.parts():
            folder.write_part(_schema(steps).empty_table())
        return folder.seal(
            config, inputs, time.monotonic() - begin, finish, listed=wanted, computed=len(todo)
        )


def _is_complete(before: FolderRun, inputs: dict[str, str], n_listed: int) -> bool:
    # more rows than are listed: an earlier version counted those of files that were replaced
    return before.inputs == inputs and not before.retryable and before.rows <= n_listed


def _schema(steps: Sequence[Step | RayStep]) -> pa.Schema:
    """The schema of the rows that are written."""
    last = steps[-1]
    assert isinstance(last, Step)
    return last.out


def _compute(folder: Folder, rows: Any, n: int, progress: StageProgress) -> None:
    from ray.data import TaskPoolStrategy

    written = rows.map_batches(
        _write,
        fn_kwargs={"folder": folder},
        batch_format="pyarrow",
        batch_size=int(np.clip(n // MAX_PARTS, 1, MAX_PART_ROWS)),
        compute=TaskPoolStrategy(size=None if on_cluster() else 1),  # here one writer keeps up
    )
    with progress:
        for row in _taken(written):
            progress.advance(row["rows"], dict(zip(row["reasons"], row["counts"], strict=True)))


def _taken(rows: Any) -> Iterator[Any]:
    """The rows of a dataset, on the driver."""
    from ray.exceptions import RayError

    try:
        yield from rows.iter_rows()
    except RayError as err:
        raise _cause(err) from err


def _streamed(
    folder: Folder,
    upstream: Folder,
    todo: np.ndarray,
    seen: SeenKeys,
    in_flight_mb: int | None,
    steps: Sequence[Step | RayStep],
    *,
    observed: bool = False,
) -> Any:
    """A dataset of what leaves the last step; it starts when somebody takes rows out of it."""
    from ray.data import DataContext, ExecutionResources

    work = Todo.begin(todo, seen)
    limits = ExecutionResources.for_limits(object_store_memory=in_flight_mb * 2**20 if in_flight_mb else None)
    DataContext.get_current().execution_options.resource_limits = limits
    rows = _rows_to_do(upstream.paths(), upstream.stage, work, _batch_rows(steps[0].pool, len(todo)))
    for at, step in enumerate(steps):
        if isinstance(step, RayStep):
            rows = step.apply(rows)
            continue
        batch_rows = _batch_rows(step.pool, len(todo))
        rows = rows.map_batches(
            _Actor,
            fn_constructor_kwargs={
                "step": step,
                "run": folder.uri.rpartition("/")[2] if observed and at == len(steps) - 1 else None,
            },
            batch_format="pyarrow",
            batch_size=batch_rows,
            num_cpus=step.pool.cpus,
            num_gpus=step.pool.gpus,
            compute=_actors(step, -(-len(todo) // batch_rows)),
        )
    return rows


def _batch_rows(pool: Pool, rows: int) -> int:
    if pool.batch_rows is not None:
        return pool.batch_rows
    if pool.actors is not None:
        actors = pool.actors if isinstance(pool.actors, int) else pool.actors[1]
    else:
        actors = cpus() if on_cluster() else cores()
    return min(MAX_CALL_ROWS, max(1, rows // (CALLS_PER_ACTOR * actors)))


def _actors(step: Step, calls: int) -> Any:
    from ray.data import ActorPoolStrategy

    at_once: dict[str, Any] = {}
    if step.calls > 1:
        at_once = {
            "max_concurrent_calls_per_actor": step.calls,
            "max_tasks_in_flight_per_actor": step.calls,
            "enable_true_multi_threading": True,
        }
    actors, needed = step.pool.actors, -(-calls // (step.calls - step.waiting))
    if isinstance(actors, int):
        return ActorPoolStrategy(size=min(actors, needed), **at_once)
    if actors is not None:
        least, most = sorted(min(size, needed) for size in actors)
        return ActorPoolStrategy(min_size=least, max_size=most, **at_once)
    if not on_cluster():
        return ActorPoolStrategy(size=min(cores(), needed), **at_once)
    return ActorPoolStrategy(
        min_size=1, max_size=needed, **at_once
    )  # as many as there is room for, also when nodes come


def _rows_to_do(paths: list[str], stage: str, work: Todo, batch_rows: int) -> Any:
    """A dataset of the upstream rows to do, one block per call of the stage, so that every actor gets some."""
    import ray.data
    from ray.data.read_api import from_blocks

    if len(work.keys) <= SMALL:  # no read tasks: seconds of worker start-up on a laptop
        table = pa.concat_tables(work.of(part) for path in paths for part in iter_rows(path, stage))
        # not from_arrow, which asks for the schema of every block by a task: workers that only start
        return from_blocks(
            [table.slice(at, batch_rows).combine_chunks() for at in range(0, table.num_rows, batch_rows)]
        )
    for path in paths:
        check_parquet(path)  # in a moment, before any worker starts
    work_ref = ray.put(work)

    def read(names: pa.Table) -> Iterator[pa.Table]:
        # not by Ray's own reader, which knows neither our row types nor the endpoint of an S3-compatible store
        for path in names["path"].to_pylist():
            for part in iter_rows(path, stage):
                yield ray.get(work_ref).of(part)  # arrays in shared memory, not copied

    return (
        ray.data.from_items([{"path": path} for path in paths], override_num_blocks=len(paths))
        .map_batches(read, batch_format="pyarrow", batch_size=1)
        .repartition(target_num_rows_per_block=batch_rows)
    )


class _Actor:
    def __init__(self, step: Step, run: str | None) -> None:
        """`run`: the folder's name for the last step, whose rows are those that count."""
        self.stage = step.make_stage()
        self.schema = step.out
        self.observer = Observer(run) if run else None

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
        table, done = self._table(rows, done)
        if self.observer:
            self.observer.came_out(done, time.monotonic() - begin)
        return table

    def _table(self, rows: list[Any], done: list[Any]) -> tuple[pa.Table, list[Any]]:
        """The rows as a table; a row that no table can hold, whatever brought it, becomes its own failure."""
        try:
            return pa.Table.from_pylist(done, schema=self.schema), done
        except (pa.ArrowException, ValueError, OverflowError, TypeError):
            log.exception("rows that no table can hold")
        given = {row["row_key"]: row for row in rows}
        for place, row in enumerate(done):
            try:
                pa.Table.from_pylist([row], schema=self.schema)
            except (pa.ArrowException, ValueError, OverflowError, TypeError) as err:
                detail = ascii(f"{type(err).__name__}: {err}")[:500]
                done[place] = self.stage.failure(given[row["row_key"]], Reason.INTERNAL_ERROR, detail)
        return pa.Table.from_pylist(done, schema=self.schema), done

    def _one(self, row: Any) -> list[Any]:
        try:
            return self.stage([row])
        except Exception as err:
            log.exception(
                "exception in a stage", extra={"video_id": row["video_id"], "attempt": row["attempt"]}
            )
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
    try:
        folder.write_part(table)
    except OSError as err:
        what = " ".join(str(err).split())[:300]
        raise UserError(
            f"{folder.uri}: cannot be written ({what}); once that is mended the same command goes on from here"
        ) from err
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
