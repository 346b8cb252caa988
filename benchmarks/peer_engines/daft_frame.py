"""Daft: a class with one method over batches, in processes of its own; twice, as its two runners resume differently.

Its checkpoint store works on its Ray runner alone. Its native runner, the default, has none: there what is on disk is
joined away, which is what its users write.
"""

from pathlib import Path
from typing import Any

from benchmarks.peer_engines.work import CALL_ROWS, WORKERS, Job, Work, write_listing, written


def _embedded(frame: Any, job: Job) -> Any:
    import daft
    from daft import DataType, col

    fields = {
        "vector": DataType.list(DataType.float32()),
        "seconds": DataType.float64(),
        "error": DataType.string(),
    }

    class Embed:
        def __init__(self, ledger: str) -> None:
            self.work = Work(ledger)

        @daft.method.batch(  # type: ignore[untyped-decorator]
            return_dtype=DataType.struct(fields), unnest=True, batch_size=CALL_ROWS
        )
        def rows(self, paths: Any) -> list[dict[str, Any]]:
            done = [self.work(path) for path in paths.to_pylist()]
            return [{name: row[name] for name in fields} for row in done]

    embed: Any = daft.cls(Embed, max_concurrency=WORKERS, use_process=True)(job.ledger)
    return frame.select(col("id"), embed.rows(col("path")))


def run_native(job: Job) -> None:
    import daft

    daft.set_runner_native()
    # by default files of 512 MB, so that nothing of this run would be on disk before its end; in bytes of memory,
    # guessed ahead: about PART_ROWS rows. Far smaller ones end its writer with "channel closed"
    daft.set_execution_config(parquet_target_filesize=700, parquet_target_row_group_size=700)
    frame = daft.read_parquet(f"{write_listing(job)}/*.parquet")
    if Path(job.out).exists() and written(job.out):
        # the file that was being written at a kill has a name like all others, and no end
        done = daft.read_parquet(f"{job.out}/*.parquet", ignore_corrupt_files=True)
        frame = frame.join(done.select("id"), on="id", how="anti")
    _embedded(frame, job).write_parquet(job.out)


def run_on_ray(job: Job) -> None:
    import daft
    import ray

    ray.init(address="local", num_cpus=2 * WORKERS, include_dashboard=False, log_to_driver=False)
    daft.set_runner_ray()
    store = daft.CheckpointStore(f"file://{job.out}-checkpoint")
    checkpoint = daft.CheckpointConfig(store=store, on="id")
    frame = daft.read_parquet(f"{write_listing(job)}/*.parquet", checkpoint=checkpoint)
    _embedded(frame, job).write_parquet(job.out)
    ray.shutdown()
