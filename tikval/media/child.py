"""The caller's side of reading hostile videos: one worker process, asked, watched, killed and replaced.

    with Child(limits) as child:
        reading = child.read("video.mp4", Want(frames=16, sound=True))

The worker (worker.py) is started by exec, never by fork, in a process group of its own that Tesseract runs in
too. It gets no secrets from the environment, and what it answers is checked like any other foreign input
(wire.py). What the kernel offers to hold it is in force before the first video (isolation.py). The caller opens the
video and hands the open file over, so that the worker needs no path; it never reads it.
"""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import numpy as np

from tikval.config import Limits, UserError
from tikval.media import wire
from tikval.media.decoders import check_decoder
from tikval.media.isolation import is_complete, isolation_text
from tikval.media.ocr import check_ocr
from tikval.media.process import Died, WorkerProcess
from tikval.media.reading import (
    MAX_PICTURES,
    ClipError,
    ClipReading,
    MissingTool,
    StrippedFile,
    StrippedPost,
    Want,
    machine_fault,
    open_video,
)
from tikval.media.speech import check_speech
from tikval.rows import Reason
from tikval.sources.photo_posts import is_sound

T = TypeVar("T")
log = logging.getLogger("tikval")
# -P: the folder it runs in is no place to import from
_COMMAND: Final = (sys.executable, "-P", "-m", "tikval.media.worker")


