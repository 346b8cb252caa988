"""What projects of both tools are made of: texts that no page or template acts on, videos under names of no meaning."""

import os
import secrets
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from tikval.annotate.coding_folder import PlanLine
from tikval.annotate.sheet import SheetItem, SheetQuestion
from tikval.codebook import WORD
from tikval.config import UserError
from tikval.files import write_bytes
from tikval.values import Stance

_PICTURES: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".heic", ".avif")
_SOUNDS: Final = (".mp3", ".m4a", ".aac", ".wav", ".ogg", ".opus", ".flac")
# both tools put texts into scripts of their pages, and a project's into templates; these look alike and do nothing
_NO_MARKUP: Final = str.maketrans("<>", "‹›")  # noqa: RUF001
_NO_VARIABLE: Final = str.maketrans("{}$", "()＄")  # noqa: RUF001


@dataclass
class ToolProject:
    """A project before it is written: its files, and where each video comes from."""

    files: dict[str, str] = field(default_factory=dict)  # by place in the folder
    media: dict[str, str] = field(default_factory=dict)  # place in the folder -> file, relative to sheets/
    secret: set[str] = field(default_factory=set)  # files with passwords
    programs: set[str] = field(default_factory=set)  # files that are started
    left_out: list[str] = field(default_factory=list)  # items without a file


class TaskMedia(NamedTuple):
    """The files of an item by what they are; names as they are in the project."""

    video: str | None
    pictures: tuple[str, ...]
    sound: str | None


def inert_text(text: str) -> str:
    """A post's text that shows itself, whatever is in it: no markup, no control sign."""
    kept = (sign for sign in text if sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cs"))
    return "".join(kept).translate(_NO_MARKUP)


def inert_template(text: str) -> str:
    """A text of the project itself, which is part of a template: no variable either."""
    return inert_text(text).translate(_NO_VARIABLE)


def coded_lines(plan: Sequence[PlanLine], active: Sequence[str]) -> dict[str, list[PlanLine]]:
    """What each active coder codes, in order; without practice, for which neither tool shows right answers.

    Raises UserError where that is nothing.
    """
    found = {}
    for coder in active:
        lines = [line for line in plan if line.coder == coder and line.round != "practice"]
        if lines:
            found[coder] = sorted(lines, key=lambda line: (line.sheet, line.place))
    if not found:
        raise UserError("the plan gives nothing to a coder who has not left")
    return found


class MediaNames:
    """Names of files in a project: random, for Potato gives them to whoever asks, and they name nobody."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.places: dict[str, str] = {}  # file -> place

    def of_item(self, item: SheetItem) -> TaskMedia | None:
        """The names of an item's files; None where it has none."""
        if not item.files:
            return None
        sounds = [file for file in item.files if _suffix(file) in _SOUNDS]
        pictures = [file for file in item.files if _suffix(file) in _PICTURES]
        videos = [file for file in item.files if file not in sounds and file not in pictures]
        first = [self._name(names[0]) if names else None for names in (videos, sounds)]
        return TaskMedia(first[0], () if videos else tuple(map(self._name, pictures)), first[1])

    def _name(self, file: str) -> str:
        if file not in self.places:
            self.places[file] = f"{self.folder}/{secrets.token_hex(12)}{_suffix(file)}"
        return PurePosixPath(self.places[file]).name


def _suffix(file: str) -> str:
    return PurePosixPath(file).suffix.lower()


def passwords_for(names: Sequence[str]) -> dict[str, str]:
    return {name: secrets.token_urlsafe(12) for name in names}


def write_tool_project(project: ToolProject, to: Path, sheets: Path) -> None:
    """Write a project into an empty folder, its videos as links to the same data, else copies.

    Raises UserError where the folder has something in it, or a video is missing.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UserError(
            f"{to}: is there already; give an empty folder, for people may have answered in this one"
        )
    missing = [file for file in project.media.values() if not (sheets / file).is_file()]
    if missing:
        raise UserError(
            f"{sheets / missing[0]}: no such file ({len(missing)} of {len(project.media)} are missing)"
        )
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    for place, text in project.files.items():
        _write_file(to / place, text, secret=place in project.secret, program=place in project.programs)
    for place, file in project.media.items():
        (to / place).parent.mkdir(parents=True, exist_ok=True)
        _link(sheets / file, to / place)


def _write_file(path: Path, text: str, *, secret: bool, program: bool) -> None:
    data = text.encode("utf-8", "replace")
    if not secret:
        write_bytes(str(path), data)
        if program:
            path.chmod(0o755)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(data)


def _link(source: Path, place: Path) -> None:
    try:
        os.link(source.resolve(), place)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, place)


def hint_of(question: SheetQuestion, word: str) -> str:
    """What is shown at an answer: examples, what confronting looks like, and at absent what sets the value apart."""
    about = dict(question.about)
    lines = [about["Confronted"]] if word == WORD[Stance.CONFRONTED] and "Confronted" in about else []
    if word == WORD[Stance.ABSENT]:
        lines = [f"{heading}: {text}" for heading, text in question.about if heading.startswith("Not ")]
    return inert_template(" · ".join([*lines, *dict(question.examples).get(word, ())]))


def lead_of(question: SheetQuestion) -> str:
    """What stands above the answers: the definition and what moves people who hold the value."""
    motivation = dict(question.about).get("Motivation", "")
    return inert_template(f"{question.definition}. {motivation}".replace("..", "."))
