"""A list of posts that are gone: lines, a table of any kind, or what a compliance check replied as JSON.

Where a column tells what became of each post, only those count that it says are gone: a reply to a check has the
others too. What it says that is not known here is an error, and never a deletion.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tikval.config import UserError
from tikval.files import plain_address, read_bytes
from tikval.rows import Outcome
from tikval.sources.columns import VIDEO_ID
from tikval.sources.ids import id_in_cell, post_in
from tikval.sources.tables import InputTable, column_key, open_table

_STATUS: Final = (
    *("status", "state", "outcome", "result", "availability", "video_status", "validation_status"),
    *("compliance_status", "validation_result"),
)
_IF_TRUE: Final = ("deleted", "is_deleted", "removed", "is_removed", "gone")
_IF_FALSE: Final = ("valid", "is_valid", "available", "is_available", "exists", "is_public", "public")
_GONE: Final = frozenset(
    map(
        column_key,
        (
            *(
                Outcome.DELETED,
                Outcome.PRIVATE,
                Outcome.UNAVAILABLE,
                "removed",
                "gone",
                "invalid",
                "not_found",
            ),
            *(
                "not_available",
                "not_valid",
                "non_compliant",
                "not_compliant",
                "does_not_exist",
                "inaccessible",
            ),
            *(
                "deleted_ids",
                "invalid_ids",
                "removed_ids",
                "deleted_videos",
                "invalid_videos",
                "unavailable_ids",
            ),
        ),
    )
)
_THERE: Final = frozenset(
    map(
        column_key,
        (
            *(outcome for outcome in Outcome if column_key(outcome) not in _GONE),
            *(
                "valid",
                "available",
                "active",
                "public",
                "exists",
                "ok",
                "compliant",
                "found",
                "valid_ids",
                "present",
            ),
            *("available_ids", "active_ids", "valid_videos", "available_videos", "accessible"),
        ),
    )
)
_TRUE: Final = frozenset({"true", "yes", "1", "t", "y"})
_FALSE: Final = frozenset({"false", "no", "0", "f", "n"})
_DEEPEST: Final = 20  # lists and objects in each other


@dataclass
class DeletedIds:
    """What a list says of each post, by id; where one is named twice its last line counts."""

    gone_by_id: dict[str, bool] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)  # what the list itself calls it

    def add(self, video_id: str, gone: bool, word: str) -> None:
        self.gone_by_id[video_id], self.words[video_id] = gone, word

    @property
    def ids(self) -> set[str]:
        """Those that are gone."""
        return {name for name, gone in self.gone_by_id.items() if gone}

    def counts(self) -> dict[str, tuple[int, bool]]:
        """Posts by what the list calls them, and whether that is gone; the most frequent first."""
        counted = Counter((word, self.gone_by_id[name]) for name, word in self.words.items())
        return {word: (n, gone) for (word, gone), n in counted.most_common()}


def read_deleted_ids(uri: str) -> DeletedIds:
    """Read a list. Raises UserError, with the place, for an id that was cut, a status that is not known, and no ids."""
    found = DeletedIds()
    name = plain_address(uri)
    rows = _json_rows(uri, name) if uri.lower().endswith(".json") else _table_rows(open_table(uri))
    for where, cell, about in rows:
        if cell is None or cell == "":
            continue
        try:
            found.add(id_in_cell(cell).video_id, *_fate(about))
        except ValueError as err:
            raise UserError(f"{where}: {err}") from err
    if not found.gone_by_id:
        raise UserError(f"{name}: names no post: expected one id a line, or a column video_id, id or url")
    return found


Row = tuple[str, Any, Mapping[str, Any]]  # where it stands, the cell of its id, and its other cells


def _table_rows(table: InputTable) -> Iterator[Row]:
    columns = table.pick({"video_id": VIDEO_ID})
    plain = table.name.lower().endswith(".txt") and len(table.columns) == 1 and not columns
    if plain or any(_is_id(name) for name in table.columns):  # lines of ids without a name above them
        for name in table.columns:
            yield table.at(table.grid.line), name, {}
        for line, cells in table:
            yield from ((table.at(line), cell, {}) for cell in cells.values())
        return
    if "video_id" not in columns:
        raise UserError(
            f"{table.at(table.grid.line)}: no column video_id; there are {', '.join(table.columns)}"
        )
    for line, cells in table:
        yield table.at(line), cells[columns["video_id"]], cells


def _is_id(text: str) -> bool:
    try:
        post = post_in(id_in_cell(text).video_id)
    except ValueError:
        return True  # a cut one, of which the reader says so
    return post is not None


def _json_rows(uri: str, name: str) -> Iterator[Row]:
    data = read_bytes(uri)
    if data is None:
        raise UserError(f"{name}: no such file")
    try:
        value = json.loads(data.decode("utf-8-sig"), parse_float=str)  # a cut id is told as it stands there
    except (ValueError, RecursionError) as err:
        raise UserError(f"{name}: not JSON ({str(err)[:100]})") from err
    yield from _json_values(value, name, "", 0)


def _json_values(value: Any, where: str, key: str, depth: int) -> Iterator[Row]:
    """Objects with an id and ids by themselves, anywhere; `key`: what the list or object that holds them is called."""
    if depth > _DEEPEST:
        raise UserError(f"{where}: lists and objects in each other, deeper than {_DEEPEST}")
    told = {"status": key} if column_key(key) in _GONE | _THERE else {}
    if isinstance(value, dict):
        spelt = {column_key(name): name for name in value}
        column = next((spelt[k] for k in map(column_key, ("video_id", *VIDEO_ID)) if k in spelt), None)
        if column is not None and not isinstance(value[column], dict | list):
            yield where, value[column], told | value
            return
        for name, inner in value.items():
            if _is_id(name) and not isinstance(inner, dict | list):  # an object of statuses by id
                yield f"{where}: {name}", name, {"status": inner}
            elif isinstance(inner, dict | list):
                yield from _json_values(inner, where, name, depth + 1)
    elif isinstance(value, list):
        for n, inner in enumerate(value, 1):
            place = f"{where}: {key}[{n}]"
            if isinstance(inner, dict | list):
                yield from _json_values(inner, place, key, depth + 1)
            else:
                yield place, inner, told


def _fate(about: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a row says that its post is gone, and in which words. Raises ValueError for words that are not known."""
    cells = {column_key(str(name)): cell for name, cell in about.items()}
    for names, if_true in ((_IF_TRUE, True), (_IF_FALSE, False)):
        for key in map(column_key, names):
            if (word := _word(cells.get(key))) in _TRUE | _FALSE:
                return (word in _TRUE) == if_true, f"{key}: {word}"
    for key in map(column_key, _STATUS):
        if word := _word(cells.get(key)):
            if column_key(word) in _GONE:
                return True, word
            if column_key(word) in _THERE:
                return False, word
            raise ValueError(
                f"{word[:100]!r} is no status that is known; leave only the posts that are gone in the list"
            )
        if key in cells:
            return False, "no status"
    return True, "listed"


def _word(cell: Any) -> str:
    return "" if cell is None else str(cell).strip().lower()
