"""Accounts: everybody codes all of them, the third gets what differs, and a minor's flag errs on the safe side."""

import csv
import io
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tikval.annotate.account_folder import AccountFolder
from tikval.annotate.account_material import account_material
from tikval.annotate.account_merge import (
    account_agreement,
    account_answers,
    account_disagreements_csv,
    accounts_csv,
    agreement_csv,
    decide_accounts,
    third_items,
)
from tikval.annotate.account_questions import GENRE, account_questions, load_genres
from tikval.annotate.coding import Coding, coding_csv
from tikval.config import UserError
from tikval.sources.catalog import read_accounts

GENRES = Path("prompts/genres.yaml")
SLUGS = ("aimed_at_young", "is_minor", "is_parent_run", GENRE)
SAME = {"aimed_at_young": "yes", "is_minor": "no", "is_parent_run": "no", GENRE: "gaming"}
NAMES = ("jo", "kim", "lu")


@pytest.fixture
def folder(tmp_path: Path) -> AccountFolder:
    listed = tmp_path / "accounts.csv"
    listed.write_text("account,source,genre\n@Jo,survey,vlogging\nkim,,\nlu,list,\n", "utf-8")
    found, _ = account_material(str(listed), 3)
    return AccountFolder.make(tmp_path / "coding", ["ann", "bob"], "eve", GENRES, found)


def saved(folder: AccountFolder, coder: str, **answers: dict[str, str]) -> Path:
    """What an HTML sheet saves, put into `returned`."""
    mark = folder.protocol.genres
    codings = [
        Coding(name, coder, "main", told, f"{coder} on {name}", codebook=mark)
        for name, told in answers.items()
    ]
    path = folder.path / "returned" / f"labels_{coder}.csv"
    path.write_text(coding_csv(codings, SLUGS).replace("video_id", "account", 1))
    return path


def merged(folder: AccountFolder) -> tuple[list[Any], dict[tuple[str, str], Coding]]:
    found = account_answers(folder, folder.returned())
    return decide_accounts(folder, found), found


def table(folder: AccountFolder) -> dict[str, dict[str, str]]:
    rows = csv.DictReader(io.StringIO(accounts_csv(folder, merged(folder)[0]), newline=""))
    return {row["account"]: row for row in rows}


def test_the_projects_genres_are_those_of_its_tables() -> None:
    names = {genre.name for genre in load_genres(GENRES).genres}
    for place in ("examples/videos.csv", "examples/collecting/accounts.csv"):
        with Path(place).open(newline="") as file:
            assert {row["genre"] for row in csv.DictReader(file)} <= names
    assert len(names) == 7  # section 3.1
    *yes_no, genre = account_questions(load_genres(GENRES))
    assert [one.slug for one in (*yes_no, genre)] == list(SLUGS)
    assert {option.word for option in genre.options} == names
    assert all(option.help for option in genre.options)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [("name: gaming", "Vlogging.*there twice"), ("slug: is_minor", "is_parent_run, each once")],
)
def test_a_wrong_list_of_genres_is_refused(tmp_path: Path, change: str, wrong: str) -> None:
    other = {"name: gaming": "name: Vlogging", "slug: is_minor": "slug: is_parent_run"}[change]
    (tmp_path / "genres.yaml").write_text(GENRES.read_text().replace(change, other))
    with pytest.raises(UserError, match=f"(?i)genres.yaml.*{wrong}"):
        load_genres(tmp_path / "genres.yaml")


