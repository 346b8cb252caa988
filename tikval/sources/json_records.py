"""JSON as it is exported: one object a line, a list, or a document with lists in it; read record by record.

What cannot be read is a record too, without cells and with what is wrong: the next one may be whole.
"""

import codecs
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import IO, Any, Final, Literal, NamedTuple

import ijson
import numpy as np

from tikval.config import UserError

MAX_RECORD: Final = (
    2**23
)  # bytes of one object: a thousand times what a post takes, and memory for any nesting of it
MAX_DOCUMENT: Final = 2**24  # bytes of a document that is read as a whole
HEAD: Final = 2**20  # bytes that decide what a file is
_CHUNK: Final = 2**16
_READ: Final = 2**20  # characters
_BLANK: Final = " \t\r\n"
_DEEPEST: Final = 500  # brackets that open within a chunk
_OUTER: Final = 3  # names on the way to a list of posts
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


def nth_place(place: str, n: int) -> str:
    """Where the n-th of several rows is that stand in one place."""
    return place if n == 1 else f"{place}, {n}"


class BoundedFile:
    """A file for ijson, which refuses what would take much memory or time: long values and deep nesting.

    `silent` is how much was read since something came out: who takes it sets it to 0.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.silent = file, 0

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(_CHUNK if size < 0 else size)
        self.silent += len(data)
        if self.silent > MAX_RECORD:
            raise ValueError(f"one value is longer than {MAX_RECORD // 2**20} MB")
        letters = np.frombuffer(data, np.uint8)
        opened = ((letters == ord("[")) | (letters == ord("{"))).astype(np.int32)
        closed = ((letters == ord("]")) | (letters == ord("}"))).astype(np.int32)
        if data and int(np.cumsum(opened - closed).max()) > _DEEPEST:
            raise ValueError("nested too deeply")
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


def iter_list(open_: Open, name: str) -> Iterator[SourceRecord]:
    """The items of a list that is the whole document. Raises UserError where the rest cannot be read."""
    number = 0
    try:
        for number, cells in enumerate(list_items(open_), start=1):
            yield SourceRecord(f"row {number}", cells)
    except (ValueError, RecursionError) as err:
        problem = f"not JSON ({json_error(err)})"
        raise UserError(f"{name}: behind row {number}: {problem}; export it again") from None


def list_items(open_: Open) -> Iterator[Any]:
    """The items of a list that is the whole document. Raises ValueError, RecursionError."""
    with open_() as file:
        yield from _items(codecs.getreader("utf-8-sig")(file))


def _items(file: codecs.StreamReader) -> Iterator[Any]:
    """The items of a JSON list, as they are read. Raises ValueError, RecursionError."""
    text, at, decoder = "", 0, json.JSONDecoder()

    def skip(marks: str) -> str:
        """The next sign that is none of these, "" at the end; what was read before is let go."""
        nonlocal text, at
        while True:
            while at < len(text) and text[at] in marks:
                at += 1
            if at < len(text) or not (more := file.read(_READ)):
                return text[at : at + 1]
            text, at = more, 0

    if skip(_BLANK) != "[":
        raise ValueError("no list")
    at += 1
    mark = skip(_BLANK)
    while mark != "]":
        while True:
            try:
                item, end = decoder.raw_decode(text, at)
                if end < len(text):  # a number may go on
                    break
                problem: Exception = ValueError("the list has no end")
            except (ValueError, RecursionError) as err:
                problem = err
            more = file.read(max(_READ, len(text) - at)) if len(text) - at <= MAX_RECORD else ""
            if not more:
                raise problem
            text, at = text[at:] + more, 0
        yield item
        at = end
        mark = skip(_BLANK)
        if mark == ",":
            at += 1
            mark = skip(_BLANK)
        elif mark != "]":
            raise ValueError("the list has no end" if not mark else "no comma between two items")
    at += 1
    if skip(_BLANK):
        raise ValueError("something stands behind the list")


def iter_within(open_: Open, name: str, path: str, told: Mapping[str, Any]) -> Iterator[SourceRecord]:
    """The items of a list within a document too large to be held, by its dotted name. Raises UserError as above."""
    number = 0
    with open_() as file:
        bounded = BoundedFile(file)
        try:
            for number, cells in enumerate(ijson.items(bounded, f"{path}.item", **READING), start=1):
                bounded.silent = 0
                yield SourceRecord(f"{path}, row {number}", cells, told)
        except (ijson.JSONError, ValueError, OverflowError) as err:
            raise UserError(
                f"{name}: behind row {number}: not JSON ({json_error(err)}); export it again"
            ) from None


def read_document(open_: Open, name: str, limit: int = MAX_DOCUMENT) -> Any:
    """A whole JSON document. Raises UserError for one that is none, or that is too large (in bytes) to be held."""
    with open_() as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise UserError(
            f"{name}: one JSON value of more than {limit // 2**20} MB; expected one object a line"
        )
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as err:
        raise UserError(f"{name}: not JSON ({json_error(err)}); export it again") from None


def first_list(open_: Open, lists: Collection[str], is_wanted: Callable[[str], bool]) -> str | None:
    """The first of `lists` (dotted names) in a document, or the first of its own keys that is wanted.

    None where there is neither, or nothing that can be read. No value is kept on the way.
    """
    names: list[str] = []
    depth, key = 0, ""
    with open_() as file:
        bounded = BoundedFile(file)
        try:
            for event, value in ijson.basic_parse(bounded, **READING):
                bounded.silent = 0
                if event == "map_key" and depth <= _OUTER:
                    key, names = value, names[: depth - 1]
                    if depth == 1 and is_wanted(key):
                        return str(key)
                elif event in ("start_map", "start_array"):
                    if event == "start_array" and depth <= _OUTER and ".".join([*names, key]) in lists:
                        return ".".join([*names, key])
                    names = [*names, key] if 0 < depth <= _OUTER else names
                    depth += 1
                elif event in ("end_map", "end_array"):
                    depth -= 1
        except (ijson.JSONError, ValueError, OverflowError):
            return None
    return None
