"""What a language model is asked, as text: the fixed prompt, the post behind it, and the schema of its reply."""

import html
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tikval.codebook import WORD, Codebook
from tikval.rows import PassageSource
from tikval.values import SLUG_OF_COLUMN, SLUGS, STANCE_OF_WORD, Stance

# where a server enforces them: of one quote, and of all of a reply
QUOTE_CHARACTERS: Final = 200
MAX_QUOTES: Final = 15

_COLUMN_WORD: Final = {int(stance): word for word, stance in STANCE_OF_WORD.items()}


def render_prompt(
    codebook: Codebook,
    template: str,
    source: Literal["video", "script"],
    *,
    examples_per_value: int | None = None,
    answer: Literal["json", "figure6"] = "json",
    evidence: str = "",
) -> str:
    """The fixed part of the extraction prompt: the same bytes for every video of a run, so that a server's
    prefix cache holds it. The post comes after it (`render_material`).

    `template` is the text of prompts/extract.txt or of a user's own prompt (jinja2; without any markup it is
    used as it stands). `source` changes the opening line only (appendix A.1). `examples_per_value` bounds the
    examples of each stance: 0 leaves the definitions, None gives all. `answer` "figure6" asks for the fields
    of the paper's Figure 6, which exist for Schwartz's 19 values only. `evidence` is the text of
    prompts/evidence.txt, which asks for quotes, or another template; it stands at the end.
    Raises ValueError for a template that does not render, and for "figure6" with other values.
    """
    if answer == "figure6" and codebook.slugs != SLUGS:
        raise ValueError(f"{codebook.name}: figure6 has fields for Schwartz's 19 values only")
    if examples_per_value is not None and examples_per_value < 0:
        raise ValueError(f"examples_per_value: {examples_per_value} is below 0")
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # plain text, not HTML
    )
    try:
        return env.from_string(template + evidence).render(
            codebook=codebook,
            source=source,
            examples_per_value=examples_per_value,
            answer=answer,
            words=WORD,
            columns=tuple(SLUG_OF_COLUMN),
            column_words=_COLUMN_WORD,
        )
    except TemplateError as err:
        raise ValueError(f"prompt template: {' '.join(str(err).split())}") from err


_TAGS: Final = ("script", "speech", "caption")  # of the blocks of a post
_NOTES: Final = "notes"  # of a first reader; a block of a critic's alone
_CHARACTER: Final = re.compile(
    r"&(?:amp;)*(?:#x?[0-9a-f]+|[a-z]+);?|\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|%[0-9a-f]{2}", re.I
)
_BRACKETS: Final = "<\uff1c\ufe64\u226e\u02c2\u1438\u276e\U000e003c"
_QUOTES: Final = (
    "\u00ab\u300a\u3008\u2329\u27e8\u29fc\u276c\u2991\u226a"  # of ordinary text, unless a slash follows
)
_BRACKET: Final = re.compile(
    rf"[{_BRACKETS}{_QUOTES}]|&(?:amp;)*(?:lt|#0*60(?!\d)|#x0*3c(?![0-9a-f]));?|\\u003c|\\x3c|%3c",
    re.IGNORECASE,
)
_LOOK_ALIKE: Final = {  # of letters, folded; what decomposes to them is not named
    "s": "\u0455\ua731\u0282\u057f\u13da\u13d5\u01bd5$",
    "c": "\u0441\u03c3\u03c2\u1d04\u2ca5\u13df\u0188",
    "r": "\u0433\u1d26\u0280\u027e\u13d2\u2c85\uab47\uab48",
    "i": "\u0456\u0131\u0269\u03b9\u04cf\u026a\u01c0\u13a5\u2c93l1|!",
    "p": "\u0440\u03c1\u1d18\u2ca3\u13e2\u146d",
    "t": "\u0442\u03c4\u1d1b\u2ca7\u13a2\u20207+",
    "e": "\u0435\u0454\u03b5\u04bd\u1d07\u212e\u025b\u2c89\u13ac3",
    "h": "\u04bb\u043d\u03b7\u0570\u029c\u13bb\u0127\u2c8f",
    "a": "\u0430\u03b1\u0251\u1d00\u237a\u13aa\u2c814@",
    "o": "\u043e\u03bf\u03c3\u1d0f\u0585\u2c9f0",
    "n": "\u043f\u0578\u057c\u0274\u03b7\u2c9b",
}


