"""A folder, a glob or a manifest -> VideoRow: one row for each video, its identity, and what is known of the post.

Nothing is opened here: a file that cannot be used is found out when its bytes are read. What shows in a listing
(two rows with one id, a directory named like a video, an empty or missing file) becomes a failure row at once.
"""

import glob
import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

import pyarrow.fs as pafs

from tikval.config import UserError
from tikval.files import filesystem, is_local, plain_address
from tikval.privacy import canonical_account
from tikval.rows import AccountRow, Reason, VideoRow, row_key
from tikval.sources.cells import as_text, date_in, trimmed
from tikval.sources.columns import FACTS, OF_ACCOUNT, POST
from tikval.sources.ids import Post, id_in_cell, post_in, pseudonym
from tikval.sources.many_ids import SeenIds
from tikval.sources.objects import Objects, Unknown, told_while_slow
from tikval.sources.photo_posts import PhotoPost, group_photo_posts, passed_over_line
from tikval.sources.post_files import PostFiles
from tikval.sources.tables import InputTable, Say, column_key, is_table, open_table, print_note

SUFFIXES: Final = frozenset(
    ".3gp .asf .avi .flv .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv".split()
)
_MAX_ID: Final = 512  # characters
_MAX_SCRIPT: Final = 200_000  # characters: of hours
_AT_ONCE: Final = 2**13  # rows whose ids are looked up together
_MAX_CELL: Final = 20_000  # characters of a caption, several times what platforms allow
_POST: Final = ("account", "genre", "caption", "posted_at")  # optional columns of a manifest


class KnownIds(Protocol):
    """The id of each file of a finished study by its path."""

    def __len__(self) -> int: ...

    def get(self, path: str, /) -> str | None: ...


def list_videos(
    source: str, known: KnownIds | None = None, key: bytes | None = None, say: Say = print_note
) -> Iterator[VideoRow]:
    """Every video of `source`, in a stable order, each with a unique id or as a failure.

    A folder is walked to the bottom; `*`, `?` and `[` make a glob; a table is a manifest with `path` (relative to the
    manifest) or a `script` in its place, optionally `video_id`, `account`, `genre`, `caption`, `posted_at`. Pictures
    of a photo post and its sound are one video (photo_posts.py), and what is passed over is said. A file that `known`
    has by its path keeps the id that it has there. With a `key` an id that is no post's becomes a pseudonym.
    Raises UserError where the source is not there or holds no video, and for an id that a spreadsheet has cut.
    """
    if is_table(source):
        found = _manifest(source, say)
    elif is_local(source):
        found = _local(source, say)
    else:
        found = _store(source, say)
    seen, is_empty = SeenIds(), True
    while some := list(islice(found, _AT_ONCE)):
        is_empty = False
        for row in some:
            if key and row["error"] != Reason.INVALID_ID and post_in(row["video_id"]) is None:
                rename(row, pseudonym(row["video_id"], key))
            if known:
                _keep_id(row, known)
        for row, before in zip(some, seen.times_before([row["video_id"] for row in some]), strict=True):
            if before:
                _fail_as_duplicate(row, before)
            yield row
    if is_empty and is_table(source):
        raise UserError(f"{plain_address(source)}: lists no video: no line stands below the column names")
    if is_empty:
        raise UserError(
            f"{source}: no videos found (looked for files that end in {' '.join(sorted(SUFFIXES))}, and for photo "
            "posts: pictures that end in _1.jpg, _2.jpg and so on, behind the post's id)"
        )


def _fail_as_duplicate(row: VideoRow, before: int) -> None:
    """Give a row whose id came `before` another key than the first one's: both stay in every later table."""
    row["row_key"] = row_key(row["video_id"], row["size_bytes"], f"{row['etag']} {before}")
    if row["error"] != Reason.INVALID_ID:
        row |= _failed(Reason.DUPLICATE_ID, "an earlier video has the same id; a manifest can name another")


