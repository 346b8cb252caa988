"""An export that was recognised: its posts, the files that they name, and the one line that says what was in it."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from tikval.rows import Outcome, PostRow
from tikval.sources.exports.maps import SourceMap
from tikval.sources.exports.post_rows import RowReader, Tally, each_once
from tikval.sources.json_records import SourceRecord

_NAMED: Final = 12  # columns in a message
_MOST_NAMES: Final = 1_000  # columns that are noted: a hostile file has a new one in each row
_ENVELOPE: Final = 8  # names within one name: then it holds the row
_KINDS: Final = {
    Outcome.LIVE: ("live room", "live rooms"),
    Outcome.OTHER_PLATFORM: ("of another platform", "of other platforms"),
    Outcome.INVALID_ROW: ("that names no post", "that name no post"),
}
Records = Callable[[], Iterator[SourceRecord]]


@dataclass
class SourceExport:
    """An export; `rows()` reads it, and what it holds is known when that is done."""

    name: str  # file or address, for messages
    source: str  # of each post that does not tell another
    title: str  # what it is, with its article
    read: Callable[["SourceExport"], Iterator[PostRow]] = field(repr=False)
    used: Collection[str] = ()  # columns
    unpack: Callable[[str, set[str]], None] | None = field(
        default=None, repr=False
    )  # files that it holds itself
    unused: dict[str, None] = field(default_factory=dict)  # columns, in their order
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
            odd.insert(0, f"{_n(tally.again, 'row')} of a post named before")
        text = f"{self.name}: {self.title}: {_n(tally.rows, 'row')}, {_n(tally.posts, 'post')}"
        text += f" ({', '.join(odd)})" if odd else ""
        if tally.problems:
            text += f"; such as {'; '.join(tally.problems)}"
        if unused := list(self.unused):
            more = f" and {len(unused) - _NAMED} more" if len(unused) > _NAMED else ""
            text += f"; not used: {', '.join(map(_short, unused[:_NAMED]))}{more}"
        return text

    def noted(self, record: SourceRecord, reader: RowReader, used: Mapping[str, Collection[str]]) -> PostRow:
        """The post of a row; what the row has besides, and the files that it names, are kept."""
        row = reader.post(record)
        if isinstance(record.cells, dict):
            _note_unused(record.cells, used, self.unused)
            if reader.files and (names := reader.named_files(record.cells)):
                self.named[row["video_id"]] = (
                    names if reader.map.last_counts else self.named.get(row["video_id"], names)
                )
        return row

    def files(self, folder: str) -> dict[str, list[str]]:
        """The files in a local folder that rows name, relative to it, by video_id; known when the rows were read.

        An archive is unpacked there first: what is there already stays. Only what is there counts, and nothing outside
        the folder. Raises UserError for an archive that would do harm.
        """
        if self.unpack:
            self.unpack(folder, {name for names in self.named.values() for name in names})
        root = Path(folder).resolve()
        found = {}
        for video_id, names in self.named.items():
            if there := [path for name in names if (path := _inside(root, name))]:
                found[video_id] = there
        return found


def export_of(
    name: str, source: str, parts: Sequence[tuple[SourceMap, Records]], title: str | None = None
) -> SourceExport:
    """The export whose rows are these records, each part by its map."""
    used = names_used(mine for mine, _ in parts)

    def read(export: SourceExport) -> Iterator[PostRow]:
        for mine, records in parts:
            reader = RowReader(name, source, mine)
            rows = (export.noted(record, reader, used) for record in records())
            yield from last_of_each(rows, export.tally) if mine.last_counts else rows

    return SourceExport(name, source, title or parts[0][0].title, read, tuple(used))


def names_used(maps: Iterable[SourceMap]) -> dict[str, set[str]]:
    """The outermost names that some maps find their columns by, and those within them."""
    used: dict[str, set[str]] = {}
    for mine in maps:
        for first, inner in mine.used().items():
            used.setdefault(first, set()).update(inner)
    return used


def chained(name: str, exports: Sequence[SourceExport]) -> SourceExport:
    """Several exports as one; a row that names no post has its file's name before its place."""

    def read(whole: SourceExport) -> Iterator[PostRow]:
        for export in exports:
            export.unused, export.named = whole.unused, whole.named
            for row in export.read(export):
                if row["outcome"] == Outcome.INVALID_ROW:
                    place = PurePosixPath(export.name).name
                    row["video_id"], row["detail"] = f"{place} {row['video_id']}", f"{place}, {row['detail']}"
                yield row

    kinds = Counter(export.title for export in exports)
    title = ", ".join(f"{kind} in {_n(n, 'file')}" for kind, n in kinds.items())
    return SourceExport(name, exports[0].source, title, read, exports[0].used)


def last_of_each(rows: Iterator[PostRow], tally: Tally) -> Iterator[PostRow]:
    """Each post once, by its last row: of a log, in which a later line replaces an earlier one."""
    last: dict[str, PostRow] = {}
    for row in rows:
        if row["video_id"] in last:
            tally.rows, tally.again = tally.rows + 1, tally.again + 1
        last[row["video_id"]] = row
    yield from last.values()


def _note_unused(cells: dict[str, Any], used: Mapping[str, Collection[str]], unused: dict[str, None]) -> None:
    """Keep the names of a row that its map does not use, and those within what is its envelope."""
    for name, cell in cells.items():
        if name not in used:
            if len(unused) < _MOST_NAMES:
                unused[name] = None
        elif isinstance(cell, dict) and len(used[name]) >= _ENVELOPE:
            for inner in cell:
                if inner not in used[name] and len(unused) < _MOST_NAMES:
                    unused[f"{name}.{inner}"] = None


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


def _n(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _short(name: str) -> str:
    text = " ".join(name.split())
    return text if len(text) <= 40 else f"{text[:40]}..."
