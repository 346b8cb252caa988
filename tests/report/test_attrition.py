"""What is told of attrition: a page, a figure, a CSV, a sentence and a table, which all say the same."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.fixtures.accounts import StudyOfAccounts
from tests.fixtures.posts import StudyOfPosts, attrition
from tests.fixtures.site import EVIL, Page, files, pages, report
from tikval.cli.commands import app
from tikval.evaluate.attrition import attrition_of
from tikval.evaluate.attrition_groups import AttritionGroup, Loss
from tikval.evaluate.attrition_steps import STEPS
from tikval.report.site.attrition import GROUPS_LISTED
from tikval.report.tables.attrition import attrition_csv, methods_sentence, numbered_accounts
from tikval.rows import Outcome, Reason

OUTCOMES = [
    *[Outcome.COLLECTED] * 9,
    *[Outcome.DELETED] * 3,
    *[Outcome.NO_FILE] * 2,
    Outcome.PRIVATE,
    Outcome.LIVE,
]


@pytest.fixture(autouse=True)
def one_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures in one form: drawing them in all takes seconds."""
    monkeypatch.setattr("tikval.report.figures.gather.SUFFIXES", ("svg",))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> StudyOfPosts:
    return StudyOfPosts(tmp_path_factory.mktemp("posts"), OUTCOMES, unreadable=1, silent=1, annotated=3)


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["attrition", *words])
    assert done.exit_code == 0, done.output
    return done.output