def _keep_id(row: VideoRow, known: KnownIds) -> None:
    """Give a file the id that it had when its study began; the one that it would have now becomes its alias."""
    before = known.get(row["path"])
    # an earlier version took a cell with the spaces around it, and a whole number of a float column with its .0
    spelt = (row["alias"], f"{row['video_id']}.0")
    if (
        before is not None
        and before != row["video_id"]
        and (before in spelt or trimmed(before) == row["video_id"])
    ):
        rename(row, before)


def rename(row: VideoRow, video_id: str) -> None:
    """Give a row another id; the one that it had becomes its alias."""
    row["alias"] = row["video_id"]
    row["video_id"], row["row_key"] = video_id, row_key(video_id, row["size_bytes"], row["etag"])


def read_accounts(uri: str, say: Say = print_note) -> list[AccountRow]:
    """A table with `account` and optionally `genre`, `source`, `is_minor`, `is_parent_run`; other columns are named.

    Raises UserError (file, line, column), also for another column that seems to tell who is a minor.
    """
    table = open_table(uri)
    picked = table.pick(OF_ACCOUNT)
    if "account" not in picked:
        raise UserError(
            f"{table.at(table.grid.line)}: no column account; there are {', '.join(table.columns)}"
        )
    for column in table.columns:
        if column not in picked.values() and "minor" in column_key(column):
            raise UserError(f"{table.at(table.grid.line)}: unknown column {column}; is is_minor meant?")
    table.say(say, picked)
    rows: list[AccountRow] = []
    for line, cells in table:
        told = {name: cells[picked[name]] if name in picked else None for name in OF_ACCOUNT}
        if not canonical_account(as_text(told["account"])):
            raise UserError(f"{table.at(line)}: column account: empty")
        rows.append(
            {
                "account": as_text(told["account"]),
                "genre": as_text(told["genre"]) or None,
                "source": as_text(told["source"]) or None,
                "is_minor": _flag(told["is_minor"], table.at(line, picked.get("is_minor", ""))),
                "is_parent_run": _flag(
                    told["is_parent_run"], table.at(line, picked.get("is_parent_run", ""))
                ),
            }
        )
    return rows


def _flag(cell: Any, where: str) -> bool | None:
    words = {
        "": None,
        "none": None,
        "true": True,
        "1": True,
        "yes": True,
        "y": True,
        "false": False,
        "0": False,
        "no": False,
        "n": False,
    }
    word = as_text(cell).lower().removesuffix(".0")
    if word not in words:
        raise UserError(f"{where}: {cell!r} is neither true nor false; use yes, no or an empty cell")
    return words[word]


def _local(source: str, say: Say) -> Iterator[VideoRow]:
    if any(mark in source for mark in "*?[") and not Path(source).exists():
        names = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - names may not be UTF-8
        base = source.partition("*")[0].partition("?")[0].partition("[")[0].rpartition("/")[0]
        base = base or ("/" if source.startswith("/") else ".")
        ways: dict[str, str] = {}  # a folder by its real path, and the first way to it: a link may loop
        paths = []
        for name in names:
            parent = os.path.dirname(name)  # noqa: PTH120
            first = ways.setdefault(os.path.realpath(parent), parent) == parent
            if first and (_is_video(name) or os.path.isfile(name)):  # noqa: PTH113
                paths.append(name)
        yield from _listed(source, {os.path.relpath(path, base): path for path in paths}, _stat, say)
        return
    if not Path(source).exists():
        raise UserError(f"{source}: no such file or folder")
    if Path(source).is_file():
        yield from _one_file(source)
        return
    yield from _listed(source, {os.path.relpath(path, source): path for path in _walk(source)}, _stat, say)


def _one_file(path: str) -> Iterator[VideoRow]:
    """The row of a file that is named by itself, be it a picture of a photo post."""
    post = PostFiles(SUFFIXES).of(path)
    yield _photo_row(post, _stat) if post else _stat(path, Path(path).name)


