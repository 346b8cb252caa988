"""What the files of both tools have in common: the words of an answer, the note, and the name of a task."""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast

from tikval.annotate.coding import ROUNDS, Round
from tikval.annotate.sheet import STANCE_WORDS
from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.sources.cells import as_text
from tikval.sources.json_records import HEAD, SourceRecord, iter_lines, iter_list, json_form
from tikval.values import NOT_SURE

ANSWER_WORDS: Final = (*STANCE_WORDS, NOT_SURE)
NOTE: Final = "Note"  # the field of a coder's note; no value's slug has a capital letter
_TASK: Final = re.compile(r"(?P<item>.+)__(?P<round>again|practice)__\d+", re.DOTALL)


def task_name(item: str, round_: Round, coder: int) -> str:
    """The id of a task in a tool that has one for all coders; `coder` is a number."""
    return item if round_ == "main" else f"{item}__{round_}__{coder}"


def item_and_round(task: str) -> tuple[str, Round]:
    """What `task_name` put together."""
    found = _TASK.fullmatch(task)
    return (found["item"], cast(Round, found["round"])) if found else (task, "main")


def round_of(cell: Any, where: str) -> Round:
    """The round that a task's own data names; without one it is the first answer. Raises UserError."""
    text = as_text(cell) or "main"
    for round_ in ROUNDS:
        if text == round_:
            return round_
    raise UserError(f"{where}: {text[:40]!r} is no round; known are {', '.join(ROUNDS)}")


def answer_word(cell: Any, where: str) -> str:
    """The answer that a cell is. Raises UserError for one that is none of ours."""
    word = as_text(cell).strip().lower().replace(" ", "_")
    if word not in ANSWER_WORDS:
        raise UserError(f"{where}: {as_text(cell)[:40]!r} is no answer; known are {', '.join(ANSWER_WORDS)}")
    return word


def mapping_of(value: Any, where: str, what: str) -> Mapping[str, Any]:
    """A value that must be a JSON object. Raises UserError for another one."""
    if not isinstance(value, dict):
        raise UserError(f"{where}: {what} is no JSON object; export it again")
    return value


def known_questions(names: set[str], codebook: Codebook, where: str) -> None:
    """Raises UserError where answers are there, and none is to a value of the codebook."""
    if names and not names & set(codebook.slugs):
        raise UserError(
            f"{where}: no value of the codebook {codebook.name} is asked there, but "
            f"{', '.join(sorted(names)[:3])}; is this another project?"
        )


def first_record(path: Path) -> Any:
    """The first object of a file of JSON lines or of a JSON list; None where there is none."""
    try:
        with path.open("rb") as file:
            form = json_form(file.read(HEAD))
        if form == "text":
            return None
        return next((one.cells for one in json_records(path)), None)
    except (OSError, UserError):
        return None


def json_records(path: Path) -> Iterator[SourceRecord]:
    """The objects of a JSON list, or of JSON lines. Raises UserError for a line that cannot be read."""
    with path.open("rb") as file:
        form = json_form(file.read(HEAD))
    if form == "list":
        yield from iter_list(lambda: path.open("rb"), str(path))
        return
    for one in iter_lines(lambda: path.open("rb")):
        if one.problem:
            raise UserError(f"{path}: {one.place}: {one.problem}; export it again")
        yield one


def files_within(path: Path, *patterns: str) -> list[Path]:
    """The files of a folder that match, in order."""
    return sorted(set(chain.from_iterable(path.glob(pattern) for pattern in patterns)))
