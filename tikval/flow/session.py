"""Joining Ray: the cluster that RAY_ADDRESS names (`ray job submit` sets it), else one of this machine alone."""

import atexit
import functools
import logging
import os
import secrets
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from tikval.config import UserError
from tikval.machine import cores, private_folder

LOCAL_CPUS_PER_CORE: Final = 2  # logical: Ray's resource budget starves a pipeline of several stages on two
_WATCH_SECONDS: Final = 3.0  # between two looks at the head
# of Ray's longest socket's name in its folder
_SOCKET_BYTES: Final = len("ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
_TOKEN: Final = "token"  # noqa: S105 - a file's name
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
            _join(os.environ["RAY_ADDRESS"], quiet)
        else:
            _start(object_store_mb, quiet)
        _start_watching()
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def watch_head(address: str, joined: Callable[[], bool], seconds: float = _WATCH_SECONDS) -> None:
    """Print a line where Ray's head does not answer any more, for as long as it is `joined`; at most one line.

    Ray ends a driver that has lost its head after a minute, without a word.
    """
    host, _, port = address.rpartition(":")
    lost = 0
    while joined():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
            lost = 0
        except OSError:
            lost += 1
        if lost == 2:
            what = (
                f"tikval: Ray's head at {address} does not answer; if it stays away this run ends in a minute"
            )
            print(f"{what}, and the same command goes on once Ray is back", file=sys.stderr, flush=True)
            return
        time.sleep(seconds)


def _start_watching() -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    given = address, partial(_is_joined, address)
    threading.Thread(target=watch_head, args=given, name="tikval-head", daemon=True).start()


def _is_joined(address: str) -> bool:
    import ray

    return bool(ray.is_initialized() and ray.get_runtime_context().gcs_address == address)


def _join(address: str, quiet: dict[str, Any]) -> None:
    import ray

    try:
        with _no_stderr():
            ray.init(address=address, **quiet)
    except Exception as err:
        ray.shutdown()
        raise UserError(f"Ray at {address} cannot be joined: {_first_line(err)}") from err


def _start(object_store_mb: int | None, quiet: dict[str, Any]) -> None:
    """A Ray of this process alone: on loopback, with a token and a folder that nobody else reads."""
    import ray

    place = _place()
    for last in (False, False, True):
        try:
            with _no_stderr(), _alone(place), _without_what_serves_clusters():
                ray.init(
                    address="local",  # never join a cluster that happens to run here
                    num_cpus=max(4, LOCAL_CPUS_PER_CORE * cores()),
                    include_dashboard=False,
                    object_store_memory=object_store_mb * 10**6 if object_store_mb else None,
                    job_config=_job(),
                    _temp_dir=str(place / "ray"),  # Ray opens it to everybody; the one around it stays closed
                    **quiet,
                )
            return
        except Exception as err:  # Ray raises a bare one where its processes take more than 30 seconds
            ray.shutdown()
            if last:  # read from a cold disk they may; the next time they are in memory
                raise UserError(
                    f"Ray did not start ({_first_line(err)}); is this machine short of memory, or busy with other "
                    "work? Try again"
                ) from err


def _first_line(err: Exception) -> str:
    return str(err).strip().partition("\n")[0][:300]


@functools.cache  # one for all that this process starts
def _place() -> Path:
    """The folder of Ray's sockets, logs and spilled objects, with the token that its servers ask for."""
    import ray

    try:
        place = private_folder("ray-tikval-", _SOCKET_BYTES)
    except OSError as err:
        raise UserError(f"Ray cannot start: {err}") from err
    atexit.register(ray.shutdown)  # before the folder goes
    token = os.open(place / _TOKEN, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(token, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    return place


_RAYS_OWN: Final = ("RAY_AUTH_TOKEN_PATH", "PYTHONSAFEPATH", "TORCHINDUCTOR_CACHE_DIR")


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """What a Ray that starts meanwhile, and all of its processes, are told by the environment and a constant."""
    from ray._private import ray_constants

    kept, clusters = dict(os.environ), ray_constants.ENABLE_RAY_CLUSTER
    # without it all servers listen where the machine's own address is; 127.0.0.1 as `_node_ip_address` is replaced
    ray_constants.ENABLE_RAY_CLUSTER = False
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):  # unset, a token is asked for, and the file's counts
        os.environ.pop(name, None)
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(place / _TOKEN)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(
        place / "torch"
    )  # which torch makes as soon as it is imported
    os.environ["PYTHONSAFEPATH"] = "1"  # what workers start as `python -m` finds no module beside the videos
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters
        for name in (*_RAYS_OWN, "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
            os.environ.pop(name, None)
            if name in kept:
                os.environ[name] = kept[name]


# what `ray.init` starts on a head and has no switch for: what asks a cloud for nodes, what sends workers' logs to a
# driver that does not print them, and the dashboard, also where it is not wanted
_FOR_CLUSTERS: Final = ("start_monitor", "start_log_monitor", "start_api_server")


@contextmanager
def _without_what_serves_clusters() -> Iterator[None]:
    """Let a Ray that starts meanwhile leave out three of its processes: 3 s of a core, and 280 MB while it runs."""
    from ray._private.node import Node

    kept = {name: getattr(Node, name) for name in _FOR_CLUSTERS}
    for name in kept:
        setattr(Node, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name, start in kept.items():
            setattr(Node, name, start)


def _job() -> Any:
    """A job whose workers find this package, and nothing in the working folder.

    Ray puts the working folder and the script's first on the workers' search path, where a file such as `click.py`
    beside the videos is imported in place of the package.
    """
    from ray.job_config import JobConfig

    here = str(Path(__file__).parents[2])
    # installed, or named by PYTHONPATH: workers find it as this process did; else it was in the working folder
    job: Any = JobConfig(_py_driver_sys_path=[] if here in sys.path[1:] else [here])
    job._runtime_env_has_working_dir = lambda: True  # with one, Ray adds nothing of its own
    return job


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