def _tag_of(names: Iterable[str]) -> re.Pattern[str]:
    """What somebody would take for a tag of these names, behind its bracket."""
    letters = (r"\s*".join(f"[{x}{re.escape(_LOOK_ALIKE[x])}]" for x in name) for name in names)
    return re.compile(
        rf"\s*(?P<slash>[/\\\u2044\u2215\u29f8\u2571]\s*)*(?:{'|'.join(letters)})(?(slash)|(?!\w))"
    )


_TAG: Final = _tag_of(_TAGS)
_TAG_OR_NOTES: Final = _tag_of((*_TAGS, _NOTES))
_LETTERS_AHEAD: Final = 40  # of a tag, spaces among them
_ALPHABETS: Final = (
    0x1F150,
    0x1F170,
    0x1F1E6,
)  # white on black, and flags; Unicode takes them for no letters


def _folded(text: str, at: int) -> Iterator[str]:
    """The letters from a place on as somebody sees them, without what nobody sees."""
    while at < len(text):
        escaped = _CHARACTER.match(text, at)
        for letter in _unescaped(escaped[0]) if escaped else text[at]:
            code = ord(letter)
            start = next((start for start in _ALPHABETS if start <= code < start + 26), None)
            letter = chr(97 + code - start) if start else chr(code & 0xFF) if code >> 8 == 0xE00 else letter
            for part in unicodedata.normalize("NFKD", letter).casefold():
                if part.isspace() or unicodedata.category(part)[0] not in "MC":
                    yield part if part not in "()\u115f\u1160\u2800\u3164\uffa0" else " "
        at = escaped.end() if escaped else at + 1


def _unescaped(token: str) -> str:
    if token[0] == "&":
        while (once := html.unescape(token)) != token:
            token = once
        return token
    return chr(int(token.lstrip("\\uUxX%"), 16))


def _delimited(text: str, tag_ahead: re.Pattern[str] = _TAG) -> str:
    """The text with another bracket wherever one would begin a tag of a block, or what looks like it."""

    def bracket(found: re.Match[str]) -> str:
        letters = itertools.takewhile("<".__ne__, _folded(text, found.end()))
        ahead = "".join(itertools.islice(letters, _LETTERS_AHEAD))
        tag = tag_ahead.match(ahead)
        is_tag = tag and (tag["slash"] or found[0] not in _QUOTES)
        return "\u2039" if is_tag else found[0]

    return _BRACKET.sub(bracket, text)


def render_material(script: str | None, caption: str | None, speech: str | None = None) -> str:
    """The post, to stand after the fixed prompt: delimited as data, "" where no text is given.

    `speech` is what a recogniser heard, for a model that takes pictures but no sound.

    A delimiter inside the text, or what a reader would take for one (any case or spacing, invisible, full-width or
    look-alike letters, entities), gets another bracket in place of its <, so that no post can end its own block and
    speak as the prompt. Any other text is as it was.
    """
    blocks = zip(_TAGS, (script, speech, caption), strict=True)
    return "".join(
        f"\n<{tag}>\n{_delimited(text).strip()}\n</{tag}>\n"
        for tag, text in blocks
        if text is not None and (text.strip() or tag == "script")
    )


