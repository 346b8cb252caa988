"""The codebook: what each value means, looks like and is labelled, as data (prompts/codebook.yaml).

One file renders the prompts of both extraction paths, the schema of a reply, the label map of the annotation
interface, the sentences of the local extractor and docs/codebook.md. Structure after the paper's Figures 5
and 6. Any other list of values works by another file. Callers resolve paths and read the templates.

    python -m tikval.codebook > docs/codebook.md
"""

import hashlib
import html
import itertools
import re
import sys
import unicodedata
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypedDict, TypeVar

import yaml
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from tikval.config import parse_yaml
from tikval.values import (
    CONFRONTED,
    ENDORSED,
    SECTIONS,
    SLUG_OF_COLUMN,
    SLUGS,
    STANCE_OF_WORD,
    Stance,
    labels_of,
)

# One paragraph: a line break would end a table row of the page or an example of the prompt.
Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(lambda text: " ".join(text.split()))]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Examples = Annotated[tuple[Text, ...], Field(min_length=1)]

WORD: Final = {int(stance): stance.name.lower() for stance in Stance}  # the words of a reply, by stance code
_COLUMN_WORD: Final = {int(stance): word for word, stance in STANCE_OF_WORD.items()}


class CodebookPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


Part = TypeVar("Part", bound=CodebookPart)


class Neighbour(CodebookPart):
    slug: Slug
    how: Text  # what sets the value apart from this one


class CodedValue(CodebookPart):
    slug: Slug
    title: Text
    section: Text | None = None  # the heading that a coder finds it under
    definition: Text
    motivation: Text
    opposed: Text | None = None  # what confronting the value looks like
    distinct_from: tuple[Neighbour, ...] = ()
    endorsing: Examples
    confronting: Examples


class Guideline(CodebookPart):
    title: Text
    text: Text


class Codebook(CodebookPart):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    version: int = Field(ge=1)
    source: Text
    about: Text | None = None  # what these values are, for somebody who has not heard of them
    values: tuple[CodedValue, ...] = Field(min_length=1)
    neutral: tuple[Text, ...] = ()  # sentences that carry no value: a background class
    guidelines: tuple[Guideline, ...] = ()

    @field_validator("values")
    @classmethod
    def _slugs_agree(cls, values: tuple[CodedValue, ...]) -> tuple[CodedValue, ...]:
        slugs = [value.slug for value in values]
        for value in values:
            if slugs.count(value.slug) > 1:
                raise ValueError(f"slug: {value.slug!r} is there twice")
            for other in value.distinct_from:
                if other.slug not in slugs or other.slug == value.slug:
                    raise ValueError(f"distinct_from of {value.slug!r}: {other.slug!r} is no other value")
        return values

    @property
    def slugs(self) -> tuple[str, ...]:
        """The V values in the order of the file."""
        return tuple(value.slug for value in self.values)

    @property
    def titles(self) -> dict[str, str]:
        """The human-readable name of each value, by slug."""
        return {value.slug: value.title for value in self.values}

    @property
    def labels(self) -> tuple[str, ...]:
        """The axis named L: V endorsed labels, then V confronted ones."""
        return labels_of(self.slugs)

    @property
    def label_set(self) -> str:
        """The name that rows give to `labels`."""
        return self.name

    @property
    def mark(self) -> str:
        """Name, version and a digest of all that the file says, such as `schwartz-19 1 4f2a91c0`."""
        return content_mark(self, self.name, self.version)

    @property
    def sections(self) -> dict[str, list[CodedValue]]:
        """The values under their headings, in the order of the file; Schwartz's have theirs, else "Values"."""
        own = {slug: title for title, slugs in SECTIONS.items() for slug in slugs}
        found: dict[str, list[CodedValue]] = {}
        for value in self.values:
            found.setdefault(value.section or own.get(value.slug, "Values"), []).append(value)
        return found


