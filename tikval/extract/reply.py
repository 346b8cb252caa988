"""What a language model replied -> stances. Pure text, and strict: what is not exactly an answer is no answer.

A reply was steered by a stranger's video. It is read as JSON and never run; nothing in it is guessed,
repaired or left out, because a wrong word read as "absent" would be a stance that nobody gave.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from tikval.codebook import WORD, Codebook
from tikval.extract.strict_reply import BadReply, has_keys, one_object, plain_line, shown_word
from tikval.prompt_text import quote_keys, quote_sources
from tikval.values import SLUG_OF_COLUMN, SLUGS, STANCE_OF_WORD, Stance, binary, labels_of

MAX_NOTES: Final = 2_000  # characters
MAX_QUOTE: Final = 600  # characters

_CODE_OF_WORD: Final = {word: code for code, word in WORD.items()}
_CODE_OF_COLUMN_WORD: Final = {  # Figure 6 has no word for dominance
    "None": int(Stance.ABSENT),
    **{word: int(s) for word, s in STANCE_OF_WORD.items() if s in (Stance.ENDORSED, Stance.CONFRONTED)},
}


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
        return _our_answer(one_object(text, figure6=False)[0], codebook, quotes_from)
    if codebook.slugs != SLUGS:
        raise ValueError(f"{codebook.name}: figure6 has fields for Schwartz's 19 values only")
    found, behind = one_object(text, figure6=True)
    has_keys("the object", found, required=(*SLUG_OF_COLUMN, "Has_sound"), optional=("notes",))
    column_of = {slug: column for column, slug in SLUG_OF_COLUMN.items()}
    stances = tuple(
        int(Stance.ABSENT)
        if found[column_of[slug]] is None
        else _code(found, column_of[slug], _CODE_OF_COLUMN_WORD)
        for slug in codebook.slugs
    )
    notes = found.get("notes")
    if not isinstance(notes, str | None):
        raise BadReply(f"notes: {shown_word(notes)} is not a text")
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
    has_keys("the object", found, required=("has_sound", "values", *asked, "notes"))
    if not isinstance(found["has_sound"], bool):
        raise BadReply(f"has_sound: {shown_word(found['has_sound'])} is not true or false")
    if not isinstance(found["values"], dict):
        raise BadReply(f"values: {shown_word(found['values'])} is not an object")
    if not isinstance(found["notes"], str):
        raise BadReply(f"notes: {shown_word(found['notes'])} is not a text")
    has_keys("values", found["values"], required=codebook.slugs)
    stances = tuple(_code(found["values"], slug, _CODE_OF_WORD) for slug in codebook.slugs)
    evidence = _evidence(found["evidence"], codebook, stances, quotes_from) if quotes_from else ()
    return Answer(stances, found["has_sound"], plain_line(found["notes"], MAX_NOTES), evidence)


def _evidence(
    given: Any, codebook: Codebook, stances: tuple[int, ...], quotes_from: Literal["script", "video"]
) -> tuple[GivenPassage, ...]:
    """The passages of the stances that the reply gives; of an absent value there can be none."""
    if not isinstance(given, list):
        raise BadReply(f"evidence: {shown_word(given)} is not an array")
    decided = dict(zip(codebook.labels, binary(stances), strict=True))
    label_of = {
        slug: next((label for label in labels_of([slug]) if decided[label]), None) for slug in codebook.slugs
    }
    found = []
    for n, passage in enumerate(given, 1):
        where = f"evidence {n}"
        if not isinstance(passage, dict):
            raise BadReply(f"{where}: {shown_word(passage)} is not an object")
        has_keys(where, passage, required=quote_keys(quotes_from))
        if not isinstance(passage["quote"], str):
            raise BadReply(f"{where}: quote: {shown_word(passage['quote'])} is not a text")
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
        raise BadReply(f"{where}: {key}: {shown_word(word)} is not one of the words")
    return word


def _seconds(where: str, passage: dict[str, Any], key: str) -> float | None:
    second = passage.get(key)
    if isinstance(second, bool) or not isinstance(second, int | float | None):
        raise BadReply(f"{where}: {key}: {shown_word(second)} is not a number or null")
    return second


def _code(found: dict[str, Any], key: str, code_of_word: dict[str, int]) -> int:
    word = found[key]
    if not isinstance(word, str) or word not in code_of_word:
        raise BadReply(f"{key}: {shown_word(word)} is not one of the words")
    return code_of_word[word]


def _has_sound(value: Any) -> bool | None:
    if isinstance(value, str):  # a string that looks like a name of Python
        value = {"True": True, "False": False}.get(value, value)
    if not isinstance(value, bool | None):
        raise BadReply(f"Has_sound: {shown_word(value)} is not True or False")
    return value
