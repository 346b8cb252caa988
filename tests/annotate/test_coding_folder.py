"""The coding folder: what is written comes back, what tikval did not write is refused, names are file names."""

from pathlib import Path

import pytest

from tikval.annotate.coding_folder import CodingFolder, PlanLine, known_coding_folders, make_known
from tikval.annotate.coding_protocol import CodingBatch, CodingProtocol, check_coder_names, coder_since
from tikval.annotate.sheet import Gold, SheetItem
from tikval.codebook import load_codebook
from tikval.config import AnnotateConfig, UserError, load_config

BOOK = load_codebook(Path("prompts/codebook.yaml"))


def folder_in(tmp_path: Path, *coders: str) -> CodingFolder:
    batch = CodingBatch(
        list="coders.csv", added_at="2026-01-01T00:00:00+00:00", videos=2, rules=AnnotateConfig()
    )
    protocol = CodingProtocol(
        codebook=BOOK.mark,
        coders=tuple(map(coder_since, coders)),
        third="third",
        study="../study",
        batches=(batch,),
    )
    return CodingFolder.make(tmp_path / "coding", protocol, BOOK)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    folder = folder_in(tmp_path, "ann", "bob")
    lines = [
        PlanLine("7412345678901234567", "ann", "main", 2, 0.1, "=beauty", 1),
        PlanLine("00123", "bob", "again", 1, None, "", 2),
    ]
    items = [
        SheetItem("7412345678901234567", "main", ("media/a.mp4",), "a \u2028 caption\n", probability=1 / 3),
        SheetItem("gold", "practice", (), gold=Gold({"hedonism": "endorsed"}, "see there")),
    ]
    folder.write_plan(lines)
    folder.write_items(items)
    (folder.path / "returned" / "ann.csv").touch()
    (folder.path / "returned" / "~$ann.xlsx").touch()
    again = CodingFolder(folder.path)
    assert again.plan() == lines
    assert (again.items(), again.practice()) == ({items[0].item: items[0]}, {"gold": items[1]})
    assert [path.name for path in again.returned()] == ["ann.csv"]
    assert again.protocol == folder.protocol
    assert again.codebook() == BOOK
    assert again.study == str(tmp_path / "study")


def test_what_tikval_did_not_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"annotate sheet LIST --out"):
        CodingFolder(tmp_path)
    folder = folder_in(tmp_path, "ann")
    folder.write_plan([PlanLine("1", "ann", "main", 1, None, "", 1)])
    plan, protocol = folder.path / "plan.csv", folder.path / "protocol.json"
    plan.write_text(plan.read_text().replace("main", "first"))
    with pytest.raises(UserError, match="line 2: 'first' is no round"):
        folder.plan()
    (folder.path / "items.jsonl").write_text('{"item": 1}\n')
    with pytest.raises(UserError, match=r"items.jsonl: line 1"):
        folder.items()
    book = folder.path / "codebook.yaml"
    book.write_text(book.read_text().replace("version: 1", "version: 2"))
    with pytest.raises(UserError, match="put the old file back"):
        folder.codebook()
    protocol.write_text(protocol.read_text().replace('"third"', '"thrd"'))
    with pytest.raises(UserError, match="thrd: unknown key"):
        CodingFolder(folder.path)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["ann (again)"], "a short name"),
        (["../ann"], "a short name"),
        (["ann-2"], "a short name"),
        ([""], "a short name"),
        (["Absent"], "something else"),
        (["con"], "something else"),
        (["ann", "Ann"], "capital"),
        (["ann", "ann"], "capital"),
        (["eve"], "capital"),
    ],
)
def test_a_coders_name_is_a_file_name_of_its_own(names: list[str], why: str) -> None:
    with pytest.raises(UserError, match=why):
        check_coder_names(names, "eve")


def test_good_names(tmp_path: Path) -> None:
    check_coder_names(["ann", "coder_2", "anna-lena"], "third")


def test_a_study_knows_its_coding_folders_wherever_both_are_moved(tmp_path: Path) -> None:
    out, before = tmp_path / "a" / "study", tmp_path / "a" / "coding"
    out.mkdir(parents=True)
    assert known_coding_folders(str(out)) == []
    for _ in range(2):
        make_known(str(out), before)
    assert known_coding_folders(str(out)) == [before]
    (tmp_path / "a").rename(tmp_path / "b")
    assert known_coding_folders(str(tmp_path / "b" / "study")) == [tmp_path / "b" / "coding"]


def test_the_shipped_rules_are_the_defaults() -> None:
    assert load_config(AnnotateConfig, "configs/annotate.yaml", []) == AnnotateConfig()
