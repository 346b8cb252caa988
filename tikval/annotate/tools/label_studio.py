"""What people answered in Label Studio 1.23: its exports JSON, JSON_MIN and CSV.

JSON is the one to take: a task that somebody skipped is in it, and in the other two it is not. A question without a
result is not answered; none becomes absent.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tikval.annotate.coding import Coding, Round
from tikval.annotate.tools.task_answers import (
    NOTE,
    answer_word,
    files_within,
    first_record,
    json_records,
    known_questions,
    mapping_of,
    round_of,
)
from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.sources.cells import as_text
from tikval.sources.tables import Say, open_table, print_note
from tikval.stats.limits import counted

_FLAT: Final = {"annotation_id", "annotator", "lead_time"}  # of each record of JSON_MIN and CSV
_NAMED_BY_TOOL: Final = "project-"  # its own names of exports, which name no coder
_ABOUT: Final = {
    "id",
    "video",
    "pictures",
    "sound",
    "video_id",
    "round",
    "coder",
    "codebook",
    "caption",
    "script",
}
_ITEM: Final = ("video_id", "item", "item_id")


@dataclass(frozen=True)
class _Answered:
    """One person's answers to one task, of any form of export."""

    where: str
    data: Mapping[str, Any]  # of the task
    person: str  # as the tool numbers people
    answers: Mapping[str, str]
    note: str = ""
    updated_at: str = ""
    seconds: float | None = None
    skipped: bool = False
    saw_model: bool = False  # a model's answer stood on the task
    names: frozenset[str] = field(default_factory=frozenset)  # what people call this one


def is_label_studio(path: Path) -> bool:
    """Whether a file is an export of Label Studio, or a folder has one; what stands in it decides."""
    return bool(_label_studio_exports(path)) if path.is_dir() else _is_export(path)


def _label_studio_exports(folder: Path) -> list[Path]:
    return [file for file in files_within(folder, "*.json", "*.csv") if _is_export(file)]


def _is_export(path: Path) -> bool:
    if path.suffix in (".csv", ".tsv"):
        try:
            return set(open_table(str(path)).columns) >= _FLAT
        except UserError:
            return False
    first = first_record(path) if path.suffix == ".json" else None
    return isinstance(first, dict) and ({"annotations", "data"} <= first.keys() or first.keys() >= _FLAT)


def read_label_studio(
    path: Path, codebook: Codebook, annotators: Mapping[str, str] | None = None, say: Say = print_note
) -> list[Coding]:
    """What each coder answered last on each task, in the order of the export.

    `path`: an export, or a folder of them. Who answered is told by our projects' tasks, else by `annotators` (the
    number or address of an account -> coder), else by the name of a file in which one person answered. What was skipped
    has no answers. Raises UserError (file, place) for another shape, and where nobody tells who answered.
    """
    files = _label_studio_exports(path) if path.is_dir() else [path]
    found: dict[tuple[str, str, Round], tuple[Coding, Path]] = {}
    for file in files:
        for coding in _codings(file, codebook, annotators or {}, say):
            key = (coding.item, coding.coder, coding.round)
            if key in found:
                raise UserError(
                    f"{file}: {coding.coder} answered {coding.item} in {found[key][1].name} too; hand in one of them"
                )
            found[key] = (coding, file)
    return [coding for coding, _ in found.values()]


def _codings(file: Path, codebook: Codebook, annotators: Mapping[str, str], say: Say) -> Iterator[Coding]:
    answered = list(_read_export(file, codebook, say))
    last: dict[tuple[str, Round, str], _Answered] = {}
    for one in answered:
        key = (
            _item(one),
            round_of(one.data.get("round"), one.where),
            _coder(one, answered, annotators, file),
        )
        if key not in last or one.updated_at >= last[key].updated_at:
            last[key] = one
    _tell(file, len(answered), list(last.values()), say)
    for (item, round_, coder), one in last.items():
        yield Coding(
            item,
            coder,
            round_,
            one.answers,
            note=one.note,
            coded_at=_utc(one.updated_at),
            seconds=one.seconds,
            codebook=as_text(one.data.get("codebook")) or None,
        )


def _tell(file: Path, read: int, last: list[_Answered], say: Say) -> None:
    if skipped := sum(one.skipped for one in last):
        say(f"{file}: {counted(skipped, 'task')} skipped: read as not answered")
    if seen := sum(one.saw_model for one in last):
        say(f"{file}: a model's answer stood on {counted(seen, 'task')}: these answers may not be blind")
    if read > len(last):
        say(f"{file}: {counted(read - len(last), 'answer')} of a task answered again: the latest one counts")


def _item(one: _Answered) -> str:
    item = next((text for name in _ITEM if (text := as_text(one.data.get(name)))), "")
    if not item:
        raise UserError(
            f"{one.where}: its data have no video_id; write the project with tikval annotate project"
        )
    return item


