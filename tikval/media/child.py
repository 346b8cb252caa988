"""The caller's side of reading hostile videos: one worker process, asked, watched, killed and replaced.

    with Child(limits) as child:
        reading = child.read("video.mp4", Want(frames=16, sound=True))

The worker (worker.py) is started by exec, never by fork, in a process group of its own that Tesseract runs in
too. It gets no secrets from the environment, and what it answers is checked like any other foreign input
(wire.py). The caller never opens the video.
"""

import contextlib
import fcntl
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import psutil

import tikval
from tikval.config import Limits
from tikval.media import wire
from tikval.media.ocr import check_ocr
from tikval.media.reading import ClipError, Reading, Want
from tikval.media.speech import check_speech
from tikval.rows import Reason

_COMMAND: Final = (
    sys.executable,
    "-P",
    "-m",
    "tikval.media.worker",
)  # -P: the folder it runs in is no package
_LOOK_SECONDS: Final = 0.05  # between looks at the worker's memory
_LOOK_WIDER: Final = 10  # every so many looks also at its own children: that scans all processes
_PASSED_ON: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TESSDATA_PREFIX",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)


def check_tools(want: Want) -> None:
    """Raises MissingTool early, without starting a worker, where this machine cannot do what is wanted."""
    if want.ocr_frames:
        check_ocr(want.ocr_languages)
    if want.speech:
        check_speech()


class Child:
    """A worker that reads one video at a time; calls from several threads wait for each other.

    The worker starts with the first video, and anew after `files` of them (libraries leak), after a kill or a
    crash. It is killed when this object or this process goes, in whatever way.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        command: tuple[str, ...] = _COMMAND,
        files: int = 200,
        start_seconds: float = 120,
    ) -> None:
        self._limits = limits
        self._command = command
        self._files = files
        self._start_seconds = start_seconds
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._n_read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the worker; the next read starts another."""
        with self._lock:
            self._stop()

    def read(self, path: str, want: Want) -> Reading:
        """Read one video.

        A worker that dies is replaced and the video tried once more, within the same deadline: a stray kill must
        not cost a result. Raises ClipError (CRASHED if it died twice, TIMEOUT, OUT_OF_MEMORY, or what the worker
        found), MissingTool, and RuntimeError if no worker can be started.
        """
        with self._lock:
            left = self._limits.seconds
            for attempt in (1, 2):
                process = self._started()  # its time to start is no video's fault
                asked = time.monotonic()
                try:
                    reading = self._ask(process, path, want, asked + left)
                except (_Died, wire.Garbage) as err:
                    self._stop()
                    left -= time.monotonic() - asked
                    if attempt == 2:
                        raise ClipError(Reason.CRASHED, f"the reading process {err}") from err
                except ClipError as err:
                    if err.reason in (Reason.TIMEOUT, Reason.OUT_OF_MEMORY):
                        self._stop()
                    raise
                except BaseException:  # an interrupt between the bytes of a reply
                    self._stop()
                    raise
                else:
                    return reading
            raise AssertionError

    def _ask(self, process: "_Process", path: str, want: Want, deadline: float) -> Reading:
        process.send(wire.request(str(Path(path).absolute()), want, self._limits))
        header = process.receive_header(deadline)
        wire.raise_failure(header)
        shape, n_samples = wire.payload_sizes(header, want, self._limits)
        frames = sound = None
        if shape is not None:
            pixels = process.receive(shape[0] * shape[1] * shape[2] * 3, deadline)
            frames = np.frombuffer(pixels, np.uint8).reshape(*shape, 3)
        if n_samples is not None:
            sound = np.frombuffer(process.receive(2 * n_samples, deadline), np.int16)
        return wire.reading_of(header, frames, sound)

    def _started(self) -> "_Process":
        if self._n_read >= self._files:
            self._stop()
        for attempt in (1, 2):
            if self._process is not None:
                break
            self._process = _Process(self._command, self._limits.memory_mb)
            try:
                header = self._process.receive_header(time.monotonic() + self._start_seconds)
                if header != {"ready": True}:
                    raise wire.Garbage("did not say that it is ready")
            except (_Died, wire.Garbage, ClipError) as err:
                said = self._process.last_words()
                self._stop()
                if attempt == 2:
                    raise RuntimeError(f"the media worker cannot start: it {err}; it said: {said}") from err
        self._n_read += 1
        assert self._process is not None
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._process = None
        self._n_read = 0


class _Died(Exception):  # noqa: N818
    pass


class _Process:
    """A running worker: its pipes, its folder for temporary files, its process group."""

    def __init__(self, command: tuple[str, ...], memory_mb: int) -> None:
        self._folder = tempfile.mkdtemp(prefix="tikval-")
        lifeline, held = os.pipe()
        # never written to; closing it, be it by dying or by the garbage collector, kills the worker's group
        self._lifeline = os.fdopen(held, "wb", buffering=0)
        try:
            self._process = subprocess.Popen(
                [*command, str(lifeline), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=self._folder,
                env=_environment(self._folder),
                pass_fds=(lifeline,),
                start_new_session=True,
            )
        finally:
            os.close(lifeline)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdin, self._stdout, self._stderr = (
            self._process.stdin,
            self._process.stdout.fileno(),
            self._process.stderr.fileno(),
        )
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
        with contextlib.suppress(psutil.NoSuchProcess):
            self._seen: list[psutil.Process] = [psutil.Process(self._process.pid)]

    def send(self, pieces: list[memoryview]) -> None:
        """Raises _Died."""
        try:
            for piece in pieces:
                self._stdin.write(piece)  # a request is smaller than a pipe: this does not block
        except BrokenPipeError as err:
            raise _Died(self._obituary()) from err

    def receive_header(self, deadline: float) -> dict[str, object]:
        """Raises _Died, Garbage, and ClipError for TIMEOUT and OUT_OF_MEMORY."""
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
                    raise _Died(self._obituary())
                data += chunk
            now = time.monotonic()
            if now > deadline:
                raise ClipError(Reason.TIMEOUT, "the reading process did not finish in time")
            if now > self._next_look:
                self._next_look = now + _LOOK_SECONDS
                self._look_at_memory()
        return data

    def _look_at_memory(self) -> None:
        if self._looks % _LOOK_WIDER == 0:
            with contextlib.suppress(psutil.Error):
                self._seen = [self._seen[0], *self._seen[0].children(recursive=True)]
        self._looks += 1
        used = 0
        for process in self._seen:
            with contextlib.suppress(psutil.Error):
                used += process.memory_info().rss
        if used > self._memory_bytes:
            allowed = f"{self._memory_bytes / 2**20:.0f} MB"
            raise ClipError(Reason.OUT_OF_MEMORY, f"the reading process took more than {allowed}")

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
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr, self._lifeline):
            assert pipe is not None
            pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _environment(folder: str) -> dict[str, str]:
    """No keys, no tokens: only what Python, FFmpeg and Tesseract need to run."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    own = str(Path(tikval.__file__).parent.parent)
    # a cluster may put packages on the path of a running interpreter that a fresh one does not know
    added = [entry for entry in sys.path if entry and not entry.startswith((sys.prefix, sys.base_prefix))]
    return passed | {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys([own, *map(os.path.abspath, added)])),
        "PYTHONUTF8": "1",
        "TMPDIR": folder,
        "OMP_THREAD_LIMIT": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
