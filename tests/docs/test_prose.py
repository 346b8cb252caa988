"""The documents' prose: no paragraph is longer than five lines, and a page begins with words."""

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MADE = {"codebook.md"}  # by `python -m tikval.codebook`: a definition is as long as its author made it
LINE, MOST = 120, 5
NO_PROSE = re.compile(
    r"\s*(\||#|<!--|!\[|[-*] |\d+\. |>|    )"
)  # tables, headings, pictures, lists, quotes, code


def paragraphs(text: str) -> list[str]:
    """Each as one line; what follows the begin of a list belongs to the list."""
    found: list[list[str]] = [[]]
    in_list = False
    for line in re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL).splitlines():
        if not line.strip():
            in_list = False
            found.append([])
        elif NO_PROSE.match(line):
            in_list = re.match(r"\s*([-*] |\d+\. |>)", line) is not None
            found.append([])
        elif not in_list:
            found[-1].append(line)
    return [" ".join(lines) for lines in found if lines]


def length(paragraph: str) -> int:
    """Lines of 120 characters."""
    return len(textwrap.wrap(paragraph, LINE, break_long_words=False, break_on_hyphens=False))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in MADE], ids=lambda page: page.name
)
def test_no_paragraph_is_longer_than_five_lines(page: Path) -> None:
    found = paragraphs(page.read_text(encoding="utf-8"))
    assert [one[:70] for one in found if length(one) > MOST] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_begins_with_a_title_and_words(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    title, *rest = [line for line in lines if line.strip() and not line.startswith("<!--")]
    assert title.startswith("# ")
    assert not rest[0].startswith(("|", "##")), "tell first what the reader can do with the page"


def test_paragraphs_are_told_from_what_is_none() -> None:
    text = "# Title\nOne\ntwo.\n\n| a |\n| - |\n\n- item\ngoes on\n\nThree.\n\n```bash\ncode\n```\n> quote\n"
    assert paragraphs(text) == ["One two.", "Three."]
    assert length("word " * 130) > MOST