def _listed(
    source: str, paths: Mapping[str, str], row_of: Callable[[str, str], VideoRow], say: Say
) -> Iterator[VideoRow]:
    """A row for each video and each photo post of a listing; says what is neither.

    `paths`: by what each is called below the source.
    """
    root = PurePosixPath(os.path.abspath(source) if is_local(source) else source).name  # noqa: PTH100
    grouped = group_photo_posts(paths, SUFFIXES, root)
    for relative, path in paths.items():
        if _is_video(relative):
            yield row_of(path, relative)
        elif post := grouped.posts.get(relative):
            yield _photo_row(post, lambda _, name: row_of(paths[name], name))
    if grouped.passed_over:
        say(passed_over_line(plain_address(source), grouped.passed_over))


def _photo_row(
    post: PhotoPost, row_of: Callable[[str, str], VideoRow], video_id: str | None = None
) -> VideoRow:
    """One row of a post's files, which `row_of` looks up; with a file that was replaced it is another one."""
    parts = [row_of(file, file) for file in post.files]
    bad = (part for part in parts if part["error"] not in (None, Reason.EMPTY_FILE, Reason.INVALID_ID))
    failure = next((_failed(Reason(str(part["error"])), str(part["detail"])) for part in bad), None)
    states = [f"{PurePosixPath(part['path']).name}\0{part['size_bytes']}\0{part['etag']}" for part in parts]
    etag = hashlib.blake2b("\0".join(states).encode(), digest_size=16).hexdigest()
    size = sum(part["size_bytes"] for part in parts)
    row = _row(parts[0]["path"], post.name, size, etag, failure, video_id)
    row["files"] = [part["path"] for part in parts]
    return row


def _is_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _walk(folder: str) -> Iterator[str]:
    """Paths of all files below a folder, and of folders that are named like a video; links are followed once."""
    visited: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_unlistable):
        real = os.path.realpath(parent)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted([*files, *filter(_is_video, folders)]):
            if not name.startswith("."):
                yield os.path.join(parent, name)  # noqa: PTH118 - names may not be UTF-8


def _unlistable(err: OSError) -> None:
    raise UserError(f"{err.filename}: cannot be listed ({err.strerror})")


def _stat(path: str, relative: str, video_id: str | None = None) -> VideoRow:
    try:
        status = os.stat(path)  # noqa: PTH116
    except PermissionError:
        failure = _failed(Reason.PERMISSION_DENIED, "the file may not be read")
        return _row(path, relative, 0, "", failure, video_id)
    except (OSError, ValueError):  # nor can there be: a link to itself, a name too long or with a NUL
        return _row(path, relative, 0, "", _failed(Reason.MISSING_FILE, "no such file"), video_id)
    etag = str(status.st_mtime_ns)
    if not stat.S_ISREG(status.st_mode):
        failure = _failed(Reason.NOT_A_FILE, "a folder or device, not a file")
        return _row(path, relative, 0, etag, failure, video_id)
    return _row(path, relative, status.st_size, etag, video_id=video_id)


def _store(source: str, say: Say) -> Iterator[VideoRow]:
    try:
        fs, root = filesystem(source.rstrip("/"))
        with told_while_slow(f"catalog: listing {source}"):
            infos = fs.get_file_info(pafs.FileSelector(root, recursive=True, allow_not_found=True))
    except OSError as err:
        raise UserError(f"{source}: cannot be listed ({err})") from err
    files = {
        info.path.removeprefix(root).lstrip("/"): info
        for info in sorted(infos, key=lambda info: info.path)
        if info.type == pafs.FileType.File and (_is_video(info.path) or not info.base_name.startswith("."))
    }

    def row_of(path: str, relative: str) -> VideoRow:
        info = files[relative]
        return _row(path, relative, info.size or 0, str(info.mtime_ns or ""))

    paths = {relative: f"{source.rstrip('/')}/{relative}" for relative in files}
    yield from _listed(source.rstrip("/"), paths, row_of, say)


