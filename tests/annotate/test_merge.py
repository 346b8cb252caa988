"""`tikval annotate merge` on a coding folder: what came back odd, the third, what is written and what stays."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
from openpyxl import load_workbook
from typer.testing import CliRunner, Result

from tests.annotate.test_coding_folder import folder_in
from tests.study.test_erasure_and_export import ANN, Made
from tikval.annotate.coding import Coding, coding_csv
from tikval.annotate.coding_folder import CodingFolder, PlanLine
from tikval.annotate.read_codings import gather_codings, read_codings
from tikval.annotate.sheet import Gold, SheetItem, questions_of
from tikval.annotate.sheets.workbook_columns import question_heading
from tikval.cli.commands import app
from tikval.codebook import load_codebook
from tikval.config import UserError
from tikval.sources.labels import read_labels
from tikval.spreadsheet import cell_text
from tikval.values import SLUGS

BOOK = load_codebook(Path("prompts/codebook.yaml"))
IDS = [f"74123456789012345{n:02}" for n in range(61, 65)]
ABSENT = dict.fromkeys(SLUGS, "absent")


def coding(item: str, coder: str, /, note: str = "", when: str | None = None, **answers: str) -> Coding:
    return Coding(item, coder, "main", ABSENT | answers, note, coded_at=when, codebook=BOOK.mark)


def save(path: Path, *codings: Coding) -> Path:
    path.write_text(coding_csv(codings, SLUGS))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> CodingFolder:
    """Two coders of four videos; ann has one of them twice, and both have practised on one."""
    made = folder_in(tmp_path, "ann", "bob")
    lines = [
        PlanLine(item, coder, "main", n, 0.25, "all")
        for coder in ("ann", "bob")
        for n, item in enumerate(IDS, 1)
    ]
    practice = [PlanLine("gold", coder, "practice", 0, None, "") for coder in ("ann", "bob")]
    made.write_plan([*practice, *lines, PlanLine(IDS[0], "ann", "again", 5, 0.25, "all")])
    material = [SheetItem(item, "main", (f"media/{item}.mp4",), f"<b>caption</b> of {item}") for item in IDS]
    made.write_items([SheetItem("gold", "practice", (), gold=Gold(ABSENT, "")), *material])
    return made


def returned(folder: CodingFolder, name: str, *codings: Coding) -> Path:
    return save(folder.path / "returned" / name, *codings)


def merge(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["annotate", "merge", *map(str, arguments)])


def lines_of(folder: CodingFolder, name: str) -> list[dict[str, str]]:
    with (folder.path / "merged" / name).open(newline="") as file:
        return [{name: cell_text(cell) for name, cell in line.items()} for line in csv.DictReader(file)]


def code_all(folder: CodingFolder) -> None:
    """Both code all; they differ on hedonism of the first and are not sure of face of the second."""
    returned(
        folder,
        "ann.csv",
        coding(IDS[0], "ann", hedonism="endorsed", note="fun? ask @jane_doe"),
        coding(IDS[1], "ann", face="not_sure"),
        *(coding(item, "ann") for item in IDS[2:]),
        replace(coding(IDS[0], "ann"), round="again"),
        replace(coding("gold", "ann"), round="practice"),
    )
    returned(
        folder,
        "bob.csv",
        coding(IDS[0], "Bob", hedonism="dominant"),
        *(coding(item, "Bob") for item in IDS[1:]),
        replace(coding("gold", "Bob", face="endorsed"), round="practice"),
    )


# the third


def test_what_two_disagree_on_a_third_decides(folder: CodingFolder) -> None:
    code_all(folder)
    done = merge(folder.path, "--third", "eve")
    assert done.exit_code == 1
    assert "undecided: 2 cells in 2 videos (" in done.output
    assert {
        (line["value"], line["stance"], line["origin"]) for line in lines_of(folder, "disagreements.csv")
    } == {
        ("hedonism", "not_answered", "undecided"),
        ("face", "not_answered", "undecided"),
    }
    assert CodingFolder(folder.path).protocol.third == "eve"
    page = (folder.sheets / "third.html").read_text()
    assert not re.search(r"\bann\b|bob|jane_doe", page, re.IGNORECASE)
    assert "Coder A" in page
    assert "media/" in page
    written = [path.stat().st_mtime_ns for path in sorted(folder.sheets.glob("third.*"))]
    # what the third saves has the cells in dispute alone, and one that is not any more
    eve = [
        Coding(IDS[0], "Eve", "main", {"hedonism": "absent", "tradition": "endorsed"}),
        Coding(IDS[1], "Eve", "main", {"face": "not_sure"}),
    ]
    returned(folder, "eve.csv", *eve)
    done = merge(folder.path)
    assert done.exit_code == 1
    assert "undecided: 1 cell in 1 video (" in done.output
    assert "eve's answers on 1 cells that nobody disputes are not used" in done.output
    assert [path.stat().st_mtime_ns for path in sorted(folder.sheets.glob("third.*"))] == written
    rows = {
        row["video_id"]: dict(zip(SLUGS, row["stances"], strict=True))
        for row in read_labels(str(folder.path / "merged" / "labels.csv"), SLUGS, BOOK.label_set)
    }
    assert (rows[IDS[0]]["hedonism"], rows[IDS[0]]["tradition"]) == (0, 0)
    assert rows[IDS[1]]["face"] is None
    assert rows[IDS[2]]["face"] == 0
    origins = {(line["video_id"], line["value"]): line for line in lines_of(folder, "origins.csv")}
    assert len(origins) == 4 * 19
    assert origins[IDS[0], "hedonism"]["origin"] == "third as neither"
    assert origins[IDS[1], "face"]["stance"] == "not_sure"
    returned(folder, "eve.csv", *eve[:1], Coding(IDS[1], "eve", "main", {"face": "absent"}))
    done = merge(folder.path)
    assert done.exit_code == 0, done.output
    assert {line["origin"] for line in lines_of(folder, "origins.csv") if line["value"] == "face"} <= {
        "agreed",
        "third as A",
        "third as B",
    }


def test_every_coder_s_own_labels_and_agreement_are_kept(folder: CodingFolder) -> None:
    code_all(folder)
    merge(folder.path)
    coders = lines_of(folder, "coders.csv")
    names = ["ann", "ann (again)", "ann (practice)", "bob", "bob (practice)"]
    assert sorted({line["annotator"] for line in coders}) == names
    compared = {
        (line["what"], line["annotators"]): line
        for line in lines_of(folder, "agreement.csv")
        if (line["coding"], line["value"]) == ("dominance", "all")
    }
    assert float(compared["coders", "ann & bob"]["observed"]) == pytest.approx(
        74 / 75
    )  # not sure is no answer
    assert float(compared["main and again", "ann & ann (again)"]["observed"]) == pytest.approx(18 / 19)
    assert float(
        compared["practice and gold", "bob (practice) & the right answers"]["observed"]
    ) == pytest.approx(18 / 19)
    done = CliRunner().invoke(app, ["agreement", str(folder.path / "merged" / "coders.csv")])
    assert done.exit_code == 0, done.output


def test_a_workbook_that_the_third_has_begun_stays(folder: CodingFolder) -> None:
    code_all(folder)
    merge(folder.path)
    filled = folder.sheets / "third.xlsx"
    filled.write_bytes(filled.read_bytes() + b"filled")
    before = filled.read_bytes()
    assert merge(folder.path).output.count("third-2.xlsx") == 0  # nothing else is in dispute
    returned(folder, "bob.csv", *(coding(item, "bob", tradition="endorsed") for item in IDS))
    done = merge(folder.path)
    assert "stays as it is" in done.output
    assert (folder.sheets / "third-2.xlsx").exists()
    assert filled.read_bytes() == before


def test_what_a_coder_has_not_begun_waits(folder: CodingFolder) -> None:
    returned(folder, "ann.csv", *(coding(item, "ann") for item in IDS))
    returned(
        folder,
        "bob.csv",
        coding(IDS[0], "bob", face="endorsed"),
        Coding(IDS[1], "bob", "main", {}),
        Coding(IDS[2], "bob", "main", {}, note="does not play"),
    )
    done = merge(folder.path)
    assert done.exit_code == 1
    assert f"not begun by bob, so not decided: 2 videos ({IDS[1]}, {IDS[3]})" in done.output
    assert len(lines_of(folder, "disagreements.csv")) == 1 + 19
    assert [line["video_id"] for line in lines_of(folder, "labels.csv")] == [IDS[0]]
    merge(folder.path, "--unfinished")
    assert len(lines_of(folder, "disagreements.csv")) == 1 + 3 * 19


def test_intervals_run_over_the_study_s_accounts_and_nobody_is_named(tmp_path: Path) -> None:
    Made(tmp_path)
    made = folder_in(tmp_path, "ann", "bob")
    made.write_protocol(made.protocol.model_copy(update={"study": "../out"}))
    names = ["first-video", "second-video", "third-video"]
    made.write_plan(
        [PlanLine(item, coder, "main", 1, None, "") for item in names for coder in ("ann", "bob")]
    )
    made.write_items([SheetItem(item, "main", ()) for item in names])
    for coder, face in (("ann", "endorsed"), ("bob", "dominant")):
        returned(made, f"{coder}.csv", *(coding(item, coder, face=face, note=f"by @{ANN}") for item in names))
    merge(made.path)
    assert {line["accounts"] for line in lines_of(made, "agreement.csv")} == {"2"}
    texts = [path.read_text() for path in (made.path / "merged").iterdir() if path.name != "coders.csv"]
    assert not [text for text in [*texts, (made.sheets / "third.html").read_text()] if ANN in text]


# files that came back odd


def test_what_the_plan_does_not_know_is_named_and_left_out(folder: CodingFolder) -> None:
    code_all(folder)
    returned(folder, "more.csv", coding("74123456789012399", "ann"), coding(IDS[0], "mallory"))
    plan = [line for line in folder.plan() if (line.item, line.coder) != (IDS[3], "bob")]
    folder.write_plan(plan)
    done = merge(folder.path)
    assert done.exit_code == 1
    assert "not in the plan: 1 video (ann: 74123456789012399)" in done.output
    assert "of nobody who is a coder of the plan or the third: 1 video (mallory:" in done.output
    assert f"not given to this coder in the plan: 1 video (Bob: {IDS[3]})" in done.output
    assert len(lines_of(folder, "labels.csv")) == 4
    only_ann = [line["origin"] for line in lines_of(folder, "origins.csv") if line["video_id"] == IDS[3]]
    assert only_ann == ["one coder only"] * 19


def test_what_a_coder_who_left_had_not_finished_is_no_mistake(folder: CodingFolder) -> None:
    code_all(folder)
    bob, ann = (
        coder.model_copy(update={"left": when})
        for coder, when in zip(
            reversed(folder.protocol.coders), ("2026-11-28T10:00:00+00:00", None), strict=True
        )
    )
    folder.write_protocol(folder.protocol.model_copy(update={"coders": (ann, bob)}))
    folder.write_plan([line for line in folder.plan() if (line.coder, line.round) != ("bob", "main")])
    done = merge(folder.path)
    assert done.exit_code == 1  # ann was not sure of one
    assert "left out" not in done.output
    assert "of coders who have left, 4 videos are not used" in done.output


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("endorsed", "endorsd", r"ann\.csv: line 2, column hedonism: 'endorsd' is not a stance; use"),
        (f"'{IDS[0]}", "7.41235E+18", r"ann\.csv: line 2, column video_id: .* its last digits are gone"),
        ("hedonism", "hedonsm", "no such value; is hedonism meant"),
    ],
)
def test_a_table_that_was_edited_to_rubbish(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = save(tmp_path / "ann.csv", coding(IDS[0], "ann", hedonism="endorsed"))
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        read_codings(file, BOOK)


def test_a_sheet_s_table_comes_back_whole(tmp_path: Path) -> None:
    one = replace(
        coding(IDS[0], "ann", note='=1+"x", he', when="2026-11-28T10:00:00+00:00", face="not_sure"),
        value_notes={"face": "why?"},
        seconds=31.5,
        place=3,
        probability=0.25,
        round="again",
    )
    assert read_codings(save(tmp_path / "x.csv", one), BOOK) == [one]
    emptied = (tmp_path / "x.csv").read_text().replace("absent", "", 1)
    (tmp_path / "x.csv").write_text(emptied)
    notes: list[str] = []
    [read] = read_codings(tmp_path / "x.csv", BOOK, notes.append)
    assert set(ABSENT) - set(read.answers) == {SLUGS[0]}  # emptied by hand: not absent
    assert "1 cells of values are empty: taken as not answered" in " ".join(notes)


def test_answers_in_several_files(tmp_path: Path) -> None:
    early, late = (f"2026-11-28T{hour}:00:00+00:00" for hour in ("09", "10"))
    first = save(tmp_path / "ann.csv", coding(IDS[0], "ann", when=early), coding(IDS[1], "ann", when=early))
    copy = save(tmp_path / "ann (1).csv", coding(IDS[0], "ANN", when=early))
    second = save(
        tmp_path / "ann-2.csv", coding(IDS[0], "Ann", when=late, face="endorsed"), coding(IDS[2], "ann")
    )
    notes: list[str] = []
    for files in ([first, copy, second], [second, copy, first]):
        found, _ = gather_codings(files, BOOK, notes.append)
        assert {one.item: one.answers["face"] for one in found} == {
            IDS[0]: "endorsed",
            IDS[1]: "absent",
            IDS[2]: "absent",
        }
    assert "the later answers count" in notes[0]
    begun = save(tmp_path / "half.csv", Coding(IDS[0], "ann", "main", {}))
    [one], _ = gather_codings([save(first, coding(IDS[0], "ann")), begun], BOOK, notes.append)
    assert one.answers
    third = save(tmp_path / "third.csv", coding(IDS[0], "ann", face="dominant"))
    with pytest.raises(
        UserError, match=r"third\.csv: line 2: ann answered .* differently in .*ann\.csv: line 2"
    ):
        gather_codings([first, third], BOOK)


def test_a_table_of_another_codebook(tmp_path: Path) -> None:
    value = BOOK.values[0].model_copy(update={"motivation": "Another."})
    other = BOOK.model_copy(update={"values": (value, *BOOK.values[1:])})
    notes: list[str] = []
    assert read_codings(save(tmp_path / "a.csv", coding(IDS[0], "ann")), other, notes.append)
    assert "the same values, perhaps in other words" in notes[0]
    fewer = BOOK.model_copy(update={"values": BOOK.values[1:], "version": 2})
    with pytest.raises(UserError, match="they differ in self_direction_thought"):
        read_codings(tmp_path / "a.csv", fewer)


def test_the_third_may_fill_the_workbook(folder: CodingFolder) -> None:
    code_all(folder)
    merge(folder.path)
    book = load_workbook(folder.sheets / "third.xlsx")
    page = book.worksheets[0]
    at = {cell.value: cell.column for cell in page[1]}
    heading = {question.slug: question_heading(question) for question in questions_of(BOOK)}
    for line in range(2, page.max_row + 1):
        value = "hedonism" if IDS[0] in str(page.cell(line, at["video_id"]).value) else "face"
        page.cell(line, at[heading[value]]).value = "endorsed"
    book.save(folder.path / "returned" / "third.xlsx")
    done = merge(folder.path)
    assert done.exit_code == 0, done.output
    decided = {(one["value"], one["stance"]) for one in lines_of(folder, "disagreements.csv")}
    assert decided == {("hedonism", "endorsed"), ("face", "endorsed")}


def test_an_empty_cell_of_any_other_table_is_absent(tmp_path: Path) -> None:
    (tmp_path / "bob.csv").write_text(f"video_id,face,hedonism\n'{IDS[0]},1,\n")
    [one] = read_codings(tmp_path / "bob.csv", BOOK)
    assert (one.coder, one.answers) == ("bob", {"face": "endorsed", "hedonism": "absent"})


# tables from elsewhere


def test_tables_without_a_coding_folder(tmp_path: Path) -> None:
    rows = {
        "ann": "v1,@x,endorsed,absent v2,@y,dominant, v3,@x,endorsed,absent",
        "bob": "v1,@x,endorsed,absent v2,@y,endorsed,",
    }
    files = []
    for coder, lines in rows.items():
        files.append(tmp_path / f"{coder}.csv")
        files[-1].write_text("\n".join(["video_id,account,face,hedonism", *lines.split()]))
    done = merge(*files, "--to", tmp_path / "merged")
    assert (done.exit_code, "one coder only 2" in done.output) == (1, True), done.output
    eve = tmp_path / "eve.csv"
    eve.write_text("video_id,face\nv2,endorsed\n")
    done = merge(*files, eve, "--third", "eve", "--to", tmp_path / "merged")
    assert done.exit_code == 0, done.output
    labels = (tmp_path / "merged" / "labels.csv").read_text().splitlines()
    assert labels[0] == "video_id,account,annotator,probability,hedonism,face"
    assert labels[2] == "v2,y,consolidated,,absent,endorsed" or labels[2].endswith(
        "consolidated,,absent,endorsed"
    )
    assert "is no coding folder; name the one" in str(merge(*files).exception)
    assert "a sheet has no answers in it" in str(
        merge(tmp_path / "ann.html", "--to", tmp_path / "x").exception
    )
