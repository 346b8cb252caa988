"""A video wherever it lies, on its way into a child that reads it, or out to somebody else's server.

An object is copied to a temporary file first: its size is asked for before a byte is read, and copying is part of the
time that a video has.
"""

import errno
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, TimeoutError
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import pyarrow.fs as pafs

from tikval.config import Limits
from tikval.files import filesystem, is_local
from tikval.machine import ScratchFolder
from tikval.media.child import Child
from tikval.media.reading import SUFFIXES, ClipError, ClipReading, StrippedPost, Want, machine_fault
from tikval.rows import Reason

_CHUNK: Final = 2**20
# how stores put it: pyarrow makes no PermissionError or FileNotFoundError of these
_REFUSED: Final = re.compile(r"ACCESS_DENIED|AccessDenied|INVALID_ACCESS_KEY|Forbidden|PermissionDenied")
_ABSENT: Final = re.compile(r"NO_SUCH_BUCKET|NoSuchBucket|NO_SUCH_KEY|NoSuchKey|RESOURCE_NOT_FOUND")


Video: TypeAlias = str | Sequence[str]  # a path, or those of a photo post
Sent: TypeAlias = str | StrippedPost  # the path of a file to send, or the parts of a photo post
OpenVideo: TypeAlias = Callable[
    [Video, str | None], AbstractContextManager[Sent]
]  # with the SHA-256 of what was read


def files_of(row: Any) -> Video:
    """Where the video of a VideoRow lies. Raises ClipError for a row with a script in its place."""
    if row.get("script") is not None:
        raise ClipError(Reason.NO_VIDEO, "the list gives a script in the place of a file")
    return row.get("files") or row["path"]  # type: ignore[no-any-return]


def read_video(child: Child, video: Video, want: Want) -> ClipReading:
    """Read local files or objects, within the child's limits. Raises what Child.read raises."""
    begin = time.monotonic()
    with local_copies(video, child.limits) as files:
        return child.read(files, want, child.limits.seconds - (time.monotonic() - begin))


class StrippedVideos:
    """Videos as they are sent: written anew without their metadata, by a child that starts with the first of them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits  # all that there is when this travels to an actor

    @contextmanager
    def __call__(self, video: Video, content_sha: str | None) -> Iterator[Sent]:
        """The file to send, which is deleted afterwards, or the parts of a photo post.

        `content_sha`: of what was read before.

        Raises ClipError: NOT_STRIPPED where the file cannot be written anew, MISSING_FILE where it is another by now.
        """
        # a second thread may come at the same time; a Child that is not asked anything has started nothing
        child: Child = self.__dict__.setdefault("_child", Child(self._limits))
        begin = time.monotonic()
        with _scratch() as folder:
            to = Path(folder.path) / "video"
            with local_copies(video, self._limits) as files:
                left = self._limits.seconds - (time.monotonic() - begin)
                stripped = (
                    child.strip(files, str(to), left)
                    if isinstance(files, str)
                    else child.strip_photos(files, left)
                )
            if content_sha is not None and stripped.content_sha != content_sha:
                raise ClipError(
                    Reason.MISSING_FILE, "another file lies there by now than the one that was read"
                )
            if isinstance(stripped, StrippedPost):
                yield stripped
            else:
                yield str(to.rename(to.with_suffix(SUFFIXES[stripped.container])))

    def __getstate__(self) -> dict[str, Limits]:
        return {"_limits": self._limits}


@contextmanager
def local_copies(video: Video, limits: Limits) -> Iterator[Video]:
    """Local paths as `local_copy` has them, of one file or of all files of a photo post. Raises ClipError."""
    with ExitStack() as held:
        if isinstance(video, str):
            yield held.enter_context(local_copy(video, limits))
            return
        copies = []
        for path in video:
            copies.append(held.enter_context(local_copy(path, limits)))
            if copies[-1] != path:  # what lies here is looked at when it is opened
                _check_size(sum(Path(copy).stat().st_size for copy in copies), limits)
        yield copies


@contextmanager
def local_copy(path: str, limits: Limits) -> Iterator[str]:
    """A local path with the video's bytes; a copy of an object is deleted afterwards. Raises ClipError."""
    if is_local(path):
        yield path
        return
    with _scratch() as folder:
        fs, place = filesystem(path)
        copy = Path(folder.path) / f"video{Path(place).suffix[:8]}"
        _copy_in_time(fs, place, copy, limits)
        yield str(copy)


@contextmanager
def _scratch() -> Iterator[ScratchFolder]:
    try:
        folder = ScratchFolder()
    except OSError as err:
        raise machine_fault(err) or ClipError(
            Reason.INTERNAL_ERROR, f"no temporary folder can be made: {err.strerror}"
        ) from err
    with folder:
        yield folder


def _copy_in_time(fs: pafs.FileSystem, place: str, copy: Path, limits: Limits) -> None:
    """Copy an object in a thread of its own: what waits for a silent store cannot be called off, only left behind."""
    done: Future[None] = Future()
    given_up = threading.Event()

    def work() -> None:
        try:
            _download(fs, place, copy, limits, given_up)
        except BaseException as err:
            done.set_exception(err)
        else:
            done.set_result(None)

    threading.Thread(target=work, name="tikval-download", daemon=True).start()
    try:
        done.result(limits.seconds)
    except TimeoutError as err:
        if done.done():  # the store's own
            raise ClipError(Reason.SERVER_ERROR, "the store did not answer") from err
        raise ClipError(Reason.TIMEOUT, "the store did not deliver the object in time") from err
    finally:
        given_up.set()


def _download(fs: pafs.FileSystem, place: str, copy: Path, limits: Limits, given_up: threading.Event) -> None:
    size = 0
    try:
        with copy.open("wb") as target:
            for chunk in _chunks(fs, place, limits):
                if given_up.is_set():
                    return
                size += len(chunk)
                _check_size(size, limits)  # an object may have grown since its size was told
                target.write(chunk)
    except OSError as err:  # of this machine: those of the store are ClipErrors by now
        raise machine_fault(err) or ClipError(
            Reason.INTERNAL_ERROR, f"no copy of the object can be written: {err.strerror}"
        ) from err


def _chunks(fs: pafs.FileSystem, place: str, limits: Limits) -> Iterator[bytes]:
    """An object's bytes, once its size is known and allowed. Raises ClipError."""
    try:
        info = fs.get_file_info(place)
        if info.type == pafs.FileType.NotFound:
            raise ClipError(Reason.MISSING_FILE, "no such object")
        if info.type != pafs.FileType.File:
            raise ClipError(Reason.NOT_A_FILE, "not an object but a folder")
        _check_size(info.size or 0, limits)
        with fs.open_input_stream(place) as source:
            while chunk := source.read(_CHUNK):
                yield chunk
    except OSError as err:
        raise _store_fault(err) from err


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.file_mb * 2**20:
        raise ClipError(Reason.TOO_LARGE, f"{size / 2**20:.0f} MB, allowed are {limits.file_mb}")


def _store_fault(err: OSError) -> ClipError:
    """What a store's error means. Only what it says is absent is missing: all else may be there in a minute."""
    text = str(err)
    if isinstance(err, FileNotFoundError) or err.errno == errno.ENOENT or _ABSENT.search(text):
        return ClipError(Reason.MISSING_FILE, "no such object")
    if isinstance(err, PermissionError) or _REFUSED.search(text):
        return ClipError(Reason.PERMISSION_DENIED, "the store does not let us read the object")
    return ClipError(Reason.SERVER_ERROR, f"the object cannot be read: {err.strerror or text}"[:200])
