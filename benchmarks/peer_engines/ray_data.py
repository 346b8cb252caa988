"""Ray Data with its own checkpoint: a read, one map in a pool of actors, a write; the id column tells what is done."""

from typing import Any

import pyarrow as pa

from benchmarks.peer_engines.work import CALL_ROWS, PART_ROWS, SCHEMA, WORKERS, Job, Work, write_listing


class Embed:
    def __init__(self, ledger: str) -> None:
        self.work = Work(ledger)

    def __call__(self, table: pa.Table) -> pa.Table:
        return pa.Table.from_pylist([self.work(path) for path in table["path"].to_pylist()], schema=SCHEMA)


def run(job: Job) -> None:
    import ray
    from ray.data import ActorPoolStrategy, DataContext, SaveMode
    from ray.data.checkpoint import CheckpointConfig

    # two logical cores starve a plan of several operators: what tikval starts, too
    ray.init(address="local", num_cpus=2 * WORKERS, include_dashboard=False, log_to_driver=False)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.checkpoint_config = CheckpointConfig(
        id_column="id", checkpoint_path=f"{job.out}-checkpoint", delete_checkpoint_on_success=False
    )
    rows: Any = ray.data.read_parquet(write_listing(job)).repartition(target_num_rows_per_block=PART_ROWS)
    rows.map_batches(
        Embed,
        fn_constructor_kwargs={"ledger": job.ledger},
        batch_format="pyarrow",
        batch_size=CALL_ROWS,
        compute=ActorPoolStrategy(size=WORKERS),
    ).write_parquet(job.out, mode=SaveMode.APPEND)
    ray.shutdown()
