"""What a study is made of: the files that lie in a folder, and the posts that an export lists or a collector fetched.

A post whose files are there is a video of the study. All others are counted, with what became of them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from tikval.config import CatalogConfig, UserError
from tikval.files import is_local, plain_address, read_bytes
from tikval.machine import ScratchFolder
from tikval.rows import Outcome, PostRow, Reason, VideoRow
from tikval.sources.catalog import list_videos, rename
from tikval.sources.cells import date_in
from tikval.sources.columns import FACTS, POST
from tikval.sources.exports import SourceExport, read_export
from tikval.sources.exports.maps import SourceMap
from tikval.sources.ids import post_in, pseudonym
from tikval.sources.posts import dated, empty_post, write_posts
from tikval.sources.tables import Say, is_table, open_table, print_note

RECORD: Final = "collected.jsonl"  # what a collector writes into the folder that it fetches into
_NAMED: Final = 3  # examples in a note


@dataclass
class Listing:
    """The videos of a study, and a table of the posts that a source told of."""

    videos: list[VideoRow]
    posts: str | None = None  # a temporary Parquet file of PostRow; None: no source told of any
    scratch: ScratchFolder | None = field(default=None, repr=False)  # keeps that file


def list_study(
    config: CatalogConfig,
    known: Mapping[str, str],
    key: bytes | None,
    say: Say = print_note,
    *,
    sidecars: bool = True,
) -> Listing:
    """The files of a study and the posts that they are of.

    `sidecars`: what lies beside the videos of a folder tells of their posts. `known` and `key` are those of list_videos.
    Raises UserError where the source is not there or lists nothing, and where none of its posts has a file.
    """
    is_file = is_table(config.videos) or config.videos.lower().endswith(".zip")
    export = read_export(config.videos, config.columns) if is_file else None
    if export is None and is_file:
        export, has_paths = _manifest(config.videos)
        if has_paths:
            videos = list(list_videos(config.videos, known, key, say))
            if export is None or not sidecars:
                return Listing(videos)
            files = _Files(videos, _folder_of(config.videos))
            return _with_posts(videos, (_of_row(post, files, export) for post in export.rows()))
    place = config.videos if export is None else config.media or _folder_of(config.videos)
    videos = list(_videos_of(export, place, config.media, known, key, say))
    about = _Sidecars.of(place, say) if export or sidecars else _Sidecars()
    if export is None and not about.posts:
        return Listing(videos)
    files = _Files(videos, place)
    named = export.named if export else about.named
    told = export.rows() if export else iter(about.posts.values())
    found = _with_posts(videos, (_settled(post, files, about, named, key) for post in told))
    if export:
        say(export.line)
        found.videos = files.of_posts(export.name, say)
    return found


def _with_posts(videos: list[VideoRow], posts: Iterable[PostRow]) -> Listing:
    scratch = ScratchFolder()
    return Listing(videos, f"{scratch.path}/{write_posts(scratch.path, posts)}", scratch)


def _folder_of(file: str) -> str:
    return file.rpartition("/")[0] or "."


def _manifest(uri: str) -> tuple[SourceExport | None, bool]:
    """A table of no known source as an export, where it tells more of posts than a catalog; whether it has paths."""
    table = open_table(uri)
    picked = table.pick(POST | FACTS)
    columns: dict[str, Any] = {
        name: column for name, column in picked.items() if name not in ("path", "genre")
    }
    if "path" in picked:
        columns |= {"file": picked["path"], "video_id": columns.get("video_id", picked["path"])}
    if not ({"video_id", "url"} & columns.keys() and (FACTS.keys() & columns.keys() or "path" not in picked)):
        return None, "path" in picked
    mine = validate(SourceMap, {"title": "a table of posts", "columns": columns, "any_id": True}, uri)
    return export_of(plain_address(uri), "manifest", [(mine, partial(table_records, table))]), "path" in picked


def _of_row(post: PostRow, files: "_Files", export: SourceExport) -> PostRow:
    """The post of a line of a manifest, whose row in the catalog tells all that a video has."""
    row = files.claim(post["video_id"], export.named.get(post["video_id"], ()))
    if row is not None:
        names = ("video_id", "account", "caption")
        post |= {name: row[name] for name in names}  # type: ignore[literal-required, typeddict-item]
        post |= dated(row["posted_at"], row["video_id"])  # type: ignore[typeddict-item]
        post["outcome"] = Outcome.COLLECTED.value
    return post


def _videos_of(
    export: SourceExport | None,
    place: str,
    media: str | None,
    known: Mapping[str, str],
    key: bytes | None,
    say: Say,
) -> Iterator[VideoRow]:
    try:
        yield from list_videos(place, known, key, say)
    except UserError as err:
        if export is None or media:
            raise
        raise UserError(
            f"{export.name}: {err}; do the files of its posts lie elsewhere? --media FOLDER"
        ) from err


class _Files:
    """The files of a folder by the posts that they are of: by what an export names, their ids, or their names."""

    def __init__(self, videos: list[VideoRow], place: str) -> None:
        self.videos, self.place = videos, place.rstrip("/")
        self._by_name: dict[str, VideoRow] = {}
        self._claimed: dict[int, str] = {}  # by the object of a row, the id of its post
        usable = [row for row in videos if row["error"] not in (Reason.DUPLICATE_ID, Reason.INVALID_ID)]
        self._by_path = {self._below(row): row for row in usable}
        for row in usable:
            for name in filter(None, (row["video_id"], row["alias"])):
                self._by_name.setdefault(name, row)
        for row in usable:
            path = PurePosixPath(row["path"])
            self._by_path.setdefault(path.name, row)
            self._by_name.setdefault(path.stem, row)

    def _below(self, row: VideoRow) -> str:
        return row["path"].removeprefix(f"{self.place}/")

    def claim(self, video_id: str, named: Iterable[str]) -> VideoRow | None:
        """The video of a post, of which an export may name files; None where none is there."""
        paths = (name.replace("\\", "/") for name in named)
        there = (self._by_path.get(path) or self._by_path.get(path.rpartition("/")[2]) for path in paths)
        row = next(filter(None, there), None) or self._by_name.get(video_id)
        if row is None or id(row) in self._claimed:
            return None
        self._claimed[id(row)] = video_id
        return row

    def of_posts(self, source: str, say: Say) -> list[VideoRow]:
        """The videos of posts, and files with an id that one of these has; what is left over is said.

        Raises UserError where there is none.
        """
        posts = {row["video_id"] for row in self.videos if id(row) in self._claimed}
        found = [
            row
            for row in self.videos
            if id(row) in self._claimed or (row["error"] == Reason.DUPLICATE_ID and row["video_id"] in posts)
        ]
        kept = set(map(id, found))
        left = [self._below(row) for row in self.videos if id(row) not in kept]
        some = ", ".join(left[:_NAMED]) + (" ..." if len(left) > _NAMED else "")
        where = plain_address(self.place)
        if not found:
            raise UserError(
                f"{source}: none of its posts has a file in {where}; a file is named by its post's id, and there are "
                f"{some}; do they lie elsewhere? --media FOLDER"
            )
        if left:
            say(
                f"{where}: {len(left)} of {len(self.videos)} files are of no post of {source}: not used ({some})"
            )
        return found


@dataclass
class _Sidecars:
    """What lies beside the files of a folder: metadata of downloaders, and a collector's record."""

    posts: dict[str, PostRow] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)  # files by the ids of their posts
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # as the collector has them

    @classmethod
    def of(cls, place: str, say: Say) -> "_Sidecars":
        found = cls()
        if is_local(place) and not Path(place).is_dir():  # one file, or a glob
            return found
        if export := read_export(place):
            found.posts = {post["video_id"]: post for post in export.rows()}
            found.named = export.named
            say(export.line)
        for record in _records(f"{place.rstrip('/')}/{RECORD}"):
            found.add(record)
        return found

    def add(self, record: Mapping[str, Any]) -> None:
        """A line of the record: the last one of an id counts."""
        video_id = record["video_id"]
        post = self.posts.setdefault(video_id, empty_post(video_id, "collected"))
        self.outcomes[video_id] = Outcome(record["outcome"])
        post["outcome"], post["detail"] = record["outcome"], record.get("detail")
        for name in ("account", "url", "pinned"):
            if record.get(name) is not None:
                post[name] = record[name]
        if record.get("collected_at"):
            post["collected_at"] = date_in(record["collected_at"])


