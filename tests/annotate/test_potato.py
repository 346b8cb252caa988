"""Potato's files in its exact shapes (2.12.1), hostile ones too."""

import json
from pathlib import Path
from typing import Any

import pytest

from tikval.annotate.coding import Coding
from tikval.annotate.tools.potato import is_potato, read_potato
from tikval.codebook import load_codebook
from tikval.config import UserError

BOOK = load_codebook(Path("prompts/codebook.yaml"))
ANNOTATIONS = """instance_id,user_id,hedonism.absent,face.confronted,hedonism.endorsed,face.absent,hedonism.dominant
gear_lamp,ann,absent,confronted,,,
caramel_cake,ann,,,endorsed,absent,
gear_lamp,bob,absent,confronted,,,
caramel_cake,bob,,,,absent,dominant
"""
ADJUDICATED = """instance_id,schema,value,source,adjudicator_id,confidence,timestamp
caramel_cake,hedonism,endorsed,annotator_ann,eve,high,2026-11-27T23:08:14.529203
caramel_cake,face,absent,annotator_ann,eve,high,2026-11-27T23:08:14.529203
"""
DECISION = {
    "instance_id": "caramel_cake",
    "adjudicator_id": "eve",
    "timestamp": "2026-11-28T21:37:49.900130",
    "label_decisions": {"hedonism": "endorsed"},
    "source": {"hedonism": "annotator_Annotator 2"},
    "confidence": "",
    "notes": "a cake",
    "time_spent_ms": 0,
}


def state(user: str, answers: dict[str, list[tuple[str, str]]], order: tuple[str, ...] = ()) -> str:
    labels = {
        task: [
            [{"schema": schema, "name": "text_box" if schema == "Note" else word}, word]
            for schema, word in pairs
        ]
        for task, pairs in answers.items()
    }
    content: dict[str, Any] = {"user_id": user, "instance_id_ordering": order}
    return json.dumps(content | {"instance_id_to_label_to_value": labels})


def project(folder: Path, states: dict[str, str], decisions: list[dict[str, Any]] | None = None) -> Path:
    for user, text in states.items():
        (folder / "annotation_output" / user).mkdir(parents=True)
        (folder / "annotation_output" / user / "user_state.json").write_text(text)
        (folder / "annotation_output" / user / "annotation_history.jsonl").write_text("not read")
    if decisions is not None:
        (folder / "annotation_output" / "adjudication").mkdir()
        text = json.dumps({"decisions": decisions, "last_updated": "2026"})
        (folder / "annotation_output" / "adjudication" / "decisions.json").write_text(text)
    return folder


def answers_of(codings: list[Coding]) -> dict[tuple[str, str, str], dict[str, str]]:
    return {(one.item, one.coder, one.round): dict(one.answers) for one in codings}


