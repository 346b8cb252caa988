"""Fourteen videos of four accounts: no interval anywhere, the reason in words, once. Of 91 accounts: everywhere."""

import csv
import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.fixtures.accounts import StudyOfAccounts
from tests.fixtures.site import Page
from tikval.cli.commands import app
from tikval.report.figures.gather import figures_of, listing
from tikval.report.tables.paper import show_tables, tables_of, write_tables

INTERVAL = re.compile(r"\[[\u2212-]?\d[\d.]*, [\u2212-]?\d[\d.]*\]")
NOTHING = re.compile(r"\bnan\b|\bNone\b|\[\s*,|\[\]")
PAGES = (
    "index.html",
    "systems.html",
    "values.html",
    "accounts.html",
    "videos.html",
    "attrition.html",
    "paper.html",
    "failures.html",
)
REASON = "4 accounts: too few for an interval"


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> StudyOfAccounts:
    return StudyOfAccounts(tmp_path_factory.mktemp("few"), videos=14, accounts=4)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> StudyOfAccounts:
    return StudyOfAccounts(tmp_path_factory.mktemp("many"), videos=364, accounts=91)


@pytest.fixture(autouse=True)
def one_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures in one form: drawing them in all takes seconds."""
    monkeypatch.setattr("tikval.report.figures.gather.SUFFIXES", ("svg",))


def terminal(made: StudyOfAccounts) -> str:
    console = Console(file=io.StringIO(), width=260, markup=False)
    show_tables(tables_of(made.study), console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def tables_in(text: str) -> list[str]:
    return re.split(r"(?=Table \d: )", text)[1:]


def test_tables_of_four_accounts(few: StudyOfAccounts, tmp_path: Path) -> None:
    text = terminal(few)
    assert not INTERVAL.search(text)
    assert not NOTHING.search(text)
    tables = tables_in(text)
    assert len(tables) == 2 + 2 * 2
    for table in tables:
        assert table.count(REASON) == 1
        assert table.count("too few for") == 1
        assert "(a)" not in table
    assert "│ Face*" in tables[-1]
    assert " 0.67 (n = 2) " in tables[-1], "two videos confront it"
    assert tables[-1].count("(n = ...): so few videos have the label") == 1
    write_tables(tables_of(few.study), tmp_path)
    assert not INTERVAL.search((tmp_path / "tables.md").read_text())
    for number in (3, 4, 5, 6):
        with (tmp_path / f"table_{number}.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        assert not any(line["lower"] or line["upper"] for line in lines)
        own = [line for line in lines if line["value"] and line["system"] == "good"]
        assert {
            line["no_interval"] for line in own if line["stance"] != "mean" and line["metric"] == "f1"
        } <= {REASON}


def test_tables_of_many_accounts(many: StudyOfAccounts) -> None:
    text = terminal(many)
    assert "too few for an interval" not in text
    assert "a few accounts" not in text
    for table in tables_in(text):
        own = [line for line in table.splitlines() if re.match(r"│ (good|poor|Face|Humility) ", line)]
        assert own
        for line in own:
            assert INTERVAL.search(line), line


def test_the_labels_of_a_mean_stand_with_it(
    few: StudyOfAccounts, many: StudyOfAccounts, tmp_path: Path
) -> None:
    labels = (
        "face+",
        "achievement+",
        "tradition+",
        "humility+",
        "face-",
        "achievement-",
        "tradition-",
        "humility-",
    )
    (sentence,) = tables_of(many.study).averaged
    assert sentence.startswith(
        "Means run over 8 labels, true of at least 5 % of the videos, and of 5 videos in 2 "
    )
    assert all(f" {label}" in sentence for label in labels)
    for table in tables_in(terminal(many))[:2]:
        assert " ".join(table.split()).count(sentence) == 1
    write_tables(tables_of(many.study), tmp_path)
    assert sentence in (tmp_path / "tables.md").read_text().replace("\\", "")
    with (tmp_path / "table_3.csv").open(newline="") as file:
        over = {line["stance"]: line["averaged_labels"].split() for line in csv.DictReader(file)}
    assert set(over["all"]) == set(labels)
    assert set(over["endorsed"]) == set(labels[:4])
    (fewer,) = tables_of(few.study).averaged
    assert fewer != sentence, "of fourteen videos some labels are true of too few"


def test_a_frozen_list_says_so(tmp_path: Path) -> None:
    made = StudyOfAccounts(tmp_path, videos=14, accounts=4, labels=("face+", "humility-"))
    assert tables_of(made.study).averaged == [
        "Means run over 2 labels, frozen in the configuration: face+, humility-."
    ]
    page = Page((made.report() / "systems.html").read_text())
    assert "2 labels, frozen in the configuration: face+, humility-" in page.words


def sections(html: str) -> dict[str, str]:
    """The words of each section of a page, by its id."""
    found = re.findall(r'<section id="(\w+)">(.*?)</section>', html, re.DOTALL)
    return {name: Page(part).words for name, part in found}


def test_the_page_of_four_accounts(few: StudyOfAccounts) -> None:
    site = few.report()
    for name in PAGES:
        text = Page((site / name).read_text()).words
        assert not INTERVAL.search(text), name
        assert not NOTHING.search(text), name
    parts = sections((site / "systems.html").read_text())
    for name in ("f1", "compared", "drop", "movie"):
        assert parts[name].count("4 accounts: too few for an interval") == 1, name
    assert parts["labels"].count(REASON) == 2, "once for each system"
    assert "p corrected" not in parts["compared"], "without an interval there is no p"
    assert re.search(r"n = [1-4]\b", parts["labels"])
    genres = sections((site / "accounts.html").read_text())["genres"]
    assert "food Not compared: 7 videos of 2 accounts: too few to compare" in genres
    assert not INTERVAL.search(genres)


def test_the_page_of_many_accounts(many: StudyOfAccounts) -> None:
    site = many.report()
    parts = sections((site / "systems.html").read_text())
    for name, numbers in (("f1", 4 * 6), ("compared", 4), ("drop", 2 * 2), ("movie", 2 * 12), ("labels", 16)):
        assert len(INTERVAL.findall(parts[name])) >= numbers, name
        assert "too few" not in parts[name].replace("too few videos", ""), name
    assert "all 6 comparisons of this table, in both metrics" in parts["compared"]
    assert "p if exchangeable" in parts["compared"]
    assert "cannot be below" not in parts["compared"], "of 91 accounts it can be as small as is shown"
    genres = sections((site / "accounts.html").read_text())["genres"]
    assert len(INTERVAL.findall(genres)) == 2 * 2 * 3
    assert "Predict everything" in genres
    assert genres.count("8 labels: achievement+, face+, tradition+, humility+, achievement-, ") == 1
    assert "Not compared" not in genres


def test_of_twelve_accounts_a_line_says_that_few_decide(tmp_path: Path) -> None:
    made = StudyOfAccounts(tmp_path, videos=96, accounts=12)
    few = "a few accounts decide this: 12"
    for table in tables_in(terminal(made)):
        assert table.count(few) == 1
        assert INTERVAL.search(table)
    parts = sections((made.report() / "systems.html").read_text())
    assert all(parts[name].count(few) == 1 for name in ("f1", "compared", "drop", "movie"))
    assert parts["labels"].count(few) == 2
    (sheet,) = (one for one in figures_of(made.study).sheets if one.name == "systems_f1")
    assert sheet.shows.count("A few accounts decide this: 12.") == 1


def test_charts(few: StudyOfAccounts, many: StudyOfAccounts) -> None:
    (sheet,) = (one for one in figures_of(few.study).sheets if one.name == "systems_f1")
    assert sheet.shows.count(REASON) == 1
    assert "95 %" not in sheet.shows
    assert {one["lower"] for one in sheet.data["systems"]} == {None}
    assert listing(figures_of(few.study)).count(REASON) == 2  # of rates and of systems
    (sheet,) = (one for one in figures_of(many.study).sheets if one.name == "systems_f1")
    assert "with its 95 % interval" in sheet.shows
    assert "too few" not in sheet.shows
    assert sheet.shows.endswith(
        "Guess by frequency: an exact expectation, which no account changes: no interval."
    )
    assert all(one["lower"] for one in sheet.data["systems"] if not one["baseline"])


def test_prevalence_and_every_chart(few: StudyOfAccounts, many: StudyOfAccounts) -> None:
    for made in (few, many):
        done = CliRunner().invoke(app, ["prevalence", made.out, "--system", "good"], env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        assert not NOTHING.search(done.output)
        assert bool(INTERVAL.search(done.output)) == (made is many)
        assert ("too few for an interval" in done.output) == (made is few)
        for sheet in figures_of(made.study).sheets:
            lines = list(csv.DictReader(io.StringIO(sheet.numbers.decode())))
            ends = {line[end] for line in lines for end in ("low", "high", "lower", "upper") if end in line}
            assert made is many or ends <= {""}, sheet.name


def test_compare(few: StudyOfAccounts, many: StudyOfAccounts) -> None:
    for made in (few, many):
        done = CliRunner().invoke(app, ["compare", made.out])
        assert done.exit_code == 0, done.output
        lines = [line for line in done.output.splitlines() if "F1" in line and "│" in line]
        assert len(lines) == 6
        assert all(bool(re.search(r"\[[+-]\d\.\d{3}, [+-]\d", line)) == (made is many) for line in lines)
        assert done.output.count(REASON) == (made is few)
        assert ("p, Holm: corrected for all 6 comparisons of this table" in done.output) == (made is many)
        assert ("p if exchangeable" in done.output) == (made is many), "without an interval there is no p"
        assert not NOTHING.search(done.output)


def test_agreement(few: StudyOfAccounts, many: StudyOfAccounts) -> None:
    for made, accounts in ((few, 4), (many, 91)):
        tables = [str(made.annotations(name, errors)) for name, errors in (("ann", 0.1), ("bob", 0.2))]
        done = CliRunner().invoke(app, ["agreement", *tables, "--systems", made.out, "--coding", "binary"])
        assert done.exit_code == 0, done.output
        assert done.output.count(REASON) == (accounts == 4)
        assert bool(INTERVAL.search(done.output)) == (accounts == 91)
        assert not NOTHING.search(done.output)