def lines(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_a_sentence_for_a_methods_section(made: StudyOfPosts) -> None:
    assert methods_sentence(attrition_of(made.study)) == (
        "Of 15 listed posts by 4 accounts, 9 (60.0 %) could be reached [3 deleted; 1 private; of 2 it is not known], "
        "9 (60.0 %) were downloaded, 8 (53.3 %) could be read [1 unreadable], "
        "7 (46.7 %) were judged by local [1 no text] and 3 (20.0 %) of these were annotated by people."
    )


def test_a_sentence_of_many_reasons_sums_up_the_rare_ones() -> None:
    many = tuple(
        Loss(1, reason, 10 - n)
        for n, reason in enumerate(("deleted", "private", "region", "age", "blocked", "unavailable"))
    )
    total = AttritionGroup(None, (100, 55, 55, 55, 55, 0), many)
    printed = methods_sentence(attrition(total=total, groups={"account": ()}))
    assert (
        "[10 deleted; 9 private; 8 not shown where the collector is; 7 shown to adults only; 11 for other reasons]"
        in printed
    )
    assert printed.startswith("Of 100 listed posts, 55")
    assert printed.endswith("and 55 (55.0 %) were judged by local.")


def test_the_site_has_a_page_of_it_which_the_first_page_leads_to(made: StudyOfPosts) -> None:
    site = made.report()
    page = Page((site / "attrition.html").read_text())
    assert page.open == page.crossed == []
    for words in (
        methods_sentence(attrition_of(made.study)).replace("  ", " "),
        "3 deleted",
        "2 no file, and nothing says why: not known whether it could be reached",
        "Not counted: 1 live room.",
        "Of 2 of the listed posts nothing tells whether they could be reached.",
        "By genre",
        "By minor flag",
        "Names are not shown",
    ):
        assert words in page.words, words
    assert "attrition.csv" in page.links
    assert "charts/attrition_steps.svg" in page.links
    assert (site / "charts" / "attrition_steps.csv").is_file()
    for name in ("index.html", "values.html"):
        first = Page((site / name).read_text())
        assert "7 of 15 listed posts were judged: attrition" in first.words
        assert "attrition.html" in first.links
    written = lines((site / "attrition.csv").read_bytes())
    assert {(one["step"], one["posts"]) for one in written if one["by"] == "all" and not one["reason"]} == {
        *zip(STEPS, ("15", "9", "9", "8", "7", "3"), strict=True)
    }


def test_no_account_is_named_anywhere_unless_the_study_asks(made: StudyOfPosts) -> None:
    site = made.report()
    for file in (
        "attrition.html",
        "attrition.csv",
        "charts/attrition_steps.svg",
        "data/charts.js",
        "index.html",
    ):
        assert "user." not in (site / file).read_text(), file
    assert "account 1" in (site / "attrition.html").read_text()
    named = made.report(show_accounts=True)
    for file in ("attrition.html", "attrition.csv"):
        assert "user.00.name" in (named / file).read_text(), file


def test_the_numbers_of_accounts_are_those_of_the_other_pages() -> None:
    one = report(attrition=attrition())
    found = pages(one)
    number = re.search(r"account \d", found["accounts.html"].words)
    assert number
    first = re.search(r"By account.*?(account \d) 6 5", found["attrition.html"].words)
    assert first is not None
    assert first[1] == number[0], "jane.doe"
    assert "joe.roe" not in "".join(page.text for page in found.values())
    assert b"joe.roe" not in files(one)["attrition.csv"]


def test_a_table_of_many_accounts_ends_in_the_csv() -> None:
    accounts = tuple(
        AttritionGroup(name, (2, 1, 1, 1, 1, 0), (Loss(1, "deleted", 1), Loss(5, "not_annotated", 1)))
        for name in [*(f"user{n}" for n in range(GROUPS_LISTED + 7)), None]
    )
    one = report(attrition=attrition(groups={"account": accounts, "genre": (), "minor": ()}))
    page = pages(one)["attrition.html"]
    assert "And 7 more in the CSV" in page.words
    assert page.words.count("not known 2 1") == 1, "those whose account is not known are shown"
    assert "By genre" not in page.words
    assert len({line["group"] for line in lines(files(one)["attrition.csv"])}) == GROUPS_LISTED + 9


def test_hostile_names_are_text() -> None:
    group = replace_name(EVIL)
    one = report(
        attrition=attrition(EVIL, groups={"genre": (group,), "account": (group,), "minor": ()}),
        show_accounts=True,
    )
    assert EVIL in pages(one)["attrition.html"].text
    assert b"<script>alert" not in files(one)["attrition.html"]
    formula = attrition(groups={"genre": (replace_name("=1+1"),), "account": (), "minor": ()})
    assert "'=1+1" in {line["group"] for line in lines(attrition_csv(formula, str))}


def replace_name(name: str) -> AttritionGroup:
    return attrition().total._replace(name=name)


def test_a_report_without_posts_has_no_such_page() -> None:
    assert "attrition.html" not in files(report())
    assert not any("attrition.html" in link for page in pages(report()).values() for link in page.links)


def test_a_study_of_a_plain_folder_has_the_page_too(tmp_path: Path) -> None:
    site = StudyOfAccounts(tmp_path, videos=14, accounts=4).report()
    page = Page((site / "attrition.html").read_text())
    assert "Of 14 listed posts by 4 accounts, 14 (100.0 %) could be reached" in page.words
    assert "poor has judged 14 of the listed posts" in page.words
    assert "14 of 14 listed posts were judged by good" in Page((site / "index.html").read_text()).words


def test_the_command_prints_it_and_writes_it(made: StudyOfPosts, tmp_path: Path) -> None:
    printed = run(made.out)
    assert methods_sentence(attrition_of(made.study)) in " ".join(printed.split())
    assert "by genre" not in printed
    printed = run(made.out, "--by", "genre", "--out", str(tmp_path / "genre.csv"))
    assert "food" in printed
    assert {line["by"] for line in lines((tmp_path / "genre.csv").read_bytes())} == {"all", "genre"}
    printed = run(made.out, "--by", "account", "--out", str(tmp_path / "all.csv"))
    assert "account 1" in printed
    assert "user." not in printed + (tmp_path / "all.csv").read_text()
    assert "user.00.name" in run(made.out, "--by", "account", "--names")
    unknown = CliRunner().invoke(app, ["attrition", made.out, "--system", "x"])
    assert "no system x; there are local" in str(unknown.exception)


def test_the_csv_adds_up_by_each_kind_of_group(made: StudyOfPosts) -> None:
    found = attrition_of(made.study)
    written = lines(attrition_csv(found, numbered_accounts(found)))
    totals = {(line["step"], line["reason"]): int(line["posts"]) for line in written if line["by"] == "all"}
    for by in ("genre", "account", "minor"):
        sums: dict[tuple[str, str], int] = {}
        for line in written:
            if line["by"] == by:
                key = line["step"], line["reason"]
                sums[key] = sums.get(key, 0) + int(line["posts"])
        assert sums == totals
    assert {line["reason"] for line in written} - {""} <= {*Outcome, *Reason, "not_annotated"}


def test_of_no_post_at_all_nothing_is_divided() -> None:
    empty = AttritionGroup(None, (0,) * 6, ())
    found = replace(attrition(), total=empty, groups={"genre": (), "account": (), "minor": ()}, system=None)
    assert methods_sentence(found).startswith("Of 0 listed posts, 0 (\u2013) could be reached")
    assert "attrition.html" in files(report(attrition=found))
