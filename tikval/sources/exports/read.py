"""The one reader of sources: what an export is, by its content, and the posts that it lists."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final

from tikval.config import UserError
from tikval.files import is_local, plain_address
from tikval.rows import Outcome, PostRow
from tikval.sources.exports.maps import (
    SourceMap,
    check_columns,
    listed_rows,
    load_map,
    map_name,
    shipped_maps,
)
from tikval.sources.exports.post_rows import RowReader, Tally, each_once
from tikval.sources.json_records import (
    HEAD,
    Open,
    SourceRecord,
    first_list,
    iter_lines,
    iter_list,
    json_form,
    read_document,
)
from tikval.sources.tables import InputTable, is_table, open_input, open_table

_LOOKED_AT: Final = 50  # rows that tell what a file is: the first ones may be odd
_NAMED: Final = 12  # columns in a message
_MOST_NAMES: Final = 1_000  # columns that are noted: a hostile file has a new one in each row
_ENVELOPE: Final = 8  # names within one name: then it holds the row
_KINDS: Final = {
    Outcome.LIVE: ("live room", "live rooms"),
    Outcome.OTHER_PLATFORM: ("of another platform", "of other platforms"),
    Outcome.INVALID_ROW: ("that names no post", "that name no post"),
    Outcome.DELETED: ("deleted", "deleted"),
    Outcome.PRIVATE: ("private", "private"),
}


@dataclass
class SourceExport:
    """An export that was recognised; `rows()` reads it, `line` then says what was in it."""

    name: str  # file or address, for messages
    source: str  # of each post that does not tell another
    title: str  # what it is, with its article
    used: frozenset[str]  # columns
    read: Callable[["SourceExport"], Iterator[PostRow]] = field(repr=False)
    unused: dict[str, None] = field(default_factory=dict)  # columns, in their order: known when it was read
    tally: Tally = field(default_factory=Tally)
    named: dict[str, list[str]] = field(default_factory=dict, repr=False)  # files that rows name, by video_id

    def rows(self) -> Iterator[PostRow]:
        """Each post once, with its Outcome where it is an odd one; as often as wanted.

        Raises UserError where the rest cannot be read, and for an id that a spreadsheet has cut.
        """
        self.tally, self.unused, self.named = Tally(), {}, {}
        yield from each_once(self.read(self), self.tally)

    @property
    def line(self) -> str:
        """What was recognised, how many rows, and which columns are not used; complete when the rows were read."""
        tally = self.tally
        odd = [
            f"{n:,} {_KINDS.get(Outcome(kind), (kind, kind))[n != 1]}"
            for kind, n in sorted(tally.odd.items())
        ]
        if tally.again:
            odd.append(f"{_n(tally.again, 'row')} of a post named before")
        text = f"{self.name}: {self.title}: {_n(tally.rows, 'row')}, {_n(tally.posts, 'post')}"
        text += f" ({', '.join(odd)})" if odd else ""
        if unused := list(self.unused):
            more = f" and {len(unused) - _NAMED} more" if len(unused) > _NAMED else ""
            text += f"; not used: {', '.join(map(_short, unused[:_NAMED]))}{more}"
        return text

    def files(self, folder: str) -> dict[str, list[str]]:
        """The files in a local folder that rows name, relative to it, by video_id; known when the rows were read.

        Only what is there counts, and nothing outside the folder.
        """
        root = Path(folder).resolve()
        found: dict[str, list[str]] = {}
        for video_id, names in self.named.items():
            there = [path for name in names if (path := _inside(root, name))]
            if there:
                found[video_id] = there
        return found


def _inside(root: Path, name: str) -> str | None:
    """A named file as a path within a folder, by its whole name or by its last part."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    for tail in (parts, parts[-1:]):
        try:
            path = root.joinpath(*tail).resolve()
            if path.is_relative_to(root) and path.is_file():
                return path.relative_to(root).as_posix()
        except (OSError, ValueError):
            continue
    return None


def read_export(uri: str, columns: str | None = None) -> SourceExport | None:
    """The export that a file is; None for one that is none that is known, such as a manifest of files.

    `columns`: a YAML file that says what its columns are called, for one that is not known.
    Raises UserError for a file that is not there or cannot be read, and for a map that does not fit it.
    """
    mine = load_map(columns) if columns else None
    name = plain_address(uri)
    if is_local(uri) and Path(uri).is_dir():
        return None
    open_ = partial(open_input, uri)
    with open_() as file:
        head = file.read(HEAD)
    if head.startswith((b"PK", b"PAR1", b"\xd0\xcf")) or json_form(head) == "text":
        if not is_table(uri):
            if mine is None:
                return None
            raise UserError(f"{name}: no table and no JSON, which a map of columns could be for")
        return _of_table(open_table(uri), name, mine, columns)
    return _of_json(open_, head, name, mine, columns)


def _of_table(
    table: InputTable, name: str, mine: SourceMap | None, columns: str | None
) -> SourceExport | None:
    nested = _nested(table.columns)
    head = nested([None] * len(table.columns))
    there = {**dict.fromkeys(table.columns), **head}
    if mine and columns:
        check_columns(mine, columns, name, there)
    picked = (map_name(columns), mine) if mine and columns else _recognised([head])
    return table_export(table, name, *picked) if picked else None


