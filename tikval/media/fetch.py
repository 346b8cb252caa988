"""Reading a video wherever it lies: from an object store by way of a temporary file, as a child reads local ones."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tikval.files import filesystem, is_local
from tikval.media.child import Child
from tikval.media.reading import ClipError, ClipReading, Want
from tikval.rows import Reason


def read_video(child: Child, path: str, want: Want) -> ClipReading:
    """Read a local file or an object. Raises ClipError, and what Child.read raises for a machine that lacks a tool."""
    try:
        with local_copy(path) as file:
            return child.read(file, want)
    except OSError as err:
        raise ClipError(Reason.MISSING_FILE, f"the object cannot be read: {err}"[:200]) from err


@contextmanager
def local_copy(path: str) -> Iterator[str]:
    """A local path with the video's bytes; a copy is deleted afterwards.

    Raises OSError where the object cannot be read.
    """
    if is_local(path):
        yield path
        return
    fs, place = filesystem(path)
    with tempfile.TemporaryDirectory(prefix="tikval-") as folder:
        copy = Path(folder) / f"video{Path(place).suffix[:8]}"
        with fs.open_input_stream(place) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        yield str(copy)