def test_everybody_gets_every_account_with_some_of_its_posts(tmp_path: Path) -> None:
    found, _ = account_material("examples/videos.csv", 2)
    made = AccountFolder.make(tmp_path / "c", ["ann", "bob"], "third", GENRES, found)
    listed = {one.account: one for one in made.protocol.accounts}
    assert len(listed) == 7
    assert len(listed["ramp.riley"].files) == 2
    first = made.path / "sheets" / listed["ramp.riley"].files[0]
    assert first.resolve() == (made.path / "media" / first.name).resolve()
    assert first.is_file()
    assert first.name.startswith("post-")
    assert "@ramp.riley" not in listed["ramp.riley"].caption
    orders = [[item.item for item in made.sheet_of(coder).items] for coder in ("ann", "bob")]
    assert set(orders[0]) == set(orders[1]) == set(listed)
    assert orders[0] != orders[1]
    assert sorted(path.name for path in (made.path / "sheets").iterdir()) == [
        *("ann.html", "ann.xlsx", "bob.html", "bob.xlsx")
    ]
    assert "name accounts" in (made.path / "README.txt").read_text()
    assert {oct(path.stat().st_mode & 0o777) for path in made.path.glob("[!m]*/*.*")} == {"0o600"}
    assert oct(made.path.stat().st_mode & 0o777) == "0o700"
    with pytest.raises(UserError, match="there already"):
        AccountFolder.make(tmp_path / "c", ["ann", "bob"], "third", GENRES, found)


