"""Where an export is written, a file or a folder: without half a file at any time."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow.fs as pafs

from tikval.config import UserError
from tikval.files import delete_folder, filesystem, is_local, make_folder, move_file
from tikval.machine import ScratchFolder

_PREFIX: Final = ".tmp-"


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
        with tempfile.TemporaryDirectory(dir=to, prefix=_PREFIX) as place:
            yield Path(place)


@contextlib.contextmanager
def new_file(uri: str) -> Iterator[Path]:
    """A path to write a file to, which takes the place of `uri` when the block ends well, and else is gone.

    Raises UserError for a folder, and where `uri` cannot be written: on a local disk before the block begins.
    """
    with contextlib.ExitStack() as stack:
        with _writable(uri):
            fs, path = filesystem(uri)
            if fs.get_file_info(path).type == pafs.FileType.Directory:
                raise UserError(f"{uri}: is a folder")
            made = _place(stack, Path(path).parent if is_local(uri) else None) / "made"
        yield made
        with _writable(uri):
            move_file(made, uri)


@contextlib.contextmanager
def new_folder(uri: str, owns: str, force: bool) -> Iterator[Path]:
    """A folder to write files below, which takes the place of the folder `uri` when the block ends well.

    On an object store its files come one after another. Raises UserError for a file, for a folder with anything else in
    it than folders that begin with `owns` and, unless forced, for one that is not empty; and where it cannot be
    written.
    """
    uri = uri.rstrip("/")
    with contextlib.ExitStack() as stack:
        with _writable(uri):
            fs, path = filesystem(uri)
            before = fs.get_file_info(path)
            _check_folder(uri, fs, before, owns, force)
            place = _place(stack, Path(path).parent if is_local(uri) else None)
            made = place / "made"
            make_folder(made)
        yield made
        with _writable(uri):
            if not is_local(uri):
                delete_folder(uri)
            for file in filter(Path.is_file, made.rglob("*")):
                move_file(file, str(file) if is_local(uri) else f"{uri}/{file.relative_to(made)}")
            if is_local(uri):
                if before.type == pafs.FileType.Directory:
                    Path(path).rename(place / "before")
                made.rename(path)


def _place(stack: contextlib.ExitStack, near: Path | None) -> Path:
    """A temporary folder on the disk of what is written, or, for a store, wherever these lie."""
    if near is None:
        return Path(stack.enter_context(ScratchFolder()).path)
    make_folder(near)
    return Path(stack.enter_context(tempfile.TemporaryDirectory(dir=near, prefix=_PREFIX)))


def _check_folder(uri: str, fs: pafs.FileSystem, before: pafs.FileInfo, owns: str, force: bool) -> None:
    if before.type == pafs.FileType.File:
        raise UserError(f"{uri}: is a file; name a folder")
    there = fs.get_file_info(pafs.FileSelector(before.path, allow_not_found=True))
    if others := [info.base_name for info in there if not info.base_name.startswith(owns)]:
        raise UserError(f"{uri}: holds {others[0]}, which no export wrote; name another folder")
    if there and not force:
        raise UserError(f"{uri}: is not empty; name another folder, or add --force to replace what is in it")


@contextlib.contextmanager
def _writable(to: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise UserError(f"{to}: cannot be written ({err.strerror or err})") from err