def render_stances(
    script: str | None, caption: str | None, notes: Sequence[str], stances: Sequence[str]
) -> str:
    """What a critic gets of one post, behind its fixed prompt, delimited as in `render_material`: the post and a first
    reader's notes, a line each; then the stances to check, which are no data but our own words.
    """
    blocks = (
        ("script", script),
        ("caption", caption),
        (_NOTES, "\n".join(" ".join(n.split()) for n in notes)),
    )
    data = "".join(
        f"\n<{tag}>\n{_delimited(text, _TAG_OR_NOTES).strip()}\n</{tag}>\n"
        for tag, text in blocks
        if text is not None and text.strip()
    )
    return f"{data}\nStances to check:\n" + "".join(f"{stance}\n" for stance in stances)


def reply_schema(
    codebook: Codebook, max_notes: int | None = None, quotes_from: Literal["script", "video"] | None = None
) -> dict[str, Any]:
    """JSON schema of a reply to `answer="json"`; each value takes one of the words of WORD.

    `max_notes`: characters of the notes, for servers that enforce it: a small model that is held to a schema may never
    end a string by itself. Quotes, and how many there are, have bounds of their own then. `quotes_from`: what the
    evidence is quoted from, where it was asked for; of a video with its seconds.
    """
    words = [WORD[code] for code in (Stance.ENDORSED, Stance.DOMINANT, Stance.CONFRONTED, Stance.ABSENT)]
    answers = {slug: {"type": "string", "enum": words} for slug in codebook.slugs}
    evidence = (
        {} if quotes_from is None else {"evidence": _passages(codebook, max_notes is not None, quotes_from)}
    )
    notes = _bounded_text(max_notes)
    return _closed({"has_sound": {"type": "boolean"}, "values": _closed(answers), **evidence, "notes": notes})


def verdicts_schema(
    codebook: Codebook, max_why: int | None = None, stances: Sequence[str] | None = None
) -> dict[str, Any]:
    """JSON schema of a critic's reply; the reason comes before the verdict.

    `max_why`: characters of a reason, as `max_notes` of `reply_schema`. `stances`: those of one post, each once and in
    this order; None: the same for every post, and which stances a row has is looked up when the reply is read.
    """
    verdict = {
        "label": {"type": "string", "enum": list(codebook.labels)},
        "why": _bounded_text(max_why),
        "keep": {"type": "boolean"},
    }
    if stances is not None:
        each = [_closed({**verdict, "label": {"const": label}}) for label in stances]
        bounds: dict[str, Any] = {"minItems": len(each), "maxItems": len(each)}
        return _closed({"verdicts": {"type": "array", "prefixItems": each, "items": False, **bounds}})
    bounds = {"minItems": 1} | ({} if max_why is None else {"maxItems": len(codebook.labels)})
    return _closed({"verdicts": {"type": "array", "items": _closed(verdict), **bounds}})


def _passages(codebook: Codebook, bounded: bool, quotes_from: Literal["script", "video"]) -> dict[str, Any]:
    keys = quote_keys(quotes_from)
    seconds = {"type": ["number", "null"]}
    passage = {
        "value": {"type": "string", "enum": list(codebook.slugs)},
        "quote": _bounded_text(QUOTE_CHARACTERS if bounded else None),
        "source": {"type": "string", "enum": quote_sources(quotes_from)},
        **dict.fromkeys(keys[3:], seconds),
    }
    return {"type": "array", "items": _closed(passage)} | ({"maxItems": MAX_QUOTES} if bounded else {})


def quote_keys(quotes_from: Literal["script", "video"]) -> tuple[str, ...]:
    """The fields of a passage in a reply."""
    return ("value", "quote", "source", *(("start_seconds", "end_seconds") if quotes_from == "video" else ()))


def quote_sources(quotes_from: Literal["script", "video"]) -> list[str]:
    """Where a passage may be from: a script shows no pictures."""
    return [
        each.value for each in PassageSource if quotes_from == "video" or each is not PassageSource.PICTURE
    ]


def _bounded_text(characters: int | None) -> dict[str, Any]:
    return {"type": "string"} | ({} if characters is None else {"maxLength": characters})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
