"""docs/reference/ is what the code makes of it, and says of every command, key, column and reason what it is."""

import runpy
from pathlib import Path

import pytest

from tikval import rows

ROOT = Path(__file__).parents[2]
REFERENCE = runpy.run_path(str(ROOT / "docs" / "reference.py"))
NOT_STORED = {"AskRow", "AnswerRow", "ClipRow"}  # they never reach a disk, as their docstrings say


@pytest.mark.parametrize("page", sorted(REFERENCE["PAGES"]))
def test_the_page_is_what_the_code_makes(page: str) -> None:
    there = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert there == REFERENCE["PAGES"][page](), "run python docs/reference.py"


@pytest.mark.parametrize("page", sorted(REFERENCE["PAGES"]))
def test_nothing_is_without_a_meaning(page: str) -> None:
    lines = REFERENCE["PAGES"][page]().splitlines()
    # a key that holds a configuration of its own is explained there
    assert [line for line in lines if line.endswith("|  |") and "(keys.md#" not in line] == []


def test_the_folder_has_no_page_of_before() -> None:
    names = {file.name for file in (ROOT / "docs" / "reference").iterdir()}
    assert names == {*REFERENCE["PAGES"], "runs.md"}


def test_every_stored_row_type_is_in_it() -> None:
    types = {
        name
        for name in vars(rows)
        if name.endswith("Row") and getattr(rows, name).__module__ == rows.__name__
    }
    assert types - {kind.__name__ for kind in REFERENCE["STORED"]} == NOT_STORED


def test_a_fields_comments_are_its_meaning() -> None:
    comments = REFERENCE["comments"](rows.VideoRow)
    assert comments["row_key"] == "32 hex digits, see row_key()"
    assert comments["files"].startswith("of a photo post: its pictures in order")  # within the brackets
    assert REFERENCE["comments"](rows.ScriptRow)["line_starts"].startswith(
        "seconds from which"
    )  # above the field
