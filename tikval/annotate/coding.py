"""What one coder answered on one item, as every tool's file is read into it, and the table that a sheet saves.

The table is a table of annotations (sources/labels.py reads it): a line a video and coder, a column a value, cells in
words. A cell says `not_sure` or `not_answered` where there is no stance, since an empty one would read as absent. What
is coded again or for practice has the round behind the coder's name, so that nobody takes it for a first answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from tikval.spreadsheet import csv_of
from tikval.values import NOT_ANSWERED

Round = Literal["main", "again", "practice"]
ROUNDS: Final[tuple[Round, ...]] = ("main", "again", "practice")

BEFORE: Final = ("video_id", "annotator", "probability", "codebook", "place", "coded_at", "seconds")
AFTER: Final = ("note", "value_notes")  # value_notes: a line a value, `slug: text`


@dataclass(frozen=True)
class Coding:
    item: str  # a video's id; in a sheet of accounts the account
    coder: str
    round: Round
    answers: Mapping[
        str, str
    ]  # by question: a stance's word, NOT_SURE, another option; one that is not there: none
    note: str = ""
    value_notes: Mapping[str, str] = field(default_factory=dict)  # by question
    coded_at: str | None = None  # when it was last changed, ISO 8601 in UTC
    seconds: float | None = None  # that the item was open
    place: int | None = None  # in the coder's order, from 1
    codebook: str | None = None  # Codebook.mark
    probability: float | None = None  # that the item was drawn


def annotator_of(coder: str, round_: Round) -> str:
    """The name in the column `annotator`: ann, ann (again), ann (practice)."""
    return coder if round_ == "main" else f"{coder} ({round_})"


def coder_and_round(annotator: str) -> tuple[str, Round]:
    """What `annotator_of` put together."""
    for round_ in ROUNDS[1:]:
        if annotator.endswith(f" ({round_})"):
            return annotator.removesuffix(f" ({round_})"), round_
    return annotator, "main"


def value_notes_text(notes: Mapping[str, str]) -> str:
    return "\n".join(f"{slug}: {' '.join(text.split())}" for slug, text in notes.items() if text.strip())


def value_notes_of(text: str, slugs: Sequence[str]) -> dict[str, str]:
    """What `value_notes_text` wrote; a line that begins with no question is left out."""
    pairs = (line.partition(": ") for line in text.splitlines())
    return {slug: note for slug, mark, note in pairs if mark and slug in slugs and note.strip()}


def coding_csv(codings: Iterable[Coding], slugs: Sequence[str], key: str = BEFORE[0]) -> str:
    """The table that a sheet saves; `key` is the column of its items, as CodingSheet has it."""
    lines: list[list[object]] = [[key, *BEFORE[1:], *slugs, *AFTER]]
    for one in codings:
        about = (one.item, annotator_of(one.coder, one.round), one.probability, one.codebook, one.place)
        cells = [one.answers.get(slug, NOT_ANSWERED) for slug in slugs]
        times = (one.coded_at, one.seconds)
        lines.append(
            [
                *("" if cell is None else cell for cell in (*about, *times)),
                *cells,
                one.note,
                value_notes_text(one.value_notes),
            ]
        )
    return csv_of(lines)