def _manifest(source: str, say: Say) -> Iterator[VideoRow]:
    folder, table = source.rpartition("/")[0], open_table(source)
    picked = table.pick(POST)
    if "path" not in picked and "script" not in picked:
        raise UserError(
            f"{table.at(table.grid.line)}: a manifest needs a column `path`, or `script`; it has "
            f"{', '.join(table.columns)}"
        )
    table.say(say, picked | table.pick(FACTS, picked.values()))
    paths = _paths(table, picked["path"], folder) if "path" in picked else iter(())
    objects = Objects(path for path in paths if not is_local(path))
    posts = PostFiles(SUFFIXES)
    for line, cells in table.rows(exact=picked.get("caption")):
        try:
            id_in_cell(cells.get(picked.get("video_id", "")) or "")
        except ValueError as err:  # two videos may have become one: no id of this table can be trusted
            raise UserError(f"{table.at(line, picked['video_id'])}: {err}") from err
        told = {name: cells[picked[name]] if name in picked else None for name in POST}
        yield _line(told, picked, folder, f"line {line}", objects, posts)


def _paths(table: InputTable, column: str, folder: str) -> Iterator[str]:
    return (_absolute(as_text(cells[column]), folder) for _, cells in table)


def _absolute(path: str, folder: str) -> str:
    """A path of a manifest, which may be relative to the manifest's folder."""
    return f"{folder}/{path}" if folder and is_local(path) and not path.startswith("/") else path


def _line(
    cells: Mapping[str, Any],
    names: Mapping[str, str],
    folder: str,
    where: str,
    objects: Objects,
    posts: PostFiles,
) -> VideoRow:
    """The row of one line of a manifest; what is wrong with the line is its failure, and no other's.

    `names`: what the manifest calls its columns.
    """
    path, video_id = as_text(cells["path"]), as_text(cells["video_id"]) or None
    script = as_text(cells["script"])
    if script and len(script) <= _MAX_SCRIPT and (path or video_id):
        return _given_script(cells, names, where, script)
    if script or not path:
        why = _why_no_row(script, names, given=bool(path or video_id))
        failure = _failed(Reason.INVALID_ROW, f"{where}, {why}")
        return _row("", "", 0, "", failure, video_id or where)
    relative = plain_address(path)
    path = _absolute(path, folder)
    try:
        path = _as_on_disk(path) if is_local(path) else path
        if post := posts.of(path):
            row = _photo_row(_named_by(post, relative), partial(_look, objects=objects), video_id)
        else:
            row = _look(path, relative, video_id, objects=objects)
        if (
            video_id and names["video_id"] != "video_id"
        ):  # a study that did not read this column keeps its ids
            row["alias"] = _row(path, relative, 0, "")["video_id"]
        _add_post(row, cells, names)
    except ValueError as err:
        return _row(
            plain_address(path), relative, 0, "", _failed(Reason.INVALID_ROW, f"{where}, {err}"), video_id
        )
    return row


def _given_script(cells: Mapping[str, Any], names: Mapping[str, str], where: str, script: str) -> VideoRow:
    """The row of a line with a script, in whose place nothing is opened; another script is another row."""
    path, video_id = as_text(cells["path"]), as_text(cells["video_id"]) or None
    data = script.encode("utf-8", "backslashreplace")
    etag = hashlib.blake2b(data, digest_size=16).hexdigest()
    row = _row(plain_address(path), plain_address(path), len(data), etag, video_id=video_id)
    try:
        _add_post(row, cells, names)
    except ValueError as err:
        row |= _failed(Reason.INVALID_ROW, f"{where}, {err}")
    row["script"] = None if row["error"] else data.decode()
    return row


def _why_no_row(script: str, names: Mapping[str, str], *, given: bool) -> str:
    """What is wrong with a line that names no file, or gives a script that is none."""
    if script and given:
        return f"column {names['script']}: {len(script)} characters, at most {_MAX_SCRIPT}"
    if script:
        return f"column {names.get('video_id', 'video_id')}: empty, and a script has no name of its own"
    return f"column {names.get('path', names.get('script'))}: empty"


