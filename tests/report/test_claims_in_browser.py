"""The page of claims in a real browser: whole at every width, accessible, and its dots stand where the numbers say."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.fixtures import browser, site
from tests.fixtures.site import KEYS
from tests.report.test_claims_page import claim_row, family, way_row
from tikval.claims.verdict import Verdict

pytestmark = pytest.mark.browser
chromium, visit = browser.chromium, browser.visit

WIDER = "document.documentElement.scrollWidth - innerWidth"
# of each dot how far it stands to the right of its zero line, in shares of the figure's width
PLACES = """Array.from(document.querySelectorAll(".forest .dot"), (dot) => {
    const svg = dot.closest("svg").getBoundingClientRect();
    const middle = (box) => box.left + box.width / 2;
    const zero = middle(dot.parentElement.querySelector(".zero").getBoundingClientRect());
    return (middle(dot.getBoundingClientRect()) - zero) / svg.width;
})"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [claim_row(f"c{n}", verdict) for n, verdict in enumerate(Verdict)]
    ways = (
        way_row("c0", "corrected", 0.1),
        way_row("c0", "raw", -0.2, system="a-system-with-a-rather-long-name", seed=2),
        way_row("c0", "annotated", None),
    )
    examples = {"c0": {"for": [KEYS["one"]], "against": [KEYS["two"]]}}
    made = site.report(claims=(family(*rows, ways=ways, examples=examples),))
    root = tmp_path_factory.mktemp("site")
    for name, data in site.files(made).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.mark.parametrize(
    ("width", "dark"),
    [
        (browser.DESK_PX, False),
        (browser.PHONE_PX, True),
        pytest.param(browser.DESK_PX, True, marks=pytest.mark.full),
        pytest.param(browser.PHONE_PX, False, marks=pytest.mark.full),
    ],
)
def test_the_page_is_whole_and_accessible(folder: Path, visit: browser.Visit, width: int, dark: bool) -> None:
    page = visit(folder, "claims.html", width=width, dark=dark).page
    assert page.evaluate(WIDER) <= 0
    assert not [one["id"] for one in Axe().run(page, options={"preload": False}).response["violations"]]
    first, second = page.evaluate(PLACES)
    assert second == pytest.approx(-2 * first, rel=0.02)
    assert first > 0
    page.locator("a", has_text="one").first.click()
    assert page.url.endswith(f"videos/{KEYS['one']}.html")


def test_the_first_page_leads_to_the_verdicts(folder: Path, visit: browser.Visit) -> None:
    page = visit(folder, "index.html").page
    page.locator(".claims-line a").first.click()
    assert page.url.endswith("claims.html")
