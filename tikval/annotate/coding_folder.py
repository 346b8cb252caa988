"""A coding folder: all that a round of human coding is made of, kept where a project leader finds it.

    protocol.json    codebook, coders (those who left, too), lists of videos and the rules that they were assigned by
    codebook.yaml    the codebook as it was when the folder was made
    plan.csv         a line an item, coder and round: who codes what, in which sheet and place
    items.jsonl      the material of each item once, files relative to sheets/
    sheets/          what coders get: ann.html, ann.xlsx, and of later lists ann-2.html ...
    returned/        where the tables that coders have saved are put

What is planned is never planned anew: a later list or a coder who leaves adds lines, and sheets of their own.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, cast, get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from tikval.annotate.coding import Round
from tikval.annotate.coding_protocol import CodingProtocol
from tikval.annotate.sheet import SheetItem
from tikval.codebook import Codebook, load_codebook
from tikval.config import UserError, validate
from tikval.files import is_local, parse_json, read_bytes, write_bytes
from tikval.spreadsheet import cell_text, csv_of

PROTOCOL: Final = "protocol.json"
_KNOWN: Final = "annotate.json"  # in a study's folder: where its coding folders lie


class PlanLine(NamedTuple):
    item: str
    coder: str
    round: Round
    place: int  # in its sheet, from 1
    probability: float | None  # that the item was drawn
    stratum: str
    sheet: int = 1  # of the coder's sheets


class CodingFolder:
    def __init__(self, path: Path) -> None:
        """Open a folder. Raises UserError where no protocol lies in it, or one that tikval did not write."""
        self.path = path
        where = path / PROTOCOL
        data = read_bytes(str(where))
        if data is None:
            raise UserError(
                f"{path}: no {PROTOCOL} lies there; tikval annotate sheet LIST --out {path} makes one"
            )
        found = parse_json(data, str(where))
        if not isinstance(found, dict):
            raise UserError(f"{where}: not what tikval wrote there")
        self.protocol = validate(CodingProtocol, found, str(where))

    @classmethod
    def make(cls, path: Path, protocol: CodingProtocol, codebook: Codebook) -> Self:
        """A new folder, with a codebook of its own."""
        book = codebook.model_dump(mode="json", exclude_defaults=True)
        text = yaml.safe_dump(book, allow_unicode=True, sort_keys=False, width=120)
        write_bytes(str(path / "codebook.yaml"), text.encode())
        (path / "returned").mkdir(mode=0o700, exist_ok=True)
        (path / "sheets").mkdir(mode=0o700, exist_ok=True)
        _write_protocol(path, protocol)
        return cls(path)

    @property
    def sheets(self) -> Path:
        return self.path / "sheets"

    @property
    def study(self) -> str | None:
        """The folder of the study that the videos are of, as it lies from here."""
        study = self.protocol.study
        if study is None or not is_local(study):
            return study
        return os.path.normpath(self.path / study)

    def codebook(self) -> Codebook:
        """The codebook of all sheets. Raises UserError where its file is no longer what the sheets were made from."""
        return self._codebook

    @cached_property
    def _codebook(self) -> Codebook:
        where = self.path / "codebook.yaml"
        try:
            book = load_codebook(where)
        except ValueError as err:
            raise UserError(str(err)) from err
        if book.mark != self.protocol.codebook:
            raise UserError(
                f"{where}: is {book.mark}, and the sheets were made from {self.protocol.codebook}; put the old file "
                "back, or make another coding folder with the new one"
            )
        return book

    def plan(self) -> list[PlanLine]:
        """All lines, practice and second times too. Raises UserError with the line for what tikval did not write."""
        where = self.path / "plan.csv"
        data = read_bytes(str(where))
        rows = list(csv.reader(io.StringIO((data or b"").decode("utf-8", "replace"), newline="")))
        if rows and tuple(rows[0]) != PlanLine._fields:
            raise UserError(
                f"{where}: line 1: the columns are {', '.join(PlanLine._fields)}; it is not to be changed"
            )
        lines = []
        for number, row in enumerate(rows[1:], start=2):
            try:
                lines.append(_plan_line(row))
            except ValueError as err:
                raise UserError(
                    f"{where}: line {number}: {err}; the plan is not to be changed by hand"
                ) from err
        return lines

    def items(self) -> dict[str, SheetItem]:
        """The material of the videos that are coded, by item."""
        return {name: item for name, item in self._items.items() if item.round == "main"}

    def practice(self) -> dict[str, SheetItem]:
        """The material of those that coders practise on, with the right answers, by item."""
        return {name: item for name, item in self._items.items() if item.round == "practice"}

    @cached_property
    def _items(self) -> dict[str, SheetItem]:
        where = self.path / "items.jsonl"
        found = {}
        for number, line in enumerate((read_bytes(str(where)) or b"").split(b"\n"), start=1):
            if line:
                try:
                    item = _ITEM.validate_python(parse_json(line, f"{where}: line {number}"))
                except ValidationError as err:
                    raise UserError(f"{where}: line {number}: not what tikval wrote there") from err
                found[item.item] = item
        return found

    def returned(self) -> list[Path]:
        """What was put into returned/, files and folders, by name; hidden ones and a spreadsheet's locks are not."""
        folder = self.path / "returned"
        if not folder.is_dir():
            return []
        return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "~$")))

    def write_protocol(self, protocol: CodingProtocol) -> None:
        _write_protocol(self.path, protocol)
        self.protocol = protocol

    def write_plan(self, lines: Iterable[PlanLine]) -> None:
        rows: list[Sequence[Any]] = [
            PlanLine._fields,
            *(tuple("" if x is None else x for x in one) for one in lines),
        ]
        write_bytes(str(self.path / "plan.csv"), csv_of(rows).encode())

    def write_items(self, items: Iterable[SheetItem]) -> None:
        text = "".join(json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in items)
        write_bytes(str(self.path / "items.jsonl"), text.encode("utf-8", "replace"))
        self.__dict__.pop("_items", None)


