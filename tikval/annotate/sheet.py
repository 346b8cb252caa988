"""A sheet: what one coder is asked about which items. sheets/ makes files of it, HTML and a workbook."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Final

from tikval.annotate.coding import Round
from tikval.codebook import WORD, Codebook
from tikval.values import NOT_SURE, Stance

STANCE_WORDS: Final = tuple(
    WORD[code] for code in (Stance.CONFRONTED, Stance.ABSENT, Stance.ENDORSED, Stance.DOMINANT)
)


@dataclass(frozen=True)
class Option:
    word: str  # as the table has it
    title: str
    help: str = ""


@dataclass(frozen=True)
class SheetQuestion:
    """A value of a codebook, or what is asked about an account; NOT_SURE is an answer to each, and no option."""

    slug: str
    title: str
    section: str
    definition: str
    options: tuple[Option, ...]
    about: tuple[
        tuple[str, str], ...
    ] = ()  # (heading, text): what sets it apart, what confronting looks like
    examples: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (option's word, texts)


@dataclass(frozen=True)
class Others:
    """What another one answered, for the third: the name is hidden."""

    name: str  # such as "Coder A"
    answers: dict[str, str]  # by question
    note: str
    value_notes: dict[str, str]


@dataclass(frozen=True)
class Gold:
    """The right answers of a practice item, shown after the coder's own."""

    answers: dict[str, str]
    note: str


@dataclass(frozen=True)
class SheetItem:
    item: str  # a video's id, or an account's shown name
    round: Round
    files: tuple[str, ...]  # relative to the sheet's folder; of a photo post its pictures, then its sound
    caption: str = ""
    script: str = ""
    probability: float | None = None
    gold: Gold | None = None
    others: tuple[Others, ...] = ()
    asked: tuple[str, ...] | None = None  # questions to answer; None: all of them


@dataclass(frozen=True)
class CodingSheet:
    coder: str
    title: str
    codebook: str  # Codebook.mark
    guidelines: tuple[tuple[str, str], ...]  # (heading, text)
    questions: tuple[SheetQuestion, ...]
    items: tuple[SheetItem, ...]  # in the coder's order, practice first
    key: str = "video_id"  # the column of the items: video_id or account

    @property
    def digest(self) -> str:
        """What tells this sheet's saved state from another's: the coder, the questions and the items."""
        asked = [[item.item, item.round] for item in self.items]
        text = json.dumps([self.coder, self.codebook, self.key, asked])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def as_json(self) -> str:
        return json.dumps(asdict(self) | {"digest": self.digest, "not_sure": NOT_SURE}, ensure_ascii=False)


def questions_of(codebook: Codebook) -> tuple[SheetQuestion, ...]:
    """Each value of a codebook under its heading: is it confronted, absent, endorsed, or endorsed and dominant?"""
    titles = codebook.titles
    options = tuple(Option(word, word) for word in STANCE_WORDS)
    return tuple(
        SheetQuestion(
            value.slug,
            value.title,
            section,
            value.definition,
            options,
            (
                ("Motivation", value.motivation),
                *((("Confronted", value.opposed),) if value.opposed else ()),
                *((f"Not {titles[other.slug]}", other.how) for other in value.distinct_from),
            ),
            ((WORD[Stance.ENDORSED], value.endorsing), (WORD[Stance.CONFRONTED], value.confronting)),
        )
        for section, values in codebook.sections.items()
        for value in values
    )
