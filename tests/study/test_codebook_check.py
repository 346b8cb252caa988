"""A codebook written by hand: every fault at once, with its line; the template and the examples have none."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tests.conftest import ROOT
from tikval.cli.commands import app
from tikval.codebook import load_codebook, render_page
from tikval.config import UserError
from tikval.study.codebook_check import check_codebook, summary_of_codebook, template_text

SHIPPED = ("codebook.yaml", "codebook_template.yaml", "moral_foundations.yaml")


def template(**changes: Any) -> dict[str, Any]:
    return {**yaml.safe_load(template_text()), **changes}


def checked(tmp_path: Path, text: str) -> list[tuple[int | None, str, str, bool]]:
    file = tmp_path / "book.yaml"
    file.write_text(text, encoding="utf-8")
    return [tuple(fault) for fault in check_codebook(str(file)).faults]  # type: ignore[misc]


def line_of(text: str, words: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if words in line)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_has_no_fault_and_loads(name: str) -> None:
    found = check_codebook(f"prompts/{name}")
    assert found.faults == []
    assert found.codebook == load_codebook(ROOT / "prompts" / name)


@pytest.mark.parametrize(
    ("old", "new", "at", "where", "message"),
    [
        ("version: 1", "versoin: 1", "versoin", "versoin", "unknown key; did you mean version?"),
        ("  title: Thrift", "  titel: Thrift", "titel", "thrift, titel", "unknown key; did you mean title?"),
        ("  title: Thrift", "", "slug: thrift", "thrift, title", "is missing"),
        ("  endorsing:", "  endorsed:", "slug: thrift", "thrift, endorsing", "no endorsing examples"),
        (
            "slug: craft, how",
            "slug: crafts, how",
            "crafts, how",
            "thrift, distinct_from, entry 1, slug",
            "did you mean craft?",
        ),
        (
            "- slug: craft  #",
            "- slug: thrifts  #",
            "slug: thrifts",
            "thrifts, slug",
            "thrifts looks like thrift",
        ),
        (
            "- slug: thrift  #",
            "- slug: Thrift  #",
            "slug: Thrift",
            "Thrift, slug",
            "may have small letters, digits and _",
        ),
        (
            "We cook the leftovers",
            "Hi @jane_doe99, we cook the leftovers",
            "@jane_doe99",
            "thrift, endorsing, example 2",
            "names an account",
        ),
        (
            '- "He smashes the clay pots',
            '- 7\n  - "He smashes the clay pots',
            "- 7",
            "craft, confronting, example 4",
            "not a text",
        ),
        ("version: 1", "version: one", "version: one", "version", "not a whole number"),
    ],
)
def test_each_fault_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, at: str, where: str, message: str
) -> None:
    text = template_text().replace("- slug: craft\n", "- slug: craft  #\n").replace(old, new, 1)
    found = checked(tmp_path, text)
    mine = [fault for fault in found if message in fault[2] and fault[1] == where]
    assert mine, found
    assert mine[0][0] == line_of(text, at)
    assert not mine[0][3]


def test_a_sentence_stands_for_one_label_only(tmp_path: Path) -> None:
    book = template()
    thrift, craft = book["values"]
    craft["endorsing"][1] = thrift["confronting"][0].upper()
    book["neutral"][3] = thrift["endorsing"][2]
    found = checked(tmp_path, yaml.safe_dump(book, sort_keys=False))
    assert [(where, message) for _, where, message, _ in found] == [
        (
            "craft, endorsing, example 2",
            "the same sentence is in thrift, confronting, example 1: it would stand for both",
        ),
        ("neutral, entry 4", "the same sentence is in thrift, endorsing, example 3: it would stand for both"),
    ]


def test_a_key_that_is_there_twice(tmp_path: Path) -> None:
    text = template_text().replace("  confronting:", "  endorsing:", 1)
    assert (
        line_of(text, "I bought six jackets") - 1,
        "thrift, endorsing",
        "the key is there twice",
        False,
    ) in [
        (line, where, message, advice)
        for line, where, message, advice in checked(tmp_path, text)
        if "twice" in message and line
    ]


def test_all_faults_come_in_one_go_and_in_order(tmp_path: Path) -> None:
    text = template_text().replace("version: 1", "versoin: 1").replace("title: Craft", "titel: Craft")
    text = text.replace('"Caption: why would anyone', '"Caption: @jane_doe99 why would anyone')
    lines = [line for line, *_ in checked(tmp_path, text)]
    assert len(lines) == 5
    assert lines == sorted(lines, key=lambda line: line or 0)


def test_few_examples_are_advice_that_says_what_the_number_does(tmp_path: Path) -> None:
    book = template(neutral=[])
    book["values"][0]["endorsing"] = book["values"][0]["endorsing"][:2]
    book["values"][1]["confronting"] = book["values"][1]["confronting"][:4]
    found = checked(tmp_path, yaml.safe_dump(book, sort_keys=False))
    assert all(is_advice for *_, is_advice in found)
    texts = {where: message for _, where, message, _ in found}
    assert (
        "2 endorsing examples: below 3 the local extractor cannot set its threshold"
        in texts["thrift, endorsing"]
    )
    assert "4 confronting examples: enough to set" in texts["craft, confronting"]
    assert "0 of 10 neutral sentences" in texts["neutral"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with name, version"),
        ("- a\n- b\n", "begins with name, version"),
        ('name: "my-values\nversion: 1\n', "not YAML"),
        ("values:\n- slug: a\n title: b\n", "not YAML"),
        ("values: 5\n", "values"),
        ("values:\n- just a text\n", "value 1"),
        ("a: &a [*a]\n", "aliases"),
    ],
)
def test_what_is_no_codebook_is_one_clear_fault_or_more(tmp_path: Path, text: str, message: str) -> None:
    found = checked(tmp_path, text)
    assert any(message in f"{where}: {what}" for _, where, what, _ in found), found


def test_the_schwartz_slugs_do_not_look_alike_and_other_slugs_do(tmp_path: Path) -> None:
    assert not check_codebook("prompts/codebook.yaml").faults
    for one, other in (("fair_play", "fairplay"), ("care_one", "care_ones"), ("purity", "puritv")):
        book = template()
        book["values"][0]["slug"], book["values"][1]["slug"] = one, other
        del book["values"][0]["distinct_from"], book["values"][1]["distinct_from"]
        assert ["looks like" in message for _, _, message, _ in checked(tmp_path, yaml.safe_dump(book))] == [
            True
        ]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UserError, match="no such file"):
        check_codebook("nowhere.yaml")


def test_the_summary_says_what_it_will_do() -> None:
    found = check_codebook("prompts/moral_foundations.yaml").codebook
    assert found is not None
    text = summary_of_codebook(found)
    assert "5 values, 10 labels (endorsed and confronted), 8 examples of each, 12 neutral sentences" in text
    assert "tokens" in text


# the commands


def test_check_ends_with_2_for_a_fault_and_0_without(tmp_path: Path) -> None:
    run = CliRunner()
    good = run.invoke(app, ["codebook", "check", "prompts/moral_foundations.yaml"])
    assert (good.exit_code, "no fault" in good.output) == (0, True)
    file = tmp_path / "book.yaml"
    file.write_text(template_text().replace("version: 1", "versoin: 1"))
    bad = run.invoke(app, ["codebook", "check", str(file)])
    assert bad.exit_code == 2
    assert f"{file}:{line_of(file.read_text(), 'versoin')}: versoin: unknown key" in bad.output
    assert "2 faults" in bad.output


def test_show_is_a_table_or_a_page() -> None:
    run = CliRunner()
    table = run.invoke(app, ["codebook", "show", "prompts/moral_foundations.yaml"])
    assert table.exit_code == 0
    for title in ("Care", "Fairness", "Loyalty", "Authority", "Purity"):
        assert title in table.output
    page = run.invoke(app, ["codebook", "show", "prompts/moral_foundations.yaml", "--markdown"])
    assert page.output == render_page(load_codebook(ROOT / "prompts" / "moral_foundations.yaml"))
    assert "docs/codebook.md" not in page.output


def test_template_never_overwrites(tmp_path: Path) -> None:
    run, file = CliRunner(), tmp_path / "mine.yaml"
    assert run.invoke(app, ["codebook", "template"]).output == template_text()
    assert run.invoke(app, ["codebook", "template", "--to", str(file)]).exit_code == 0
    assert check_codebook(str(file)).faults == []
    file.write_text("mine")
    again = run.invoke(app, ["codebook", "template", "--to", str(file)])
    assert isinstance(again.exception, UserError)
    assert file.read_text() == "mine"
