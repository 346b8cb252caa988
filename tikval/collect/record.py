"""The record of a collection, beside its media: what each account lists, and what became of each post.

    MEDIA/listed.jsonl      one line per account or short address: its posts, or why there are none
    MEDIA/collected.jsonl   one line per post and attempt; the last line of an id counts
    MEDIA/ACCOUNT/ID.mp4, ID.info.json                    a video
    MEDIA/ACCOUNT/ID_1.jpg, ..., ID.mp3, ID.info.json     a post of pictures

A post is fetched into MEDIA/.part/ID. When its files are whole, that folder gets a list of where they belong; from then
on a run that is killed is finished by the next one without asking for anything. Without the list it is deleted.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Final

from tikval.collect.collector import FoundPost
from tikval.collect.info import clean_info
from tikval.config import UserError
from tikval.files import is_local, make_folder, move_file, parse_json, write_bytes
from tikval.rows import Outcome
from tikval.store.lock import lock

COLLECTED: Final = "collected.jsonl"
LISTED: Final = "listed.jsonl"
_PARTS, _PLAN = ".part", "plan.json"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{5,40}")
_SUFFIX: Final = re.compile(r"\.[a-z0-9]{2,4}")
_PICTURE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})

Line = dict[str, Any]


@contextmanager
def open_collection(media: str) -> Iterator["Collection"]:
    """The record of a folder for this run alone, with what a killed run left there finished or deleted.

    Raises UserError where another run is at work, the folder cannot be written, or a record is not one of tikval's.
    """
    with lock(media):
        collection = Collection.read(media)
        collection.sweep()
        yield collection
        collection.sweep()


class Collection:
    """What a folder's record says: `posts` by id and `listings` by target, as their last lines have it."""

    def __init__(self, media: Path) -> None:
        self.media = media
        self.posts = {str(line["video_id"]): line for line in _lines(media / COLLECTED, "video_id")}
        self.listings = {str(line["target"]): line for line in _lines(media / LISTED, "target")}

    @classmethod
    def read(cls, media: str) -> "Collection":
        """The record as it is now, without touching it. Raises UserError for a folder of another machine."""
        if not is_local(media):
            raise UserError(f"--out {media}: expected a folder of this machine")
        return cls(Path(media))

    def add_listing(self, line: Line) -> None:
        _append(self.media / LISTED, line)
        self.listings[line["target"]] = line

    def add_post(self, line: Line) -> None:
        """Keep what became of a post that has no files."""
        _append(self.media / COLLECTED, line)
        self.posts[line["video_id"]] = line

    def part(self, video_id: str) -> Path:
        """An empty folder to fetch a post into. Raises ValueError for an id that is no name of a file."""
        if not _ID.fullmatch(video_id):
            raise ValueError(f"{video_id[:60]!r} is no id of a post")
        self.clear_part(video_id)
        folder = self.media / _PARTS / video_id
        make_folder(folder)
        return folder

    def clear_part(self, video_id: str) -> None:
        """Delete what was fetched of a post that is not to be taken in."""
        if _ID.fullmatch(video_id):
            shutil.rmtree(self.media / _PARTS / video_id, ignore_errors=True)

    def take_in(self, line: Line, post: FoundPost, part: Path) -> None:
        """Move the files of a fetched post to their place, with what is known of it, and keep that they are there.

        Raises ValueError for files that do not lie in the folder that they were to be fetched into.
        """
        account, video_id = folder_of_account(line["account"]), line["video_id"]
        moves = {}
        for file, name in zip(post.files, _names(video_id, post.files), strict=True):
            if file.is_symlink() or not file.is_file() or file.resolve().parent != part.resolve():
                raise ValueError("a collector's file lies outside of the folder that it was given")
            moves[file.name] = f"{account}/{name}"
        line = line | {"files": list(moves.values())}
        info = clean_info(post.info) | {"id": video_id}
        (part / "info.json").write_text(json.dumps(info, ensure_ascii=False), encoding="utf-8")
        moves["info.json"] = f"{account}/{video_id}.info.json"
        plan = part / f"{_PLAN}.tmp"
        plan.write_text(json.dumps({"line": line, "moves": moves}), encoding="utf-8")
        plan.replace(part / _PLAN)
        self._finish(part)

    def sweep(self) -> None:
        """Finish or delete what a killed run left; of a line that it did not end nothing was finished."""
        for file in (self.media / COLLECTED, self.media / LISTED):
            data = file.read_bytes() if file.exists() else b""
            if not data.endswith(b"\n") and data:
                write_bytes(str(file), data[: data.rfind(b"\n") + 1])
        for part in sorted((self.media / _PARTS).glob("*")):
            if (part / _PLAN).is_file():
                self._finish(part)
            else:
                shutil.rmtree(part)
        shutil.rmtree(self.media / _PARTS, ignore_errors=True)

    def _finish(self, part: Path) -> None:
        plan = parse_json((part / _PLAN).read_bytes(), str(part / _PLAN))
        for name, to in plan["moves"].items():
            if PurePosixPath(to).is_absolute() or ".." in PurePosixPath(to).parts or "/" in name:
                raise UserError(f"{part / _PLAN}: not what tikval wrote there; delete {part}")
            if (part / name).is_file():  # else it was moved before
                place = self.media / to
                make_folder(place.parent)
                move_file(part / name, str(place))
        line = plan["line"]
        if self.posts.get(line["video_id"]) != line:
            self.add_post(line)
        shutil.rmtree(part)


def folder_of_account(account: str | None) -> str:
    """The folder of an account's files: its name where that is a plain one, else one that tells it from others."""
    if not account:
        return "_"
    plain = re.sub(r"[^a-z0-9_.-]", "_", account)[:60].strip(".") or "_"
    return plain if plain == account else f"{plain}-{hashlib.sha256(account.encode()).hexdigest()[:8]}"


def _names(video_id: str, files: Sequence[Path]) -> Iterator[str]:
    """What the files of a post are called, by their order and their suffixes, never by the names that they had."""
    n = 0
    for file in files:
        suffix = file.suffix.lower()
        if not _SUFFIX.fullmatch(suffix):
            raise ValueError("a collector's file has no suffix that says what it is")
        n += suffix in _PICTURE_SUFFIXES
        yield f"{video_id}_{n}{suffix}" if suffix in _PICTURE_SUFFIXES else f"{video_id}{suffix}"


def _lines(file: Path, key: str) -> Iterator[Line]:
    """The lines of a record that were ended."""
    data = file.read_bytes() if file.exists() else b""
    for number, text in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        line = parse_json(text, f"{file}: line {number}")
        if not isinstance(line, dict) or key not in line:
            raise UserError(f"{file}: line {number}: not what tikval wrote there (no {key})")
        yield line


def _append(file: Path, line: Mapping[str, Any]) -> None:
    if not file.exists():
        write_bytes(str(file), b"")  # with the rights that new files have
    with file.open("ab") as stream:
        stream.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def line_outcome(line: Line) -> Outcome:
    """The outcome of a line; one of a later version of tikval counts as a failure, which is asked for again."""
    try:
        return Outcome(line["outcome"])
    except (ValueError, KeyError):
        return Outcome.FAILED
