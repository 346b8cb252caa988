"""`tikval posts`: an export in, a list out that every other command reads, and nobody's name on the screen."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import check_mistake, tikval
from tikval.sources.exports import read_export

FIRST = 7_412_345_678_901_234_945  # of the kind that videos have


def item(n: int, account: str, day: int, **more: Any) -> dict[str, Any]:
    """A line of Zeeschuimer's, posted on a day of January 2026."""
    author = {"uniqueId": account}
    data = {
        "id": str(FIRST + n),
        "desc": f"post {n}",
        "createTime": 1_767_225_600 + 86_400 * day,
        "author": author,
    }
    return {"source_platform": "tiktok.com", "item_id": str(FIRST + n), "data": {**data, **more}}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    place = tmp_path / "zeeschuimer-export.ndjson"
    lines = [item(n, "jane_doe", n, **({"isPinnedItem": True} if n == 2 else {})) for n in range(20)]
    lines += [item(100 + n, "bob_b", n, isAd=n % 2 == 0) for n in range(6)]
    lines.append(item(3, "jane_doe", 3))  # twice
    place.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return place


def numbers(place: Path) -> list[int]:
    with place.open(newline="") as file:
        return sorted(int(row["video_id"].removeprefix("'")) - FIRST for row in csv.DictReader(file))


def test_a_sample_of_an_export_is_an_export_again(export: Path, tmp_path: Path) -> None:
    to = tmp_path / "list.csv"
    done = tikval("posts", str(export), "--out", str(to), "--per-account", "10")
    assert done.returncode == 0, done.stderr
    assert numbers(to) == [2, *range(11, 20), *range(100, 106)]
    facts = json.loads(to.with_suffix(".json").read_text())
    assert [one["chosen"] for one in facts["accounts"]] == [6, 10]
    assert facts["exports"][0]["file"] == export.name
    assert facts["exports"][0]["source"] == "zeeschuimer"
    assert "27 rows" in facts["exports"][0]["read"]
    assert not any(name in done.stdout + done.stderr for name in ("jane", "bob"))
    again = read_export(str(to))
    assert again
    first = read_export(str(export))
    assert first
    whole = {row["video_id"]: row for row in first.rows()}
    assert all(row == whole[row["video_id"]] for row in again.rows())  # nothing is lost on the way
    second = tmp_path / "second.csv"
    assert tikval("posts", str(to), "--out", str(second), "--per-account", "10").returncode == 0
    assert second.read_bytes() == to.read_bytes()


def test_without_a_rule_it_lists(export: Path, tmp_path: Path) -> None:
    done = tikval("posts", str(export), "--out", str(tmp_path / "all.csv"))
    assert done.returncode == 0, done.stderr
    assert len(numbers(tmp_path / "all.csv")) == 26
    assert "26 rows, every post" in done.stdout


def test_days_strata_and_several_exports(export: Path, tmp_path: Path) -> None:
    table, pins = tmp_path / "accounts.csv", tmp_path / "pins.json"
    table.write_text("account,genre\nJane_Doe,comedy\nbob_b,food\nnobody,food\n")
    pinned = {"id": FIRST + 100, "username": "bob_b", "video_description": "x", "create_time": 1_767_225_600}
    pins.write_text(json.dumps({"data": {"pinned_videos_list": [pinned]}}))
    words = ("--out", str(tmp_path / "list.csv"), "--accounts", str(table))
    done = tikval("posts", str(export), str(pins), *words, "--per-account", "3", "--until", "2026-01-06")
    assert done.returncode == 0, done.stderr
    assert numbers(tmp_path / "list.csv") == [2, 3, 4, 100, 103, 104]
    assert "too late 16" in done.stderr
    assert "without a post in the list: 1" in done.stderr
    done = tikval("posts", str(export), *words, "--stratum", "genre", "--per-stratum", "2")
    assert done.returncode == 0, done.stderr
    assert numbers(tmp_path / "list.csv") == [2, 19, 104, 105]
    assert "genre: comedy" in done.stdout
    done = tikval("posts", str(export), *words, "--stratum", "account", "--per-stratum", "2")
    assert [one["stratum"] for one in json.loads((tmp_path / "list.json").read_text())["strata"]] == [
        "bob_b",
        "jane_doe",
    ]
    assert "jane" not in done.stdout + done.stderr


def test_where_nothing_says_what_is_pinned_that_is_told(tmp_path: Path) -> None:
    rows = "".join(f"{FIRST + n},jane,x,{1_767_225_600 + n},1,1,1,1\n" for n in range(4))
    head = "video_id,author_username,video_description,video_timestamp,video_diggcount,a,b,c\n"
    (tmp_path / "pyktok.csv").write_text(head + rows)
    done = tikval(
        "posts", str(tmp_path / "pyktok.csv"), "--out", str(tmp_path / "l.csv"), "--per-account", "2"
    )
    assert "of 1 account the list does not say which posts are pinned" in done.stderr
    assert json.loads((tmp_path / "l.json").read_text())["accounts_whose_pinned_posts_are_not_known"] == 1


def test_mistakes(export: Path, tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "list.csv"))
    check_mistake(tikval("posts", str(export), "--out", str(tmp_path / "list.txt")), "is a .csv file")
    check_mistake(
        tikval("posts", str(export), *out, "--stratum", "genre", "--per-stratum", "2"), "--accounts"
    )
    check_mistake(tikval("posts", str(export), *out, "--period", "month"), "--per-account")
    check_mistake(tikval("posts", str(tmp_path / "none.json"), *out), "no such file")
    check_mistake(
        tikval("posts", str(export), *out, "--from", "2026-09-01"), "none of 26 posts", "too early 26"
    )
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    check_mistake(tikval("posts", str(tmp_path / "odd.csv"), *out), "of no source that is known", "--columns")
    (tmp_path / "mine.yaml").write_text("columns: {video_id: a, account: b}\nany_id: true\n")
    words = ("--columns", str(tmp_path / "mine.yaml"))
    assert tikval("posts", str(tmp_path / "odd.csv"), *out, *words).returncode == 0


def test_no_file_of_anybody_else_is_written_over(tmp_path: Path) -> None:
    page = tmp_path / "export.json"
    page.write_text(json.dumps([item(1, "jane", 1)["data"]]))
    check_mistake(tikval("posts", str(page), "--out", str(tmp_path / "export.csv")), "name another")
    (tmp_path / "other.csv").write_text("mine")
    check_mistake(tikval("posts", str(page), "--out", str(tmp_path / "other.csv")), "name another")
    assert (tmp_path / "other.csv").read_text() == "mine"
    assert page.read_text().startswith("[")