def table_export(table: InputTable, name: str, source: str, mine: SourceMap) -> SourceExport:
    """A table as an export, by a map of its columns."""
    nested = _nested(table.columns)
    places = [place for place, column in enumerate(table.grid.header) if column]

    def records() -> Iterator[SourceRecord]:
        for line, cells in table.grid.rows():
            if any(cell is not None and cell != "" for cell in cells[len(table.grid.header) :]) or len(
                cells
            ) < len(table.grid.header):
                problem = f"{len(cells)} cells under {len(table.grid.header)} column names"
                yield SourceRecord(f"line {line}", None, problem=problem)
            else:
                yield SourceRecord(f"line {line}", nested([cells[place] for place in places]))

    return _export(name, source, mine, records, table.columns)


def _nested(columns: tuple[str, ...]) -> Callable[[list[Any]], dict[str, Any]]:
    """What makes of a line of cells the row that its columns' names describe: authorMeta/name is within authorMeta."""
    names = [tuple(re.split(r"[./]", column)) for column in columns]
    plain = {parts[0] for parts in names if len(parts) == 1}
    paths = [
        parts if all(parts) and parts[0] not in plain else (column,)
        for parts, column in zip(names, columns, strict=True)
    ]

    def row(cells: list[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for parts, cell in zip(paths, cells, strict=True):
            if len(parts) == 1:
                found[parts[0]] = cell
                continue
            into = found
            for part in parts[:-1]:
                into = into.setdefault(part, {})
                if not isinstance(into, dict):
                    break
            else:
                into[parts[-1]] = cell
        return found

    return row


def _of_json(
    open_: Open, head: bytes, name: str, mine: SourceMap | None, columns: str | None
) -> SourceExport | None:
    maps = {map_name(columns): mine} if mine and columns else shipped_maps()
    form = json_form(head)
    lists = {path: told for one in maps.values() for path, told in one.lists.items()}
    if form == "document":
        there = first_list(open_, list(lists), lambda key: False)

        def records() -> Iterator[SourceRecord]:
            if there is None:
                yield SourceRecord("row 1", read_document(open_, name))
            else:
                for path, told in lists.items():
                    yield from iter_list(open_, name, f"{path}.item", told)

    else:

        def records() -> Iterator[SourceRecord]:
            for record in iter_lines(open_) if form == "lines" else iter_list(open_, name):
                rows = listed_rows(record.cells, lists) if lists else [(record.cells, {})]
                for n, (cells, told) in enumerate(rows):
                    yield SourceRecord(
                        record.place + (f", {n + 1}" if n else ""), cells, told, record.problem
                    )

    first = [record.cells for record in islice(records(), _LOOKED_AT) if isinstance(record.cells, dict)]
    if mine and columns:
        _check_json(mine, columns, name, first)
    picked = (map_name(columns), mine) if mine and columns else _recognised(first)
    return _export(name, *picked, records) if picked else None


def _check_json(mine: SourceMap, columns: str, name: str, first: list[dict[str, Any]]) -> None:
    """Raise UserError where no row has an id; other names are missing where there is nothing to tell."""
    there: dict[str, Any] = {}
    for cells in first:
        there = {**cells, **{key: value for key, value in there.items() if isinstance(value, dict)}}
    ids = {key: paths for key, paths in mine.columns.items() if key in ("video_id", "url")}
    if first and not any(RowReader(name, "", mine).has_id(cells) for cells in first):
        check_columns(mine.model_copy(update={"columns": ids}), columns, name, there)


def _recognised(rows: list[dict[str, Any]]) -> tuple[str, SourceMap] | None:
    maps = shipped_maps()
    for cells in rows:
        for source, mine in maps.items():
            if mine.fits(cells):
                return source, mine
    return None


def _export(
    name: str,
    source: str,
    mine: SourceMap,
    records: Callable[[], Iterator[SourceRecord]],
    columns: tuple[str, ...] | None = None,
) -> SourceExport:
    reader = RowReader(name, source, mine)
    used = mine.used()

    def read(export: SourceExport) -> Iterator[PostRow]:
        for record in records():
            if isinstance(record.cells, dict):
                _note_unused(record.cells, used, export.unused)
            row = reader.post(record)
            if reader.files and record.cells and (names := reader.named_files(record.cells)):
                export.named.setdefault(row["video_id"], names)
            yield row

    return SourceExport(name, source, mine.title, frozenset(used), read)


def _note_unused(cells: dict[str, Any], used: Mapping[str, Collection[str]], unused: dict[str, None]) -> None:
    """Keep the names of a row that its map does not use, and those within what is its envelope."""
    for name, cell in cells.items():
        if name not in used:
            if len(unused) < _MOST_NAMES:
                unused[name] = None
        elif isinstance(cell, dict) and len(used[name]) >= _ENVELOPE:
            for inner in cell.keys() - used[name]:
                if len(unused) < _MOST_NAMES:
                    unused[f"{name}.{inner}"] = None


def _n(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _short(name: str) -> str:
    text = " ".join(name.split())
    return text if len(text) <= 40 else f"{text[:40]}..."