def _add_post(row: VideoRow, cells: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Give a row what its line tells of the post. Raises ValueError as `_post`."""
    for column in _POST:
        row |= {column: _post(cells[column], column, names) or row[column]}  # type: ignore[misc]


def _as_on_disk(path: str) -> str:
    """A path with its letters composed, or not, as a file has them that is there; else as it is."""
    forms = (unicodedata.normalize(form, path) for form in ("NFC", "NFD"))
    return next((form for form in (path, *forms) if os.path.lexists(form)), path)


def _named_by(post: PhotoPost, relative: str) -> PhotoPost:
    """The post under the name that its line gives it."""
    return post._replace(name=relative.rstrip("/")) if post_in(post.name) is None else post


def _look(path: str, relative: str, video_id: str | None = None, *, objects: Objects) -> VideoRow:
    """The row of one file, wherever it lies. Raises ValueError for an address that is not opened."""
    if is_local(path):
        return _stat(path, relative, video_id)
    return _head(path, relative, video_id, objects)


def _head(path: str, relative: str, video_id: str | None, objects: Objects) -> VideoRow:
    """Raises ValueError for an address that is not opened."""
    try:
        state = objects.state_of(path)
    except UserError as err:
        raise ValueError(f"column path: {err}") from err
    except Unknown as err:
        return _row(path, relative, 0, "", _failed(err.reason, err.detail), video_id)
    if state is None:
        return _row(path, relative, 0, "", _failed(Reason.MISSING_FILE, "no such object"), video_id)
    return _row(path, relative, *state, video_id=video_id)


def _post(cell: Any, column: str, names: Mapping[str, str]) -> Any:
    """Raises ValueError for a date that is none, and for a text that no post has."""
    if cell is None:
        return None
    try:
        if column == "posted_at":
            return date_in(cell)
        if len(text := as_text(cell)) > _MAX_CELL:
            raise ValueError(f"{len(text)} characters, at most {_MAX_CELL}")
        return text
    except ValueError as err:
        raise ValueError(f"column {names[column]}: {err}") from err


def _failed(reason: Reason, detail: str) -> Any:
    return {"error": reason.value, "detail": detail}


def _row(
    path: str, relative: str, size_bytes: int, etag: str, failure: Any = None, video_id: str | None = None
) -> VideoRow:
    spelt = (
        video_id if video_id is not None else str(PurePosixPath(relative).with_suffix("")) if relative else ""
    )
    post = (post_in(relative) if video_id is None else id_in_cell(video_id)) or Post(spelt, None)
    video_id = post.video_id
    error, detail = (failure["error"], failure["detail"]) if failure else (None, None)
    if size_bytes == 0 and error is None:
        error, detail = Reason.EMPTY_FILE.value, "the file has no bytes"
    clean = _text(video_id)
    control = any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in clean)
    if clean != video_id or control or not 0 < len(clean) <= _MAX_ID:
        error, detail = Reason.INVALID_ID.value, "an id is 1 to 512 characters of text, without line breaks"
        clean = clean.encode("unicode_escape").decode()[:_MAX_ID]
    return {
        "video_id": clean,
        "row_key": row_key(video_id, size_bytes, etag),
        "path": _text(path),
        "size_bytes": size_bytes,
        "etag": etag,
        "account": post.account,
        "genre": None,
        "caption": None,
        "posted_at": None,
        "alias": None if spelt == video_id else _text(spelt),
        "is_minor": None,
        "files": None,
        "script": None,
        "error": error,
        "detail": detail,
    }


def _text(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def accounts_of(genres: Mapping[str, str | None]) -> list[AccountRow]:
    """Accounts that videos name, with a genre where one is known."""
    return [
        {"account": account, "genre": genre, "source": None, "is_minor": None, "is_parent_run": None}
        for account, genre in genres.items()
    ]