_ITEM: Final = TypeAdapter(SheetItem)


def _write_protocol(path: Path, protocol: CodingProtocol) -> None:
    text = json.dumps(protocol.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_bytes(str(path / PROTOCOL), f"{text}\n".encode())


def _plan_line(row: Sequence[str]) -> PlanLine:
    """Raises ValueError for cells that are none of a plan."""
    if len(row) != len(PlanLine._fields):
        raise ValueError(f"{len(row)} cells, not {len(PlanLine._fields)}")
    item, coder, round_, place, probability, stratum, sheet = map(cell_text, row)
    if round_ not in get_args(Round):
        raise ValueError(f"{round_[:40]!r} is no round")
    drawn = float(probability) if probability else None
    return PlanLine(item, coder, cast(Round, round_), int(place), drawn, stratum, int(sheet))


def known_coding_folders(out: str) -> list[Path]:
    """The folders that were made for coders of a study's videos, also those that lie there no longer.

    Coding folders, folders of accounts, and projects for other tools.
    """
    place = f"{out.rstrip('/')}/{_KNOWN}"
    data = read_bytes(place)
    if data is None:
        return []
    found = parse_json(data, place)
    names = found.get("folders") if isinstance(found, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{place}: not what tikval wrote there")
    return [Path(os.path.normpath(Path(out) / name)) if is_local(out) else Path(name) for name in names]


def make_known(out: str, folder: Path) -> None:
    """Let a study know of a folder for coders, so that what is erased from the one is erased from the other."""
    known = known_coding_folders(out)
    if folder.absolute() in (path.absolute() for path in known):
        return
    paths = [*known, folder]
    names = [from_folder(Path(out), path) if is_local(out) else str(path.absolute()) for path in paths]
    write_bytes(f"{out.rstrip('/')}/{_KNOWN}", json.dumps({"folders": names}, indent=2).encode())


def from_folder(folder: Path, path: Path) -> str:
    """A path as it is named in a folder, so that both can be moved together."""
    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()
