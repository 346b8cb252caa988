"""The page of all videos in a real browser: what is found, how it is used, and that hostile text stays text."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, Route, expect

from benchmarks.site import made_up, write
from tests.fixtures import browser
from tests.fixtures.browser import PHONE_PX, Tab, Visit
from tests.fixtures.rows import prediction
from tikval.report.site.pages import site_files
from tikval.report.site.record import Card, Failure, Report
from tikval.rows import row_key
from tikval.values import LABELS, SLUGS, binary

pytestmark = pytest.mark.browser
chromium, visit = browser.chromium, browser.visit

SYSTEMS = ("local", "mistral")
EVIL = "</script><img src=x onerror=alert(1)><b>\"'\u2028"
LIST = "#videos > li"


def write_whole(report: Report, site: Path) -> Path:
    """Every page, also those of the videos."""
    for name, data in site_files(report):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(data)
    return site


def card(video_id: str, *labels: str, **changes: Any) -> Card:
    """A video for which the system `local` predicts `labels`; `mistral` predicts nothing."""
    rows = (prediction(video_id, *labels), prediction(video_id, system="mistral"))
    return replace(Card(video_id, key=row_key(video_id, 1, "1"), predictions=rows), **changes)


def stances(**codes: int) -> tuple[int, ...]:
    return tuple(codes.get(slug, 0) for slug in SLUGS)


def report(*cards: Card, **changes: Any) -> Report:
    return replace(made_up(0, SYSTEMS), cards=cards, **changes)


def count(page: Page) -> tuple[int, int]:
    """(found, all) as the page shows it, once it does."""
    place = page.locator("#count")
    expect(place).to_have_text(re.compile(r"\d videos?$"))
    numbers = [int(number.replace(",", "")) for number in re.findall(r"[\d,]+", place.inner_text())]
    return numbers[0], numbers[-1]


def ids(page: Page) -> list[str]:
    count(page)
    return page.locator(f"{LIST} h3").all_text_contents()  # also of lines that are not drawn yet


def settled(page: Page, rows: int) -> None:
    expect(page.locator(LIST)).to_have_count(rows)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whole(made_up(12, SYSTEMS), tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def middle() -> Report:
    return made_up(888, SYSTEMS)


@pytest.fixture(scope="module")
def middle_site(middle: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("middle")
    write(middle, site)
    return site


def test_an_error_a_violation_and_a_request_to_elsewhere_are_seen(tmp_path: Path, visit: Visit) -> None:
    (tmp_path / "bad.html").write_text(
        """<!doctype html><meta http-equiv="Content-Security-Policy" content="img-src data:; script-src 'self'">
        <script>alert(1)</script><img src="http://127.0.0.1:9/x.png"><script src="bad.js"></script>"""
    )
    (tmp_path / "bad.js").write_text("new Image().src = 'data:,'; document.title = 'ran'; nobody.knows();")
    tab = visit(tmp_path, "bad.html")
    assert tab.page.title() == "ran"
    assert any("violates script-src" in error for error in tab.errors)
    assert any("violates img-src" in error for error in tab.errors)
    assert any("nobody is not defined" in error for error in tab.errors)
    tab.errors.clear()
    (tmp_path / "far.html").write_text("<!doctype html><img src='http://127.0.0.1:9/x.png'>")
    far = visit(tmp_path, "far.html")
    assert "a request to elsewhere: http://127.0.0.1:9/x.png" in far.errors
    far.errors.clear()


@pytest.mark.parametrize("served", [False, True], ids=["from disk", "from a server"])
def test_twelve_videos_are_listed_and_a_search_loads_their_texts(
    small: Path, visit: Visit, served: bool
) -> None:
    def check(site: Path | str) -> None:
        tab = visit(site, "videos.html")
        assert count(tab.page) == (12, 12)
        assert tab.page.locator("#count").inner_text() == "12 videos"
        assert ids(tab.page) == [card.video_id for card in made_up(12, SYSTEMS).cards]
        assert tab.page.locator(".pager:visible").count() == 0
        assert not [url for url in tab.requests if "data/text" in url]
        tab.page.fill("#q", "zzzz")
        expect(tab.page.locator("#count")).to_have_text("0 of 12 videos")
        expect(tab.page.locator("#nothing")).to_be_visible()
        assert [url.rsplit("/", 1)[1] for url in tab.requests if "data/text" in url] == ["text-0.js"]

    if served:
        with browser.serving(small) as address:
            check(address)
    else:
        check(small)


# What a filter must find, from the rows and not from the page's data.

Found = Callable[[Card], bool]


def labels_of(one: Card, who: str) -> set[str] | None:
    """The labels of a system or of `people`; None without a result."""
    if who == "people":
        decisions: Any = None if one.annotated is None else binary(one.annotated)
    else:
        decisions = next(row["decisions"] for row in one.predictions if row["system"] == who)
    return None if decisions is None else {label for label, yes in zip(LABELS, decisions, strict=True) if yes}


def has_label(who: str, *labels: str) -> Found:
    return lambda one: bool((labels_of(one, who) or set()) & set(labels))


def compared(system: str, test: Callable[[set[str], set[str]], bool]) -> Found:
    def found(one: Card) -> bool:
        mine, truth = labels_of(one, system), labels_of(one, "people")
        return mine is not None and truth is not None and test(mine, truth)

    return found


def either(*tests: Found) -> Found:
    return lambda one: any(test(one) for test in tests)


def reasons(one: Card) -> set[str]:
    return {row["error"] for row in one.predictions if row["error"]} | {f.reason for f in one.failures}


def differ(one: Card, *labels: str) -> bool:
    first, second = (labels_of(one, system) for system in SYSTEMS)
    return first is not None and second is not None and bool((first ^ second) & set(labels or LABELS))


FACE = ("face+", "face-")
FILTERS: dict[str, tuple[dict[str, str], Found]] = {
    "value": ({"value": "face"}, either(*(has_label(who, *FACE) for who in (*SYSTEMS, "people")))),
    "stance": (
        {"stance": "confronted"},
        either(*(has_label(who, *LABELS[19:]) for who in (*SYSTEMS, "people"))),
    ),
    "value and stance": (
        {"value": "face", "stance": "confronted"},
        either(*(has_label(who, "face-") for who in (*SYSTEMS, "people"))),
    ),
    "predicted by a system": ({"value": "face", "who": "system mistral"}, has_label("mistral", *FACE)),
    "coded by annotators": (
        {"value": "face", "stance": "endorsed", "who": "people"},
        has_label("people", "face+"),
    ),
    "who alone finds all": ({"who": "system local"}, lambda one: True),
    "agrees": (
        {"agree": "agrees"},
        either(*(compared(system, lambda mine, truth: mine == truth) for system in SYSTEMS)),
    ),
    "one agrees": ({"agree": "agrees", "who": "system local"}, compared("local", set.__eq__)),
    "agrees on a value": (
        {"agree": "agrees", "value": "face", "stance": "endorsed", "who": "system local"},
        compared("local", lambda mine, truth: "face+" in mine & truth),
    ),
    "misses": (
        {"agree": "misses", "who": "system local"},
        compared("local", lambda mine, truth: bool(truth - mine)),
    ),
    "misses a value": (
        {"agree": "misses", "value": "face"},
        either(*(compared(system, lambda mine, truth: bool((truth - mine) & {*FACE})) for system in SYSTEMS)),
    ),
    "adds": (
        {"agree": "adds", "who": "system mistral"},
        compared("mistral", lambda mine, truth: bool(mine - truth)),
    ),
    "differ": ({"agree": "differ"}, differ),
    "differ in a value": ({"agree": "differ", "value": "face"}, lambda one: differ(one, *FACE)),
    "succeeded": ({"result": "succeeded"}, lambda one: not reasons(one)),
    "failed": ({"result": "failed"}, lambda one: bool(reasons(one))),
    "a reason": ({"result": "reason no_video"}, lambda one: "no_video" in reasons(one)),
    "a reason of a system": ({"result": "reason timeout"}, lambda one: "timeout" in reasons(one)),
    "genre": ({"genre": "Food"}, lambda one: one.genre == "Food"),
    "month": ({"month": "2025-07"}, lambda one: one.month == "2025-07"),
    "mark": ({"mark": "pinned"}, lambda one: "pinned" in one.marks),
    "several": (
        {"genre": "Food", "value": "face", "result": "succeeded"},
        lambda one: (
            one.genre == "Food"
            and not reasons(one)
            and any(has_label(who, *FACE)(one) for who in (*SYSTEMS, "people"))
        ),
    ),
}


def test_each_filter_finds_what_the_rows_have(middle: Report, middle_site: Path, visit: Visit) -> None:
    page = visit(middle_site, "videos.html").page
    for name, (state, test) in FILTERS.items():
        page.evaluate("address => { location.hash = address; }", urlencode(state))
        for field, value in state.items():
            expect(page.locator(f"#{field}")).to_have_value(value)
        expected = [one.video_id for one in middle.cards if test(one)]
        assert 0 < len(expected) <= 888, name
        assert count(page) == (len(expected), 888), name
        settled(page, min(50, len(expected)))
        assert ids(page) == expected[:50], name


def test_accounts_are_numbered_and_one_can_be_chosen(middle: Report, middle_site: Path, visit: Visit) -> None:
    page = visit(middle_site, "videos.html").page
    accounts = list(dict.fromkeys(one.account for one in middle.cards))
    expected = [one.video_id for one in middle.cards if one.account == accounts[6]]
    options = page.locator("#account option").all_inner_texts()
    assert f"account 7 ({len(expected)})" in options
    assert options.index("account 9 " + options[9].split(" ", 2)[2]) == 9  # by number, not by letter
    page.select_option("#account", "account 7")
    assert count(page)[0] == len(expected)
    assert page.url.endswith("#account=account+7")


SPOKEN = report(
    card("Clip 1", caption="Café  au lait", script="SPEAKER: We cleaned\nthe beach."),
    card("clip-2", caption="coffee", script='[CAPTIONS] CLEAN "the" WATER'),
    card("clip 3", script="Οδυσσεύς went home; it\u2019s late"),
    card("clip 10", caption="\U0001d4d7\U0001d4ee\U0001d4f5\U0001d4f5\U0001d4f8 ﬁnally", script=None),
)
QUERIES = {
    "cafe": ["Clip 1"],
    "CAFÉ": ["Clip 1"],
    "clip": ["Clip 1", "clip-2", "clip 3", "clip 10"],
    "CLEAN the": ["Clip 1", "clip-2"],
    '"cleaned the"': ["Clip 1"],
    "“the beach”": ["Clip 1"],
    '"the clean"': [],
    '"cafe au lait"': ["Clip 1"],
    '"lait speaker"': [],  # one ends a caption, the other begins a script
    "ΟΔΥΣΣΕΎΣ": ["clip 3"],
    "it's": ["clip 3"],
    "hello finally": ["clip 10"],
    '"clip 1': ["Clip 1", "clip 10"],  # not closed yet
    '""': ["Clip 1", "clip-2", "clip 3", "clip 10"],
    ".*": [],
}


def test_search_in_ids_captions_and_scripts(tmp_path: Path, visit: Visit) -> None:
    page = visit(write_whole(SPOKEN, tmp_path), "videos.html").page
    for query, expected in QUERIES.items():
        page.fill("#q", query)
        page.keyboard.press("Enter")
        expect(page.locator("#count")).to_have_text(re.compile(rf"^{len(expected)} of 4 videos$"))
        assert ids(page) == expected, query
    page.fill("#q", "CLEAN beach cafe")
    page.keyboard.press("Enter")
    assert page.locator("mark").all_text_contents() == ["Café", "clean", "beach"]
    expect(page.locator(".passage")).to_have_text("SPEAKER: We cleaned the beach.")


def test_a_passage_of_a_long_script_is_short_and_shows_the_word(tmp_path: Path, visit: Visit) -> None:
    script = "\U0001f600 before " * 300 + "NEEDLE" + " after" * 300 + " pin"
    page = visit(write_whole(report(card("x", script=script)), tmp_path), "videos.html#q=needle+pin").page
    first, second = page.locator(".passage").all_text_contents()
    assert first.startswith("… ")
    assert first.endswith(" …")
    assert "\U0001f600 before NEEDLE after" in first
    assert second.endswith("after pin")
    assert len(first) < 200
    assert page.locator("mark").all_text_contents() == ["NEEDLE", "pin"]


def test_pages_of_fifty(middle: Report, middle_site: Path, visit: Visit) -> None:
    page = visit(middle_site, "videos.html").page
    top, bottom = (page.locator(f"#pages-{where}") for where in ("top", "bottom"))
    settled(page, 50)
    expect(top.locator(".page")).to_have_text("Page 1 of 18")
    top.locator(".previous").click(force=True)  # nothing is before it
    expect(bottom.locator(".page")).to_have_text("Page 1 of 18")
    assert top.locator(".previous").get_attribute("aria-disabled") == "true"
    top.locator(".next").click()
    settled(page, 50)
    assert ids(page) == [one.video_id for one in middle.cards[50:100]]
    assert page.url.endswith("#page=2")
    assert page.locator("#videos").get_attribute("start") == "51"
    bottom.locator(".next").click()
    assert ids(page)[0] == middle.cards[100].video_id
    assert page.evaluate("document.activeElement.id") == "found"
    expect(page.locator(".tools")).to_be_in_viewport()
    page.go_back()
    expect(top.locator(".page")).to_have_text("Page 2 of 18")
    page.select_option("#genre", "News")
    expect(top.locator(".page")).to_have_text(re.compile("Page 1 of"))
    page.evaluate("() => { location.hash = 'page=999'; }")
    expect(top.locator(".page")).to_have_text("Page 18 of 18")
    settled(page, 38)


def test_orders(tmp_path: Path, visit: Visit) -> None:
    cards = (
        card("v10", "face+", annotated=stances(face=1)),
        card(
            "v9", "face+", "humility-", annotated=stances(face=-1)
        ),  # one missed, two added; mistral: one missed
        card("v2", "face+", "humility-", "hedonism+"),
        card("v1", annotated=stances(face=1, hedonism=1)),  # both systems miss two
    )
    page = visit(write_whole(report(*cards), tmp_path), "videos.html").page
    assert ids(page) == ["v10", "v9", "v2", "v1"]
    orders = {
        "id": ["v1", "v2", "v9", "v10"],
        "values": ["v9", "v2", "v1", "v10"],
        "disagreement": ["v9", "v1", "v10", "v2"],
    }
    for order, expected in orders.items():
        page.select_option("#sort", order)
        expect(page.locator(f"{LIST} h3").first).to_have_text(expected[0])
        assert ids(page) == expected
    page.select_option("#who", "system local")
    assert ids(page) == ["v9", "v1", "v10", "v2"]
    assert "sort=disagreement" in page.url
    page.click("#clear")
    assert ids(page) == orders["disagreement"]


def test_hits_misses_and_false_alarms_have_a_sign_and_a_word(tmp_path: Path, visit: Visit) -> None:
    blind = prediction("one", "face+", "humility-", "tradition+")
    assert blind["decisions"] is not None
    blind["decisions"][LABELS.index("hedonism+")] = None
    cards = (
        replace(card("one", annotated=stances(face=2, hedonism=1, stimulation=-1)), predictions=(blind,)),
        replace(card("two", annotated=stances()), predictions=(prediction("two"),)),
        replace(card("three"), predictions=(prediction("three", error="timeout"),)),
        replace(card("four", failures=(Failure("four", "scripts", "unreadable"),)), predictions=()),
        replace(card("five"), predictions=()),
    )
    one = replace(report(*cards), systems=(("local", "a fake"),))
    page = visit(write_whole(one, tmp_path), "videos.html#value=face").page

    def lines(n: int) -> list[str]:
        texts = page.locator(f"{LIST}:nth-child({n}) .answers > div").all_text_contents()
        return [" ".join(text.split()) for text in texts]

    sought = page.locator(".sought").all_text_contents()
    assert [" ".join(text.split()) for text in sought] == ["+endorsed: Face", "+endorsed: Face✓ hit"]
    page.click("#clear")
    settled(page, 5)
    chips = page.locator(f"{LIST}:nth-child(1) .answers > div:nth-child(2) .chip")
    assert [" ".join(text.split()) for text in chips.all_text_contents()] == [
        "+endorsed: Face✓ hit",
        "+endorsed: Tradition✗ false alarm",
        "\u2212confronted: Humility✗ false alarm",
        "\u2212confronted: Stimulation○ missed",
        "+endorsed: Hedonism\u2013 not modelled",
    ]
    assert lines(2) == ["AnnotatedAll values absent", "localAll values absent"]
    assert lines(3) == ["localNo result: timeout"]
    assert lines(4) == ["SystemsNo result"]
    assert "Failed in scripts: unreadable" in (page.locator(f"{LIST}:nth-child(4)").text_content() or "")
    assert lines(5) == ["localNot run yet"]
    assert page.locator("#result option").all_inner_texts() == [
        "Any",
        "all succeeded",
        "failed anywhere",
        "not run yet (1)",
        "timeout (1)",
        "unreadable (1)",
    ]
    page.select_option("#agree", "misses")  # what is not modelled is not missed
    assert ids(page) == ["one"]
    page.select_option("#value", "hedonism")
    expect(page.locator("#count")).to_have_text("0 of 5 videos")
    expect(page.locator("#hint")).to_be_visible()


def test_filters_without_a_choice_are_not_shown(tmp_path: Path, visit: Visit) -> None:
    lone = replace(card("x"), predictions=(prediction("x", "face+"),))
    one = replace(report(lone, replace(lone, video_id="y")), systems=(("local", "a fake"),))
    page = visit(write_whole(one, tmp_path), "videos.html").page
    shown = page.locator(".fields select:visible").evaluate_all("all => all.map(one => one.id)")
    assert shown == ["value", "stance"]
    assert "disagreement" not in page.locator("#sort option").evaluate_all("all => all.map(one => one.value)")


def test_no_videos(tmp_path: Path, visit: Visit) -> None:
    page = visit(write_whole(report(), tmp_path), "videos.html#q=x&value=face").page
    expect(page.locator("#nothing")).to_be_visible()
    assert count(page) == (0, 0)


def test_back_from_a_video_returns_to_the_same_view(small: Path, visit: Visit) -> None:
    page = visit(small, "videos.html").page
    page.select_option("#stance", "endorsed")
    page.select_option("#sort", "id")
    page.fill("#q", "clip")
    expect(page).to_have_url(re.compile("q=clip&stance=endorsed&sort=id$"))
    before, found = ids(page), count(page)
    page.locator(f"{LIST} h3 a").nth(1).click()
    expect(page.locator("h1")).to_have_text(before[1])
    assert re.search(r"/videos/[0-9a-f]{32}\.html$", page.url)
    page.go_back()
    assert (ids(page), count(page)) == (before, found)
    assert page.input_value("#stance") == "endorsed"
    assert page.input_value("#q") == "clip"
    page.go_back()  # one step: the order of ids; what was typed is none
    assert page.input_value("#sort") == ""
    page.go_forward()
    assert ids(page) == before


def test_back_returns_to_the_place_in_a_long_list(tmp_path: Path, visit: Visit) -> None:
    page = visit(write_whole(made_up(60, SYSTEMS), tmp_path), "videos.html#q=clip").page
    settled(page, 50)
    link = page.locator(f"{LIST} h3 a").nth(45)
    link.click()
    expect(page.locator("h1.id")).to_be_visible()
    page.go_back()
    expect(link).to_be_in_viewport()
    expect(link).to_be_focused()
    page.click("#pages-bottom .next")
    settled(page, 10)
    expect(page.locator(".tools")).to_be_in_viewport()


def test_texts_that_come_late_do_not_undo_what_was_done_meanwhile(small: Path, visit: Visit) -> None:
    with browser.serving(small) as address:
        page = visit(address, "videos.html").page
        held: list[Route] = []
        page.route("**/data/text-*.js", lambda route: held.append(route))
        page.fill("#q", "zzzz")
        expect(page.locator("#count")).to_have_text("Reading the scripts\u2026")
        settled(page, 12)
        page.fill("#q", "")
        expect(page.locator("#count")).to_have_text("12 videos")
        held[0].continue_()
        page.evaluate(  # the policy forbids what wait_for_function does
            """() => new Promise((done) => {
                const look = () => (tikval.texts?.[0] ? done() : setTimeout(look, 20));
                look();
            })"""
        )
        expect(page.locator("#count")).to_have_text("12 videos")
        page.fill("#q", "zzzz")
        expect(page.locator("#count")).to_have_text("0 of 12 videos")
        assert len(held) == 1


def test_everything_can_be_reached_with_the_keyboard(small: Path, visit: Visit) -> None:
    page = visit(small, "videos.html").page
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("c/l")  # a slash is a letter where one types
    assert page.input_value("#q") == "c/l"
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("clip")
    expect(page.locator("#count")).to_have_text("12 of 12 videos")
    reached, marks = [], []
    for _ in range(40):
        page.keyboard.press("Tab")
        here = page.evaluate("document.activeElement.id || document.activeElement.tagName")
        reached.append(here)
        marks.append(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
        if reached.count("A") == 13:
            break
    fields = ["clear", "value", "stance", "who", "agree", "result", "account", "genre", "month", "mark"]
    assert reached[: len(fields) + 2] == [*fields, "sort", "save"]
    assert reached[len(fields) + 2 :][:12] == ["A"] * 12
    assert set(marks[: len(fields) + 14]) == {"solid"}
    first = ids(page)[0]
    page.keyboard.press("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # clears
    assert page.input_value("#q") == ""
    assert page.evaluate("document.activeElement.id") == "found"
    for key in ("Tab", "Tab", "Tab", "Enter"):  # past the order and the table
        page.keyboard.press(key)
    expect(page.locator("h1")).to_have_text(first)
    page.go_back()
    expect(page.locator(f"{LIST} h3 a").first).to_be_focused()


def test_every_field_has_a_label_and_headings_come_in_order(small: Path, visit: Visit) -> None:
    page = visit(small, "videos.html").page
    unnamed = "all => all.filter(one => !one.labels.length).map(one => one.id)"
    assert page.locator("input, select").evaluate_all(unnamed) == []
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert page.locator("#count").get_attribute("aria-live") == "polite"
    assert page.locator("#videos").evaluate("one => one.tagName") == "OL"


@pytest.mark.parametrize("dark", [False, True])
def test_fits_a_phone(tmp_path: Path, visit: Visit, dark: bool) -> None:
    cards = made_up(60, SYSTEMS).cards
    long = replace(
        cards[0], video_id="x" * 300, caption="y" * 300, genre="z" * 100, script="needle" + "w" * 300
    )
    site = write_whole(report(long, *cards[1:]), tmp_path)
    tab = visit(site, "videos.html", width=PHONE_PX, height=800, dark=dark)
    page = tab.page
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE_PX
    expect(page.locator("#value")).not_to_be_visible()
    page.locator("summary").click()
    expect(page.locator("#value")).to_be_visible()
    page.select_option("#stance", "endorsed")
    expect(page.locator("summary")).to_have_text("Filters (1)")
    page.fill("#q", "needle")
    expect(page.locator("mark")).to_have_count(1)
    for summary in ("#stance", "#sort", ".video h3"):
        box = page.locator(summary).first.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE_PX
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE_PX
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", paper)[:3])) / 3
    assert (brightness < 64) == dark
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(page.locator("summary")).not_to_be_visible()
    expect(page.locator("#value")).to_be_visible()


def test_the_list_as_a_table(tmp_path: Path, visit: Visit) -> None:
    timeout = (prediction("x", error="timeout"), prediction("x", system="mistral"))
    cards = (
        card(
            "=1+1", "face+", "humility-", genre="\u200b\uff20Food", seconds=61.04, annotated=stances(face=-1)
        ),
        card('a,"b"', genre="x", failures=(Failure("x", "scripts", "timeout"),), predictions=timeout),
        card("other"),
    )
    tab = visit(write_whole(report(*cards), tmp_path), "videos.html")
    tab.page.select_option("#sort", "id")
    with tab.page.expect_download() as download:
        tab.page.click("#save")
    assert download.value.suggested_filename == "videos.csv"
    text = download.value.path().read_bytes().decode()
    assert text.endswith("\r\n")
    head, *lines = csv.reader(io.StringIO(text, newline=""))
    assert head == [
        *("video_id", "seconds", "account", "genre", "month", "failures", "annotated", "local", "mistral")
    ]
    assert sorted(lines) == [
        ["'=1+1", "61", "", "'\u200b\uff20Food", "", "", "face-", "face+ humility-", "none"],
        ['a,"b"', "", "", "x", "", "scripts: timeout", "", "error: timeout", "none"],
        ["other", "", "", "", "", "", "", "none", "none"],
    ]
    tab.page.select_option("#genre", "x")
    with tab.page.expect_download() as download:
        tab.page.click("#save")
    assert len(download.value.path().read_text().splitlines()) == 2


def test_hostile_text_stays_text(tmp_path: Path, visit: Visit) -> None:
    evil = card(
        EVIL,
        caption=EVIL,
        script=EVIL + " needle",
        account=EVIL,
        genre=EVIL,
        month=EVIL,
        failures=(Failure(EVIL, EVIL, EVIL),),
    )
    rows = (prediction(EVIL, "face+", system=EVIL), prediction(EVIL, error=EVIL, system="__proto__"))
    one = report(replace(evil, predictions=rows), card("__proto__", genre="constructor"), show_accounts=True)
    one = replace(one, systems=(), titles=dict.fromkeys(SLUGS, EVIL))
    plain = write_whole(report(card("x")), tmp_path / "plain")
    hostile = write_whole(one, tmp_path / "hostile")
    tags = "all => all.map(one => one.tagName).filter(tag => ['SCRIPT', 'IMG', 'B', 'IFRAME'].includes(tag))"
    expected = visit(plain, "videos.html").page.locator("*").evaluate_all(tags)
    page = visit(hostile, "videos.html").page
    assert page.locator("*").evaluate_all(tags) == ["B", *expected]  # it is of the line of the failure
    assert page.locator(f"{LIST} h3").first.text_content() == EVIL
    assert page.locator(".facts-line").first.text_content() == f"{EVIL} " * 3
    page.fill("#q", '"onerror=alert(1)" needle')
    expect(page.locator("mark").first).to_have_text("onerror=alert(1)")
    for field in ("who", "account", "genre", "month", "result"):
        last = page.locator(f"#{field} option").evaluate_all("all => all.map(one => one.value)")[-1]
        page.select_option(f"#{field}", last)
        assert page.input_value(f"#{field}") == last
    count(page)
    page.locator("#clear").click()
    page.locator(f"{LIST} a").first.click()
    expect(page.locator("h1")).to_have_text(EVIL.replace("\u2028", " "))


HASHES = [
    "#value=__proto__&who=constructor&agree=toString&result=valueOf&sort=__proto__&page=-1",
    "#q=%E0%A4%A&page=1e99",
    "#page=NaN&who=system+nobody&account=%3Cscript%3E",
    "#" + "&".join(f"value={i}" for i in range(5000)),
    "#q=" + "%22" * 500,
    "#q=" + "a+" * 5000,
]


@pytest.mark.parametrize("hash", HASHES, ids=range(len(HASHES)))
def test_a_hostile_address_does_nothing(small: Path, visit: Visit, hash: str) -> None:
    page = visit(small, "videos.html" + hash).page
    assert count(page)[1] == 12
    assert len(page.input_value("#q")) <= 200
    for field in ("value", "who", "agree", "result", "account", "sort"):
        assert page.input_value(f"#{field}") == ""


def test_the_link_to_the_content_keeps_the_view(small: Path, visit: Visit) -> None:
    page = visit(small, "videos.html#stance=endorsed").page
    before = ids(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    assert page.input_value("#stance") == "endorsed"
    assert ids(page) == before


def test_without_scripts_the_page_says_where_the_videos_are(small: Path, visit: Visit) -> None:
    page = visit(small, "videos.html", scripts=False).page
    notice = page.locator(".notice:visible")
    assert "needs JavaScript" in notice.inner_text()
    assert "videos/" in notice.inner_text()
    expect(page.locator("#browser")).not_to_be_visible()


def drop(tab: Tab, *words: str) -> None:
    """Takes the errors that a test made itself."""
    tab.errors[:] = [error for error in tab.errors if not any(word in error for word in words)]


def test_lost_files_are_told(tmp_path: Path, visit: Visit) -> None:
    site = write_whole(made_up(12, SYSTEMS), tmp_path)
    (site / "data" / "text-0.js").unlink()
    tab = visit(site, "videos.html#q=clip")
    expect(tab.page.locator("#count")).to_have_text(
        "12 of 12 videos, 1 file of texts could not be loaded"
    )  # ids are still searched
    drop(tab, "ERR_FILE_NOT_FOUND")
    (site / "data" / "videos.js").unlink()
    tab = visit(site, "videos.html")
    expect(tab.page.locator("#broken")).to_contain_text("data/videos.js could not be loaded")
    expect(tab.page.locator("#browser")).not_to_be_visible()
    drop(tab, "ERR_FILE_NOT_FOUND")


@pytest.mark.full
def test_ten_thousand_videos(tmp_path: Path, visit: Visit) -> None:
    many = made_up(10_000, SYSTEMS)
    write(many, tmp_path)
    tab = visit(tmp_path, "videos.html")
    page = tab.page
    assert count(page) == (10_000, 10_000)
    assert page.locator("#count").inner_text() == "10,000 videos"
    settled(page, 50)
    expect(page.locator("#pages-top .page")).to_have_text("Page 1 of 200")
    page.select_option("#value", "face")
    expected = [one for one in many.cards if any(has_label(who, *FACE)(one) for who in (*SYSTEMS, "people"))]
    assert count(page) == (len(expected), 10_000)
    page.fill("#q", '"kitchen market"')
    spoken = [one for one in expected if "kitchen market" in f"{one.caption}\n{one.script}"]
    expect(page.locator("#count")).to_have_text(f"{len(spoken):,} of 10,000 videos")
    settled(page, min(50, len(spoken)))
    asked = [url for url in tab.requests if "data/text" in url]
    assert len(asked) == len(set(asked)) == len(list((tmp_path / "data").glob("text-*.js"))) > 5
    page.fill("#q", "kitchen")
    expect(page.locator("#count")).not_to_have_text(f"{len(spoken):,} of 10,000 videos")
    assert len([url for url in tab.requests if "data/text" in url]) == len(asked)


def test_a_search_offers_the_values_that_are_named_so(tmp_path: Path, visit: Visit) -> None:
    one = report(
        card("a", "universalism_nature+"),
        card("b", "universalism_nature-", caption="our nature"),
        card("c", "face+"),
    )
    page = visit(write_whole(one, tmp_path), "videos.html").page
    offers = page.locator("#offers")
    assert not offers.is_visible()
    page.locator("#q").fill("NATURE")
    offers.get_by_role("button", name="Universalism: nature (2)").wait_for()
    assert ids(page) == ["b"], "the texts are searched as before"
    page.locator("#q").fill("umility")
    expect(offers).to_be_hidden()  # no word begins so
    page.locator("#q").fill("nature")
    offers.get_by_role("button").first.press("Enter")
    assert ids(page) == ["a", "b"]
    assert page.evaluate("location.hash") == "#value=universalism_nature"
    assert page.evaluate("document.activeElement.id") == "found"
    assert not offers.is_visible()
    page.go_back()
    expect(page.locator("#q")).to_have_value("nature")


def test_a_codebook_of_ones_own_is_searched_by_its_titles(tmp_path: Path, visit: Visit) -> None:
    titles = {**dict.fromkeys(SLUGS, "x"), "face": f"Été, l'amour {EVIL}"}
    page = visit(write_whole(report(card("a", "face+"), titles=titles), tmp_path), "videos.html").page
    page.locator("#q").fill("ete amour")
    button = page.locator("#offers").get_by_role("button")
    expect(button).to_have_text(re.compile(r"Été, l'amour </script>.*\(1\)", re.DOTALL))
