"""A folder of media with what yt-dlp or gallery-dl told of each beside it: name.info.json beside name.mp4."""

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import pyarrow.fs as pafs

from tikval.config import UserError
from tikval.files import filesystem, is_local, plain_address
from tikval.rows import PostRow
from tikval.sources.exports.maps import SourceMap, fitting_map, listed_rows
from tikval.sources.exports.post_rows import RowReader, fill
from tikval.sources.exports.source_export import SourceExport, last_of_each, names_used
from tikval.sources.ids import post_in
from tikval.sources.json_records import SourceRecord, iter_lines, nth_place, read_document
from tikval.sources.tables import open_input

INFO: Final = ".info.json"
COLLECTED: Final = "collected.jsonl"
_LOOKED_AT: Final = 50  # files that tell whether others beside media are of posts
_GLOB: Final = re.compile(r"[*?\[]")
_MEDIA: Final = re.compile(
    r"(?P<stem>.+?)(?:_(?P<number>\d{1,6}))?\.(?:3gp|avi|flv|m4v|mkv|mov|mp4|mpeg|mpg|ts|webm|wmv|"
    r"mp3|m4a|aac|ogg|opus|wav|(?P<image>jpe?g|png|webp))",
    re.IGNORECASE | re.DOTALL,
)


class _Sidecar(NamedTuple):
    """One file that tells of a post, and the media beside it, by their paths below the folder."""

    uri: str
    path: str
    place: str  # as a message may have it: files are often called by their accounts
    media: list[str]

    def records(self) -> Iterator[SourceRecord]:
        """What it tells; nothing of a whole playlist's own file."""
        try:
            told = read_document(partial(open_input, self.uri), "")
        except UserError as err:
            problem = str(err).removeprefix(plain_address(self.uri)).removeprefix(": ")
            yield SourceRecord(self.place, None, problem=problem)
            return
        for n, (cells, _) in enumerate(listed_rows(told, {"entries": {}}), start=1):
            if not isinstance(cells, dict) or cells.get("_type") not in ("playlist", "multi_video"):
                yield SourceRecord(nth_place(self.place, n), cells)


def folder_export(uri: str, maps: Mapping[str, SourceMap]) -> SourceExport | None:
    """A folder, or a glob of .info.json files, with what was told of its media; None where nothing was.

    What tikval's own collector noted of a post counts for what became of it.
    """
    folder, paths = _listed(uri)
    sidecars, has_log = _sidecars(folder, paths), COLLECTED in paths and not _GLOB.search(uri)
    if "yt_dlp" not in maps or not (
        has_log or any(_tells(sidecar, maps) for sidecar in sidecars[:_LOOKED_AT])
    ):
        return None
    name, log = plain_address(uri), maps["collected"]
    used = names_used((maps["yt_dlp"], maps["web_items"]))
    readers = {source: RowReader(name, source, mine) for source, mine in maps.items()}

    def read(export: SourceExport) -> Iterator[PostRow]:
        lines = iter_lines(partial(open_input, f"{folder}/{COLLECTED}")) if has_log else iter(())
        rows = (export.noted(line, readers["collected"], log.used()) for line in lines)
        noted = {row["video_id"]: row for row in last_of_each(rows, export.tally)}
        for sidecar in sidecars:
            for record in sidecar.records():
                fitting = fitting_map(record.cells, maps) if isinstance(record.cells, dict) else None
                if fitting is None and not sidecar.path.endswith(INFO):
                    continue
                row = export.noted(record, readers[fitting[0] if fitting else "yt_dlp"], used)
                if sidecar.media:
                    export.named[row["video_id"]] = sidecar.media
                if collected := noted.pop(row["video_id"], None):
                    fill(row, collected)
                    row["outcome"], row["detail"] = collected["outcome"], collected["detail"]
                yield row
        yield from noted.values()

    return SourceExport(name, "yt_dlp", "a folder with metadata beside its media", read, tuple(used))


def _tells(sidecar: _Sidecar, maps: Mapping[str, SourceMap]) -> bool:
    """Whether it is yt-dlp's, or any other that is known: people keep many things beside their media."""
    if sidecar.path.endswith(INFO):
        return True
    return any(
        isinstance(record.cells, dict) and fitting_map(record.cells, maps) for record in sidecar.records()
    )


def _sidecars(folder: str, paths: Sequence[str]) -> list[_Sidecar]:
    """Those of yt-dlp (name.info.json beside name.mp4) and of gallery-dl (name.mp4.json), by their names."""
    media: dict[str, list[str]] = {}
    for path in paths:
        found = _MEDIA.fullmatch(path)
        if found and found["number"] and found["image"]:
            media.setdefault(found["stem"], []).append(path)
        elif found and not found["image"]:  # a picture without a number is a video's preview
            media.setdefault(path[: path.rindex(".")], []).append(path)
    files = {path for several in media.values() for path in several}
    sidecars = []
    for number, path in enumerate(paths, start=1):
        if path.endswith(INFO):
            with_it = sorted(media.get(path.removesuffix(INFO), []), key=_in_order)
        elif path.endswith(".json") and path.removesuffix(".json") in files:
            with_it = [path.removesuffix(".json")]
        else:
            continue
        post = post_in(path)
        place = f"metadata of {post.video_id}" if post else f"file {number} by name"
        sidecars.append(_Sidecar(f"{folder}/{path}", path, place, with_it))
    return sidecars


def _in_order(path: str) -> tuple[bool, int, str]:
    """Pictures by their numbers, then the sound."""
    found = _MEDIA.fullmatch(path)
    number = int(found["number"]) if found and found["number"] and found["image"] else None
    return number is None, number or 0, path


def _listed(uri: str) -> tuple[str, list[str]]:
    """A folder, and the paths of all files below it; of a glob those that it means and what lies beside them."""
    if not is_local(uri):
        folder = uri.rstrip("/")
        fs, root = filesystem(folder)
        infos = fs.get_file_info(pafs.FileSelector(root, recursive=True, allow_not_found=True))
        files = [info.path for info in infos if info.type == pafs.FileType.File]
        return folder, sorted(path.removeprefix(root).lstrip("/") for path in files)
    if os.path.isdir(uri):  # noqa: PTH112 - names may not be UTF-8
        folder, wanted = uri.rstrip("/") or "/", None
    else:
        folder = _GLOB.split(uri)[0].rpartition("/")[0] or ("/" if uri.startswith("/") else ".")
        wanted = {os.path.relpath(path, folder) for path in glob.glob(uri, recursive=True)}  # noqa: PTH207
    paths: list[str] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [os.path.relpath(os.path.join(parent, name), folder) for name in names]  # noqa: PTH118
    if wanted is not None:
        paths = [path for path in paths if path in wanted or not path.endswith(INFO)]
    return folder, sorted(paths)
