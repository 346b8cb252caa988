"""What a language model replied -> stances. Pure text, and strict: what is not exactly an answer is no answer.

A reply was steered by a stranger's video. It is read as JSON and never run; nothing in it is guessed,
repaired or left out, because a wrong word read as "absent" would be a stance that nobody gave.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, NoReturn

from tikval.codebook import WORD, Codebook
from tikval.privacy import strip_handles
from tikval.prompt_text import quote_keys, quote_sources
from tikval.values import SLUG_OF_COLUMN, SLUGS, STANCE_OF_WORD, Stance, binary, labels_of

MAX_CHARACTERS: Final = 200_000  # of a reply; an answer has a few thousand
MAX_NOTES: Final = 2_000  # characters
MAX_QUOTE: Final = 600  # characters
_MAX_SHOWN: Final = 60  # characters of a wrong word in an error

_CODE_OF_WORD: Final = {word: code for code, word in WORD.items()}
_CODE_OF_COLUMN_WORD: Final = {  # Figure 6 has no word for dominance
    "None": int(Stance.ABSENT),
    **{word: int(s) for word, s in STANCE_OF_WORD.items() if s in (Stance.ENDORSED, Stance.CONFRONTED)},
}
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


class GivenPassage(NamedTuple):
    """What a model gave as evidence of a stance that it gave too: not believed yet."""

    label: str
    quote: str  # one line of at most MAX_QUOTE characters; handles are still in it
    source: str  # a PassageSource
    start: float | None  # seconds, as it gave them; None: it gave none
    end: float | None


@dataclass(frozen=True)
class Answer:
    stances: tuple[int, ...]  # [V] Stance codes in the codebook's order
    has_sound: bool | None  # None: the reply gives null, which only figure6 may
    notes: str | None  # one line of at most MAX_NOTES characters; handles are still in it
    evidence: tuple[GivenPassage, ...] = ()  # in the order of the reply


Format = Literal["json", "figure6"]
QuotesFrom = Literal["script", "video"] | None


def parse_reply(text: str, codebook: Codebook, answer: Format, quotes_from: QuotesFrom = None) -> Answer:
    """Read a reply in the format that `render_prompt(answer=...)` asked for.

    "json" is the object of `reply_schema`. "figure6" is that of the paper's Figure 6: True, False and None may
    be written as Python writes them, and text behind the object is its notes where it has none of its own.
    Either may stand in one ``` or ```json fence. `quotes_from`: evidence was asked for, and is quoted from this.

    Raises BadReply for anything else, and ValueError for "figure6" with other than Schwartz's 19 values.
    """
    if answer == "json":
        return _our_answer(_object(text, figure6=False)[0], codebook, quotes_from)
    if codebook.slugs != SLUGS:
        raise ValueError(f"{codebook.name}: figure6 has fields for Schwartz's 19 values only")
    found, behind = _object(text, figure6=True)
    _has_keys("the object", found, required=(*SLUG_OF_COLUMN, "Has_sound"), optional=("notes",))
    column_of = {slug: column for column, slug in SLUG_OF_COLUMN.items()}
    stances = tuple(
        int(Stance.ABSENT)
        if found[column_of[slug]] is None
        else _code(found, column_of[slug], _CODE_OF_COLUMN_WORD)
        for slug in codebook.slugs
    )
    notes = found.get("notes")
    if not isinstance(notes, str | None):
        raise BadReply(f"notes: {_shown(notes)} is not a text")
    return Answer(
        stances,
        _has_sound(found["Has_sound"]),
        plain_line(notes or "", MAX_NOTES) or plain_line(behind, MAX_NOTES),
    )


def is_answer(text: str, codebook: Codebook, answer: Format, quotes_from: QuotesFrom = None) -> bool:
    """Whether `parse_reply` can read it."""
    try:
        parse_reply(text, codebook, answer, quotes_from)
    except BadReply:
        return False
    return True


def _our_answer(found: dict[str, Any], codebook: Codebook, quotes_from: QuotesFrom) -> Answer:
    asked = ("evidence",) if quotes_from else ()
    _has_keys("the object", found, required=("has_sound", "values", *asked, "notes"))
    if not isinstance(found["has_sound"], bool):
        raise BadReply(f"has_sound: {_shown(found['has_sound'])} is not true or false")
    if not isinstance(found["values"], dict):
        raise BadReply(f"values: {_shown(found['values'])} is not an object")
    if not isinstance(found["notes"], str):
        raise BadReply(f"notes: {_shown(found['notes'])} is not a text")
    _has_keys("values", found["values"], required=codebook.slugs)
    stances = tuple(_code(found["values"], slug, _CODE_OF_WORD) for slug in codebook.slugs)
    evidence = _evidence(found["evidence"], codebook, stances, quotes_from) if quotes_from else ()
    return Answer(stances, found["has_sound"], plain_line(found["notes"], MAX_NOTES), evidence)


def _evidence(
    given: Any, codebook: Codebook, stances: tuple[int, ...], quotes_from: Literal["script", "video"]
) -> tuple[GivenPassage, ...]:
    """The passages of the stances that the reply gives; of an absent value there can be none."""
    if not isinstance(given, list):
        raise BadReply(f"evidence: {_shown(given)} is not an array")
    decided = dict(zip(codebook.labels, binary(stances), strict=True))
    label_of = {
        slug: next((label for label in labels_of([slug]) if decided[label]), None) for slug in codebook.slugs
    }
    found = []
    for n, passage in enumerate(given, 1):
        where = f"evidence {n}"
        if not isinstance(passage, dict):
            raise BadReply(f"{where}: {_shown(passage)} is not an object")
        _has_keys(where, passage, required=quote_keys(quotes_from))
        if not isinstance(passage["quote"], str):
            raise BadReply(f"{where}: quote: {_shown(passage['quote'])} is not a text")
        slug = _one_of(where, passage, "value", codebook.slugs)
        source = _one_of(where, passage, "source", quote_sources(quotes_from))
        start, end = (_seconds(where, passage, key) for key in ("start_seconds", "end_seconds"))
        label, quote = label_of[slug], plain_line(passage["quote"], MAX_QUOTE)
        if quote and len(quote) == MAX_QUOTE:  # cut: half a word would stand nowhere
            quote = quote.rsplit(maxsplit=1)[0]
        if label and quote:
            found.append(GivenPassage(label, quote, source, start, end))
    return tuple(found)


def _one_of(where: str, passage: dict[str, Any], key: str, words: Sequence[str]) -> str:
    word = passage[key]
    if not isinstance(word, str) or word not in words:
        raise BadReply(f"{where}: {key}: {_shown(word)} is not one of the words")
    return word


def _seconds(where: str, passage: dict[str, Any], key: str) -> float | None:
    second = passage.get(key)
    if isinstance(second, bool) or not isinstance(second, int | float | None):
        raise BadReply(f"{where}: {key}: {_shown(second)} is not a number or null")
    return second


def _object(text: str, *, figure6: bool) -> tuple[dict[str, Any], str]:
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
        raise BadReply(f"{_shown(found)} is not an object")
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
            raise BadReply(f"{_shown(key)} is there twice")
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise BadReply(f"{name} is no value of JSON")


# strict=False: a line break inside a string is a common slip in notes, and no stance hangs on it
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once_each, parse_constant=_no_constant, strict=False)


def _has_keys(
    where: str, found: dict[str, Any], required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> None:
    if unknown := [key for key in found if key not in required and key not in optional]:
        raise BadReply(f"{where}: unknown key {_shown(unknown[0])}{_more(unknown)}")
    if missing := [key for key in required if key not in found]:
        raise BadReply(f"{where}: {missing[0]} is missing{_more(missing)}")


def _more(names: list[str]) -> str:
    return f", and {len(names) - 1} more" if len(names) > 1 else ""


def _code(found: dict[str, Any], key: str, code_of_word: dict[str, int]) -> int:
    word = found[key]
    if not isinstance(word, str) or word not in code_of_word:
        raise BadReply(f"{key}: {_shown(word)} is not one of the words")
    return code_of_word[word]


def _has_sound(value: Any) -> bool | None:
    if isinstance(value, str):  # a string that looks like a name of Python
        value = {"True": True, "False": False}.get(value, value)
    if not isinstance(value, bool | None):
        raise BadReply(f"Has_sound: {_shown(value)} is not True or False")
    return value


def plain_line(text: str, most: int) -> str | None:
    """One line of at most so many characters, without marks that turn it around, and without control characters and
    lone surrogates, which no Parquet file takes; None for nothing."""
    kept = (c for c in " ".join(text.split()) if unicodedata.category(c) not in ("Cc", "Cs"))
    return "".join(c for c in kept if c not in _BIDIRECTIONAL)[:most].strip() or None


def _shown(value: Any) -> str:
    """A wrong word for an error: short, printable and without handles; of other types the name only."""
    if not isinstance(value, str):
        named = {type(None): "null", bool: "true or false", dict: "an object", list: "an array"}
        return named.get(type(value), "a number")
    text = strip_handles(value[: 2 * _MAX_SHOWN])
    cut = text[:_MAX_SHOWN] + ("..." if len(text) > _MAX_SHOWN else "")
    return '"' + "".join(c if c.isprintable() else "?" for c in cut) + '"'
