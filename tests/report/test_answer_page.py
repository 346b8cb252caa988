"""Sites of 17, 888 and 10,000 made-up videos in a browser: sentence, examples and links say what their rows say."""

from dataclasses import replace
from itertools import chain, takewhile
from pathlib import Path

import pytest

from benchmarks.site import made_up
from tests.fixtures import browser
from tests.report.test_site_page import COUNTS
from tikval.report.site.browse import browse_files
from tikval.report.site.pages import site_files
from tikval.report.site.record import Report
from tikval.values import LABELS, VALUES

pytestmark = pytest.mark.browser
chromium, visit = browser.chromium, browser.visit

SYSTEM = "gemini direct"
# the quotes of each example, and the address of its video
EXAMPLES = """all => all.map((one) => {
    const quotes = Array.from(one.querySelectorAll("q"), (q) => q.textContent.replace(/[\u201c\u201d]/g, ""));
    return [one.querySelector("h3 a").getAttribute("href"), ...quotes];
})"""

# where each link leads in the list, and how many videos it promises
LINKS = "all => all.map((a) => [a.href.split('#')[1], a.title.split(' ')[0]])"


def write_overview(report: Report, site: Path) -> None:
    """Write the pages and the data of the list, without the videos' own pages: these take the time."""
    pages = takewhile(lambda file: not file[0].startswith("videos/"), site_files(report))
    others = site_files(replace(report, cards=report.cards[:1]))
    assets = (file for file in others if file[0].startswith("assets/"))
    for name, data in chain(pages, browse_files(report), assets):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(data)


def times(report: Report, label: str) -> int:
    """In how many videos the system gives a label, counted from the rows."""
    place = LABELS.index(label)
    rows = [row for card in report.cards for row in card.predictions if row["system"] == SYSTEM]
    return sum(bool(row["decisions"][place]) for row in rows if row["decisions"])


@pytest.mark.parametrize(
    "n", [17, pytest.param(888, marks=pytest.mark.full), pytest.param(10_000, marks=pytest.mark.full)]
)
def test_sentence_examples_and_links_equal_the_rows(tmp_path: Path, visit: browser.Visit, n: int) -> None:
    report = made_up(n, (SYSTEM, "roberta"))
    write_overview(report, tmp_path)
    page = visit(tmp_path, "index.html").page
    sentence = page.locator(".sentence").inner_text().replace("\u00a0", " ")
    judged = sum(bool(row["decisions"]) for card in report.cards for row in card.predictions[:1])
    assert sentence.startswith(f"In {judged:,} videos the most endorsed value")
    for stance, sign in (("endorsed", "+"), ("confronted", "-")):
        most = max(times(report, f"{value.slug}{sign}") for value in VALUES)
        top = [value.title.lower() for value in VALUES if times(report, f"{value.slug}{sign}") == most]
        clause = next(part for part in sentence.split(";") if stance in part)
        assert all(title in clause for title in top) or f"{len(top)} values" in clause
        assert f"in {100 * most / judged:.0f} %" in clause or f"in {100 * most / judged:.1f} %" in clause
    scripts = {f"videos/{card.key}.html": card.script or "" for card in report.cards}
    examples = page.eval_on_selector_all(".examples > li", EXAMPLES)
    assert 1 <= len(examples) <= 3
    for address, *quotes in examples:
        assert all(quote in scripts[address] for quote in quotes)
        assert "nevermore" not in "".join(quotes)
    links = dict(page.eval_on_selector_all("a.behind", LINKS))
    shown = visit(tmp_path, "videos.html").page.evaluate(COUNTS, list(links))
    assert dict(zip(links, shown, strict=True)) == links
