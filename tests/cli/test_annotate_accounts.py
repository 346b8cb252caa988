"""`tikval annotate accounts`: from a list of videos to the table that `analyze --accounts` takes."""

from pathlib import Path
from typing import Any

import openpyxl
import pytest
from typer.testing import CliRunner

from tikval.cli.commands import app
from tikval.config import UserError
from tikval.sources.catalog import read_accounts

ANSWERS = {"aimed_at_young": "yes", "is_minor": "no", "is_parent_run": "no", "Genre": "Gaming"}


def run(*words: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["annotate", "accounts", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


def fill(folder: Path, name: str, **changes: str) -> None:
    """Answer all that is not answered in a coder's workbook and hand it in; the first account has the changes."""
    book = openpyxl.load_workbook(folder / "sheets" / f"{name}.xlsx")
    page: Any = book["coding"]
    columns = {cell.value: cell.column - 1 for cell in page[1]}
    for row in page.iter_rows(min_row=2):
        told = ANSWERS | (changes if row[0].value == "ramp.riley" else {})
        for question, answer in told.items():
            cell = row[columns[question]]
            cell.value = answer if cell.value == "not_answered" else cell.value
    book.save(folder / "returned" / f"{name}.xlsx")


def test_from_videos_to_the_table_of_accounts(tmp_path: Path) -> None:
    folder, to = tmp_path / "accounts-coding", tmp_path / "accounts.csv"
    made = run(
        *(
            "sheet",
            "examples/videos.csv",
            "--out",
            folder,
            "--coder",
            "ann",
            "--coder",
            "bob",
            "--third",
            "eve",
        )
    )
    assert "7 accounts for ann, bob" in made
    assert "the sheets name accounts" in made
    with pytest.raises(UserError, match="nothing came back yet"):
        CliRunner().invoke(app, ["annotate", "accounts", "merge", str(folder)], catch_exceptions=False)
    fill(folder, "ann")
    fill(folder, "bob", is_minor="yes", Genre="not sure")
    first = run("merge", folder, "--to", to, code=1)
    assert "2 answers on 1 account to decide" in first
    assert "1 account where nobody has decided whether a minor features: is_minor is yes" in first
    assert "85.7%" in first
    assert "riley" not in made + first
    assert {row["account"]: row["is_minor"] for row in read_accounts(str(to), lambda note: None)}[
        "ramp.riley"
    ]
    fill(folder, "eve", Genre="vlogging")
    assert "7 accounts, 0 answers open" in run("merge", folder, "--to", to)
    rows = {row["account"]: row for row in read_accounts(str(to), lambda note: None)}
    assert {row["is_minor"] for row in rows.values()} == {False}
    assert rows["ramp.riley"]["genre"] == "vlogging"
    assert {path.name for path in (folder / "merged").iterdir()} == {
        *("accounts.csv", "agreement.csv", "disagreements.csv")
    }
    to.write_text("account,genre\nramp.riley,vlogging\n")  # somebody's own table
    with pytest.raises(UserError, match="is there with other content"):
        CliRunner().invoke(
            app, ["annotate", "accounts", "merge", str(folder), "--to", str(to)], catch_exceptions=False
        )


def test_two_people_check_each_account(tmp_path: Path) -> None:
    words = [
        "annotate",
        "accounts",
        "sheet",
        "examples/videos.csv",
        "--out",
        str(tmp_path / "c"),
        "--coder",
        "ann",
    ]
    with pytest.raises(UserError, match="two people check each account"):
        CliRunner().invoke(app, words, catch_exceptions=False)