def _records(uri: str) -> Iterator[dict[str, Any]]:
    """The lines of a collector's record; a last one that was cut is none. Raises UserError for what is no record."""
    lines = (read_bytes(uri) or b"").decode("utf-8", "replace").split("\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            record = json.loads(line)
            known = isinstance(record["video_id"], str) and Outcome(record["outcome"])
        except (ValueError, KeyError, TypeError, RecursionError) as err:
            raise UserError(f"{plain_address(uri)}: line {number}: not a collector's record") from err
        if known:
            yield record


def _settled(
    post: PostRow, files: _Files, about: _Sidecars, named: Mapping[str, list[str]], key: bytes | None
) -> PostRow:
    """A post with what else is known of it and what became of it; the video of its file is told of the post."""
    more = about.posts.get(post["video_id"])
    if more is not None and more is not post:
        missing: Any = {name: value for name, value in more.items() if post[name] is None}  # type: ignore[literal-required]
        if post["posted_at_from_id"] and not more["posted_at_from_id"]:
            missing |= {"posted_at": more["posted_at"], "posted_at_from_id": False}
        post |= missing
    outcome = about.outcomes.get(post["video_id"])
    row = None
    if post["outcome"] != Outcome.INVALID_ROW:
        names = [*named.get(post["video_id"], ()), *about.named.get(post["video_id"], ())]
        row = files.claim(post["video_id"], names)
    if row is not None:
        post["outcome"] = (outcome if outcome and outcome.has_files else Outcome.COLLECTED).value
        _tell(row, post, pseudonyms=key is not None)
        post["video_id"] = row["video_id"]
    elif outcome is not None:
        gone = outcome.has_files
        post["outcome"] = (Outcome.NO_FILE if gone else outcome).value
        post["detail"] = "it was fetched, and its file is not there any more" if gone else post["detail"]
    elif Outcome(post["outcome"]).has_files:
        post["outcome"] = Outcome.NO_FILE.value
    if row is None and key and post_in(post["video_id"]) is None:
        post["video_id"] = pseudonym(post["video_id"], key)
    return post


def _tell(row: VideoRow, post: PostRow, *, pseudonyms: bool) -> None:
    """Give a video what is known of its post; a file of another name has the post's id, and its own as an alias."""
    is_public = not pseudonyms or post_in(post["video_id"]) is not None
    if is_public and row["video_id"] != post["video_id"]:
        rename(row, post["video_id"])
    row["account"] = post["account"] or row["account"]
    row["caption"], row["posted_at"] = post["caption"] or row["caption"], post["posted_at"]
