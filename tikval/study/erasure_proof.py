"""A proof that somebody is gone: every byte of a study's folder is searched for their names, tables cell by cell."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from tikval.config import UserError
from tikval.files import check_parquet, filesystem, read_bytes
from tikval.store.runs import STAGE_FOLDER
from tikval.study.erased_names import NAME_COLUMNS, ErasedNames

_PIECE: Final = 32 * 2**20  # bytes that are searched at once
_OVERLAP: Final = 8192  # longer than any name in any spelling
_THREADS: Final = 4  # a store answers each request late; each holds a piece, or a group of rows
_BINARY_BYTES: Final = 6  # a shorter name stands in any gigabyte of weights by chance
_SHOWN: Final = 20  # places
_OF_CLAIMS: Final = re.compile(r"claims/[^/]+/[^/]+\.json")  # which name videos by their row keys
_ROW_KEY: Final = re.compile(rb"\b[0-9a-f]{32}\b")
_PACKED: Final = (".gz", ".zip", ".zst", ".xz", ".bz2", ".7z", ".npz", ".xlsx", ".pdf", ".tgz")


@dataclass(frozen=True)
class Find:
    file: str  # below the study's folder
    where: str
    video_ids: tuple[str, ...] = ()  # of rows that stay and name somebody who is erased


@dataclass(frozen=True)
class SearchResult:
    files: int
    size_bytes: int
    finds: list[Find]
    packed: list[str]  # files whose bytes are compressed by somebody else: not looked into

    def advice(self, names: ErasedNames) -> list[str]:
        """Lines for the user: what is left and what to do about it, and what could not be searched."""
        lines = [f"left: {find.file}: {find.where}{_what_to_do(find)}" for find in self.finds[:_SHOWN]]
        if len(self.finds) > _SHOWN:
            lines.append(f"left: and {len(self.finds) - _SHOWN} places more")
        if vague := names.vague:
            lines.append(
                f"note: {len(vague)} names are short, or may be plain words ({', '.join(vague[:3])}"
                f"{' ...' if len(vague) > 3 else ''}): looked for as whole cells, ids and @mentions only"
            )
        if names.accounts and (unlisted := sorted(names.unlisted)):
            lines.append(
                f"note: {len(unlisted)} videos stand in tables and in no catalog ({', '.join(unlisted[:3])}"
                f"{' ...' if len(unlisted) > 3 else ''}): whose they are is not known; erase theirs by id"
            )
        if self.packed:
            lines.append(
                f"note: {len(self.packed)} packed files were not looked into: {', '.join(self.packed[:5])}"
            )
        return lines

    def __str__(self) -> str:
        size = f"{self.size_bytes / 1e6:.1f} MB" if self.size_bytes >= 1e5 else f"{self.size_bytes} bytes"
        left = f"names are left in {len(self.finds)} places" if self.finds else "nothing of them is left"
        return f"searched {self.files} files, {size}: {left}"


def _what_to_do(find: Find) -> str:
    """The user's way on: what tikval can take out is out already."""
    folder, _, name = find.file.rpartition("/")
    if find.video_ids:
        some = " ".join(dict.fromkeys(find.video_ids))
        return f"; if these videos are theirs, erase them too: {some}"
    if name in ("run.json", "judged_by.json", "best.yaml"):
        return "; a path in the configuration names them: rename it, run anew, and delete this folder"
    if STAGE_FOLDER.fullmatch(folder.partition("/")[0]):
        return "; delete this file, and run the stage again"
    return "; in no stage's folder: delete or change it yourself (an export: make it again)"


def search_study(out: str, names: ErasedNames, others: Sequence[str] = ()) -> SearchResult:
    """Search every file below a folder: its name, its bytes, and each cell of each table.

    `others` are further folders, such as those of coders; their files are named with them.
    """
    files = files_below(out)
    places = [(out, file, "") for file in files]
    for other in others:
        below = files_below(other)
        places += [(other, file, f"{other}/") for file in below]
        files |= {f"{other}/{file}": size for file, size in below.items()}
    with ThreadPoolExecutor(_THREADS) as threads:
        found = threads.map(lambda place: search_file(place[0], place[1], names), places)
        pairs = zip(places, found, strict=True)
        finds = [replace(find, file=f"{place[2]}{find.file}") for place, each in pairs for find in each]
    packed = [file for file in files if file.lower().endswith(_PACKED)]
    return SearchResult(len(files), sum(files.values()), finds, packed)


def files_below(uri: str) -> dict[str, int]:
    """Size of each file below a folder, by its path from there; links are not followed. Sorted."""
    fs, path = filesystem(uri)
    if isinstance(fs, pafs.LocalFileSystem):  # which would follow links, out of the study and in circles
        return dict(sorted(_local_files(path)))
    infos = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=True))
    root = fs.normalize_path(path).rstrip("/")
    found = {
        info.path.removeprefix(root).lstrip("/"): info.size or 0
        for info in infos
        if info.type == pafs.FileType.File
    }
    return dict(sorted(found.items()))


