"""What coders sent back -> codings: our sheets' tables and workbooks, Potato, Label Studio, any table of annotations.

What a file is, is told by what stands in it. Answers in several files are one coder's answers: of an item that is there
twice the later answer counts.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tikval.annotate.coding import AFTER, BEFORE, Coding, coder_and_round, value_notes_of
from tikval.annotate.sheets.filled_workbook import is_workbook_sheet, read_workbook_sheet
from tikval.annotate.tools.label_studio import is_label_studio, read_label_studio
from tikval.annotate.tools.potato import is_potato, read_potato
from tikval.codebook import WORD, Codebook
from tikval.config import UserError
from tikval.privacy import canonical_account
from tikval.sources.cells import as_text, date_in, number_in
from tikval.sources.labels import label_lines, value_columns
from tikval.sources.tables import TABLE_SUFFIXES, InputTable, Say, open_table, print_note
from tikval.values import NOT_SURE

_OWN: Final = frozenset({*BEFORE, *AFTER})  # the columns by which a sheet's table is known
_MAX_BYTES: Final = 2**26  # of a file: a thousand videos, each with pages of notes, take a tenth of it

# the last one: of an export of Label Studio that several people answered, its accounts and their coders
Reader = Callable[[Path, Codebook, Say, Mapping[str, str]], Sequence[Coding]]
_READERS: Final[tuple[tuple[Callable[[Path], bool], Reader], ...]] = (
    (is_workbook_sheet, lambda path, codebook, *_: read_workbook_sheet(path, codebook)),
    (is_potato, lambda path, codebook, say, _: read_potato(path, codebook, say)),
    (is_label_studio, lambda path, codebook, say, people: read_label_studio(path, codebook, people, say)),
)


class ReadCoding(NamedTuple):
    coding: Coding
    file: str
    line: int | None = None  # of a table
    account: str | None = None  # of the item, where the table tells it

    @property
    def at(self) -> str:
        return self.file if self.line is None else f"{self.file}: line {self.line}"


def read_codings(path: Path, codebook: Codebook, say: Say = print_note) -> list[Coding]:
    """What one file, or one folder of a tool, has; the coder whom nothing names has the file's name.

    Raises UserError (file, line, column) for what cannot be read, and for a table of another codebook's values. A cell
    that is empty is no answer in a sheet of ours, and absent in a table of annotations.
    """
    return [one.coding for one in _read(path, codebook, say, {})]


def gather_codings(
    paths: Iterable[Path],
    codebook: Codebook,
    say: Say = print_note,
    annotators: Mapping[str, str] | None = None,
) -> tuple[list[Coding], dict[str, str]]:
    """What several files have, each item once by coder and round; and the items' accounts, where a table has them.

    `annotators`: of exports of Label Studio whose accounts nothing else names, account -> coder. Of two answers the
    later one counts, where their times tell which that is, and an answer rather than none. Raises UserError as
    `read_codings` does, and where nothing tells which of two answers counts.
    """
    found: dict[tuple[str, str, str], ReadCoding] = {}
    accounts: dict[str, str] = {}
    replaced: Counter[tuple[str, str, str]] = Counter()
    for one in (one for path in paths for one in _read(path, codebook, say, annotators or {})):
        coding = one.coding
        if one.account:
            accounts[coding.item] = one.account
        key = (coding.item, canonical_account(coding.coder), coding.round)
        before = found.setdefault(key, one)
        if before is one or _same(before.coding, coding):
            continue
        old, new = _in_order(before, one)
        found[key] = new
        if is_begun(old.coding):
            replaced[coding.coder, old.file, new.file] += 1
    for (coder, old_file, new_file), n in replaced.items():
        say(f"{n} items of {coder} are in {old_file} and again in {new_file}: the later answers count")
    return [one.coding for one in found.values()], accounts


def is_begun(coding: Coding) -> bool:
    """Whether the coder answered or noted anything."""
    return bool(coding.answers or coding.note.strip() or coding.value_notes)


def _same(one: Coding, other: Coding) -> bool:
    content = [(dict(coding.answers), coding.note, dict(coding.value_notes)) for coding in (one, other)]
    return content[0] == content[1]


def _in_order(one: ReadCoding, other: ReadCoding) -> tuple[ReadCoding, ReadCoding]:
    """The one that does not count, and the one that does."""
    if is_begun(one.coding) != is_begun(other.coding):
        return (other, one) if is_begun(one.coding) else (one, other)
    times = _time(one.coding.coded_at), _time(other.coding.coded_at)
    if times[0] is None or times[1] is None or times[0] == times[1]:
        raise UserError(
            f"{other.at}: {other.coding.coder} answered {other.coding.item} differently in {one.at}, and nothing "
            "tells which answer is the later one; take one of them out"
        )
    return (one, other) if times[0] < times[1] else (other, one)


def _read(path: Path, codebook: Codebook, say: Say, annotators: Mapping[str, str]) -> list[ReadCoding]:
    if path.is_file() and path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path}: larger than {_MAX_BYTES >> 20} MB; no coder's table is")
    if path.suffix.lower() in (".html", ".htm"):
        raise UserError(
            f"{path}: a sheet has no answers in it; they are in the table that its button Save gives"
        )
    if _is_own(path):
        return list(_own_lines(open_table(str(path)), codebook, say))
    for is_theirs, read in _READERS:
        if is_theirs(path):
            made = [ReadCoding(coding, str(path)) for coding in read(path, codebook, say, annotators)]
            _check_codebooks(made, codebook, say)
            return made
    if path.is_dir():
        raise UserError(f"{path}: a folder that neither Potato nor Label Studio wrote; name the files in it")
    return list(_annotations(open_table(str(path)), path.stem, codebook, say))


def _is_own(path: Path) -> bool:
    if path.is_dir() or not path.name.lower().endswith(TABLE_SUFFIXES):
        return False
    try:
        return set(open_table(str(path)).columns) >= _OWN
    except UserError:
        return False


def _own_lines(table: InputTable, codebook: Codebook, say: Say) -> Iterator[ReadCoding]:
    """The lines of a table that a sheet saved, perhaps saved again by a spreadsheet."""
    questions = [name for name in table.columns if name not in _OWN]
    by_line = dict(table)
    marks = {as_text(cells["codebook"]) for cells in by_line.values()} - {codebook.mark, ""}
    if marks and set(questions) != set(codebook.slugs):
        other = ", ".join(sorted(set(questions) ^ set(codebook.slugs)))
        raise UserError(
            f"{table.name}: was made from the codebook {', '.join(sorted(marks))}, and this one is {codebook.mark}; "
            f"they differ in {other}: its videos need a sheet of this codebook"
        )
    _note_marks(table.name, marks, codebook, say)
    lines = label_lines(
        table, codebook.slugs, codebook.label_set, titles=codebook.titles, say=say, used=sorted(_OWN)
    )
    columns = value_columns(table, codebook.slugs, codebook.titles)
    empty = sum(cells[name] is None for cells in by_line.values() for name in columns.values())
    if empty:
        say(f"{table.name}: {empty} cells of values are empty: taken as not answered, not as absent")
    untimed = 0
    for line, row, _ in lines:
        cells = by_line[line]
        coder, round_ = coder_and_round(row["annotator"])
        coded_at = _time(cells["coded_at"])
        untimed += coded_at is None and cells["coded_at"] is not None
        seconds, place = (number_in(cells[name] or "") for name in ("seconds", "place"))
        coding = Coding(
            row["video_id"],
            coder,
            round_,
            dict(_answers(codebook.slugs, row["stances"], columns, cells, absent=False)),
            as_text(cells["note"]),
            value_notes_of(as_text(cells["value_notes"]), codebook.slugs),
            coded_at,
            seconds,
            None if place is None else int(place),
            as_text(cells["codebook"]) or None,
            row["probability"],
        )
        yield ReadCoding(coding, table.name, line, row["account"])
    if untimed:
        say(f"{table.name}: coded_at cannot be read as a time in {untimed} lines, and is not used there")


def _annotations(table: InputTable, stem: str, codebook: Codebook, say: Say) -> Iterator[ReadCoding]:
    """The lines of any other table of annotations, whose empty cells are absent."""
    lines = label_lines(
        table, codebook.slugs, codebook.label_set, titles=codebook.titles, unnamed=stem, say=say
    )
    columns, by_line = value_columns(table, codebook.slugs, codebook.titles), dict(table)
    for line, row, _ in lines:
        coder, round_ = coder_and_round(row["annotator"])
        answers = dict(_answers(codebook.slugs, row["stances"], columns, by_line[line], absent=True))
        coding = Coding(row["video_id"], coder, round_, answers, probability=row["probability"])
        yield ReadCoding(coding, table.name, line, row["account"])


def _answers(
    slugs: Sequence[str],
    codes: Sequence[int | None],
    columns: Mapping[str, str],
    cells: Mapping[str, Any],
    *,
    absent: bool,
) -> Iterator[tuple[str, str]]:
    """The answers of a line; `absent`: what an empty cell of it is, else no answer."""
    for slug, code in zip(slugs, codes, strict=True):
        cell = cells[columns[slug]] if slug in columns else None
        if code is None:
            if as_text(cell).lower().replace(" ", "_") == NOT_SURE:
                yield slug, NOT_SURE
        elif cell is not None or absent:
            yield slug, WORD[code]


def _time(cell: Any) -> str | None:
    """A time as all are compared; None for what is none."""
    try:
        return None if cell is None else date_in(cell).isoformat()
    except ValueError:
        return None


def _check_codebooks(made: Sequence[ReadCoding], codebook: Codebook, say: Say) -> None:
    for one in made:
        if odd := sorted(set(one.coding.answers) - set(codebook.slugs)):
            raise UserError(
                f"{one.at}: {one.coding.item} has an answer on {odd[0]}, which is no value of {codebook.mark}"
            )
    for file in dict.fromkeys(one.file for one in made):
        marks = {one.coding.codebook for one in made if one.file == file} - {codebook.mark, None}
        _note_marks(file, {mark for mark in marks if mark}, codebook, say)


def _note_marks(file: str, marks: set[str], codebook: Codebook, say: Say) -> None:
    if marks:
        say(
            f"{file}: was made from the codebook {', '.join(sorted(marks))}, and this one is {codebook.mark}; it has "
            "the same values, perhaps in other words"
        )
