"""The folder that an export writes: empty before, unless forced, and without half a file at any time."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tikval.config import UserError
from tikval.files import make_folder


def check_target(to: Path, force: bool) -> None:
    """Raises UserError for a file, for a folder that cannot be read and, unless forced, for one that is not empty."""
    with _writable(to):
        if to.exists() and not to.is_dir():
            raise UserError(f"{to}: is a file; name a folder")
        if to.exists() and any(to.iterdir()) and not force:
            raise UserError(f"{to}: is not empty; name another folder, or add --force to write into it")


@contextlib.contextmanager
def staging(to: Path) -> Iterator[Path]:
    """A temporary folder in `to`, which is made; its files are moved from there. Raises UserError where that fails."""
    with _writable(to):
        make_folder(to)
        with tempfile.TemporaryDirectory(dir=to, prefix=".tmp-") as place:
            yield Path(place)


@contextlib.contextmanager
def _writable(to: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise UserError(f"{to}: cannot be written ({err.strerror or err})") from err