def _local_files(path: str) -> Iterator[tuple[str, int]]:
    for parent, _, names in os.walk(path):
        for name in names:
            file = Path(parent, name)
            status = file.lstat()
            if stat.S_ISREG(status.st_mode):
                yield str(file.relative_to(path)), status.st_size


def search_file(out: str, file: str, names: ErasedNames) -> list[Find]:
    """Every place of one file in which a name stands; none for a file that has gone meanwhile."""
    finds = [Find(file, "in its name")] if names.mentions(file.encode("utf-8", "backslashreplace")) else []
    try:
        if file.endswith(".parquet"):
            cells = list(_search_table(f"{out}/{file}", file, names))
            finds += cells
            if cells:  # the same names are in its pages
                return finds
        if _OF_CLAIMS.match(file) and names.keys & _keys_in(f"{out}/{file}"):
            finds.append(Find(file, "the row key of a video"))
        if _search_bytes(f"{out}/{file}", names):
            finds.append(Find(file, "in its bytes"))
    except FileNotFoundError:
        return []
    except (OSError, UserError, pa.ArrowInvalid) as err:
        finds.append(Find(file, f"cannot be searched: {' '.join(str(err).split())[:200]}"))
    return finds


def _keys_in(uri: str) -> set[str]:
    return {key.decode() for key in _ROW_KEY.findall(read_bytes(uri) or b"")}


def _search_bytes(uri: str, names: ErasedNames) -> bool:
    fs, path = filesystem(uri)
    with fs.open_input_stream(path) as stream:
        before, least = b"", None
        while piece := stream.read(_PIECE):
            if least is None:
                least = _BINARY_BYTES if b"\0" in piece[:8192] else 0
            text = before + piece
            blob = pa.array([text], pa.large_binary())
            if names.mask(blob, least)[0].as_py() and names.mentions(text, least):
                return True
            before = text[-_OVERLAP:]
    return False


def _search_table(uri: str, file: str, names: ErasedNames) -> Iterator[Find]:
    """Find names in cells, column by column, one row group at a time."""
    check_parquet(uri)
    fs, path = filesystem(uri)
    counts: dict[str, int] = {}
    rows_of: dict[str, list[str]] = {}
    with fs.open_input_file(path) as opened:
        parquet = pq.ParquetFile(opened)
        wanted = [field.name for field in parquet.schema_arrow if _may_name(field.type)]
        if "video_id" in parquet.schema_arrow.names:
            wanted = list(dict.fromkeys(["video_id", *wanted]))
        for group in range(parquet.num_row_groups) if wanted else ():
            table = parquet.read_row_group(group, columns=wanted)
            for name, column in zip(table.column_names, table.columns, strict=True):
                rows = cells_with_names(column, names, exact=name in NAME_COLUMNS)
                if rows:
                    counts[name] = counts.get(name, 0) + len(rows)
                    if "video_id" in table.column_names:
                        rows_of.setdefault(name, []).extend(table["video_id"].take(rows).to_pylist()[:20])
    for name, n in counts.items():
        yield Find(file, f"column {name}, {n} rows", tuple(map(str, rows_of.get(name, ()))))


def cells_with_names(column: pa.ChunkedArray, names: ErasedNames, *, exact: bool) -> list[int]:
    """Rows of a column, of texts at any depth, in which a name stands; `exact`: or which are a name, however short."""
    found: set[int] = set()
    for rows, texts in _texts(column.combine_chunks() if column.num_chunks != 1 else column.chunk(0), None):
        hit = pc.indices_nonzero(names.mask(texts)).to_pylist()
        places = [n for n in hit if names.mentions(_bytes(texts[n].as_py()))]
        if exact and pa.types.is_string(texts.type):
            places += pc.indices_nonzero(pc.fill_null(names.equal(texts), False)).to_pylist()
        found |= {n if rows is None else rows[n] for n in places}
    return sorted(found)


def _texts(array: Any, rows: Sequence[int] | None) -> Iterator[tuple[Sequence[int] | None, Any]]:
    """Arrays of texts or bytes inside an array, each with the row that an item is of (None: its own place)."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from _texts(array.dictionary_decode(), rows)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        parents = pc.list_parent_indices(array).to_pylist() if _has_texts(kind) else []
        if parents:
            yield from _texts(pc.list_flatten(array), [n if rows is None else rows[n] for n in parents])
    elif pa.types.is_map(kind):
        yield from _texts(
            array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))), rows
        )
    elif pa.types.is_struct(kind):
        for field in array.flatten():
            yield from _texts(field, rows)
    elif pa.types.is_int64(kind) and rows is None:  # somebody's own table may have ids as numbers
        yield rows, array.cast(pa.string())
    elif _is_text(kind):
        yield rows, array


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _has_texts(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _has_texts(kind.value_type)
    return pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or _is_text(kind)


def _may_name(kind: pa.DataType) -> bool:
    return _has_texts(kind) or pa.types.is_int64(kind)


def _bytes(cell: str | bytes) -> bytes:
    return cell if isinstance(cell, bytes) else cell.encode("utf-8", "surrogatepass")
