"""The codebook: what each value means, looks like and is labelled, as data (prompts/codebook.yaml).

One file stands behind the prompts of both extraction paths, the schema of a reply, the label map of the annotation
interface, the sentences of the local extractor and docs/codebook.md. Structure after the paper's Figures 5
and 6. Any other list of values works by another file. Callers resolve paths and read the templates.

    python -m tikval.codebook > docs/codebook.md
"""

import hashlib
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypedDict, TypeVar

import yaml
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
    Stance,
    labels_of,
)

# One paragraph: a line break would end a table row of the page or an example of the prompt.
Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(lambda text: " ".join(text.split()))]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Examples = Annotated[tuple[Text, ...], Field(min_length=1)]

WORD: Final = {int(stance): stance.name.lower() for stance in Stance}  # the words of a reply, by stance code


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
    if not isinstance(data, dict):
        keys = ", ".join(name for name, field in kind.model_fields.items() if field.is_required())
        raise ValueError(f"{path}: the file {'is empty' if data is None else 'has no keys'}; it needs {keys}")
    try:
        return kind.model_validate(data)
    except ValidationError as err:
        wrongs = []
        for wrong in err.errors():
            message = "unknown key" if wrong["type"] == "extra_forbidden" else wrong["msg"]
            wrongs.append(f"{'.'.join(map(str, wrong['loc'])) or 'the file'}: {message}")
        raise ValueError(f"{path}: {'; '.join(wrongs)}") from err


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
