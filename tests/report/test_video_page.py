"""A video's page in a real browser: its evidence, the player, the keyboard, and whether anything bars anybody."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.fixtures import browser
from tests.fixtures.clips import write_clip
from tests.fixtures.site import KEYS, PREDICTIONS, card, files, report
from tests.report.test_call_pages import CALL
from tests.report.test_evidence_page import CAPTION, INVENTED, passage
from tikval.report.site.record import Report

pytestmark = pytest.mark.browser
chromium, visit = browser.chromium, browser.visit

PAGE = f"site/videos/{KEYS['two']}.html"
LINES = [f"JANE: This is sentence number {n} of a script that goes on and on." for n in range(1, 60)]
SCRIPT = "\n".join(["SOUND: yes", *LINES, "JANE: We won the race.", "[THE BEST TEAM EVER]"])
WIDER = "document.documentElement.scrollWidth - innerWidth"
BELOW = """document.documentElement.scrollHeight - scrollY
    - Math.max(innerHeight, document.querySelector("footer").getBoundingClientRect().bottom)"""
IN_VIEW = """(() => {
    const line = document.querySelector(":target").getBoundingClientRect();
    const box = document.querySelector(".script").getBoundingClientRect();
    return line.top >= Math.max(box.top, 0) && line.bottom <= Math.min(box.bottom, innerHeight);
})()"""


def until(page: Page, holds: str) -> None:
    """Wait: a policy without unsafe-eval admits no wait_for_function."""
    for _ in range(100):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(50)
    raise AssertionError(holds)


def made_report() -> Report:
    """Four videos, of which the second has evidence, an invented quote and a file at hand."""
    evidence = [
        passage("we won the race", start=1.5, end=1.9),
        passage("the best team ever", source="on_screen"),
        passage(INVENTED, in_script=True),
        passage("This is sentence number 3 of", label="b-"),
        passage("We won the race.", label="b-"),
        passage("thank you all", label="b-", source="caption"),
    ]
    row = {**PREDICTIONS[0], "video_id": "two", "decisions": [True, False, False, True], "evidence": evidence}
    times = (None, *(n / 30 for n in range(59)), 1.5, None)
    two = card(
        "two",
        script=SCRIPT,
        caption=CAPTION,
        recognised=SCRIPT,
        line_starts=times,
        seconds=2.0,
        predictions=(row,),
        video="../../clip%20of%20two.mp4",
        calls=(CALL, CALL),
    )
    cards = (card("one"), two, *(card(name) for name in ("three", "four")))
    return report(cards=cards, prompts={CALL.prompt: "You judge what a post endorses."})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    write_clip(root / "clip of two.mp4", n=50)
    for name, data in files(made_report()).items():
        (root / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "site" / name).write_bytes(data)
    return root


def test_a_quote_and_a_label_lead_to_the_line(folder: Path, visit: browser.Visit) -> None:
    page = visit(folder, PAGE).page
    for link, line in (
        ("We won the race", "#line-61"),
        ("Value A", "#line-61"),
        ("THE BEST TEAM EVER", "#line-62"),
    ):
        page.goto(page.url.partition("#")[0])
        assert page.locator(".script").evaluate("e => e.scrollTop") == 0
        page.locator(".reading:not(.truth)").get_by_role("link", name=link).first.click()
        assert page.evaluate("location.hash") == line
        until(page, IN_VIEW)
    page.get_by_role("link", name="Thank you all").click()
    assert page.evaluate("location.hash") == "#caption"


def test_the_marks_say_which_labels_they_speak_for(folder: Path, visit: browser.Visit) -> None:
    line = visit(folder, PAGE).page.locator("#line-61")
    assert line.locator("mark").all_inner_texts() == ["We won the race."]
    text = " ".join((line.text_content() or "").split())
    assert "(evidence, endorsed: Value A)" in text
    assert "(evidence, confronted: Value B)" in text


@pytest.mark.parametrize("served", [False, pytest.param(True, marks=pytest.mark.full)])
def test_a_time_plays_the_video_from_there(folder: Path, visit: browser.Visit, served: bool) -> None:
    with browser.serving(folder) as address:
        page = visit(address if served else folder, PAGE).page
        page.get_by_role("link", name="Play from 0:01").first.click()
        until(
            page,
            "(p => p.readyState >= 2 && !p.seeking && p.currentTime >= 1.4)(document.getElementById('player'))",
        )
        assert page.url.endswith(".html")
        assert page.evaluate("document.getElementById('player').error") is None
        assert not page.locator("#unplayable").is_visible()


def test_a_file_that_is_gone_is_told_of(folder: Path, visit: browser.Visit, tmp_path: Path) -> None:
    (tmp_path / "site").symlink_to(folder / "site")
    tab = visit(tmp_path, PAGE)
    tab.page.get_by_role("link", name="Play from 0:01").first.click()
    tab.page.locator("#unplayable").wait_for()
    assert all("ERR_FILE_NOT_FOUND" in error for error in tab.errors)
    tab.errors.clear()


def test_keys_and_links_turn_the_page(folder: Path, visit: browser.Visit) -> None:
    page = visit(folder, PAGE).page
    for key, name in (("j", "three"), ("j", "four"), ("j", "four"), ("k", "three")):
        page.keyboard.press(key)
        page.get_by_role("heading", level=1, name=name).wait_for()
    page.keyboard.press("Control+k")
    page.get_by_role("link", name="Previous").click()
    page.get_by_role("heading", level=1, name="two").wait_for()
    page.locator("#player").focus()
    page.keyboard.press("j")
    assert page.get_by_role("heading", level=1).inner_text() == "two", "the player has keys of its own"


def test_without_scripts_quotes_lead_to_lines_and_times_to_the_file(
    folder: Path, visit: browser.Visit
) -> None:
    page = visit(folder, PAGE, scripts=False).page
    time = page.get_by_role("link", name="Play from 0:01").first
    assert time.get_attribute("href") == "../../clip%20of%20two.mp4#t=1.5,1.9"
    page.get_by_role("link", name="We won the race").first.click()
    assert page.url.endswith("#line-61")


CALLS, LIST = f"site/calls/{KEYS['two']}.html", "site/videos.html"


@pytest.mark.parametrize(
    ("width", "dark", "paths"),
    [
        (browser.DESK_PX, False, (PAGE, LIST)),
        (browser.PHONE_PX, True, (PAGE, CALLS)),
        pytest.param(browser.DESK_PX, True, (PAGE, LIST, CALLS), marks=pytest.mark.full),
        pytest.param(browser.PHONE_PX, False, (PAGE, LIST, CALLS), marks=pytest.mark.full),
    ],
)
def test_no_barriers(
    folder: Path, visit: browser.Visit, width: int, dark: bool, paths: tuple[str, ...]
) -> None:
    for path in paths:
        page = visit(folder, path, width=width, dark=dark).page
        assert page.evaluate(WIDER) <= 0
        assert page.evaluate(BELOW) < 100, "nothing is below the page's end"
        found = Axe().run(page, options={"preload": False})  # it would fetch the style sheets
        assert found.violations_count == 0, found.generate_report()
