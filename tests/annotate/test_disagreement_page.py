"""The page of disagreements: what says most first, notes as text, nobody named; in a real browser, light and dark."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures import browser
from tests.fixtures.browser import Visit
from tikval.annotate.coding import Coding
from tikval.annotate.coding_agreement import agreement_of_codings
from tikval.annotate.disagreement_page import disagreement_page
from tikval.annotate.disagreements import ValueDisagreement, disagreements_by_value
from tikval.annotate.merge import merge_items, plan_of_codings, sort_codings
from tikval.annotate.sheet import SheetItem
from tikval.codebook import load_codebook
from tikval.config import find_file
from tikval.values import SLUGS

BOOK = load_codebook(find_file("prompts/codebook.yaml"))
HOSTILE = '<script>alert("x")</script> @jane_doe99'
chromium, visit = browser.chromium, browser.visit


def coded(coder: str, answers: dict[str, dict[str, str]]) -> list[Coding]:
    absent = dict.fromkeys(SLUGS, "absent")
    return [Coding(f"v{n}", coder, "main", absent | answers.get(f"v{n}", {})) for n in range(20)]


def page() -> tuple[list[ValueDisagreement], bytes]:
    """Stimulation and hedonism are taken for each other twice; face is found by both, and dominant to one."""
    mine = {"v1": {"stimulation": "endorsed"}, "v2": {"stimulation": "endorsed"}, "v3": {"face": "dominant"}}
    theirs = {"v1": {"hedonism": "endorsed"}, "v2": {"hedonism": "dominant"}, "v3": {"face": "endorsed"}}
    both = {f"v{n}": {"face": "endorsed"} for n in range(4, 20)}
    rows = [*coded("ann", mine | both), *coded("bob", theirs | both)]
    rows[2] = replace(rows[2], note=HOSTILE, value_notes={"stimulation": "is it\u2028new?"})
    found = sort_codings(rows, plan_of_codings(rows, "eve"), "eve")
    merged = merge_items(plan_of_codings(rows, "eve"), found, SLUGS)
    material = {f"v{n}": SheetItem(f"v{n}", "main", (), HOSTILE) for n in range(20)}
    by_value = disagreements_by_value(merged, [one for one in merged if one.disputed], material, BOOK)
    return by_value, disagreement_page(by_value, agreement_of_codings(found, {}, {}, BOOK), 20, BOOK)


def test_what_says_most_comes_first_with_notes_first() -> None:
    by_value, made = page()
    assert [(one.slug, one.items, one.found) for one in by_value] == [
        ("stimulation", 2, 2),
        ("hedonism", 2, 2),
        ("face", 1, 17),
    ]
    assert [(other.slug, other.items) for other in by_value[0].confusions] == [("hedonism", 2)]
    assert by_value[0].pairs == ((("endorsed", "absent"), 2),)
    assert by_value[2].pairs == ((("dominant", "endorsed"), 1),)
    assert [example.item for example in by_value[0].examples] == ["v2", "v1"]
    text = made.decode()
    assert not [word for word in ("<script>", "jane_doe", "ann<", "bob") if word in text]
    assert "Coder A" in text


@pytest.mark.browser
def test_the_page_in_a_browser(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "disagreements.html").write_bytes(page()[1])
    grounds = []
    for dark in (False, True):
        tab = visit(tmp_path, "disagreements.html", dark=dark, width=browser.PHONE_PX)
        grounds.append(tab.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= browser.PHONE_PX
        assert len(tab.requests) == 1
    assert grounds == ["rgb(244, 244, 242)", "rgb(18, 21, 24)"]  # so the policy lets the style in
