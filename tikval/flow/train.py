"""The edge to Ray Train: trainings side by side on one cluster, each a TorchTrainer of its own.

    for each fold and seed:  TorchTrainer -> 1..n workers -> _training-*.parquet, models/

A worker that dies starts again from its last epoch; a driver that dies leaves what was finished, and Ray Train's own
checkpoints of what was not.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from tikval.config import FinetuneConfig, UserError
from tikval.files import delete, filesystem, is_local, write_bytes, write_table
from tikval.finetune.lesson import Learnt, Lesson, Training, describe, learn, save_weights
from tikval.finetune.loop import Epoch, State
from tikval.flow.progress import StageProgress
from tikval.flow.session import check_gpus, cores, cpus, on_cluster, start_ray

MAX_DEATHS: Final = 3  # of a training's workers, before it is given up
_STATE, _BEST = "state.pt", "best.pt"

Write = Callable[[Training, Learnt], pa.Table]  # rows of the test part


def result_name(training: Training, state: str) -> str:
    """Of one training's rows in its folder; `state` is that of what it learnt from."""
    return f"_training-{training.name}-{state}.parquet"


def run_trainings(
    config: FinetuneConfig,
    lesson: Lesson,
    trainings: Sequence[Training],
    *,
    state: str,
    before: int,
    rows_of: Write,
) -> None:
    """Train; as many at once as there is room for. Raises UserError for what a training cannot get over."""
    start_ray()
    import ray

    check_gpus(config.pool.gpus)
    held = ray.put((config, lesson, state, rows_of))
    # threads: each waits for its trainer, whose controller and workers are actors of the cluster
    with (
        StageProgress(config.stage, len(trainings), before, config.folder) as progress,
        ThreadPoolExecutor(_at_once(config)) as threads,
    ):
        running = [threads.submit(_train, config, state, [held], training) for training in trainings]
        try:
            for done in as_completed(running):
                done.result()
                progress.advance(1, {})
        except Exception as err:
            for waiting in running:
                waiting.cancel()
            raise _cause(err) from err


def _at_once(config: FinetuneConfig) -> int:
    import ray

    if config.pool.actors is not None:
        return config.pool.actors if isinstance(config.pool.actors, int) else config.pool.actors[1]
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    room = (cpus() if on_cluster() else cores()) / max(config.workers * config.pool.cpus, 0.01)
    if config.pool.gpus:
        room = min(room, resources.get("GPU", 0) / (config.workers * config.pool.gpus))
    return max(1, int(room))


def _train(config: FinetuneConfig, state: str, held: list[Any], training: Training) -> None:
    """One training, from its first worker to its last. `held`: in a list, so that Ray passes it on unread."""
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    fs, path = filesystem(config.folder)
    name = f"{training.name}-{state}"
    trainer = TorchTrainer(
        _work,
        train_loop_config={"held": held, "training": training},
        torch_config=TorchConfig(backend="nccl" if config.pool.gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=config.workers,
            use_gpu=config.pool.gpus > 0,
            resources_per_worker={
                "CPU": config.pool.cpus,
                **({"GPU": config.pool.gpus} if config.pool.gpus else {}),
            },
        ),
        run_config=RunConfig(
            name=name,
            storage_path=f"{path}/ray",
            storage_filesystem=fs,
            failure_config=FailureConfig(max_failures=MAX_DEATHS),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    )
    trainer.fit()
    with contextlib.suppress(FileNotFoundError):
        fs.delete_dir(f"{path}/ray/{name}")  # optimizer states: several times the model


def _work(settings: dict[str, Any]) -> None:
    """In each worker of a training."""
    import ray
    import ray.train
    import torch

    config, lesson, state, rows_of = ray.get(settings["held"][0])
    training = settings["training"]
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    if not config.pool.gpus:
        torch.set_num_threads(max(1, int(config.pool.cpus)))
    resume, best = _resumed()

    def on_epoch(epoch: Epoch, now: State) -> None:
        if epoch.best:
            best[epoch.head] = {name: value.detach().cpu().clone() for name, value in now.model.items()}
        said = {"epoch": epoch.epoch, "head": epoch.head, "score": epoch.score, "loss": epoch.loss}
        with tempfile.TemporaryDirectory() as place:
            if rank == 0:
                with (Path(place) / _STATE).open("wb") as file:
                    now.save(file)
                (Path(place) / _BEST).write_bytes(save_weights(best))
            kept = ray.train.Checkpoint.from_directory(place) if rank == 0 else None
            ray.train.report(said, checkpoint=kept)

    learnt = learn(
        lesson,
        training,
        on_epoch=on_epoch,
        resume=resume,
        device=str(ray.train.torch.get_device()),
        rank=rank,
        world=world,
    )
    if rank == 0:
        if config.keep_models == "best":
            place = f"{config.folder}/models/{training.name}"
            write_bytes(f"{place}/weights.pt", save_weights(best))
            write_bytes(f"{place}/model.json", describe(lesson, training, learnt).encode())
        table = rows_of(training, learnt)
        history = json.dumps([asdict(epoch) for epoch in learnt.history])
        facts = {"history": history, "cut_rows": str(learnt.cut_rows), "lost_tokens": str(learnt.lost_tokens)}
        # last: what has it is finished
        write_table(
            f"{config.folder}/{result_name(training, state)}",
            table.replace_schema_metadata({"tikval": json.dumps(facts)}),
        )


def _resumed() -> tuple[State | None, dict[int, Any]]:
    """Where a worker that died stood."""
    import ray.train
    import torch

    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None, {}
    with checkpoint.as_directory() as place:
        with (Path(place) / _STATE).open("rb") as file:
            state = State.load(file)
        best: dict[int, Any] = torch.load(Path(place) / _BEST, map_location="cpu", weights_only=True)
    return state, best


def forget_checkpoints(folder: str) -> None:
    """Of trainings that are over."""
    fs, path = filesystem(f"{folder}/ray")
    with contextlib.suppress(FileNotFoundError, OSError):
        fs.delete_dir(path)


def forget_results(folder: str, names: Sequence[str]) -> None:
    for name in names:
        delete(f"{folder}/{name}")


def check_place(folder: str, workers: int) -> None:
    """Raises UserError where workers on other nodes would write to disks of their own."""
    if on_cluster() and is_local(folder) and not Path(folder).is_absolute():
        raise UserError(f"{folder}: on a cluster `out` must be an absolute path or a URI that all nodes see")


def _cause(err: BaseException) -> BaseException:
    """The UserError or ValueError behind what Ray Train raised, in one line; else the error itself."""
    cause: BaseException | None = err
    while cause is not None:
        if isinstance(cause, UserError | ValueError | FloatingPointError):
            return UserError(" ".join(str(cause).split())[:500])
        failures = getattr(cause, "worker_failures", None) or {}
        cause = next(iter(failures.values()), None) or getattr(cause, "cause", None) or cause.__cause__
    return err