def _coder(one: _Answered, answered: Iterable[_Answered], annotators: Mapping[str, str], file: Path) -> str:
    people = {other.person for other in answered}
    if coder := as_text(one.data.get("coder")):
        if len(people) > 1 and not annotators:
            raise UserError(
                f"{file}: people {', '.join(sorted(people))} answered in {coder}'s project; "
                "delete what is not theirs, and export it again"
            )
        return coder
    for name in (one.person, *sorted(one.names)):
        if name in annotators:
            return annotators[name]
    if len(people) > 1 or annotators or file.stem.startswith(_NAMED_BY_TOOL):
        raise UserError(
            f"{file}: nobody tells who annotator {one.person} is; rename the file to its coder (ann.json), "
            "or say it: --annotators 1=ann,2=bob"
        )
    return file.stem


def _utc(text: str) -> str | None:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when.astimezone(UTC).isoformat(timespec="seconds") if when.tzinfo else None


def _read_export(file: Path, codebook: Codebook, say: Say) -> Iterator[_Answered]:
    if file.suffix in (".csv", ".tsv"):
        table = open_table(str(file))
        say(f"{file}: tasks that were skipped are not in a CSV of Label Studio; export JSON to see them")
        for line, cells in table:
            yield from _of_flat(cells, table.at(line), codebook)
        return
    flat = False
    for record in json_records(file):
        where = f"{file}: {record.place}"
        task = mapping_of(record.cells, where, "a task")
        if "annotations" in task:
            yield from _of_task(task, where, codebook)
        elif task.keys() >= _FLAT:
            flat = True
            yield from _of_flat(task, where, codebook)
        else:
            raise UserError(f"{where}: no task of Label Studio's; export the project again, as JSON")
    if flat:
        say(f"{file}: tasks that were skipped are not in JSON_MIN; export JSON to see them")


def _of_task(task: Mapping[str, Any], where: str, codebook: Codebook) -> Iterator[_Answered]:
    """A task of the export JSON with all that people answered to it."""
    data = mapping_of(task.get("data"), where, "data")
    annotations = task["annotations"]
    if not isinstance(annotations, list):
        raise UserError(f"{where}: annotations are no list; export it again")
    for annotation in annotations:
        one = mapping_of(annotation, where, "an annotation")
        person = one.get("completed_by")
        about = person if isinstance(person, dict) else {"id": person}
        names = {as_text(about.get(name)) for name in ("email", "username")} - {""}
        skipped = bool(one.get("was_cancelled"))
        answers, note = ({}, "") if skipped else _results(one.get("result"), where, codebook)
        yield _Answered(
            where,
            data,
            as_text(about.get("id")),
            answers,
            note,
            as_text(one.get("updated_at")),
            _lead_time(one.get("lead_time")),
            skipped,
            # the answer keeps what its project's own model said; what another one said is in the task alone
            bool(one.get("prediction") or task.get("predictions")),
            frozenset(names),
        )


def _results(result: Any, where: str, codebook: Codebook) -> tuple[dict[str, str], str]:
    if not isinstance(result, list):
        raise UserError(f"{where}: result is no list; export it again")
    answers: dict[str, str] = {}
    note = ""
    asked: set[str] = set()
    for part in result:
        cells = mapping_of(part, where, "a result")
        question = as_text(cells.get("from_name"))
        value = mapping_of(cells.get("value"), where, f"the value of {question[:40]!r}")
        if question == NOTE:
            note = _note(value.get("text"))
        elif cells.get("type") == "choices":
            asked.add(question)
            if question in codebook.slugs:
                if question in answers:
                    raise UserError(f"{where}: two answers to {question}")
                answers[question] = _chosen(value.get("choices"), f"{where}, {question}")
    known_questions(asked, codebook, where)
    return answers, note


def _chosen(choices: Any, where: str) -> str:
    if not (isinstance(choices, list) and len(choices) == 1):
        raise UserError(f"{where}: expected one choice; the project must ask for one (single-radio)")
    return answer_word(choices[0], where)


def _note(text: Any) -> str:
    return " ".join(map(as_text, text)) if isinstance(text, list) else as_text(text)


def _lead_time(cell: Any) -> float | None:
    return float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else None


def _of_flat(cells: Mapping[str, Any], where: str, codebook: Codebook) -> Iterator[_Answered]:
    """A record of JSON_MIN or CSV; without an annotation it is a task that nobody did."""
    if cells["annotation_id"] in (None, ""):
        return
    asked = cells.keys() - _ABOUT - _FLAT - {NOTE, "created_at", "updated_at"}
    known_questions(set(asked), codebook, where)
    answers: dict[str, str] = {}
    for question in codebook.slugs:
        if (cell := cells.get(question)) in (None, ""):
            continue
        if isinstance(cell, dict | list):
            choices = cell.get("choices") if isinstance(cell, dict) else cell
            answers[question] = _chosen(choices, f"{where}, {question}")
        else:
            answers[question] = answer_word(cell, f"{where}, {question}")
    yield _Answered(
        where,
        cells,
        as_text(cells["annotator"]),
        answers,
        _note(cells.get(NOTE)),
        as_text(cells.get("updated_at")),
        _lead_time(_number(cells.get("lead_time"))),
    )


def _number(cell: Any) -> Any:
    try:
        return float(cell) if isinstance(cell, str) else cell
    except ValueError:
        return None
