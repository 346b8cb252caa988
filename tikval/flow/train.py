"""The edge to Ray Train: trainings side by side on one cluster, each a TorchTrainer of its own.

    for each training:  TorchTrainer -> 1..n workers -> what the work writes

A worker that dies starts again from its last checkpoint; a driver that dies leaves what was finished, and Ray
Train's own checkpoints of what was not.
"""

import contextlib
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Generic, Protocol, TypeVar

from tikval.config import LearnConfig, Pool, UserError
from tikval.files import filesystem, is_local
from tikval.flow.session import check_gpus, cpus, on_cluster, start_ray
from tikval.machine import cores
from tikval.store.progress import StageProgress

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

    def report(self, message: dict[str, float], files: Mapping[str, Save]) -> None:
        """Numbers, and a checkpoint of some files; all workers call this, and the first one's files are kept."""
        import ray.train

        with tempfile.TemporaryDirectory() as place:
            if self.rank == 0:
                for name, save in files.items():
                    with (Path(place) / name).open("wb") as file:
                        save(file)
            kept = ray.train.Checkpoint.from_directory(place) if self.rank == 0 else None
            ray.train.report(message, checkpoint=kept)

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


@dataclass(frozen=True)
class TrainingGroup(Generic[T]):
    """The trainings of one configuration."""

    config: LearnConfig
    work: Callable[[T, Worker], None]  # called in each worker of each training
    trainings: Sequence[T]
    state: str  # of what is learnt from
    before: int  # trainings that earlier runs finished


def run_trainings(groups: Sequence[TrainingGroup[Any]]) -> None:
    """All trainings of all groups; as many at once as there is room for, whatever group they are of.

    A training that fails ends its group, and the others go on. Raises UserError for what a training cannot get over.
    """
    if not groups:
        return
    _start_ray_train()
    import ray

    for group in groups:
        check_gpus(group.config.pool.gpus)
    # once, however many trainings; in a list, so that Ray passes it on unread
    held = [[ray.put((group.config.pool, group.work))] for group in groups]
    waiting = [(n, training) for n, group in enumerate(groups) for training in group.trainings]
    running: dict[Future[None], int] = {}
    failed: dict[int, BaseException] = {}
    # threads: each waits for its trainer, whose controller and workers are actors of the cluster
    with contextlib.ExitStack() as stack:
        over = [stack.enter_context(contextlib.ExitStack()) for _ in groups]
        progress = [end.enter_context(_progress_of(group)) for end, group in zip(over, groups, strict=True)]
        threads = stack.enter_context(ThreadPoolExecutor(max(1, len(waiting))))
        try:
            while waiting or running:
                for n, training in list(waiting):
                    if n in failed:
                        waiting.remove((n, training))
                    elif _has_room(groups[n].config, [groups[m].config for m in running.values()]):
                        waiting.remove((n, training))
                        running[threads.submit(_train, groups[n], held[n], training)] = n
                # nodes may come and go meanwhile
                for done in wait(running, timeout=10, return_when=FIRST_COMPLETED).done:
                    n = running.pop(done)
                    if err := done.exception():
                        failed.setdefault(n, err)
                    else:
                        progress[n].advance(1, {})
                        if progress[n].done == progress[n].total:
                            over[n].close()  # finished, whatever becomes of the others
        except KeyboardInterrupt:
            ray.shutdown()  # else the threads would wait until their trainings end by themselves
            raise
        if failed:
            _raise(groups, failed)


def _start_ray_train() -> None:
    """Start or join Ray, with what Ray Train reads from the environment."""
    # Ray Train looks at its workers this often, and a worker that reports an epoch waits for the look
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    # of an autoscaler's and a spot market's warnings, which one machine has not: a process less for each training
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "1" if on_cluster() else "0")
    start_ray()


def _progress_of(group: TrainingGroup[Any]) -> StageProgress:
    return StageProgress(group.config.stage, len(group.trainings), group.before, group.config.folder)


