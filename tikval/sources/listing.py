"""What a study is made of: the files that lie in a folder, and the posts that an export lists or a collector fetched.

A post whose files are there is a video of the study. All others are counted, with what became of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from tikval.config import CatalogConfig, UserError, validate
from tikval.files import is_local, make_folder, plain_address
from tikval.machine import ScratchFolder
from tikval.rows import Outcome, PostRow, Reason, VideoRow
from tikval.sources.catalog import SUFFIXES, KnownIds, list_videos, rename
from tikval.sources.columns import FACTS, POST
from tikval.sources.exports import SourceExport, read_export
from tikval.sources.exports.maps import SourceMap
from tikval.sources.exports.post_rows import fill
from tikval.sources.exports.source_export import export_of
from tikval.sources.exports.tabular import table_records
from tikval.sources.exports.write_posts import write_posts
from tikval.sources.ids import post_in, pseudonym
from tikval.sources.photo_posts import plain_name
from tikval.sources.posts import dated
from tikval.sources.tables import Say, is_table, open_table, print_note
from tikval.sources.video_rows import VideoRows

_NAMED: Final = 3  # examples in a note


@dataclass
class Listing:
    """The videos of a study, and a table of the posts that a source told of."""

    videos: Sequence[VideoRow] | VideoRows
    posts: str | None = None  # a temporary Parquet file of PostRow; None: no source told of any
    scratch: ScratchFolder | None = field(default=None, repr=False)  # keeps that file


def list_study(
    config: CatalogConfig,
    known: KnownIds,
    key: bytes | None,
    say: Say = print_note,
    *,
    sidecars: bool = True,
) -> Listing:
    """The files of a study and the posts that they are of.

    `sidecars`: what lies beside the videos of a folder tells of their posts. `known` and `key` are as in list_videos.
    Raises UserError where the source is not there or lists nothing, and where none of its posts has a file.
    """
    is_file = is_table(config.videos) or config.videos.lower().endswith(".zip")
    may_be_export = is_file or _is_unnamed(config.videos)
    export = read_export(config.videos, config.columns) if may_be_export else None
    if export is None and is_file:
        export, has_paths = _manifest(config.videos)
        if has_paths:
            _refuse(config, "its lines name their files")
            listed = list_videos(config.videos, known, key, say)
            if export is None or not sidecars:
                return Listing(VideoRows(listed))
            videos = list(listed)
            files = _Files(videos, _folder_of(config.videos))
            return _with_posts(videos, (_of_row(post, files, export) for post in export.rows()))
    if export is None:
        _refuse(config, "no export of posts")
    place = config.videos if export is None else _place_of_files(export, config)
    videos = list(_videos_of(export, place, config.media, known, key, say))
    more = _Sidecars.of(place, say) if export or sidecars else _Sidecars()
    if export is None and not more.posts:
        return Listing(videos)
    files = _Files(videos, place)
    told = export.rows() if export else iter(more.posts.values())
    settled = (_settled(post, files, more, export.named if export else {}, key) for post in told)
    found = _with_posts(videos, settled)
    if export:
        say(export.line)
        found.videos = files.of_posts(export.name, say)
    return found


def _refuse(config: CatalogConfig, why: str) -> None:
    """Raise UserError for a setting of exports; --media of the folder itself asks for what lies with its videos."""
    wrong = [
        ("--media", config.media not in (None, config.videos)),
        ("--columns", config.columns is not None),
    ]
    if given := [name for name, is_wrong in wrong if is_wrong]:
        raise UserError(
            f"{plain_address(config.videos)}: {why}, so {' and '.join(given)} would change nothing: leave it out"
        )


def _is_unnamed(source: str) -> bool:
    """Whether it is a file that is not called like a video: what it is, its content tells."""
    return (
        is_local(source) and Path(source).is_file() and PurePosixPath(source).suffix.lower() not in SUFFIXES
    )


def _with_posts(videos: list[VideoRow], posts: Iterable[PostRow]) -> Listing:
    scratch = ScratchFolder()
    return Listing(videos, f"{scratch.path}/{write_posts(posts, scratch.path)}", scratch)


def _place_of_files(export: SourceExport, config: CatalogConfig) -> str:
    """The folder with the files of an export's posts; what an archive holds is unpacked beside it, or into --media."""
    archive, place = export if export.unpack else None, config.media or _folder_of(config.videos)
    if archive is None and place.lower().endswith(".zip"):
        archive = read_export(place)
    if archive is None or archive.unpack is None:
        return place
    if place == config.media and archive is export:
        folder = place
    else:
        folder = (config.videos if archive is export else place)[: -len(".zip")]
    if not is_local(folder):
        raise UserError(f"{archive.name}: is unpacked on a local disk only; --media FOLDER names where")
    make_folder(Path(folder))
    for _ in archive.rows():
        pass  # then it is known which files are whose
    archive.files(folder)
    return folder


