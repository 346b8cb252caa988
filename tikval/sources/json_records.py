"""JSON as it is exported: one object a line, a list, or a document with lists in it; read record by record.

What cannot be read is a record too, without cells and with what is wrong: the next one may be whole.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import IO, Any, Final, Literal, NamedTuple

import ijson

from tikval.config import UserError

MAX_RECORD: Final = (
    2**23
)  # bytes of one object: a thousand times what a post takes, and memory for any nesting of it
MAX_DOCUMENT: Final = 2**26  # bytes of a document that is read as a whole
HEAD: Final = 2**20  # bytes that decide what a file is
_CHUNK: Final = 2**16
# whole numbers below 2^63 are exact so, and longer ones are refused: read otherwise they end ijson 3.6 with the process
READING: Final[dict[str, Any]] = {"buf_size": _CHUNK, "use_float": True}

Open = Callable[[], IO[bytes]]
Form = Literal["lines", "list", "document", "text"]


class SourceRecord(NamedTuple):
    """One object of an export: where it stands, what is in it, and what its list's name tells of each of its posts."""

    place: str  # line 7
    cells: Any
    told: Mapping[str, Any] = {}
    problem: str = ""  # why there are no cells


class BoundedFile:
    """A file of which only so much is read without anything coming out of it."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self.file, self.most, self.silent = file, most, 0

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(_CHUNK if size < 0 else size)
        self.silent += len(data)
        if self.silent > self.most:
            raise ValueError(f"one value is longer than {self.most // 2**20} MB")
        return data


def json_form(head: bytes) -> Form:
    """What the beginning of a file says of the rest."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] == b"[":
        return "list"
    if text[:1] != b"{":
        return "text"
    first, _, rest = text.partition(b"\n")
    if not rest.strip():
        return "document"
    return "lines" if rest.lstrip()[:1] == b"{" or _is_json(first) else "document"


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def json_error(err: Exception) -> str:
    """What is wrong, without what stands there: ijson quotes it in the lines below the first one."""
    text = err.args[0] if err.args and isinstance(err.args[0], str | bytes) else str(err)
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return "not UTF-8" if isinstance(err, UnicodeDecodeError) else text.strip().partition("\n")[0][:100]


def iter_lines(open_: Open) -> Iterator[SourceRecord]:
    """Each line that is not empty; one that is too long is passed over to its end."""
    with open_() as file:
        number = 0
        while line := file.readline(MAX_RECORD):
            number += 1
            place = f"line {number}"
            if len(line) == MAX_RECORD and not line.endswith(b"\n"):
                while (rest := file.readline(MAX_RECORD)) and not rest.endswith(b"\n"):
                    pass
                yield SourceRecord(place, None, problem=f"longer than {MAX_RECORD // 2**20} MB")
            elif text := line.removeprefix(b"\xef\xbb\xbf").strip():
                yield _parsed(text, place)


def _parsed(text: bytes, place: str) -> SourceRecord:
    try:
        return SourceRecord(place, json.loads(text))
    except (ValueError, RecursionError) as err:
        return SourceRecord(place, None, problem=f"not JSON ({json_error(err)})")


def iter_list(
    open_: Open, name: str, prefix: str = "item", told: Mapping[str, Any] | None = None
) -> Iterator[SourceRecord]:
    """The items of a list, by ijson's name of them. Raises UserError where the rest cannot be read."""
    number = 0
    with open_() as file:
        bounded = BoundedFile(file, MAX_RECORD)
        try:
            for number, cells in enumerate(ijson.items(bounded, prefix, **READING), start=1):
                bounded.silent = 0
                yield SourceRecord(f"row {number}", cells, told or {})
        except (ijson.JSONError, ValueError, OverflowError, UnicodeDecodeError, RecursionError) as err:
            raise UserError(
                f"{name}: behind row {number}: not JSON ({json_error(err)}); export it again"
            ) from None


def read_document(open_: Open, name: str) -> Any:
    """A whole JSON document. Raises UserError for one that is none, or that is too large to be held."""
    with open_() as file:
        data = file.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise UserError(
            f"{name}: one JSON value of more than {MAX_DOCUMENT // 2**20} MB; expected one object a line"
        )
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as err:
        raise UserError(f"{name}: not JSON ({json_error(err)}); export it again") from None


def first_list(open_: Open, lists: Collection[str], is_wanted: Callable[[str], bool]) -> str | None:
    """The first of `lists` (dotted names) in a document that holds an object, or its first own key that is wanted.

    None where there is neither, or nothing that can be read. No value is kept on the way.
    """
    items = {f"{name}.item" for name in lists}
    with open_() as file:
        bounded = BoundedFile(file, MAX_RECORD)
        try:
            for prefix, event, value in ijson.parse(bounded, **READING):
                bounded.silent = 0
                if event == "start_map" and prefix in items:
                    return str(prefix).removesuffix(".item")
                if event == "map_key" and not prefix and is_wanted(value):
                    return str(value)
        except (ijson.JSONError, ValueError, OverflowError, UnicodeDecodeError, RecursionError):
            return None
    return None