def test_one_account_in_two_spellings_is_one(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,account\na.mp4,@Jo\nb.mp4,jo\nc.mp4,\n")
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
    [found], [note] = account_material(str(tmp_path / "list.csv"), 3)
    assert (found.account, len(found.posts)) == ("Jo", 2)
    assert note == "1 post of which no account is known: left out"
    (tmp_path / "list.csv").write_text("path,account\na.mp4,\n")
    with pytest.raises(UserError, match="names no account"):
        account_material(str(tmp_path / "list.csv"), 3)


def test_what_both_say_counts_and_the_table_is_one_of_accounts(folder: AccountFolder, tmp_path: Path) -> None:
    for coder in ("ann", "bob"):
        saved(folder, coder, **{"@JO": SAME, "kim": SAME, "lu": SAME})
    rows = table(folder)
    assert rows["Jo"] | {"origins": ""} == SAME | {"account": "Jo", "source": "survey", "origins": ""}
    assert rows["Jo"]["origins"].startswith("aimed_at_young: agreed; is_minor: agreed")
    (tmp_path / "out.csv").write_text(accounts_csv(folder, merged(folder)[0]))
    read = read_accounts(str(tmp_path / "out.csv"), say=lambda note: None)
    assert [(row["account"], row["is_minor"], row["genre"]) for row in read] == [
        (name, False, "gaming") for name in ("Jo", "kim", "lu")
    ]


def test_the_third_gets_what_differs_with_names_hidden_and_decides(folder: AccountFolder) -> None:
    saved(folder, "ann", jo=SAME, kim=SAME | {"is_minor": "yes"}, lu=SAME | {"genre": "not_sure"})
    saved(folder, "bob", jo=SAME, kim=SAME, lu=SAME)
    decisions, found = merged(folder)
    items = third_items(folder, decisions, found)
    assert {item.item: item.asked for item in items} == {"kim": ("is_minor",), "lu": (GENRE,)}
    kim = items[0]
    assert {one.name for one in kim.others} == {"Coder A", "Coder B"}
    assert {one.answers["is_minor"] for one in kim.others} == {"yes", "no"}
    lines = list(csv.DictReader(io.StringIO(account_disagreements_csv(folder, decisions, found), newline="")))
    assert [(row["account"], row["question"], row["ann"], row["bob"]) for row in lines] == [
        ("kim", "is_minor", "yes", "no"),
        ("lu", GENRE, "not_sure", "gaming"),
    ]
    assert lines[0]["ann: note"] == "ann on kim"
    page = folder.write_sheet("eve", folder.sheet_of("eve", items))
    assert folder.write_sheet("eve", folder.sheet_of("eve", items)) == page  # not written over
    book = openpyxl.load_workbook(page.with_suffix(".xlsx"))
    sheet = book["coding"]
    names = {cell.value: cell.column for cell in sheet[1]}
    for row in sheet.iter_rows(min_row=2):
        if row[0].value == "kim":
            row[names["is_minor"] - 1].value = "no"
        else:
            row[names["Genre"] - 1].value = "Not sure"
    book.save(folder.path / "returned" / "eve.xlsx")
    rows = table(folder)
    assert (rows["kim"]["is_minor"], rows["lu"][GENRE]) == ("no", "")
    assert rows["kim"]["origins"].startswith("aimed_at_young: agreed; is_minor: third; is_parent_run: agreed")
    assert "genre: the third is not sure" in rows["lu"]["origins"]
    assert not third_items(folder, *merged(folder))


@pytest.mark.parametrize("bob", [{}, {"is_minor": "yes"}, {"is_minor": "not_sure"}])
def test_undecided_an_account_counts_as_a_minors(folder: AccountFolder, bob: dict[str, str]) -> None:
    saved(folder, "ann", jo=SAME, kim=SAME, lu=SAME)
    saved(folder, "bob", jo=SAME, kim={**SAME, **bob} if bob else {})
    row = table(folder)["kim"]
    assert row["is_minor"] == "yes"
    assert ", so yes" in row["origins"]
    assert table(folder)["lu"]["origins"].startswith("aimed_at_young: not answered by bob")


def test_agreement_is_of_the_coders_and_not_of_the_third(tmp_path: Path) -> None:
    (tmp_path / "many.csv").write_text("account\n" + "".join(f"a{n}\n" for n in range(10)))
    found, _ = account_material(str(tmp_path / "many.csv"), 1)
    many = AccountFolder.make(tmp_path / "coding", ["ann", "bob"], "eve", GENRES, found)
    saved(many, "ann", **{f"a{n}": SAME | {"aimed_at_young": "yes" if n < 5 else "no"} for n in range(10)})
    saved(many, "bob", **{f"a{n}": SAME | {"aimed_at_young": "yes" if n < 6 else "no"} for n in range(10)})
    saved(many, "eve", a5=SAME)
    lines = account_agreement(merged(many)[0], account_questions(many.genres))
    rows = {row["question"]: row for row in csv.DictReader(io.StringIO(agreement_csv(lines), newline=""))}
    young = rows["aimed_at_young"]
    q = 0.55  # the mean share of yes; AC1 as Gwet has it
    assert (young["accounts"], float(young["same"])) == ("10", 0.9)
    assert abs(float(young["ac1"]) - (0.9 - 2 * q * (1 - q)) / (1 - 2 * q * (1 - q))) < 1e-12
    assert float(young["ac1_low"]) < float(young["ac1"]) < float(young["ac1_high"])
    assert rows[GENRE]["no_interval"]


@pytest.mark.parametrize(
    ("coder", "answers", "message"),
    [
        ("ann", {"unknown_name": SAME}, "entry 1: the account is none of this folder's list"),
        ("cem", {"jo": SAME}, "coder 'cem' is none of ann, bob, eve"),
        ("ann", {"jo": SAME | {"is_minor": "perhaps"}}, "line 2, column is_minor: 'perhaps' is no answer"),
    ],
)
def test_what_does_not_belong_here_is_refused_and_nobody_named(
    folder: AccountFolder, coder: str, answers: dict[str, dict[str, str]], message: str
) -> None:
    saved(folder, coder, **answers)
    with pytest.raises(UserError, match=message) as err:
        merged(folder)
    assert "unknown_name" not in str(err.value)


def test_two_files_of_a_coder_may_not_differ(folder: AccountFolder) -> None:
    first = saved(folder, "ann", jo=SAME)
    first.rename(first.with_name("earlier.csv"))
    saved(folder, "ann", jo=SAME | {"genre": "vlogging"})
    with pytest.raises(UserError, match="answers vlogging to genre, and gaming about the same account"):
        merged(folder)