def check_tools(want: Want) -> None:
    """Raise MissingTool early, without starting a worker, where this machine cannot do what is wanted."""
    check_decoder(want.decoder)
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
        self.limits = limits
        self._command = command
        self._files = files
        self._start_seconds = start_seconds
        self._lock = threading.Lock()
        self._process: WorkerProcess | None = None
        self._n_read = 0
        self.isolation: tuple[str, ...] | None = None  # in force in the worker; None before the first one

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

    def start(self) -> tuple[str, ...]:
        """Start a worker where none runs, and return what isolates it. Raises as `read` does."""
        with self._lock:
            self._started()
            return self.isolation or ()

    def start_soon(self) -> None:
        """Start one while the caller loads a model; what goes wrong then, the first video meets again and tells."""

        def start() -> None:
            with contextlib.suppress(ClipError, MissingTool, RuntimeError, UserError):
                self.start()

        threading.Thread(target=start, name="tikval-child", daemon=True).start()

    def read(self, video: str | Sequence[str], want: Want, seconds: float | None = None) -> ClipReading:
        """Read one video, in `seconds` where these are fewer than the limits allow.

        `video`: a path, or those of a photo post: its pictures in order, then perhaps its sound.

        A worker that dies is replaced and the video tried once more, within the same deadline: a stray kill must
        not cost a result. Raises ClipError (CRASHED if it died twice, TIMEOUT, OUT_OF_MEMORY, NO_SPACE, NO_PROCESS,
        or what the worker found), MissingTool, and RuntimeError if no worker can be started.
        """
        return self._answered(lambda process, deadline: self._ask(process, video, want, deadline), seconds)

    def strip(self, path: str, to: str, seconds: float | None = None) -> StrippedFile:
        """Write a video's pictures and sound anew, as they are and without any metadata, to the file `to`.

        Raises what read() raises; NOT_STRIPPED where that cannot be done.
        """
        return self._answered(lambda process, deadline: self._ask_strip(process, path, to, deadline), seconds)

    def strip_photos(self, files: Sequence[str], seconds: float | None = None) -> StrippedPost:
        """Draw a photo post's pictures and write its sound anew, without any metadata. Raises what read() raises."""
        return self._answered(
            lambda process, deadline: self._ask_strip_photos(process, files, deadline), seconds
        )

    def _answered(self, ask: Callable[[WorkerProcess, float], T], seconds: float | None) -> T:
        with self._lock:
            left = self.limits.seconds if seconds is None else seconds
            for attempt in (1, 2):
                process = self._started()  # its time to start is no video's fault
                asked = time.monotonic()
                try:
                    answer = ask(process, asked + left)
                except (Died, wire.Garbage) as err:
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
                    return answer
            raise AssertionError

    def _ask(
        self, process: WorkerProcess, video: str | Sequence[str], want: Want, deadline: float
    ) -> ClipReading:
        self._send(process, video, want)
        header = process.receive_header(deadline)
        wire.raise_failure(header)
        shape, n_samples = wire.payload_sizes(header, want, self.limits)
        frames = sound = None
        if shape is not None:
            pixels = process.receive(shape[0] * shape[1] * shape[2] * 3, deadline)
            frames = np.frombuffer(pixels, np.uint8).reshape(*shape, 3)
        if n_samples is not None:
            sound = np.frombuffer(process.receive(2 * n_samples, deadline), np.int16)
        return wire.reading_of(header, frames, sound)

    def _send(self, process: WorkerProcess, video: str | Sequence[str], want: Want | None) -> None:
        """Send a request with the open files, or with the reason why one cannot be opened."""
        paths = [video] if isinstance(video, str) else list(video)
        pictures = None if isinstance(video, str) else sum(not is_sound(path) for path in paths)
        files, refused = list[int](), None
        try:
            if len(paths) > wire.MAX_FILES or (pictures or 0) > MAX_PICTURES:
                raise ClipError(Reason.TOO_LARGE, f"{pictures} pictures, allowed are {MAX_PICTURES}")
            for path in paths:
                files.append(open_video(path))
        except ClipError as err:
            refused = err
        try:
            request = wire.request(str(Path(paths[0]).absolute()), want, self.limits, refused, pictures)
            process.send(request, [] if refused else files)
        finally:
            for file in files:
                os.close(file)

    def _ask_strip(self, process: WorkerProcess, path: str, to: str, deadline: float) -> StrippedFile:
        self._send(process, path, None)
        header = process.receive_header(deadline)
        wire.raise_failure(header)
        stripped = wire.stripped_of(header)
        most_bytes = 2 * self.limits.file_mb * 2**20  # twice: its tables may grow
        try:
            with Path(to).open("wb") as target:
                process.take(wire.STRIPPED, target, most_bytes)
        except OSError as err:
            raise machine_fault(err) or err from err
        return stripped

    def _ask_strip_photos(
        self, process: WorkerProcess, files: Sequence[str], deadline: float
    ) -> StrippedPost:
        self._send(process, files, None)
        header = process.receive_header(deadline)
        wire.raise_failure(header)
        sizes, n_sound = wire.post_sizes(header, len(files), self.limits)
        pictures = [bytes(process.receive(size, deadline)) for size in sizes]
        sound = None if n_sound is None else bytes(process.receive(n_sound, deadline))
        return wire.post_of(header, pictures, sound)

    def _started(self) -> WorkerProcess:
        if self._n_read >= self._files:
            self._stop()
        for attempt in (1, 2):
            if self._process is not None:
                break
            try:
                self._process = WorkerProcess(self._command, self.limits.memory_mb, self.limits.isolation)
            except OSError as err:
                fault = machine_fault(err) or RuntimeError(f"the media worker cannot be started: {err}")
                raise fault from err
            try:
                header = self._process.receive_header(time.monotonic() + self._start_seconds)
                self.isolation = wire.isolation_of(header)
            except (Died, wire.Garbage, ClipError) as err:
                message = self._process.last_words()
                self._stop()
                if attempt == 2:
                    raise RuntimeError(
                        f"the media worker cannot start: it {err}; its last words: {message} "
                        "(where isolation keeps it from a library: limits.isolation=off)"
                    ) from err
        self._check_isolation()
        self._n_read += 1
        assert self._process is not None
        return self._process

    def _check_isolation(self) -> None:
        names = self.isolation or ()
        if is_complete(names) or self.limits.isolation == "off" or self._n_read:
            return
        if self.limits.isolation == "required":
            self._stop()
            raise UserError(f"limits.isolation is required, and this machine has: {isolation_text(names)}")
        log.warning("videos are read with: %s", isolation_text(names))

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._process = None
        self._n_read = 0
