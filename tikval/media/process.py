"""A running worker process as its caller sees it: pipes, deadline, memory, and the end of its process group."""

import contextlib
import fcntl
import os
import selectors
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO, Final

import psutil

import tikval
from tikval.machine import ScratchFolder
from tikval.media import wire
from tikval.media.isolation import keep_secrets
from tikval.media.reading import ClipError
from tikval.rows import Reason

_LOOK_SECONDS: Final = 0.05  # between looks at the worker's memory
_LOOK_WIDER: Final = 10  # every so many looks also at its own children: that scans all processes
_MAX_PROCESSES: Final = (
    24  # of one worker; it and Tesseract are two. RLIMIT_NPROC counts all that a user runs
)
_PASSED_ON: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TESSDATA_PREFIX",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",  # the GPU that Ray gave to the caller
)


class Died(Exception):  # noqa: N818
    """The worker is gone; the message goes on from "it ..."."""


class WorkerProcess:
    """A running worker: its pipes, its folder for temporary files, its process group."""

    def __init__(self, command: tuple[str, ...], memory_mb: int, isolation: str) -> None:
        """`isolation`: auto, required or off, which it does to itself; here this process's memory is closed to it."""
        if isolation != "off":
            keep_secrets()
        self._folder = ScratchFolder()
        lifeline, held = os.pipe()
        # never written to; closing it, be it by dying or by the garbage collector, kills the worker's group
        self._lifeline = os.fdopen(held, "wb", buffering=0)
        self._requests, requests = socket.socketpair()  # a socket, as only these carry open files
        try:
            self._process = subprocess.Popen(
                [*command, str(lifeline), str(os.getpid()), isolation],
                stdin=requests.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=self._folder.path,
                env=_environment(self._folder.path),
                pass_fds=(lifeline,),
                start_new_session=True,
            )
        finally:
            os.close(lifeline)
            requests.close()
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdout, self._stderr = self._process.stdout.fileno(), self._process.stderr.fileno()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # many pipes of one user reach a limit: then it is slower
                fcntl.fcntl(self._stdout, fcntl.F_SETPIPE_SZ, 2**20)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._selector.register(self._stderr, selectors.EVENT_READ)
        self._memory_bytes = memory_mb * 2**20
        self._words = b""  # the end of its stderr
        self._looks = 0
        self._next_look = 0.0
        self._seen = [psutil.Process(self._process.pid)]  # it and, as of the last wide look, those below it

    def send(self, pieces: list[memoryview], files: list[int]) -> None:
        """Write a request, with files that are open here. Raises Died."""
        try:
            socket.send_fds(self._requests, pieces, files)  # smaller than the buffer: this does not block
        except ConnectionError as err:
            raise Died(self._obituary()) from err

    def receive_header(self, deadline: float) -> dict[str, object]:
        """The header of a reply. Raises Died, Garbage, and ClipError for TIMEOUT and OUT_OF_MEMORY."""
        (length,) = wire.LENGTH.unpack(self.receive(wire.LENGTH.size, deadline))
        if length > wire.MAX_HEADER:
            raise wire.Garbage("sent a header of absurd length")
        return wire.header_of(bytes(self.receive(length, deadline)))

    def receive(self, size: int, deadline: float) -> bytearray:
        data = bytearray()
        while len(data) < size:
            for key, _ in self._selector.select(_LOOK_SECONDS):
                if key.fd == self._stderr:
                    self._listen()
                    continue
                chunk = os.read(self._stdout, min(size - len(data), 2**20))
                if not chunk:
                    raise Died(self._obituary())
                data += chunk
            now = time.monotonic()
            if now > deadline:
                raise ClipError(Reason.TIMEOUT, "the reading process did not finish in time")
            if now > self._next_look:
                self._next_look = now + _LOOK_SECONDS
                self._look_at_memory()
        return data

    def take(self, name: str, target: BinaryIO, most_bytes: int) -> None:
        """Copy a file that it wrote into its folder, whatever it may have put there. Raises Garbage, OSError."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            source = os.fdopen(os.open(name, flags, dir_fd=self._folder.fd), "rb")
        except OSError as err:
            raise wire.Garbage("left no file") from err
        with source:
            state = os.fstat(source.fileno())
            # a second name may be that of somebody else's file
            if not stat.S_ISREG(state.st_mode) or state.st_nlink != 1:
                raise wire.Garbage("left what is no file of its own")
            size = 0
            while chunk := source.read(2**20):
                size += len(chunk)
                if size > most_bytes:
                    raise wire.Garbage("left a file of absurd size")
                target.write(chunk)
        if not size:
            raise wire.Garbage("left an empty file")
        os.unlink(name, dir_fd=self._folder.fd)

    def _look_at_memory(self) -> None:
        if self._looks % _LOOK_WIDER == 0:
            with contextlib.suppress(psutil.Error):
                self._seen = [self._seen[0], *self._others()]
        if len(self._seen) > _MAX_PROCESSES:
            raise ClipError(
                Reason.OUT_OF_MEMORY, f"the reading process started more than {_MAX_PROCESSES} others"
            )
        self._looks += 1
        used = 0
        for process in self._seen:
            with contextlib.suppress(psutil.Error):
                used += process.memory_info().rss
        if used > self._memory_bytes:
            allowed = f"{self._memory_bytes / 2**20:.0f} MB"
            raise ClipError(Reason.OUT_OF_MEMORY, f"the reading process took more than {allowed}")

    def _others(self) -> list[psutil.Process]:
        """What it started: below it, or in its group though their parent is gone."""
        below = {process.pid: process for process in self._seen[0].children(recursive=True)}
        for pid in psutil.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
                if os.getpgid(pid) == self._process.pid != pid and pid not in below:
                    below[pid] = psutil.Process(pid)
        return list(below.values())

    def _listen(self) -> None:
        words = os.read(self._stderr, 2**16)
        if not words:
            self._selector.unregister(self._stderr)
        self._words = (self._words + words)[-4096:]

    def last_words(self) -> str:
        """The last lines of its stderr."""
        while self._stderr in {key.fd for key, _ in self._selector.select(0)}:
            self._listen()
        lines = self._words.decode("utf-8", "replace").strip().splitlines()
        return " | ".join(lines[-3:]) or "nothing"

    def _obituary(self) -> str:
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def kill(self) -> None:
        """Kill the whole process group and clean up after it."""
        with contextlib.suppress(psutil.Error):  # those that left the group
            for process in self._seen[0].children(recursive=True):
                process.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._selector.close()
        self._requests.close()
        for pipe in (self._process.stdout, self._process.stderr, self._lifeline):
            assert pipe is not None
            pipe.close()
        self._folder.close()


def _environment(folder: str) -> dict[str, str]:
    """No keys, no tokens: only what Python, FFmpeg and Tesseract need to run."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    own = str(Path(tikval.__file__).parent.parent)
    # a cluster may put packages on the path of a running interpreter that a fresh one does not know
    added = [entry for entry in sys.path if entry and not entry.startswith((sys.prefix, sys.base_prefix))]
    return passed | {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys([own, *map(os.path.abspath, added)])),
        "PYTHONUTF8": "1",
        "HOME": folder,
        "TMPDIR": folder,
        "OMP_THREAD_LIMIT": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
