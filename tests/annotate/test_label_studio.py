"""Label Studio's exports in their exact shapes (1.23.2), hostile ones too."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tikval.annotate.tools.label_studio import is_label_studio, read_label_studio
from tikval.cli.commands import app
from tikval.codebook import load_codebook
from tikval.config import UserError

BOOK = load_codebook(Path("prompts/codebook.yaml"))
CSV = (
    '"annotation_id","annotator","caption","created_at","face","hedonism","id","lead_time","updated_at","video",'
    '"video_id"\n1,"1","x","2026-11-27T23:22:46.308339Z","","endorsed",1,12.5,"2026-11-27T23:22:46.308411Z",'
    '"/data/local-files/?d=clips/caramel_cake.mp4","0073"\n"","","y","","","",4,"","","/data/","7"\n'
)
MIN: dict[str, Any] = {
    "video": "/data/local-files/?d=clips/1.mp4",
    "video_id": "0073",
    "caption": "x",
    "id": 1,
    "hedonism": "endorsed",
    "Note": "so",
    "annotator": 1,
    "annotation_id": 1,
    "created_at": "2026-11-28T21:39:00.284129Z",
    "updated_at": "2026-11-28T21:39:00.284155Z",
    "lead_time": 12.5,
}
NOT_DONE = dict.fromkeys(("annotator", "annotation_id", "created_at", "updated_at", "lead_time"))


def choice(question: str, *words: str) -> dict[str, Any]:
    value = {"choices": list(words)}
    return {"id": "r1", "from_name": question, "to_name": "video", "type": "choices", "value": value}


def note(text: str) -> dict[str, Any]:
    return {"from_name": "Note", "to_name": "video", "type": "textarea", "value": {"text": [text]}}


def annotation(
    *result: dict[str, Any], by: Any = 1, at: str = "2026-11-27T23:22:46.308411Z", **more: Any
) -> Any:
    return {
        "id": 1,
        "completed_by": by,
        "result": list(result),
        "was_cancelled": False,
        "updated_at": at,
        "lead_time": 12.5,
        "prediction": {},
    } | more


def task(item: str, *annotations: Any, **data: str) -> dict[str, Any]:
    about = {"video": "/data/local-files/?d=clips/x.mp4", "video_id": item, "caption": "x"}
    return {"id": 1, "annotations": list(annotations), "drafts": [], "predictions": [], "data": about | data}


def export(folder: Path, content: Any, name: str = "ann.json") -> Path:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


def test_the_latest_answer_counts_and_a_skipped_task_has_none(tmp_path: Path) -> None:
    notes: list[str] = []
    tasks = [
        task(
            "1",
            annotation(choice("hedonism", "absent"), at="2026-11-27T23:30:00Z"),
            annotation(choice("hedonism", "endorsed"), choice("face", "not_sure"), at="2026-11-27T23:22:00Z"),
        ),
        task("2", annotation(choice("hedonism", "absent"), was_cancelled=True)),
        task("3", annotation(choice("face", "dominant"), note("so"), prediction={"id": 1, "result": []})),
        task("4"),
        task("5", annotation(choice("face", "absent"))) | {"predictions": [1]},
    ]
    file = export(tmp_path, tasks)
    assert is_label_studio(file)
    assert is_label_studio(tmp_path)
    codings = read_label_studio(file, BOOK, say=notes.append)
    assert [(one.item, one.coder, dict(one.answers), one.note) for one in codings] == [
        ("1", "ann", {"hedonism": "absent"}, ""),
        ("2", "ann", {}, ""),
        ("3", "ann", {"face": "dominant"}, "so"),
        ("5", "ann", {"face": "absent"}, ""),
    ]
    assert (codings[0].coded_at, codings[0].seconds) == ("2026-11-27T23:30:00+00:00", 12.5)
    assert [text.partition(": ")[2] for text in notes] == [
        "1 task skipped: read as not answered",
        "a model's answer stood on 2 tasks: these answers may not be blind",
        "1 answer of a task answered again: the latest one counts",
    ]


def test_json_min_and_csv_say_that_skipped_tasks_are_not_in_them(tmp_path: Path) -> None:
    flat = export(tmp_path, [MIN, {"video_id": "7", "id": 4} | NOT_DONE])
    table = export(tmp_path, CSV, "bob.csv")
    notes: list[str] = []
    [one] = read_label_studio(flat, BOOK, say=notes.append)
    [other] = read_label_studio(table, BOOK, say=notes.append)
    assert (one.item, one.coder, one.answers, one.note) == ("0073", "ann", {"hedonism": "endorsed"}, "so")
    assert (other.item, other.coder, other.answers) == ("0073", "bob", {"hedonism": "endorsed"})
    assert sorted(text.rpartition("; ")[2] for text in notes) == ["export JSON to see them"] * 2
    assert len(read_label_studio(tmp_path, BOOK, say=notes.append)) == 2


def test_our_projects_tasks_say_who_codes_and_in_which_round(tmp_path: Path) -> None:
    about = {"coder": "ann", "codebook": BOOK.mark}
    tasks = [task("1", annotation(choice("face", "absent")), **about, round=of) for of in ("main", "again")]
    codings = read_label_studio(export(tmp_path, tasks, "project-1-at-2026.json"), BOOK)
    assert [(one.coder, one.round, one.codebook) for one in codings] == [
        ("ann", "main", BOOK.mark),
        ("ann", "again", BOOK.mark),
    ]
    tasks[0]["annotations"].append(annotation(choice("face", "endorsed"), by=2))
    with pytest.raises(UserError, match="people 1, 2 answered in ann's project"):
        read_label_studio(export(tmp_path, tasks), BOOK)


def test_accounts_are_named_by_number_or_address(tmp_path: Path) -> None:
    tasks = [
        task("1", annotation(choice("face", "absent")), annotation(by={"id": 2, "email": "b@example.org"})),
    ]
    file = export(tmp_path, tasks)
    names = {"1": "ann", "b@example.org": "bob"}
    assert [one.coder for one in read_label_studio(file, BOOK, names)] == ["ann", "bob"]
    with pytest.raises(UserError, match="nobody tells who annotator 1 is"):
        read_label_studio(file, BOOK)
    with pytest.raises(UserError, match=r"annotator 2 is.*--annotators"):
        read_label_studio(file, BOOK, {"1": "ann"})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([task("1", annotation(choice("face", "maybe")))], "row 1, face: 'maybe' is no answer"),
        ([task("1", annotation(choice("face", "absent", "endorsed")))], "row 1, face: expected one choice"),
        ([task("1", annotation(choice("face", "absent"), choice("face", "absent")))], "two answers to face"),
        ([task("1", annotation(choice("colour", "red")))], "colour; is this another project"),
        ([task("", annotation())], "row 1: its data have no video_id"),
        ([task("1", annotation(), round="third")], "'third' is no round"),
        ([task("1"), {"annotations": 7, "data": {}}], "row 2: annotations are no list"),
        ([task("1", 7)], "row 1: an annotation is no JSON object"),
        ([task("1", annotation(result=None))], "row 1: result is no list"),
        ([task("1"), {"id": 2}], "row 2: no task of Label Studio's"),
        (json.dumps([task("1"), task("2")])[:-5], "behind row 1: not JSON"),
        ([MIN | {"hedonism": {"choices": ["absent", "endorsed"]}}], "row 1, hedonism: expected one choice"),
    ],
)
def test_a_wrong_shape_is_an_error_with_its_place(tmp_path: Path, content: Any, problem: str) -> None:
    file = export(tmp_path, content)
    assert is_label_studio(file)
    with pytest.raises(UserError, match=problem):
        read_label_studio(file, BOOK, say=lambda _: None)


@pytest.mark.parametrize(
    "text", ["video_id,annotator,hedonism\n7,ann,absent\n", "", "\x00", "[7]", "[" * 10**5]
)
def test_other_files_are_no_exports(tmp_path: Path, text: str) -> None:
    for name in ("a.csv", "a.json", "a.html"):
        assert not is_label_studio(export(tmp_path, text, name))
    assert not is_label_studio(tmp_path)


def test_merge_is_told_who_has_which_account(tmp_path: Path) -> None:
    two = [annotation(choice("face", word), by=n) for n, word in ((1, "absent"), (2, "endorsed"))]
    command = [
        "annotate",
        "merge",
        str(export(tmp_path, [task("1", *two)])),
        "--to",
        str(tmp_path / "merged"),
    ]
    done = CliRunner().invoke(app, [*command, "--annotators", "1=ann, 2=bob"])
    assert done.exit_code == 1, done.output  # they disagree
    assert "ann" in (tmp_path / "merged" / "origins.csv").read_text()
    for wrong in ("ann", "1=", "=ann"):
        done = CliRunner().invoke(app, [*command, "--annotators", wrong])
        assert isinstance(done.exception, UserError)
        assert "expected ACCOUNT=CODER" in str(done.exception)
