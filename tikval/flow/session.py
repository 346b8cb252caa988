"""Joining Ray: the cluster that RAY_ADDRESS names (`ray job submit` sets it), else one of this machine alone."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tikval.config import UserError
from tikval.machine import cores

LOCAL_CPUS_PER_CORE: Final = 2  # logical: Ray's resource budget starves a pipeline of several stages on two
_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # its errors of the driver's core are about its own restarts
    # each worker process started ahead costs two seconds of a core, and most stay idle
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}


def start_ray(object_store_mb: int | None = None) -> None:
    """Start or join Ray once per process; Ray's own chatter stays in its log files.

    `object_store_mb`: of a Ray that is started here; None: a third of the memory, as Ray sees fit.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    import ray  # deferred: two seconds of import that a finished run does not need
    from ray.data import DataContext

    if not ray.is_initialized():
        quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        quiet["logging_config"] = ray.LoggingConfig(
            encoding="JSON", log_level="WARNING"
        )  # in workers' log files
        if on_cluster():
            place: dict[str, Any] = {"address": os.environ["RAY_ADDRESS"]}
        else:  # never join a cluster that happens to run here
            place = {
                "address": "local",
                "num_cpus": max(4, LOCAL_CPUS_PER_CORE * cores()),
                "include_dashboard": False,
                "object_store_memory": object_store_mb * 10**6 if object_store_mb else None,
            }
        for last in (True,) if on_cluster() else (False, True):
            try:
                with _no_stderr():
                    ray.init(**place, **quiet)
                break
            except Exception as err:  # Ray raises a bare one where its processes take more than 30 seconds
                ray.shutdown()
                if not last:  # read from a cold disk they may; the second time they are in memory
                    continue
                cause = str(err).strip().partition("\n")[0][:300]
                if on_cluster():
                    raise UserError(f"Ray at {place['address']} cannot be joined: {cause}") from err
                raise UserError(
                    f"Ray did not start ({cause}); is this machine short of memory, or busy with other work? Try again"
                ) from err
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Keep the line out that Ray's core prints of its log level; errors come as exceptions."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def cpus() -> int:
    """Logical CPUs of the Ray that was joined."""
    import ray

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(resources.get("CPU", 1))


def check_gpus(per_actor: float) -> None:
    """Raises UserError where actors would wait for a GPU for ever; a cluster may still start a node that has one."""
    import ray

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    if per_actor > resources.get("GPU", 0) and not on_cluster():
        raise UserError(
            f"a pool asks for {per_actor:g} GPUs an actor, and there are {resources.get('GPU', 0):g} here; "
            "set its `gpus` to 0 to use cores"
        )


def on_cluster() -> bool:
    return bool(os.environ.get("RAY_ADDRESS"))
