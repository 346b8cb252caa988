"""What this machine lets a process use: its cores, and folders for what is temporary."""

import atexit
import contextlib
import fcntl
import functools
import math
import os
import shutil
import sys
import tempfile
import weakref
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_PREFIX: Final = "tikval-tmp-"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SOCKET_BYTES: Final = 107 if sys.platform == "linux" else 103  # of a local socket's path
_ROOT: Final = Path("/")  # under which the kernel tells of control groups


def cores() -> int:
    """Cores that this process may use, which in a container are fewer than the machine has."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(mine, _quota())))


def _quota() -> float:
    """Cores' worth of time that the control groups of this process may take together; infinite without any limit."""
    least = math.inf
    with contextlib.suppress(OSError):
        for line in (_ROOT / "proc/self/cgroup").read_text().splitlines():
            _, controllers, inside = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            mounts = (
                [f"sys/fs/cgroup/{name}" for name in ("cpu,cpuacct", "cpu")]
                if controllers
                else ["sys/fs/cgroup"]
            )
            group = Path(inside.lstrip("/"))
            # in a container the path may be the machine's, of which nothing but the container's own root is to be seen
            for mount in mounts:
                for place in (_ROOT / mount / each for each in (group, *group.parents)):
                    least = min(least, _limit(place))
    return least


def _limit(group: Path) -> float:
    """Cores of one control group, of version 2 or 1."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        microseconds = int((group / "cpu.cfs_quota_us").read_text())
        if microseconds > 0:
            return microseconds / int((group / "cpu.cfs_period_us").read_text())
    return math.inf


def private_folder(prefix: str, socket_bytes: int) -> Path:
    """A new folder of this user alone (0700), deleted when the process ends; what dead processes left is swept.

    It lies where TMPDIR says, or in /tmp where a path there, with `socket_bytes` more for what comes below the
    folder, is too long for a socket. Raises OSError where neither can be written.
    """
    places = list(dict.fromkeys([Path(tempfile.gettempdir()), Path("/tmp")]))  # noqa: S108 - mkdtemp's name is new
    for parent in places:
        sweep(str(parent), prefix)
    name_bytes = len(prefix) + 8  # mkdtemp's letters
    for parent in places:
        if len(os.fsencode(parent)) + name_bytes + 2 + socket_bytes > _SOCKET_BYTES:
            continue
        with contextlib.suppress(OSError):
            return _held(parent, prefix)
    raise OSError(
        f"no folder for temporary files: {' and '.join(map(str, places))} cannot be written, or the path is too long "
        f"for sockets; set TMPDIR to a folder of at most {_SOCKET_BYTES - socket_bytes - name_bytes - 2} letters"
    )


def _held(parent: Path, prefix: str) -> Path:
    """A new folder with the lock by which others know that its process lives."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)  # never closed: the lock goes with the process
        fcntl.flock(held, fcntl.LOCK_EX)
        if path.is_dir():  # not swept by another process in between
            break
        os.close(held)
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(path, ignore_errors=True)

    atexit.register(remove)
    return path


class ScratchFolder:
    """A temporary folder (mode 0700) that goes with this object, with this process, or after it.

    The process holds a lock on it, which the kernel takes away however the process ends. A folder without its lock
    belongs to nobody: the next process of this user that needs a folder sweeps it. A lock and no process id in the
    name, as containers that share a folder for temporary files have ids of their own. Raises OSError.
    """

    def __init__(self) -> None:
        _sweep_once(tempfile.gettempdir())
        self.path, self.fd = _locked_folder()
        self._close = weakref.finalize(self, _remove, self.path, self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Delete the folder and all that is in it."""
        self._close()


def _locked_folder() -> tuple[str, int]:
    while True:
        path = tempfile.mkdtemp(prefix=_PREFIX)
        # where a sweeper came first: another folder
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            fd = os.open(path, _FOLDER)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if Path(path).stat().st_ino == os.fstat(fd).st_ino:
                    return path, fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)


def _remove(path: str, fd: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(fd)


@functools.cache  # once in a process
def _sweep_once(place: str) -> None:
    sweep(place)


def sweep(place: str, prefix: str = _PREFIX) -> None:
    """Delete this user's folders for temporary files below `place` whose processes are gone. Follows no link."""
    for folder in Path(place).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # somebody else's, a link, or in use
            fd = os.open(folder, _FOLDER)
            try:
                if os.fstat(fd).st_uid == os.getuid():
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(fd)
