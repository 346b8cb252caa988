"""The history of corrections: a line each, and what a merge is told by it."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.annotate.coding_folders import make_coding_folder
from tikval.annotate.coding import Coding, coding_csv
from tikval.annotate.coding_folder import PlanLine
from tikval.annotate.corrections import (
    Correction,
    add_corrections,
    corrected,
    merged_history,
    read_corrections,
    reason_in_one_line,
)
from tikval.annotate.merge import count_origins
from tikval.annotate.merge_folder import merge_codings, open_coding
from tikval.annotate.sheet import SheetItem
from tikval.config import UserError
from tikval.sources.labels import read_labels
from tikval.values import SLUGS

ONE = Correction(
    at="2026-11-28T10:00:00+00:00",
    by="eve",
    why="the coder has taken the joke at its word",
    video_id="v1",
    item="v1",
    annotator="consolidated",
    label_set="schwartz-19",
    value="hedonism",
    before="endorsed",
    after="absent",
    file="labels.csv",
    line=17,
    column="hedonism",
    sha256="ab",
)


def test_a_correction_is_noted_once_however_often_its_command_was_killed(tmp_path: Path) -> None:
    place = str(tmp_path / "corrections.jsonl")
    back = replace(ONE, before="absent", after="endorsed", sha256="cd")
    add_corrections(place, [ONE])
    add_corrections(place, [replace(ONE, at="2026-11-28T10:05:00+00:00")])
    add_corrections(place, [back])
    add_corrections(place, [ONE])
    assert read_corrections(place) == [ONE, back, ONE]


def test_the_last_correction_of_a_cell_counts_and_none_makes_a_new_one() -> None:
    answers = {("v1", "hedonism"): "endorsed", ("v1", "face"): "absent"}
    told = [ONE, replace(ONE, after="dominant"), replace(ONE, item="v9"), replace(ONE, value="no_such")]
    assert corrected(answers, told) == (
        {("v1", "hedonism"): "dominant", ("v1", "face"): "absent"},
        {("v1", "hedonism")},
    )


def test_a_reason_is_one_line_and_a_name_is_there() -> None:
    assert reason_in_one_line("why", "a\r\nb\t<b>\x1b[2Jc</b>") == r"a b <b>\x1b[2Jc</b>"
    for name, text in (("by", " \n"), ("why", "\u3000"), ("by", "x" * 101)):
        with pytest.raises(UserError, match=f"--{name}"):
            reason_in_one_line(name, text)


def test_a_history_that_somebody_has_changed_is_refused_with_its_line(tmp_path: Path) -> None:
    add_corrections(str(tmp_path / "c.jsonl"), [ONE])
    with (tmp_path / "c.jsonl").open("a") as file:
        file.write('{"by": "eve"}\n')
    with pytest.raises(UserError, match=r"c\.jsonl: line 2: not what tikval wrote"):
        read_corrections(str(tmp_path / "c.jsonl"))


def test_a_merge_that_is_run_again_keeps_what_was_corrected(tmp_path: Path) -> None:
    plan = [PlanLine(item, who, "main", 1, None, "") for item in ("v1", "v2") for who in ("ann", "bob")]
    folder = make_coding_folder(
        tmp_path / "coding", plan, [SheetItem(item, "main", ()) for item in ("v1", "v2")]
    )
    for who, stance in (("ann", "endorsed"), ("bob", "confronted")):
        answers = {**dict.fromkeys(SLUGS, "absent"), "hedonism": "endorsed", "face": stance}
        codings = [Coding(item, who, "main", answers) for item in ("v1", "v2")]
        (folder.path / "returned" / f"{who}.csv").write_text(coding_csv(codings, SLUGS))
    told = [replace(ONE, after="not_sure"), replace(ONE, value="face", after="dominant")]
    add_corrections(str(folder.path / "merged" / "corrections.jsonl"), told)
    source = open_coding(folder.path, [], None, print)
    done = merge_codings(source, print)
    rows = read_labels(str(folder.path / "merged" / "labels.csv"), SLUGS, "schwartz-19")
    found = {row["video_id"]: dict(zip(SLUGS, row["stances"], strict=True)) for row in rows}
    assert (found["v1"]["hedonism"], found["v1"]["face"]) == (None, 2)
    assert (found["v2"]["hedonism"], found["v2"]["face"]) == (1, None)
    assert count_origins(done.merged) == {"agreed": 35, "corrected": 2, "undecided": 1}
    assert [[cell.slug for cell in one.disputed] for one in done.disputed] == [["face"], ["face"]]


def test_a_merged_table_of_a_coding_folder_has_a_history_of_its_own(tmp_path: Path) -> None:
    merged = tmp_path / "coding" / "merged"
    merged.mkdir(parents=True)
    assert merged_history(str(merged / "labels.csv")) is None
    (tmp_path / "coding" / "protocol.json").write_text("{}")
    assert merged_history(str(merged / "labels.csv")) == str(merged / "corrections.jsonl")
    assert merged_history("s3://bucket/coding/merged/labels.csv") is None
