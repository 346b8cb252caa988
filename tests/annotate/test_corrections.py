"""The history of corrections: a line each, and what a merge is told by it."""

from dataclasses import replace
from pathlib import Path

import pytest

from tikval.annotate.corrections import (
    Correction,
    add_corrections,
    corrected,
    merged_history,
    read_corrections,
    reason_in_one_line,
)
from tikval.config import UserError

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


def test_a_merged_table_of_a_coding_folder_has_a_history_of_its_own(tmp_path: Path) -> None:
    merged = tmp_path / "coding" / "merged"
    merged.mkdir(parents=True)
    assert merged_history(str(merged / "labels.csv")) is None
    (tmp_path / "coding" / "protocol.json").write_text("{}")
    assert merged_history(str(merged / "labels.csv")) == str(merged / "corrections.jsonl")
    assert merged_history("s3://bucket/coding/merged/labels.csv") is None
