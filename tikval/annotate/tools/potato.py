"""What people answered in Potato 2.12: its project folder, or the tables that `potato.export` writes.

A folder is read by each coder's user_state.json and the third's decisions.json. The history of clicks, which has
addresses of machines and browsers, is never opened. A cell that nobody filled is not answered; none becomes absent.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tikval.annotate.coding import Coding, Round
from tikval.annotate.tools.task_answers import (
    NOTE,
    answer_word,
    files_within,
    first_record,
    item_and_round,
    json_records,
    known_questions,
    mapping_of,
    round_of,
)
from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.sources.cells import as_text
from tikval.sources.json_records import read_document
from tikval.sources.tables import Say, open_table, print_note

_STATE: Final = "user_state.json"
_DECISIONS: Final = "decisions.json"
_TASKS: Final = "data/videos.jsonl"
_OUTPUT: Final = "annotation_output"
_ANSWERS: Final = ("instance_id", "user_id")
_DECIDED: Final = ("instance_id", "schema", "value", "adjudicator_id")
_MAX_STATE: Final = 2**26  # bytes of one coder's state: 10,000 videos
_NO_ANSWER: Final = ("", None)


class _Task(NamedTuple):
    item: str
    round: Round
    codebook: str | None


class _Project(NamedTuple):
    tasks: Mapping[str, _Task]  # by their ids; empty where no list of ours is
    codebook: Codebook


def is_potato(path: Path) -> bool:
    """Whether a file or folder is what Potato writes; a file is recognised by what stands in it."""
    if path.is_dir():
        return bool(_states(path) or _decisions(path) or _exports(path))
    if path.suffix in (".csv", ".tsv"):
        try:
            columns = open_table(str(path)).columns
        except UserError:
            return False
        return columns[:2] == _ANSWERS or set(_DECIDED) <= set(columns)
    if path.suffix not in (".json", ".jsonl"):
        return False
    if path.name in (_STATE, _DECISIONS):
        return True
    first = first_record(path)
    return isinstance(first, dict) and {*_ANSWERS, "labels"} <= first.keys()


def read_potato(path: Path, codebook: Codebook, say: Say = print_note) -> list[Coding]:
    """What each coder answered, and what the third decided, in the order of the files.

    `path`: a project folder, a folder of exports, or one of their files. Raises UserError (file, place) for a shape
    that Potato does not write, for an answer that is none of ours, and for two answers to one question.
    """
    project = _Project(_tasks(path) if path.is_dir() else {}, codebook)
    files = [*_states(path), *_decisions(path)] or _exports(path) if path.is_dir() else [path]
    found = [coding for file in files for coding in _read_file(file, project)]
    seen: set[tuple[str, str, str]] = set()
    for coding in found:
        if (key := (coding.item, coding.coder, coding.round)) in seen:
            raise UserError(f"{path}: {coding.coder} answered {coding.item} twice; hand in one file of it")
        seen.add(key)
    if started := sum(not coding.answers for coding in found):
        say(f"{path}: {started} of {len(found)} lines have no answer")
    return found


def _states(path: Path) -> list[Path]:
    return files_within(path, f"{_OUTPUT}/*/{_STATE}", f"*/{_STATE}", _STATE)


def _decisions(path: Path) -> list[Path]:
    return files_within(
        path, f"{_OUTPUT}/adjudication/{_DECISIONS}", f"adjudication/{_DECISIONS}", _DECISIONS
    )


def _exports(path: Path) -> list[Path]:
    """The tables of a folder of exports; of the same answers as CSV and as JSON the CSV."""
    answers = files_within(path, "annotations.csv", "*/annotations.csv")
    answers = answers or files_within(path, "annotations.jsonl", "*/annotations.jsonl")
    return [*answers, *files_within(path, "adjudicated.csv", "*/adjudicated.csv")]


def _tasks(path: Path) -> dict[str, _Task]:
    """The tasks by their ids, where the folder has the list that we wrote."""
    for file in (path / _TASKS, path.parent / _TASKS):
        if file.is_file():
            return dict(_read_tasks(file))
    return {}


def _read_tasks(file: Path) -> Iterator[tuple[str, _Task]]:
    for record in json_records(file):
        where = f"{file}: {record.place}"
        cells = mapping_of(record.cells, where, "a task")
        task, item = as_text(cells.get("id")), as_text(cells.get("video_id"))
        if task and item:
            yield task, _Task(item, round_of(cells.get("round"), where), cells.get("codebook"))


def _read_file(file: Path, project: _Project) -> Iterator[Coding]:
    if file.name == _STATE:
        return _of_state(file, project)
    if file.name == _DECISIONS:
        return _of_decisions(file, project)
    if file.suffix in (".jsonl", ".json"):
        return _of_lines(file, project)
    table = open_table(str(file))
    return _of_decided(file, project) if "schema" in table.columns else _of_csv(file, project)


def _coding(
    where: str, task: str, coder: str, cells: Sequence[tuple[str, str, str]], project: _Project, **about: Any
) -> Coding:
    """One coder's answers to one task; `cells`: (question, answer, where it stands)."""
    if not (task and coder):
        raise UserError(f"{where}: no task, or nobody who answered it; export it again")
    item, round_, mark = project.tasks.get(task, _Task(*item_and_round(task), None))
    answers: dict[str, str] = {}
    notes = [answer for question, answer, _ in cells if question == NOTE]
    for question, answer, place in cells:
        if question in project.codebook.slugs:
            if question in answers:
                raise UserError(f"{place}: two answers to {question}: {answers[question]} and {answer}")
            answers[question] = answer_word(answer, f"{place}, {question}")
    return Coding(item, coder, round_, answers, note=" ".join(notes), codebook=mark, **about)