def test_a_project_folder_has_each_coders_answers_and_what_the_third_decided(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    task = {"id": "x1", "video_id": "0073", "round": "again", "codebook": BOOK.mark, "text": "</script>"}
    (tmp_path / "data" / "videos.jsonl").write_text(json.dumps(task) + "\n")
    answered = [("hedonism", "not_sure"), ("Note", 'hm, "so"')]
    states = {
        "ann": state("ann", {"x1": answered, "caramel_cake": [("face", "absent")]}, ("caramel_cake", "x1")),
        "bob": state("bob", {}),
    }
    codings = read_potato(project(tmp_path, states, [DECISION]), BOOK)
    assert is_potato(tmp_path)
    assert is_potato(tmp_path / "annotation_output")
    assert answers_of(codings) == {
        ("0073", "ann", "again"): {"hedonism": "not_sure"},
        ("caramel_cake", "ann", "main"): {"face": "absent"},
        ("caramel_cake", "eve", "main"): {"hedonism": "endorsed"},
    }
    assert [(one.note, one.place, one.codebook) for one in codings] == [
        ('hm, "so"', 2, BOOK.mark),
        ("", 1, None),
        ("a cake", None, None),
    ]


def test_exports_are_read_as_the_folder_is(tmp_path: Path) -> None:
    (tmp_path / "annotations.csv").write_text(ANNOTATIONS)
    (tmp_path / "adjudicated.csv").write_text(ADJUDICATED)
    found = answers_of(read_potato(tmp_path, BOOK))
    assert found == {
        ("gear_lamp", "ann", "main"): {"hedonism": "absent", "face": "confronted"},
        ("caramel_cake", "ann", "main"): {"hedonism": "endorsed", "face": "absent"},
        ("gear_lamp", "bob", "main"): {"hedonism": "absent", "face": "confronted"},
        ("caramel_cake", "bob", "main"): {"hedonism": "dominant", "face": "absent"},
        ("caramel_cake", "eve", "main"): {"hedonism": "endorsed", "face": "absent"},
    }
    lines = [
        {
            "instance_id": item,
            "user_id": coder,
            "labels": {q: {a: a} for q, a in answers.items()},
            "spans": {},
        }
        for (item, coder, _), answers in found.items()
    ]
    table = tmp_path / "annotations.jsonl"
    table.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert is_potato(table)
    assert answers_of(read_potato(table, BOOK)) == found


def test_a_task_again_comes_back_as_such_from_a_table_too(tmp_path: Path) -> None:
    table = tmp_path / "annotations.csv"
    table.write_text(
        "instance_id,user_id,hedonism.absent,Note.text_box\n7__again__1,ann,,so\n7,ann,absent,\n"
    )
    [again, main] = read_potato(table, BOOK)
    assert (again.item, again.round, again.answers, again.note) == ("7", "again", {}, "so")
    assert (main.item, main.round, main.answers) == ("7", "main", {"hedonism": "absent"})


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (
            "annotations.csv",
            "instance_id,user_id,hedonism.absent,hedonism.endorsed\n7,ann,absent,endorsed\n",
            "line 2: two answers to hedonism: absent and endorsed",
        ),
        ("annotations.csv", "instance_id,user_id,hedonism.maybe\n7,ann,maybe\n", "line 2, hedonism: 'maybe'"),
        ("annotations.csv", "instance_id,user_id,colour.red\n7,ann,red\n", "colour; is this another project"),
        ("annotations.csv", "instance_id,user_id,face.absent\n,ann,absent\n", "line 2: no task"),
        (
            "annotations.csv",
            "instance_id,user_id,face.absent\n7,ann,absent\n7,ann,absent\n",
            "answered 7 twice",
        ),
        ("annotations.jsonl", '{"instance_id": "7", "user_id": "a", "labels": [1]}\n', "line 1: labels"),
        (
            "annotations.jsonl",
            '{"instance_id": "7", "user_id": "a", "labels": {}}\n{"x\n',
            "line 2: not JSON",
        ),
        ("user_state.json", "[" * 100_000, "not JSON"),
        ("user_state.json", "[]", "no JSON object"),
        (
            "user_state.json",
            '{"user_id": "a", "instance_id_to_label_to_value": {"7": [["hedonism", 1]]}}',
            "task 7: no answer of Potato's",
        ),
        ("decisions.json", '{"decisions": 7}', "no list of decisions"),
    ],
)
def test_another_shape_is_an_error_with_its_place(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (tmp_path / name).write_text(text)
    assert is_potato(tmp_path / name)
    with pytest.raises(UserError, match=problem):
        read_potato(tmp_path / name, BOOK)


@pytest.mark.parametrize("text", ["video_id,annotator,hedonism\n7,ann,absent\n", "", "\x00\x01", "[1]"])
def test_other_files_are_none_of_potatos(tmp_path: Path, text: str) -> None:
    for name in ("a.csv", "a.json", "a.jsonl", "a.html"):
        (tmp_path / name).write_text(text)
        assert not is_potato(tmp_path / name)
    assert not is_potato(tmp_path)
    assert not is_potato(tmp_path / "nowhere.csv")
