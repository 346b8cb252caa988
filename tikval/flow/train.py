"""The edge to Ray Train: trainings side by side on one cluster, each a TorchTrainer of its own.

    for each training:  TorchTrainer -> 1..n workers -> what the work writes

A worker that dies starts again from its last checkpoint; a driver that dies leaves what was finished, and Ray
Train's own checkpoints of what was not.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol, TypeVar

from tikval.config import LearnConfig, Pool, UserError
from tikval.files import filesystem, is_local
from tikval.flow.progress import StageProgress
from tikval.flow.session import check_gpus, cores, cpus, on_cluster, start_ray

MAX_DEATHS: Final = 3  # of a training's workers, before it is given up

Save = Callable[[IO[bytes]], None]


class Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


@dataclass(frozen=True)
class Worker:
    """One of the workers of a training, as its work sees it."""

    rank: int
    world: int
    device: str

    def report(self, said: dict[str, float], files: Mapping[str, Save]) -> None:
        """Numbers, and a checkpoint of some files; all workers call this, and the first one's files are kept."""
        import ray.train

        with tempfile.TemporaryDirectory() as place:
            if self.rank == 0:
                for name, save in files.items():
                    with (Path(place) / name).open("wb") as file:
                        save(file)
            kept = ray.train.Checkpoint.from_directory(place) if self.rank == 0 else None
            ray.train.report(said, checkpoint=kept)

    @contextlib.contextmanager
    def checkpoint(self) -> Iterator[Path | None]:
        """A folder with the files that a worker that died reported last; None: it starts from the beginning."""
        import ray.train

        kept = ray.train.get_checkpoint()
        if kept is None:
            yield None
        else:
            with kept.as_directory() as place:
                yield Path(place)


def run_trainings(
    config: LearnConfig, work: Callable[[T, Worker], None], trainings: Sequence[T], *, state: str, before: int
) -> None:
    """Call `work` for each training in all of its workers; as many trainings at once as there is room for.

    `state`: of what is learnt from; `before`: how many trainings were done by earlier runs. Raises UserError for what
    a training cannot get over.
    """
    # Ray Train looks after its workers every two seconds, and each training ends in a few such looks
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    start_ray()
    import ray

    check_gpus(config.pool.gpus)
    # once, however many trainings; in a list, so that Ray passes it on unread
    held = [ray.put((config.pool, work))]
    # threads: each waits for its trainer, whose controller and workers are actors of the cluster
    with (
        StageProgress(config.stage, len(trainings), before, config.folder) as progress,
        ThreadPoolExecutor(_at_once(config)) as threads,
    ):
        running = [threads.submit(_train, config, f"{each.name}-{state}", held, each) for each in trainings]
        try:
            for done in as_completed(running):
                done.result()
                progress.advance(1, {})
        except Exception as err:
            for waiting in running:
                waiting.cancel()
            raise _cause(err) from err


def _at_once(config: LearnConfig) -> int:
    import ray

    if config.pool.actors is not None:
        return config.pool.actors if isinstance(config.pool.actors, int) else config.pool.actors[1]
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    room = (cpus() if on_cluster() else cores()) / max(config.workers * config.pool.cpus, 0.01)
    if config.pool.gpus:
        room = min(room, resources.get("GPU", 0) / (config.workers * config.pool.gpus))
    return max(1, int(room))


def memory_of_a_training(pool: Pool, workers: int) -> int | None:
    """Bytes that one worker has for itself on this machine; None where it will run on another's GPU."""
    if not pool.gpus:
        import psutil

        return None if on_cluster() else int(psutil.virtual_memory().total) // workers
    import torch

    if on_cluster() or not torch.cuda.is_available():
        return None
    return int(torch.cuda.get_device_properties(0).total_memory * min(1.0, pool.gpus))


def _train(config: LearnConfig, name: str, held: list[Any], training: Named) -> None:
    """One training, from its first worker to its last."""
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    fs, path = filesystem(config.folder)
    resources = {"CPU": config.pool.cpus, **({"GPU": config.pool.gpus} if config.pool.gpus else {})}
    trainer = TorchTrainer(
        _in_worker,
        train_loop_config={"held": held, "training": training},
        torch_config=TorchConfig(backend="nccl" if config.pool.gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=config.workers, use_gpu=config.pool.gpus > 0, resources_per_worker=resources
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


def _in_worker(settings: dict[str, Any]) -> None:
    import ray
    import ray.train
    import torch

    pool, work = ray.get(settings["held"][0])
    context = ray.train.get_context()
    if not pool.gpus:
        torch.set_num_threads(max(1, int(pool.cpus)))
    work(
        settings["training"],
        Worker(context.get_world_rank(), context.get_world_size(), str(ray.train.torch.get_device())),
    )


def forget_checkpoints(folder: str) -> None:
    """Of trainings that are over."""
    fs, path = filesystem(f"{folder}/ray")
    with contextlib.suppress(FileNotFoundError, OSError):
        fs.delete_dir(path)


def check_place(folder: str) -> None:
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
