"""The codebook: what each value means, looks like and is labelled, as data (prompts/codebook.yaml).

One file renders the prompts of both extraction paths, the schema of a reply, the label map of the annotation
interface, the sentences of the local extractor and docs/codebook.md. Structure after the paper's Figures 5
and 6. Any other list of values works by another file. Callers resolve paths and read the templates.

    python -m tikval.codebook > docs/codebook.md
"""

import re
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypedDict

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

from tikval.values import CONFRONTED, ENDORSED, SLUG_OF_COLUMN, SLUGS, STANCE_OF_WORD, Stance, labels_of

# One paragraph: a line break would end a table row of the page or an example of the prompt.
Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(lambda text: " ".join(text.split()))]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Examples = Annotated[tuple[Text, ...], Field(min_length=1)]

WORD: Final = {int(stance): stance.name.lower() for stance in Stance}  # the words of a reply, by stance code
_COLUMN_WORD: Final = {int(stance): word for word, stance in STANCE_OF_WORD.items()}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Neighbour(_Part):
    slug: Slug
    how: Text  # what sets the value apart from this one


class CodedValue(_Part):
    slug: Slug
    title: Text
    definition: Text
    motivation: Text
    opposed: Text | None = None  # what confronting the value looks like
    distinct_from: tuple[Neighbour, ...] = ()
    endorsing: Examples
    confronting: Examples


class Guideline(_Part):
    title: Text
    text: Text


class Codebook(_Part):
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
    def labels(self) -> tuple[str, ...]:
        """The axis named L: V endorsed labels, then V confronted ones."""
        return labels_of(self.slugs)

    @property
    def label_set(self) -> str:
        """The name that rows give to `labels`."""
        return self.name


class _Loader(yaml.SafeLoader):
    """The safe loader, but a key given twice is an error: the first list of examples would vanish."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                message = f"{key}: key is there twice"
                raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)
        return super().construct_mapping(node, deep)


def load_codebook(path: Path) -> Codebook:
    """Read and check a codebook. Raises ValueError in one line, with the file and every wrong key."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  (a SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise ValueError(f"{path}: {' '.join(str(err).split())}") from err
    try:
        return Codebook.model_validate(data)
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


_DELIMITER: Final = re.compile(r"<(?=\s*/?\s*(?:script|caption|speech)\b)", re.IGNORECASE)


def render_material(script: str | None, caption: str | None, speech: str | None = None) -> str:
    """The post, to stand after the fixed prompt: delimited as data, "" where no text is given.

    `speech` is what a recogniser heard, for a model that takes pictures but no sound.

    A delimiter inside the text, in any case or spacing, gets another bracket in place of its <, so that no
    post can end its own block and speak as the prompt.
    """
    blocks = [("script", script), ("speech", speech), ("caption", caption)]
    return "".join(
        f"\n<{tag}>\n{_DELIMITER.sub('‹', text).strip()}\n</{tag}>\n"  # noqa: RUF001  (on purpose)
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


def render_page(codebook: Codebook) -> str:
    """The codebook as Markdown, for annotators and for readers of the numbers."""
    title_of = {value.slug: value.title for value in codebook.values}
    lines = [
        "<!-- Written by `python -m tikval.codebook > docs/codebook.md`; do not edit. -->",
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
    sys.stdout.write(render_page(load_codebook(shipped)))