def _of_state(file: Path, project: _Project) -> Iterator[Coding]:
    """One coder's state: `instance_id_to_label_to_value` has [{schema, name}, value] of each answer."""
    state = mapping_of(read_document(lambda: file.open("rb"), str(file), _MAX_STATE), str(file), "it")
    coder = as_text(state.get("user_id")) or file.parent.name
    labels = mapping_of(
        state.get("instance_id_to_label_to_value", {}), str(file), "instance_id_to_label_to_value"
    )
    order = state.get("instance_id_ordering")
    places = {as_text(task): n for n, task in enumerate(order if isinstance(order, list) else [], start=1)}
    behaviour = state.get("instance_id_to_behavioral_data")
    spent = behaviour if isinstance(behaviour, dict) else {}
    asked: set[str] = set()
    for task, pairs in labels.items():
        where = f"{file}: task {task}"
        cells = [_of_pair(pair, where) for pair in (pairs if isinstance(pairs, list) else [None])]
        asked |= {question for question, _, _ in cells}
        seconds = _seconds(spent.get(task))
        yield _coding(where, task, coder, cells, project, place=places.get(task), seconds=seconds)
    known_questions(asked - {NOTE}, project.codebook, str(file))


def _of_pair(pair: Any, where: str) -> tuple[str, str, str]:
    """An answer as it is kept; of a choice its name, of a note its text."""
    if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], dict)):
        raise UserError(f"{where}: no answer of Potato's ([{{schema, name}}, value]); copy the folder again")
    question = as_text(pair[0].get("schema"))
    return question, as_text(pair[1] if question == NOTE else pair[0].get("name")), where


def _seconds(behaviour: Any) -> float | None:
    spent = behaviour.get("total_time_ms") if isinstance(behaviour, dict) else None
    return spent / 1000 if isinstance(spent, int | float) and spent > 0 else None


def _of_decisions(file: Path, project: _Project) -> Iterator[Coding]:
    """What the third decided; what was agreed is not in it."""
    document = mapping_of(read_document(lambda: file.open("rb"), str(file), _MAX_STATE), str(file), "it")
    decisions = document.get("decisions")
    if not isinstance(decisions, list):
        raise UserError(f"{file}: no list of decisions in it; copy the folder again")
    for n, decision in enumerate(decisions, start=1):
        where = f"{file}: decision {n}"
        cells = mapping_of(decision, where, "a decision")
        decided = mapping_of(cells.get("label_decisions", {}), where, "label_decisions")
        answers = [
            (question, as_text(next(iter(value), "") if isinstance(value, dict | list) else value), where)
            for question, value in decided.items()
            if value not in _NO_ANSWER
        ]
        coder = as_text(cells.get("adjudicator_id"))
        notes = [(NOTE, text, where)] if (text := as_text(cells.get("notes"))) else []
        answers = [cell for cell in answers if cell[0] != NOTE]
        task = as_text(cells.get("instance_id"))
        yield _coding(where, task, coder, [*answers, *notes], project)


def _of_lines(file: Path, project: _Project) -> Iterator[Coding]:
    """annotations.jsonl: one line a coder and task, labels {question: {word: word}}."""
    asked: set[str] = set()
    for record in json_records(file):
        where = f"{file}: {record.place}"
        cells = mapping_of(record.cells, where, "it")
        found = []
        for question, words in mapping_of(cells.get("labels", {}), where, "labels").items():
            for word, value in mapping_of(words, where, question).items():
                if value not in _NO_ANSWER:
                    found.append((question, as_text(value if question == NOTE else word), where))
        asked |= {question for question, _, _ in found}
        task, coder = as_text(cells.get("instance_id")), as_text(cells.get("user_id"))
        yield _coding(where, task, coder, found, project)
    known_questions(asked - {NOTE}, project.codebook, str(file))


def _of_csv(file: Path, project: _Project) -> Iterator[Coding]:
    """annotations.csv: a column for each question and word that occur, whose cell repeats the word or is empty."""
    table = open_table(str(file))
    columns = {name: name.partition(".") for name in table.columns if "." in name}
    known_questions({question for question, _, _ in columns.values()} - {NOTE}, project.codebook, str(file))
    for line, cells in table:
        found = [
            (question, as_text(cells[name]) if question == NOTE else word, table.at(line))
            for name, (question, _, word) in columns.items()
            if cells[name] is not None
        ]
        task, coder = as_text(cells["instance_id"]), as_text(cells["user_id"])
        yield _coding(table.at(line), task, coder, found, project)


def _of_decided(file: Path, project: _Project) -> Iterator[Coding]:
    """adjudicated.csv: a line for each question that the third decided."""
    table = open_table(str(file))
    found: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for line, cells in table:
        by = (as_text(cells["instance_id"]), as_text(cells["adjudicator_id"]))
        decided = (as_text(cells["schema"]), as_text(cells["value"]), table.at(line))
        found.setdefault(by, []).append(decided)
    for (task, coder), answers in found.items():
        asked = [cell for cell in answers if cell[1] and cell[0] != NOTE]
        yield _coding(answers[0][2], task, coder, asked, project)
