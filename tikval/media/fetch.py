"""A video on an object store becomes a temporary local file: a child process reads local files only."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tikval.files import filesystem, is_local


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
