"""Labels that were corrected after annotation: who, when and why, a line each, kept for good.

    <study>/corrections.jsonl     the history; the table that was given is what counts, and has the new stance
    merged/corrections.jsonl      of a coding folder, whose table is made anew by each merge: what is to be corrected
                                  in it then

Names of coders stand in it: it is shown on a terminal, and on no page.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from pydantic import TypeAdapter, ValidationError

from tikval.config import UserError
from tikval.files import is_local, parse_json, read_bytes, write_bytes
from tikval.terminal import printable

HISTORY: Final = "corrections.jsonl"
_LONGEST: Final = {"by": 100, "why": 2_000}  # characters


@dataclass(frozen=True)
class Correction:
    at: str  # ISO 8601, UTC
    by: str
    why: str
    video_id: str  # as the catalog has it
    item: str  # as the table has it
    annotator: str
    label_set: str
    value: str
    before: str  # a stance's word, as `after`
    after: str
    file: str  # the table's name
    line: int  # when it was changed
    column: str
    sha256: str  # of the whole table afterwards

    @classmethod
    def from_json(cls, line: bytes, where: str) -> Self:
        """Raises UserError for a line that tikval did not write."""
        try:
            return TypeAdapter(cls).validate_python(parse_json(line, where))
        except ValidationError as err:
            raise UserError(f"{where}: not what tikval wrote there") from err


def reason_in_one_line(name: str, text: str) -> str:
    """What somebody gave as `--by` or `--why`, in one line. Raises UserError for none, and for a book."""
    plain = " ".join(printable(" ".join(text.split())).split())
    if not plain:
        raise UserError(f"--{name}: empty; a correction says who made it, and why")
    if len(plain) > _LONGEST[name]:
        raise UserError(f"--{name}: longer than {_LONGEST[name]:,} characters")
    return plain


def correction_history(out: str) -> list[Correction]:
    """What was corrected in a study, in order; [] where nothing was. Raises UserError with the line for what is odd."""
    return read_corrections(f"{out.rstrip('/')}/{HISTORY}")


def read_corrections(place: str) -> list[Correction]:
    """The same out of one file."""
    lines = (read_bytes(place) or b"").split(b"\n")
    return [
        Correction.from_json(line, f"{place}: line {n}") for n, line in enumerate(lines, 1) if line.strip()
    ]


def add_corrections(place: str, new: Sequence[Correction]) -> None:
    """Write further lines behind those that are there; what a killed command has noted already is not noted twice."""
    known = read_corrections(place)
    told = {_told(one) for one in known[-len(new) :]} if known else set()
    write_corrections(place, [*known, *(one for one in new if _told(one) not in told)])


def write_corrections(place: str, corrections: Sequence[Correction]) -> None:
    lines = (json.dumps(asdict(one), ensure_ascii=False) for one in corrections)
    write_bytes(place, "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))


def _told(one: Correction) -> tuple[str, ...]:
    """What of a correction tells it from another one of the same cell."""
    return (one.by, one.why, one.video_id, one.annotator, one.value, one.before, one.after, one.sha256)


def merged_history(table: str) -> str | None:
    """Where a merge looks for corrections, if the table is one that a merge makes; else None."""
    if not is_local(table):
        return None
    folder = Path(table).absolute().parent
    is_merged = folder.name == "merged" and (folder.parent / "protocol.json").is_file()
    return str(folder / HISTORY) if is_merged else None


def corrected(
    answers: Mapping[tuple[str, str], str], corrections: Iterable[Correction]
) -> tuple[dict[tuple[str, str], str], set[tuple[str, str]]]:
    """Answers of a merged table by item and value with what was corrected in them, and which of them that are.

    A correction of an item that is no longer in the table is left out; of several of one cell the last one counts.
    """
    wanted = {(one.item, one.value): one.after for one in corrections}
    found = {cell: word for cell, word in wanted.items() if cell in answers}
    return {**answers, **found}, set(found)