class _Loader(yaml.SafeLoader):
    """The safe loader, but a key given twice is an error: the first list of examples would vanish."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                message = f"{key}: key is there twice"
                raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)
        return super().construct_mapping(node, deep)


def content_mark(content: CodebookPart, name: str, version: int) -> str:
    """Name, version and a digest of all that a file says."""
    text = content.model_dump_json(exclude_defaults=True).encode()
    return f"{name} {version} {hashlib.blake2b(text, digest_size=4).hexdigest()}"


def load_codebook(path: Path) -> Codebook:
    """Read and check a codebook. Raises ValueError in one line, with the file and every wrong key."""
    return load_part(Codebook, path)


def load_part(kind: type[Part], path: Path) -> Part:
    """Read and check a file of what coders are asked. Raises ValueError as `load_codebook` does."""
    try:
        data = parse_yaml(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, ValueError) as err:
        raise ValueError(f"{path}: {' '.join(str(err).split())}") from err
    try:
        return kind.model_validate(data)
    except ValidationError as err:
        wrongs = []
        for wrong in err.errors():
            message = "unknown key" if wrong["type"] == "extra_forbidden" else wrong["msg"]
            wrongs.append(f"{'.'.join(map(str, wrong['loc'])) or 'the file'}: {message}")
        raise ValueError(f"{path}: {'; '.join(wrongs)}") from err


def render_prompt(
    codebook: Codebook,
    template: str,
    source: Literal["video", "script"],
    *,
    examples_per_value: int | None = None,
    answer: Literal["json", "figure6"] = "json",
) -> str:
    """The fixed part of the extraction prompt: the same bytes for every video of a run, so that a server's
    prefix cache holds it. The post comes after it (`render_material`).

    `template` is the text of prompts/extract.txt or of a user's own prompt (jinja2; without any markup it is
    used as it stands). `source` changes the opening line only (appendix A.1). `examples_per_value` bounds the
    examples of each stance: 0 leaves the definitions, None gives all. `answer` "figure6" asks for the fields
    of the paper's Figure 6, which exist for Schwartz's 19 values only.
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
        return env.from_string(template).render(
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
_TAG: Final = re.compile(
    r"\s*(?P<slash>[/\\\u2044\u2215\u29f8\u2571]\s*)*(?:{})(?(slash)|(?!\w))".format(
        "|".join(r"\s*".join(f"[{x}{re.escape(_LOOK_ALIKE[x])}]" for x in tag) for tag in _TAGS)
    )
)
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


def _delimited(text: str) -> str:
    """The text with another bracket wherever one would begin a tag of a block, or what looks like it."""

    def bracket(found: re.Match[str]) -> str:
        letters = itertools.takewhile("<".__ne__, _folded(text, found.end()))
        ahead = "".join(itertools.islice(letters, _LETTERS_AHEAD))
        tag = _TAG.match(ahead)
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


def reply_schema(codebook: Codebook, max_notes: int | None = None) -> dict[str, Any]:
    """JSON schema of a reply to `answer="json"`; each value takes one of the words of WORD.

    `max_notes`: characters of the notes, for servers that enforce it: a small model that is held to a schema may never
    end a string by itself.
    """
    words = [WORD[code] for code in (Stance.ENDORSED, Stance.DOMINANT, Stance.CONFRONTED, Stance.ABSENT)]
    answers = {slug: {"type": "string", "enum": words} for slug in codebook.slugs}
    notes = {"type": "string"} if max_notes is None else {"type": "string", "maxLength": max_notes}
    return _closed({"has_sound": {"type": "boolean"}, "values": _closed(answers), "notes": notes})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


class LabelMeaning(TypedDict):
    value: str  # title, human-readable
    stance: str  # endorsed or confronted
    code: int  # Stance code


def label_map(codebook: Codebook) -> dict[str, LabelMeaning]:
    """What each of the 2V labels means, in the order of `labels`."""
    return {
        label: {"value": value.title, "stance": WORD[stance], "code": int(stance)}
        for label, value, stance in _by_label(codebook)
    }


class Sentences(NamedTuple):
    description: str
    examples: tuple[str, ...]


def sentences(codebook: Codebook) -> dict[str, Sentences]:
    """For each of the 2V labels its examples and a description, for the embedding extractor."""
    out = {}
    for label, value, stance in _by_label(codebook):
        if stance is Stance.ENDORSED:
            out[label] = Sentences(f"{value.definition}. {value.motivation}", value.endorsing)
        else:
            against = value.opposed or f"The opposite of {value.title}: going against {value.definition}."
            out[label] = Sentences(against, value.confronting)
    return out


def _by_label(codebook: Codebook) -> list[tuple[str, CodedValue, Stance]]:
    pairs = [(value, stance) for stance in (Stance.ENDORSED, Stance.CONFRONTED) for value in codebook.values]
    return [(label, value, stance) for label, (value, stance) in zip(codebook.labels, pairs, strict=True)]


SHIPPED_PAGE: Final = "<!-- Written by `python -m tikval.codebook > docs/codebook.md`; do not edit. -->"


def render_page(codebook: Codebook) -> str:
    """The codebook as Markdown, for annotators and for readers of the numbers."""
    title_of = codebook.titles
    lines = [
        f"# Codebook {codebook.name}, version {codebook.version}",
        codebook.source,
        *([codebook.about] if codebook.about else []),
        "## Labels",
        f"For each value a post is `{WORD[2]}` (2), `{WORD[1]}` (1), `{WORD[0]}` (0) or `{WORD[-1]}` (-1).",
        "## Values",
        _table(
            ("value", "slug", "definition"), [(v.title, f"`{v.slug}`", v.definition) for v in codebook.values]
        ),
    ]
    for value in codebook.values:
        lines += [f"### {value.title}", f"*{value.definition}*", value.motivation]
        if value.opposed:
            lines += [f"**Confronted:** {value.opposed}"]
        if value.distinct_from:
            lines += ["Not to be confused with:"]
            lines += ["\n".join(f"- **{title_of[o.slug]}**: {o.how}" for o in value.distinct_from)]
        rows = [(example, f"{ENDORSED} (1 or 2)") for example in value.endorsing]
        rows += [(example, f"{CONFRONTED} (-1)") for example in value.confronting]
        lines += [_table(("example", "label"), rows)]
    if codebook.guidelines:
        lines += ["## Guidelines", *(f"**{rule.title}.** {rule.text}" for rule in codebook.guidelines)]
    if codebook.neutral:
        lines += ["## No value at all", "\n".join(f"- {sentence}" for sentence in codebook.neutral)]
    return "\n\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)


if __name__ == "__main__":
    shipped = Path(__file__).parents[1] / "prompts" / "codebook.yaml"
    sys.stdout.write(f"{SHIPPED_PAGE}\n\n{render_page(load_codebook(shipped))}")