def _folder_of(file: str) -> str:
    return file.rpartition("/")[0] or "."


def _manifest(uri: str) -> tuple[SourceExport | None, bool]:
    """A table of no known source as an export, where it tells more of posts than a catalog.

    And whether its lines name files, or give scripts.
    """
    table = open_table(uri)
    picked = table.pick(POST | FACTS)
    columns: dict[str, Any] = {
        name: column for name, column in picked.items() if name not in ("path", "genre", "script")
    }
    if "path" in picked:
        columns |= {"file": picked["path"], "video_id": columns.get("video_id", picked["path"])}
    lists = not picked.keys().isdisjoint(("path", "script"))
    if not ({"video_id", "url"} & columns.keys() and (FACTS.keys() & columns.keys() or not lists)):
        return None, lists
    mine = validate(SourceMap, {"title": "a table of posts", "columns": columns, "any_id": True}, uri)
    return export_of(plain_address(uri), "manifest", [(mine, partial(table_records, table))]), lists


def _of_row(post: PostRow, files: "_Files", export: SourceExport) -> PostRow:
    """The post of a line of a manifest, whose row in the catalog tells all that a video has."""
    row = files.claim(post["video_id"], export.named.get(post["video_id"], ()))
    if row is not None:
        names = ("video_id", "account", "caption")
        post |= {name: row[name] for name in names}  # type: ignore[literal-required, typeddict-item]
        post |= dated(row["posted_at"], row["video_id"])  # type: ignore[typeddict-item]
        post["is_slideshow"] = True if row["files"] else post["is_slideshow"]
        post["outcome"] = Outcome.COLLECTED.value
    return post


def _videos_of(
    export: SourceExport | None,
    place: str,
    media: str | None,
    known: KnownIds,
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
        left = [plain_name(self._below(row)) for row in self.videos if id(row) not in kept]
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


class _Sidecars(NamedTuple):
    """What lies with the files of a folder: metadata of downloaders, and a collector's record."""

    posts: Mapping[str, PostRow] = {}
    named: Mapping[str, list[str]] = {}  # files by the ids of their posts

    @classmethod
    def of(cls, place: str, say: Say) -> "_Sidecars":
        if is_local(place) and not Path(place).is_dir():  # one file, or a glob
            return cls()
        export = read_export(place)
        if export is None:
            return cls()
        posts = {post["video_id"]: post for post in export.rows()}
        say(export.line)
        return cls(posts, export.named)


def _settled(
    post: PostRow, files: _Files, sidecars: _Sidecars, named: Mapping[str, list[str]], key: bytes | None
) -> PostRow:
    """A post with what else is known of it and what became of it; the video of its file is told of the post."""
    stated, more = Outcome(post["outcome"]), sidecars.posts.get(post["video_id"])
    if more is not None and more is not post:
        if Outcome(more["outcome"]) != Outcome.NO_FILE:
            stated, post["detail"] = Outcome(more["outcome"]), more["detail"]
        if post["posted_at_from_id"] and not more["posted_at_from_id"]:
            post["posted_at"], post["posted_at_from_id"] = more["posted_at"], False
        fill(post, more)
    row = None
    if stated != Outcome.INVALID_ROW:
        names = [*named.get(post["video_id"], ()), *sidecars.named.get(post["video_id"], ())]
        row = files.claim(post["video_id"], names)
    if row is not None:
        stated = stated if stated.has_files else Outcome.COLLECTED
        _tell(row, post, pseudonyms=key is not None)
        post["video_id"] = row["video_id"]
        post["is_slideshow"] = True if row["files"] else post["is_slideshow"]
    elif stated.has_files:
        stated, post["detail"] = Outcome.NO_FILE, "it was fetched, and its file is not there any more"
    post["outcome"] = stated.value
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
