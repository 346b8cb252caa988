"""The files of a list: what a spreadsheet, tikval itself and a methods section take out of them."""

import csv
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.exports import SOURCES
from tests.sources.test_exports import export_of
from tests.sources.test_select import of_account, post
from tikval.rows import Outcome, PostRow
from tikval.sources.exports import read_export
from tikval.sources.post_list import rule_file, write_post_list
from tikval.sources.posts import empty_post
from tikval.sources.sample_rule import SampleRule
from tikval.sources.select import select_posts
from tikval.sources.tables import open_table


def written(rows: list[PostRow], rule: SampleRule, to: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    selected = select_posts(rows, rule)
    n = write_post_list(lambda: iter(rows), selected, to, {"exports": []})
    lines = [cells for _, cells in open_table(str(to))]
    assert len(lines) == n
    return lines, json.loads(rule_file(to).read_text())


def test_a_list_has_the_columns_of_a_post_and_ids_that_no_spreadsheet_cuts(tmp_path: Path) -> None:
    when = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    row = post(1, "=cmd()", caption="one\ntwo", hashtags=["a", "b"], likes=7, is_ad=False, pinned=True)
    row["posted_at"] = when
    written([row], SampleRule(per_account=1), tmp_path / "list.csv")
    with (tmp_path / "list.csv").open(newline="") as file:
        (cells,) = csv.DictReader(file)
    assert list(cells) == list(PostRow.__annotations__)
    assert cells["video_id"] == f"'{row['video_id']}"
    assert cells["account"] == "'=cmd()"
    assert cells["caption"] == "one\ntwo"
    assert cells["posted_at"] == "2026-03-01T12:30:00Z"
    assert (cells["hashtags"], cells["likes"], cells["is_ad"], cells["pinned"]) == (
        "a b",
        "7",
        "false",
        "true",
    )
    assert cells["duration"] == ""


def test_the_same_list_gives_the_same_bytes_in_whatever_order(tmp_path: Path) -> None:
    rows = [*of_account("one", 30, 0, pinned=(3,)), *of_account("two", 5, 50), post(1, "ONE", None, likes=9)]
    rule = SampleRule(per_account=4, order="random", seed=2)
    lines, facts = written(rows, rule, tmp_path / "a.csv")
    random.Random(1).shuffle(rows)
    written(rows, rule, tmp_path / "b.csv")
    for one, other in (("a.csv", "b.csv"), ("a.json", "b.json")):
        assert (tmp_path / one).read_bytes() == (tmp_path / other).read_bytes()
    assert len(lines) == 8
    assert facts["rule"] == "4 posts of each account: all pinned ones, then random ones (seed 2)"
    assert facts["options"] == {"per_account": 4, "order": "random", "seed": 2}
    assert facts["posts_listed"] == 35
    chosen = {one["account"]: (one["listed"], one["pinned"], one["chosen"]) for one in facts["accounts"]}
    assert chosen == {"ONE": (30, 1, 4), "two": (5, 0, 4)}


def test_without_a_rule_nothing_is_lost(tmp_path: Path) -> None:
    gone: Any = {"outcome": Outcome.DELETED.value}
    line: Any = {"outcome": Outcome.INVALID_ROW.value}
    rows = [*of_account("one", 3, 0), post(9, "one") | gone, *[empty_post("line 4", "x") | line] * 2]
    rows.append(post(1, "one", None, likes=3))
    lines, facts = written(rows, SampleRule(), tmp_path / "list.csv")
    assert sorted(row["outcome"] for row in lines) == ["deleted", *["invalid_row"] * 2, *["no_file"] * 3]
    assert facts["rule"] == "every post"
    assert facts["posts_listed"] == 6
    assert facts["left_out"] == {"invalid_row": 2, "deleted": 1}


def test_a_long_list_is_whole(tmp_path: Path) -> None:
    rows = of_account("one", 25_000, 0)
    for n, row in enumerate(rows):
        row["posted_at"] = datetime.fromtimestamp(1_760_000_000 + n, UTC)
    lines, _ = written(rows, SampleRule(), tmp_path / "list.csv")
    assert len({row["video_id"] for row in lines}) == 25_000
    assert [path.name for path in tmp_path.iterdir()] in (
        ["list.csv", "list.json"],
        ["list.json", "list.csv"],
    )


@pytest.mark.parametrize("source", SOURCES)
def test_the_list_of_every_source_tells_all_that_the_source_told(source: str, tmp_path: Path) -> None:
    export = export_of(source, tmp_path)
    written(list(export.rows()), SampleRule(), tmp_path / "list.csv")
    again = read_export(str(tmp_path / "list.csv"))
    assert again
    posts = {row["video_id"]: row for row in again.rows()}
    for row in export.rows():
        if row["outcome"] == Outcome.NO_FILE:
            told = {name: value for name, value in row.items() if value is not None}
            assert {name: posts[row["video_id"]][name] for name in told} == told  # type: ignore[literal-required]


@pytest.mark.parametrize("source", [name for name in SOURCES if "donation" not in name])
def test_the_sample_of_every_source_holds_for_each_account(source: str, tmp_path: Path) -> None:
    rows = list(export_of(source, tmp_path).rows())
    selected = select_posts(rows, SampleRule(per_account=3))
    # an account whose only row is of another platform has none
    assert [one.chosen for one in selected.accounts if one.chosen] == [3] * 7
    assert all(one.pinned_chosen == one.pinned for one in selected.accounts)
    random.Random(source).shuffle(rows)
    assert select_posts(rows, SampleRule(per_account=3)).ids == selected.ids
