"""Lists of accounts as models and surveys give them: what is read, what is refused, and how far they agree."""

import json
from pathlib import Path
from typing import Any

import pytest

from tikval.collect.candidates import (
    BY_PEOPLE,
    HEADER,
    AccountList,
    candidates_table,
    intersections,
    only_in,
    pairs_of_lists,
    read_suggestions,
    read_survey,
    told_apart,
    with_edits,
)
from tikval.config import UserError
from tikval.extract.strict_reply import BadReply
from tikval.sources.catalog import read_accounts
from tikval.spreadsheet import csv_of


def reply_of(*accounts: Any) -> str:
    return json.dumps({"accounts": [{"account": name, "genre": "gaming"} for name in accounts]})


def test_a_list_keeps_its_order_and_names_each_account_once_whatever_its_spelling() -> None:
    text = reply_of(
        "@Jane.Doe", "https://www.tiktok.com/@bob_b?lang=en", "JANE.DOE\u200b", "carl", "", "x" * 200
    )
    found = read_suggestions("m", f"```json\n{text}\n```")
    assert found.ranks == {"jane.doe": 1, "bob_b": 2, "carl": 3}
    assert found.genres["carl"] == "gaming"
    assert found.not_names == 2


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I cannot help with that.",
        "[]",
        '{"accounts": "jane"}',
        '{"accounts": [{"account": 7, "genre": "x"}]}',
        '{"accounts": [{"name": "jane"}]}',
        '{"accounts": []}',
        reply_of(""),
        '{"accounts": [{"account": "jane", "genre": "\\ud800"}]}',
        '{"accounts": ' + "[" * 100_000,
        reply_of(*map(str, range(2_001))),
        '{"accounts": [{"account": "' + "x" * 600_000 + '"}]}',
        '{"accounts": NaN}',
    ],
)
def test_what_is_no_list_is_refused_in_a_line_that_repeats_nothing_of_it(reply: str) -> None:
    with pytest.raises(BadReply) as caught:
        read_suggestions("m", reply)
    assert len(str(caught.value)) <= 200
    assert "\n" not in str(caught.value)
    assert "jane" not in str(caught.value)


def test_a_hostile_entry_is_a_text_and_nothing_else() -> None:
    nasty = "=HYPERLINK(x)", "../../etc/passwd", "a\nb,c", "\x1b[2Jz", "\u202eevil", "<script>"
    found = read_suggestions("m", reply_of(*nasty))
    text = csv_of([HEADER, *([row[name] for name in HEADER] for row in candidates_table([found]).values())])
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\r\n'=hyperlink(x)," in text
    assert len(text.splitlines()) == 1 + len(found.ranks)
    assert "passwd" in found.ranks


def test_a_survey_counts_votes_and_spellings_of_one_account_together(tmp_path: Path) -> None:
    table = tmp_path / "minors_2026.csv"
    table.write_text("Account;Count\n@Jane;3\njane;2\nbob;\n;4\ncarl;1\n")
    found = read_survey(str(table))
    assert found.name == "minors_2026"
    assert found.votes == {"jane": 5, "bob": 1, "carl": 1}
    assert found.ranks == {"jane": 1, "bob": 2, "carl": 3}
    assert found.not_names == 1
    table.write_text("account,count\njane,many\n")
    with pytest.raises(UserError, match="line 2, column count"):
        read_survey(str(table))
    table.write_text("name,count\njane,1\n")
    with pytest.raises(UserError, match="no column account"):
        read_survey(str(table))


@pytest.fixture
def lists() -> list[AccountList]:
    survey = AccountList("minors", True, {"b": 1, "z": 2, "d": 3}, votes={"b": 7, "z": 2, "d": 1})
    one = AccountList("one", False, {"a": 1, "b": 2, "c": 3, "d": 4}, {"b": "gaming"})
    two = AccountList("two", False, {"b": 1, "c": 2}, {"b": "food", "c": "food"})
    return [one, two, survey]


def test_the_overlap_of_each_list_with_each(lists: list[AccountList]) -> None:
    pairs = {(pair.name, pair.other): pair for pair in pairs_of_lists(lists)}
    assert len(pairs) == 6
    assert pairs["one", "two"][2:] == (4, 2, 2, 0.5, None)
    assert pairs["two", "one"][2:] == (2, 2, 0, 0.5, None)
    assert pairs["minors", "one"][2:] == (3, 2, 1, 0.4, 0.8)
    assert pairs["minors", "two"][2:] == (3, 1, 2, 0.25, 0.7)
    assert only_in(lists) == {"one": 1, "two": 0, "minors": 1}
    found = dict(intersections(lists))
    assert found == {(0,): 1, (2,): 1, (0, 1): 1, (0, 2): 1, (0, 1, 2): 1}


def test_the_candidates_are_a_table_that_people_fill_and_analyze_reads(
    lists: list[AccountList], tmp_path: Path
) -> None:
    rows = candidates_table(lists)
    assert list(rows) == ["b", "d", "c", "z", "a"]
    b = rows["b"]
    assert (b["source"], b["genres_suggested"]) == ("one; two; minors", "gaming; food")
    assert (b["n_models"], b["n_surveys"], b["votes"]) == (2, 1, 7)
    assert (b["ranks_by_model"], b["votes_by_survey"]) == ("one: 2; two: 1", "minors: 7")
    assert all(row[name] == "" for row in rows.values() for name in BY_PEOPLE)
    rows["b"] |= {"genre": "gaming", "is_minor": "yes", "is_parent_run": "no", "checked_by_1": "eva"}
    place = tmp_path / "candidates.csv"
    place.write_text(csv_of([HEADER, *([row[name] for name in HEADER] for row in rows.values())]))
    notes: list[str] = []
    read = {row["account"]: row for row in read_accounts(str(place), notes.append)}
    assert read["b"]["genre"] == "gaming"
    assert (read["b"]["is_minor"], read["b"]["is_parent_run"]) == (True, False)
    assert read["b"]["source"] == "one; two; minors"
    assert read["z"]["is_minor"] is None
    assert len(read) == 5


def test_what_people_wrote_and_added_stays(lists: list[AccountList]) -> None:
    edited: list[dict[str, Any]] = [
        {"account": "B", "genre": "dance", "checked_by_1": "eva", "source": "changed", "votes": 99},
        {"account": "ours", "genre": "food", "source": "by hand"},
        {"account": None, "genre": "lost"},
    ]
    rows = with_edits(candidates_table(lists), edited)
    assert [row["account"] for row in rows] == ["b", "d", "c", "z", "a", "ours"]
    assert (rows[0]["genre"], rows[0]["checked_by_1"], rows[0]["votes"]) == ("dance", "eva", 7)
    assert (rows[-1]["genre"], rows[-1]["source"], rows[-1]["is_minor"]) == ("food", "by hand", "")


def test_lists_of_one_name_are_told_apart() -> None:
    same = [AccountList("survey", True, {"a": 1}, votes={"a": 1})] * 3
    assert [one.name for one in told_apart(same)] == ["survey", "survey (2)", "survey (3)"]
