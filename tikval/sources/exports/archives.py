"""4CAT's archive of videos: which file is of which post, and its media, unpacked where they can do no harm."""

import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import ijson

from tikval.config import UserError
from tikval.files import make_folder
from tikval.sources.ids import post_in
from tikval.sources.json_records import READING, BoundedFile, Open, SourceRecord, json_error, nth_place

METADATA: Final = ".metadata.json"
_MOST_FILES: Final = 100_000
_MOST_BYTES: Final = 2**32  # of one file
_NAME: Final = re.compile(r"[^/\\\x00-\x1f]{1,200}")
DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
)


def zip_names(open_: Open, name: str) -> list[str]:
    """What is in an archive. Raises UserError for one that cannot be read."""
    try:
        with open_() as file, zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except DAMAGED as err:
        raise UserError(f"{name}: cannot be read as a .zip ({str(err)[:100]}); download it again") from err


def open_member(open_: Open, member: str) -> IO[bytes]:
    """A file within an archive, to be read from its beginning. Raises what reading a damaged archive does."""
    return zipfile.ZipFile(open_()).open(member)


def archived_posts(open_: Open, name: str) -> Iterator[SourceRecord]:
    """What an archive's metadata tell: yt-dlp's of each post with its files, or an id and why there are none."""
    number = 0
    try:
        with open_member(open_, METADATA) as member:
            bounded = BoundedFile(member)
            for number, (url, entry) in enumerate(ijson.kvitems(bounded, "", **READING), start=1):
                bounded.silent = 0
                yield from _posts_of(url, entry, f"entry {number}")
    except (ijson.JSONError, *DAMAGED) as err:
        raise UserError(
            f"{name}: {METADATA}, behind entry {number}: {json_error(err)}; download it again"
        ) from None


def _posts_of(url: str, entry: Any, place: str) -> Iterator[SourceRecord]:
    if not isinstance(entry, dict):
        yield SourceRecord(place, None, problem="no object of names and values")
        return
    files = [file for file in _list(entry.get("files")) if isinstance(file, dict)]
    told: dict[str, Any] = next(
        (file["metadata"] for file in files if isinstance(file.get("metadata"), dict)), {}
    )
    names = [file["filename"] for file in files if isinstance(file.get("filename"), str)]
    address = {"webpage_url": url} if post_in(url) else {}
    why = {} if entry.get("success") else {"error": entry.get("error") or "not downloaded"}
    for n, post in enumerate(_list(entry.get("post_ids")) or [told.get("id")], start=1):
        about = told if len(_list(entry.get("post_ids"))) < 2 else {}
        yield SourceRecord(nth_place(place, n), {**address, **about, **why, "id": post, "_filename": names})


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def unpack(open_: Open, name: str, folder: str, wanted: set[str]) -> None:
    """Unpack the wanted files of an archive into a local folder; what is there as a whole is left as it is.

    Raises UserError, before anything is written, where one of them is a link or encrypted, leads out of the folder, or
    is larger than files of posts are, and where the disk has no room for them.
    """
    make_folder(Path(folder))
    try:
        with open_() as file, zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if info.filename in wanted]
            check_members(members, name)
            missing = [info for info in members if not _is_there(Path(folder, info.filename), info)]
            needed, free = sum(info.file_size for info in missing), shutil.disk_usage(folder).free
            if needed > free:
                raise UserError(
                    f"{name}: {needed / 2**20:,.0f} MB, and {folder} has room for {free / 2**20:,.0f} MB"
                )
            for info in missing:
                _write(archive, info, Path(folder, info.filename))
    except DAMAGED as err:
        raise UserError(f"{name}: cannot be unpacked ({str(err)[:100]}); download it again") from err


def check_members(
    members: list[zipfile.ZipInfo], name: str, allowed: re.Pattern[str] = _NAME, most: int = _MOST_FILES
) -> None:
    """Raise UserError for files of an archive that may do harm: too many, a name that is not `allowed`, a link,

    a folder, one that is encrypted, one that is larger than files of posts are.
    """
    if len(members) > most:
        raise UserError(f"{name}: has {len(members):,} files, more than {most:,}")
    for info in members:
        mode = info.external_attr >> 16
        if not allowed.fullmatch(info.filename) or info.filename.startswith("."):
            raise UserError(f"{name}: has a file whose name leads out of the folder, or hides it")
        if info.is_dir() or (mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode)):
            raise UserError(f"{name}: {info.filename} is a link or a folder, not a file")
        if info.flag_bits & 1:
            raise UserError(f"{name}: {info.filename} is encrypted; unpack it by hand")
        if info.file_size > _MOST_BYTES:
            raise UserError(f"{name}: {info.filename} has more than {_MOST_BYTES // 2**30} GB")


def _is_there(path: Path, info: zipfile.ZipInfo) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size == info.file_size


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    """One file, whole or not at all. Raises BadZipFile where it is longer than it says, or not what was packed."""
    made = path.with_name(f".tmp-{path.name}")
    made.unlink(missing_ok=True)
    try:
        with archive.open(info) as packed, made.open("xb") as file:
            left = info.file_size
            while data := packed.read(2**20):
                left -= len(data)
                if left < 0:
                    raise zipfile.BadZipFile(f"{info.filename} is longer than it says")
                file.write(data)
            os.fsync(file.fileno())
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)
