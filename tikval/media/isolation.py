"""What a process that reads hostile files gives up for good, before it opens the first one; with its children.

    Landlock   files: it reads what it is made of (Python, libraries, Tesseract), writes in its own folder, and
               can neither trace nor (from its version 6 on) signal a process outside
    seccomp    calls of the kernel: no socket, no other process's memory, no change of a file's owner or mode, none
               of the machine's administration; no leaving its process group, so that one kill ends all of it
    no capabilities, and none to be gained (no_new_privs), also for root

What the kernel lacks is left out and reported. Linux only, and by ctypes: PyPI's bindings of libseccomp want
a system library, those of Landlock are younger than the calls. Light: no FFmpeg, no models.
"""

import contextlib
import ctypes
import os
import platform
import resource
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tikval.media.seccomp import MACHINES, filter_program

_FILE_BYTES: Final = 256 * 2**20  # the largest temporary file that it or Tesseract may write
_STRIPPED_BYTES: Final = 2**31 - 1  # ... but for a stripped video: no API takes a larger one
_OPEN_FILES: Final = 256

_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE, _MAKE, _TRUNCATE, _IOCTL = 1 << 4 | 1 << 5, 1 << 7 | 1 << 8, 1 << 14, 1 << 15
_RIGHTS_OF_VERSION: Final = (13, 14, 15, 15, 16)  # how many rights on files Landlock's versions 1 to 5 know
# below a prefix (/, /usr, Python's, Tesseract's): never the whole, as applications and homes lie in such places too
_INSTALLED: Final = ("bin", "lib", "lib32", "lib64", "libexec", "share/tessdata", "share/tesseract-ocr")
_SYSTEM: Final = (
    *("/nix/store", "/gnu/store", "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu", "/dev/urandom"),
)
_OF_GPUS: Final = (
    "/proc/driver",
    "/proc/devices",
    "/proc/modules",
    "/sys/devices",
    "/sys/bus",
    "/usr/share/nvidia",
)


def keep_secrets() -> None:
    """Close this process's environment and memory to the others of its user, who could read or trace it.

    The price: no core dump of it, and no profiler that attaches from outside.
    """
    _prctl(4, 0)  # PR_SET_DUMPABLE


def kernel_isolation() -> tuple[str, ...]:
    """What this machine's kernel offers, such as ("Landlock 7", "seccomp")."""
    version = _landlock_version()
    filters = platform.machine() in MACHINES and _prctl(21) >= 0  # PR_GET_SECCOMP
    return (*([f"Landlock {version}"] if version > 0 else []), *(["seccomp"] if filters else []))


def isolation_text(names: tuple[str, ...]) -> str:
    """What is in force, as human-readable text; what is missing is named."""
    lacks = [
        f"{what} not limited (no {name})"
        for name, what in (("Landlock", "files are"), ("seccomp", "sockets are"))
        if not any(found.startswith(name) for found in names)
    ]
    return "; ".join([" + ".join(names) or "none", *lacks])


def is_complete(names: tuple[str, ...]) -> bool:
    return {name.split(" ")[0] for name in names} >= {"Landlock", "seccomp"}


def restrict() -> None:
    """Bound what a taken-over process could do to the disk; and let the kernel kill it first."""
    for limit, soft, most in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, _FILE_BYTES, _STRIPPED_BYTES),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
    ):
        _, hard = resource.getrlimit(limit)
        hard = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (min(soft, hard), hard))
    with contextlib.suppress(OSError):  # Linux only, and only where /proc may be written
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def isolate(folder: Path) -> tuple[str, ...]:
    """Give up all but reading what is installed and writing in `folder`; returns what is now in force.

    For a process of one thread, as Landlock holds for the calling one alone: with more, nothing is done.
    """
    if not kernel_isolation() or len(list(Path("/proc/self/task").iterdir())) > 1:
        return ()
    _prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    names = tuple(
        name
        for name in kernel_isolation()
        if (_restrict_files(folder) if name.startswith("Landlock") else _restrict_calls())
    )
    # the third version of the header; of the three sets of 64 bits nothing
    _libc().capset(struct.pack("=Ii", 0x20080522, 0), bytes(24))
    return names


def _restrict_files(folder: Path) -> bool:
    version = _landlock_version()
    known = (1 << _RIGHTS_OF_VERSION[min(version, 5) - 1]) - 1
    network, scopes = 3 if version >= 4 else 0, 3 if version >= 6 else 0  # TCP; signals and abstract sockets
    ruleset = _syscall(444, struct.pack("=3Q", known, network, scopes), 24, 0)
    if ruleset < 0:
        return False
    try:
        for path, rights in _allowed(folder):
            try:
                file = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:  # this machine has none
                continue
            rights &= known if path.is_dir() else known & ~_LIST
            _syscall(445, ruleset, 1, struct.pack("=Qi", rights, file), 0)
            os.close(file)
        return _syscall(446, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allowed(folder: Path) -> Iterator[tuple[Path, int]]:
    yield folder, _READ | _LIST | _WRITE | _REMOVE | _MAKE | _TRUNCATE
    yield Path("/dev/null"), _READ | _WRITE
    prefixes = {Path(prefix) for prefix in ("/", "/usr", "/usr/local", sys.prefix, sys.base_prefix)}
    if tesseract := shutil.which("tesseract"):
        prefixes |= {place.parent.parent for place in (Path(tesseract), Path(tesseract).resolve())}
    paths = [prefix / name for prefix in prefixes for name in _INSTALLED]
    # of the import path only where packages are installed: a job's working folder may hold anything
    paths += [place for place in map(Path, filter(None, sys.path)) if any(place.glob("*.dist-info"))]
    paths += [Path(__file__).parents[1], *map(Path, _SYSTEM)]
    named = [os.environ.get("TESSDATA_PREFIX", ""), *os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)]
    paths += map(Path, filter(None, named))
    if os.environ.get("CUDA_VISIBLE_DEVICES"):  # a GPU was given to the caller, for decoder: nvdec
        paths += map(Path, _OF_GPUS)
        yield from ((device, _READ | _WRITE | _IOCTL) for device in Path("/dev").glob("nvidia*"))
    yield from ((path, _EXECUTE | _READ | _LIST) for path in paths)


def _restrict_calls() -> bool:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    code = filter_program(platform.machine())
    number = MACHINES[platform.machine()][-1]
    program = Program(len(code) // 8, code)
    return _syscall(number, 1, 1, ctypes.addressof(program)) == 0  # a filter, for all threads


def _landlock_version() -> int:
    return _syscall(444, None, 0, 1)  # its number is the same on all machines


def _prctl(option: int, value: int = 0) -> int:
    if sys.platform != "linux":
        return -1
    return int(_libc().prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3))


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    if sys.platform != "linux":
        return -1
    passed: list[Any] = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return int(_libc().syscall(ctypes.c_long(number), *passed))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