def _has_room(config: LearnConfig, running: Sequence[LearnConfig]) -> bool:
    """Whether one more training may start: as many of a configuration as its pool has, else as the cluster holds."""
    if config.pool.actors is not None:
        most = config.pool.actors if isinstance(config.pool.actors, int) else config.pool.actors[1]
        return sum(each is config for each in running) < most
    if not running:
        return True  # one that no node holds yet may have a node started for it
    import ray

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    trained = [*running, config]
    wanted_cpus = sum(each.workers * each.pool.cpus for each in trained)
    wanted_gpus = sum(each.workers * each.pool.gpus for each in trained)
    return wanted_cpus <= (cpus() if on_cluster() else cores()) and wanted_gpus <= resources.get("GPU", 0)


def _raise(groups: Sequence[TrainingGroup[Any]], failed: dict[int, BaseException]) -> None:
    """Raise what ended some groups, as one error."""
    causes = {n: _cause(failed[n]) for n in sorted(failed)}
    for n, cause in causes.items():
        if not isinstance(cause, UserError):
            raise cause from failed[n]
    message = "; ".join(f"{groups[n].config.folder}: {cause}" for n, cause in causes.items())
    raise UserError(message) from next(iter(failed.values()))


def memory_of_a_training(pool: Pool, workers: int) -> int | None:
    """Bytes that one worker has for itself on this machine; None where it will run on another's GPU."""
    if not pool.gpus:
        import psutil

        return None if on_cluster() else int(psutil.virtual_memory().total) // workers
    import torch

    if on_cluster() or not torch.cuda.is_available():
        return None
    return int(torch.cuda.get_device_properties(0).total_memory * min(1.0, pool.gpus))


def _train(group: TrainingGroup[Any], held: list[Any], training: Named) -> None:
    """One training, from its first worker to its last."""
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    config, name = group.config, f"{training.name}-{group.state}"
    fs, path = filesystem(config.folder)
    resources = {"CPU": config.pool.cpus, **({"GPU": config.pool.gpus} if config.pool.gpus else {})}
    with tempfile.TemporaryDirectory(prefix="tikval-") as meeting:
        trainer = TorchTrainer(
            _in_worker,
            train_loop_config={"held": held, "training": training},
            torch_config=_torch_config("nccl" if config.pool.gpus else "gloo", meeting),
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


def _torch_config(backend: str, meeting: str) -> Any:
    """How the workers of one training find each other: on one machine by a file in `meeting`, and on loopback alone.

    Else torch's own store listens wherever the machine has an address, and for one worker, too.
    """
    import ray
    from ray.train.torch import TorchConfig
    from ray.train.torch import config as ray_torch

    if on_cluster():
        return TorchConfig(backend=backend)

    class ByFile(ray_torch._TorchBackend):
        def on_start(self, worker_group: Any, backend_config: Any) -> None:
            loopback = "lo" if sys.platform == "linux" else "lo0"
            names = {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback}
            worker_group.execute(lambda: os.environ.update(names))
            worker_group.execute(ray_torch._set_torch_distributed_env_vars)
            world = len(worker_group)
            place = (
                f"file://{meeting}/{secrets.token_hex(8)}"  # a new one: who starts again never meets the dead
            )
            ranks = range(world if world > 1 else 0)
            setup = [backend, place, backend_config.timeout_s]
            ray.get([worker_group.execute_single_async(n, _join_group, n, world, *setup) for n in ranks])

    class OneMachine(TorchConfig):
        backend_cls = ByFile

    return OneMachine(backend=backend)


def _join_group(rank: int, world: int, backend: str, place: str, timeout_s: int) -> None:
    from ray.train.torch import config as ray_torch

    ray_torch._setup_torch_process_group(backend, rank, world, place, timeout_s)


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
    """Delete the checkpoints of trainings that are over."""
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
