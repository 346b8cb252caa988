"""The one reader of sources: what an export is, by its content, whatever it is called."""

import glob
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tikval.config import UserError
from tikval.files import has_folder, is_local, plain_address
from tikval.sources.exports.archives import METADATA, archived_posts, open_member, unpack, zip_names
from tikval.sources.exports.donations import (
    DONATED,
    OWN,
    SOURCE,
    WATCHED,
    donated_entries,
    is_donation,
    is_donation_key,
)
from tikval.sources.exports.maps import (
    SourceMap,
    check_columns,
    fitting_map,
    listed_rows,
    load_map,
    map_name,
    shipped_maps,
)
from tikval.sources.exports.sidecars import folder_export
from tikval.sources.exports.source_export import SourceExport, chained, export_of
from tikval.sources.exports.tabular import nest, table_records
from tikval.sources.json_records import (
    HEAD,
    Open,
    SourceRecord,
    first_list,
    iter_lines,
    iter_list,
    iter_within,
    json_form,
    nth_place,
    read_document,
)
from tikval.sources.tables import InputTable, is_table, open_input, open_table, table_file, table_from

_LOOKED_AT: Final = 50  # rows that tell what a file is: the first ones may be odd
_MARKS: Final = frozenset("*?[")
Maps = dict[str, SourceMap]


def read_export(uri: str, columns: str | None = None) -> SourceExport | None:
    """The export that a file, a folder with .info.json files or a glob is; None for what is none that is known.

    `columns`: a YAML file that says what its columns are called, for one that is not known.
    Raises UserError for a file that is not there or cannot be read, and for a map that does not fit it.
    """
    return _read(uri, {map_name(columns): load_map(columns)} if columns else shipped_maps(), columns)


def _read(uri: str, maps: Maps, columns: str | None) -> SourceExport | None:
    if _is_folder(uri):
        if columns:
            raise UserError(f"{plain_address(uri)}: a folder; {columns} is for a table or a JSON file")
        return folder_export(uri, maps)
    if is_local(uri) and _MARKS & set(uri) and not Path(uri).exists():
        return folder_export(uri, maps) or _of_files(uri, maps, columns)
    name, open_ = plain_address(uri), partial(open_input, table_file(uri))
    with open_() as file:
        head = file.read(HEAD)
    if head.startswith(b"PK") and (export := _of_zip(open_, name, maps)):
        return export
    if not head.startswith((b"PK", b"PAR1", b"\xd0\xcf")) and json_form(head) != "text":
        return _of_json(open_, head, name, maps, columns)
    if is_table(uri):
        return _of_table(open_table(uri), name, maps, columns)
    if b"\0" in head[:2] or head.startswith((b"PK", b"\xd0\xcf")) or b"\0\0" in head:
        return None  # a video, perhaps
    try:
        table = table_from(open_, name)
    except UserError:
        if columns:
            raise
        return None
    return _of_table(table, name, maps, columns)


def _is_folder(uri: str) -> bool:
    try:
        return Path(uri).is_dir() if is_local(uri) else has_folder(uri)
    except OSError as err:
        raise UserError(f"{plain_address(uri)}: cannot be read ({err.strerror or err})") from err


def _of_table(table: InputTable, name: str, maps: Maps, columns: str | None) -> SourceExport | None:
    head = nest(table.columns)([None] * len(table.columns))
    if columns:
        check_columns(maps[map_name(columns)], columns, name, head)
    picked = _recognised([head], maps, columns)
    return export_of(name, picked[0], [(picked[1], partial(table_records, table))]) if picked else None


def _of_zip(open_: Open, name: str, maps: Maps) -> SourceExport | None:
    """4CAT's archive of videos, or a data donation as it is handed out."""
    names = zip_names(open_, name)
    if "yt_dlp" not in maps:
        return None
    if METADATA in names:
        parts = [(maps["yt_dlp"], partial(archived_posts, open_, name))]
        export = export_of(name, "4cat_archive", parts, "a 4CAT archive of videos")
        export.unpack = lambda folder, wanted: unpack(open_, name, folder, wanted)
        return export
    for member in names:
        if member.rpartition("/")[2].lower() in DONATED and is_donation(
            inner := partial(open_member, open_, member)
        ):
            return _of_donation(inner, name)
    return None


def _of_donation(open_: Open, name: str) -> SourceExport:
    return export_of(
        name,
        SOURCE,
        [(mine, partial(donated_entries, open_, name, own=mine is OWN)) for mine in (OWN, WATCHED)],
    )


def _of_json(open_: Open, head: bytes, name: str, maps: Maps, columns: str | None) -> SourceExport | None:
    form = json_form(head)
    lists: dict[str, Mapping[str, Any]] = {
        path: told for one in maps.values() for path, told in one.lists.items()
    }
    there: str | None = None
    if form == "document":
        there = first_list(open_, lists, lambda key: not columns and is_donation_key(key))
        if there and there not in lists:
            if is_donation(open_):
                return _of_donation(open_, name)
            there = first_list(open_, lists, lambda key: False)

    def records(lists: Mapping[str, Mapping[str, Any]] = lists) -> Iterator[SourceRecord]:
        if there and len(head) == HEAD:
            for path, told in lists.items():
                yield from iter_within(open_, name, path, told)
            return
        if form == "lines":
            found = iter_lines(open_)
        elif form == "list":
            found = iter_list(open_, name)
        else:
            found = iter([SourceRecord("row 1", read_document(open_, name))])
        for record in found:
            for n, (cells, told) in enumerate(listed_rows(record.cells, lists), start=1):
                yield SourceRecord(nth_place(record.place, n), cells, told, record.problem)

    first = [record.cells for record in islice(records(), _LOOKED_AT) if isinstance(record.cells, dict)]
    if columns and first:
        _check_json(maps[map_name(columns)], columns, name, first)
    picked = _recognised(first, maps, columns)
    if picked is None:
        return None
    return export_of(name, picked[0], [(picked[1], partial(records, picked[1].lists))])


def _check_json(mine: SourceMap, columns: str, name: str, first: list[dict[str, Any]]) -> None:
    """Raise UserError where no row has an id; other names are missing where there is nothing to tell."""
    there: dict[str, Any] = {}
    for cells in first:
        there |= {key: cell for key, cell in cells.items() if not isinstance(there.get(key), dict)}
    names = {key: paths for key, paths in mine.columns.items() if key in ("video_id", "url")}
    check_columns(mine.model_copy(update={"columns": names}), columns, name, there)


def _recognised(rows: list[dict[str, Any]], maps: Maps, columns: str | None) -> tuple[str, SourceMap] | None:
    if columns:
        return map_name(columns), maps[map_name(columns)]
    return next((fitting for cells in rows if (fitting := fitting_map(cells, maps))), None)


def _of_files(pattern: str, maps: Maps, columns: str | None) -> SourceExport | None:
    """Several exports that a glob means, as one."""
    paths = sorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())  # noqa: PTH207
    exports = [export for path in paths if (export := _read(path, maps, columns))]
    return chained(pattern, exports) if exports else None
