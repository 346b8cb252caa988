"""The one JSON object of a model's reply, and its words as far as they may be shown. Pure text, and strict.

A reply was steered by a stranger's video. It is read as JSON and never run; nothing in it is guessed, repaired or left
out.
"""

import json
import re
import unicodedata
from typing import Any, Final, NoReturn

from tikval.privacy import strip_handles

MAX_CHARACTERS: Final = 200_000  # of a reply; an answer has a few thousand
_MAX_SHOWN: Final = 60  # characters of a wrong word in an error

_OPENING_FENCE: Final = re.compile(r"```(?:json)?\s*")
_FENCE_LINE: Final = re.compile(r"^[ \t]*```\w*[ \t]*$", re.MULTILINE)
# The quote at a string's end is optional, else every quote of a hostile reply would be tried up to its end.
_STRING_OR_NAME: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|\b(?:True|False|None)\b', re.DOTALL)
_JSON_OF_NAME: Final = {"True": "true", "False": "false", "None": "null"}  # each as long as its name
_ANOTHER_OBJECT: Final = re.compile(r"""\{\s*["'}]""")
# written from right to left or the like, a note would read otherwise than it is
_BIDIRECTIONAL: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class BadReply(Exception):  # noqa: N818  (a bad reply is an outcome, not a bug)
    """The reply is no answer; the message states in one short line why, and never repeats the reply."""


def one_object(text: str, *, figure6: bool) -> tuple[dict[str, Any], str]:
    """The one JSON object of a reply, and the text behind it, which only figure6 may have."""
    if len(text) > MAX_CHARACTERS:
        raise BadReply(f"{len(text)} characters; an answer has at most {MAX_CHARACTERS}")
    text = text.strip()
    if not text:
        raise BadReply("an empty reply")
    fence = _OPENING_FENCE.match(text)
    text = text[fence.end() :] if fence else text
    readable = _STRING_OR_NAME.sub(_as_json, text) if figure6 else text  # of the same length
    try:
        found, end = _DECODER.raw_decode(readable)
    except json.JSONDecodeError as err:
        raise BadReply(f"not JSON: {err.msg} at character {err.pos} of {len(text)}") from None
    except ValueError:  # an integer of thousands of digits
        raise BadReply("not JSON: a number is too long") from None
    except RecursionError:
        raise BadReply("nested too deeply") from None
    if not isinstance(found, dict):
        raise BadReply(f"{shown_word(found)} is not an object")
    behind = text[end:].strip()
    if fence:
        if not behind.startswith("```"):
            raise BadReply("the fence does not end behind the object")
        behind = behind.removeprefix("```").strip()
    if behind and not figure6:
        raise BadReply("text behind the object")
    if _ANOTHER_OBJECT.search(behind):
        raise BadReply("a second object")
    return found, _FENCE_LINE.sub("", behind)


def _as_json(token: re.Match[str]) -> str:
    return _JSON_OF_NAME.get(token[0], token[0])  # a string keeps its quotes, so it is none of the names


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict[str, Any]()
    for key, value in pairs:
        if key in found:
            raise BadReply(f"{shown_word(key)} is there twice")
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise BadReply(f"{name} is no value of JSON")


# strict=False: a line break inside a string is a common slip in notes, and no stance hangs on it
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once_each, parse_constant=_no_constant, strict=False)


def has_keys(
    where: str, found: dict[str, Any], required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> None:
    if unknown := [key for key in found if key not in required and key not in optional]:
        raise BadReply(f"{where}: unknown key {shown_word(unknown[0])}{_more(unknown)}")
    if missing := [key for key in required if key not in found]:
        raise BadReply(f"{where}: {missing[0]} is missing{_more(missing)}")


def _more(names: list[str]) -> str:
    return f", and {len(names) - 1} more" if len(names) > 1 else ""


def plain_line(text: str, most: int) -> str | None:
    """One line of at most so many characters, without marks that turn it around, and without control characters and
    lone surrogates, which no Parquet file takes; None for nothing."""
    kept = (c for c in " ".join(text.split()) if unicodedata.category(c) not in ("Cc", "Cs"))
    return "".join(c for c in kept if c not in _BIDIRECTIONAL)[:most].strip() or None


def shown_word(value: Any) -> str:
    """A wrong word for an error: short, printable and without handles; of other types the name only."""
    if not isinstance(value, str):
        named = {type(None): "null", bool: "true or false", dict: "an object", list: "an array"}
        return named.get(type(value), "a number")
    text = strip_handles(value[: 2 * _MAX_SHOWN])
    cut = text[:_MAX_SHOWN] + ("..." if len(text) > _MAX_SHOWN else "")
    return '"' + "".join(c if c.isprintable() else "?" for c in cut) + '"'
