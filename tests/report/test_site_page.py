"""A whole site in a real browser: every page, wide and narrow, light and dark, from disk and from a server."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.fixtures import browser
from tests.fixtures.trained import IDS, Study, stances
from tikval.config import EvaluateConfig, ReportConfig
from tikval.evaluate.score_systems import score_systems
from tikval.report.site.write import write_report

pytestmark = pytest.mark.browser
chromium, visit = browser.chromium, browser.visit

PAGES = ("index", "systems", "values", "accounts", "videos", "attrition", "paper", "failures")
WIDER = "document.documentElement.scrollWidth - innerWidth"
AXE = {
    "preload": False,
    "resultTypes": ["violations"],
}  # it would fetch style sheets, which the policy forbids
# words that stand on two lines, where they are no ids or addresses and have no hyphen
BROKEN = """() => {
    const ids = "bdi, code, dd, .id, .caption, .script, .notes, .tag, .evidence, .sr, svg, noscript, .how-sure";
    const broken = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        if (text.parentElement.closest(ids)) continue;
        for (const { 0: word, index } of text.data.matchAll(/[\\p{L}\\p{N}]+/gu)) {
            const range = document.createRange();
            range.setStart(text, index);
            range.setEnd(text, index + word.length);
            const lines = new Set(Array.from(range.getClientRects(), (one) => Math.round(one.top)));
            if (lines.size > 1) broken.push(`${word} in: ${text.data.trim()}`);
        }
    }
    return broken;
}"""
# what the keyboard should reach, and what has the focus with its outline
NAME = "(one) => `${one.tagName} ${one.getAttribute('href') ?? ''} ${one.textContent.trim().slice(0, 40)}`"
REACHABLE = f"""Array.from(document.querySelectorAll("a[href], summary, [tabindex='0']"))
    .filter((one) => one.checkVisibility() && one.tabIndex >= 0).map({NAME})"""
FOCUSED = f"[({NAME})(document.activeElement), getComputedStyle(document.activeElement).outlineStyle]"
# of each state of the list's form how many videos it shows
COUNTS = """async (anchors) => {
    tikval.list.video = () => document.createElement("li"); // drawing takes time, and is tested elsewhere
    const counts = [];
    for (const anchor of anchors) {
        const changed = new Promise((done) => addEventListener("hashchange", () => setTimeout(done), { once: true }));
        location.hash = anchor;
        await changed;
        counts.push(document.getElementById("count").textContent.split(" ")[0]);
    }
    return counts;
}"""
# what is drawn: pixels of each chart's canvas that are not transparent
DRAWN = """Array.from(document.querySelectorAll(".plot"), (div) => {
    const canvas = div.querySelector("canvas");
    if (!canvas) return 0;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.reduce((n, value, at) => n + (at % 4 === 3 && value > 0), 0);
})"""


@pytest.fixture(scope="module")
def site(every_form: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = Study(tmp_path_factory.mktemp("study"))
    trained = study.trained("bert", study.noisy(1))
    asked = study.asked("gemini", lambda name: stances(int(study.truth[name][0]), 0))
    scores = EvaluateConfig(predictions=(trained, asked), out=study.out, permutations=100)
    score_systems(scores)
    config = ReportConfig(scores=scores, out=study.out)
    write_report(config)
    return Path(config.folder)


@pytest.mark.parametrize(
    ("width", "dark"),
    [
        (browser.DESK_PX, False),
        (browser.PHONE_PX, True),
        pytest.param(browser.DESK_PX, True, marks=pytest.mark.full),
        pytest.param(browser.PHONE_PX, False, marks=pytest.mark.full),
    ],
)
def test_every_page_is_whole(site: Path, visit: browser.Visit, width: int, dark: bool) -> None:
    charts = 0
    some_video = next((site / "videos").glob("*.html")).stem
    for name in (*PAGES, f"videos/{some_video}"):
        tab = visit(site, f"{name}.html", width=width, dark=dark)
        tab.page.wait_for_timeout(300)
        assert tab.page.evaluate(WIDER) <= 0, f"{name} is wider than the screen"
        assert tab.page.locator("nav a[aria-current]").count() == 1
        drawn = tab.page.evaluate(DRAWN)
        assert all(pixels > 500 for pixels in drawn), f"{name}: {drawn}"
        charts += len(drawn)
        assert tab.page.evaluate(BROKEN) == [], f"{name} breaks words"
        found = Axe().run(tab.page, options=AXE).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == [], name
    assert charts >= 8


def test_the_keyboard_reaches_every_link_and_shows_where_it_is(site: Path, visit: browser.Visit) -> None:
    page = visit(site, "index.html").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.locator(".skip").bounding_box()["x"] >= 0  # type: ignore[index]
    wanted = page.evaluate(REACHABLE)
    assert len(wanted) > 20
    reached = set[str]()
    while not reached >= set(wanted) and len(reached) < 500:
        at, outline = page.evaluate(FOCUSED)
        assert outline != "none", f"no outline around {at}"
        reached.add(at)
        page.keyboard.press("Tab")


def test_every_number_leads_to_as_many_videos_as_it_says(site: Path, visit: browser.Visit) -> None:
    """A link's title has the count; the list's own count is what it shows."""
    titles: dict[str, str] = {}
    for name in ("index", "values", "accounts", "systems"):
        page = visit(site, f"{name}.html").page
        found = page.eval_on_selector_all("a.behind", "all => all.map((a) => [a.href, a.title])")
        assert len(found) > 3, name
        titles |= {href.partition("#")[2]: title.split()[0] for href, title in found}
    shown = visit(site, "videos.html").page.evaluate(COUNTS, list(titles))
    assert dict(zip(titles, shown, strict=True)) == titles
    fields = {part.partition("=")[0] for anchor in titles for part in anchor.split("&")}
    assert fields == {"who", "value", "stance", "agree", "account", "result"}


def test_from_the_list_to_a_video_and_back_to_it(site: Path, visit: browser.Visit) -> None:
    with browser.serving(site) as address:
        tab = visit(address, "videos.html")
        tab.page.get_by_label("Search").fill(IDS[7])
        tab.page.get_by_text("1 of 92 videos").wait_for()
        tab.page.get_by_role("link", name=IDS[7]).click()
        tab.page.wait_for_url("**/videos/*.html")
        assert tab.page.get_by_role("heading", level=1).inner_text() == IDS[7]
        for heading in ("Annotated by people", "bert", "gemini", "Script"):
            assert tab.page.get_by_role("heading", name=heading).is_visible()
        tab.page.go_back()
        assert tab.page.get_by_label("Search").input_value() == IDS[7]


def test_the_numbers_of_a_chart_and_its_files_are_at_hand(site: Path, visit: browser.Visit) -> None:
    tab = visit(site, "systems.html")
    figure = tab.page.locator("#systems_f1")
    assert "bert" in (figure.locator(".plot").get_attribute("aria-label") or "")
    table = figure.locator("table")
    assert not table.is_visible()
    figure.locator("summary").focus()
    tab.page.keyboard.press("Enter")
    assert table.is_visible()
    for suffix in ("svg", "png", "pdf", "csv"):
        link = figure.locator(f'a[href="charts/systems_f1.{suffix}"]')
        assert link.get_attribute("download") is not None
        assert (site / "charts" / f"systems_f1.{suffix}").is_file()


def test_without_scripts_the_drawn_figures_are_shown(site: Path, visit: browser.Visit) -> None:
    tab = visit(site, "values.html", scripts=False)
    assert tab.page.locator("noscript img").count() >= 3
    tab = visit(site, "index.html", scripts=False)
    assert tab.page.get_by_role("heading", name="Coverage").is_visible()
