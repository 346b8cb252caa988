"""The sheet in a real browser, opened from disk: what is typed is what is saved, and nothing else runs or leaves it."""

import csv
import io
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.fixtures import browser
from tests.fixtures.browser import Tab, Visit
from tests.fixtures.clips import write_clip
from tests.fixtures.photos import write_slides, write_sound_of
from tikval.annotate.coding import Coding, coding_csv, value_notes_of
from tikval.annotate.sheet import (
    CodingSheet,
    Gold,
    Option,
    Others,
    SheetItem,
    SheetQuestion,
    questions_of,
)
from tikval.annotate.sheets.page import write_page
from tikval.codebook import load_codebook
from tikval.sources.labels import read_labels
from tikval.spreadsheet import cell_text, csv_of
from tikval.values import NOT_ANSWERED, NOT_SURE, SLUGS

pytestmark = pytest.mark.browser
chromium, visit = browser.chromium, browser.visit

BOOK: Final = load_codebook(Path("prompts/codebook.yaml"))
EVIL: Final = (
    "</script><script>alert(1)</script><img src=http://127.0.0.1:9/x.png onerror=alert(1)><b>bold\u2028"
)
KEY_OF: Final = {"confronted": "1", "absent": "2", "endorsed": "3", "dominant": "4", NOT_SURE: "5"}
SAVED: Final = "labels_ann.csv"

Write = Callable[..., Path]


def items(n: int, **changes: Any) -> tuple[SheetItem, ...]:
    about = {"round": "main", "files": (), "caption": "A caption", **changes}
    return tuple(SheetItem(str(7312345678901234000 + i), **about) for i in range(n))


def sheet(*some: SheetItem, **changes: Any) -> CodingSheet:
    guidelines = tuple((one.title, one.text) for one in BOOK.guidelines)
    whole = CodingSheet("ann", "Food", BOOK.mark, guidelines, questions_of(BOOK), some)
    return replace(whole, **changes)


@pytest.fixture
def opened(tmp_path: Path, visit: Visit) -> Callable[..., Tab]:
    """Writes a sheet into a folder and opens it from disk, in a profile of its own."""

    def open_it(one: CodingSheet, **settings: Any) -> Tab:
        (tmp_path / "sheet.html").write_bytes(write_page(one))
        return visit(tmp_path, "sheet.html", **settings)

    return open_it


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def wait_until(page: Page, script: str) -> None:
    """Playwright's own wait evaluates a text in the page, which the policy forbids."""
    for _ in range(200):
        if page.evaluate(script):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never true: {script}")


def saved(page: Page, key: str = "s") -> str:
    with page.expect_download() as download:
        page.keyboard.press(key)
    return download.value.path().read_bytes().decode()


def cells(text: str) -> list[dict[str, str]]:
    head, *lines = [list(map(cell_text, line)) for line in csv.reader(io.StringIO(text, newline=""))]
    return [dict(zip(head, line, strict=True)) for line in lines]


def load(page: Page, path: Path) -> None:
    page.set_input_files("#pick-table", path)
    expect(page.locator("#toast.shown")).to_contain_text(path.name)


def test_thirty_items_by_keyboard_alone_closed_in_the_middle_and_saved(
    opened: Callable[..., Tab], tmp_path: Path
) -> None:
    draw = random.Random(1)
    words = [*KEY_OF]
    typed = [{slug: draw.choice(words) for slug in SLUGS} for _ in range(30)]
    tab = opened(sheet(*items(30, probability=0.25)))
    page = tab.page

    def code(numbers: range) -> None:
        for i in numbers:
            some = draw.randrange(4, 16)
            page.keyboard.type("".join(KEY_OF[typed[i][slug]] for slug in SLUGS[:some]))
            if i % 3 == 0:  # the rest one by one, with a note; else the rest is absent
                press(page, "n")
                page.keyboard.type("=2s, is it 5? a, “b”")
                press(page, "Escape")
                page.keyboard.type("".join(KEY_OF[typed[i][slug]] for slug in SLUGS[some:]))
                press(page, "Shift+N")
                page.keyboard.type('-1 "quoted", and\nmore')
                press(page, "Escape")
            else:
                press(page, "a")
                typed[i] |= dict.fromkeys(SLUGS[some:], "absent")
            press(page, "ArrowRight")

    code(range(17))
    page.keyboard.type("333")  # and the browser is closed in the middle of an item
    page.close()
    page = page.context.new_page()
    page.goto(f"{tab.site}sheet.html")
    expect(page.locator("#progress")).to_have_text("17 of 30 done")
    expect(page.locator("#place")).to_have_text("Item 18 of 30")
    expect(page.locator(".question.active .title")).to_have_text(BOOK.values[3].title)
    expect(page.locator("[aria-checked=true]")).to_have_text(["3endorsed"] * 3)
    press(page, "Home")
    code(range(17, 30))
    text = saved(page)
    expect(page.locator("#progress")).to_have_text("30 of 30 done")
    (tmp_path / SAVED).write_text(text, encoding="utf-8", newline="")
    rows = read_labels(str(tmp_path / SAVED), SLUGS, BOOK.label_set)
    stance = {"confronted": -1, "absent": 0, "endorsed": 1, "dominant": 2, NOT_SURE: None}
    assert [row["video_id"] for row in rows] == [one.item for one in items(30)]
    assert [row["stances"] for row in rows] == [[stance[word[slug]] for slug in SLUGS] for word in typed]
    assert {(row["annotator"], row["probability"]) for row in rows} == {("ann", 0.25)}
    assert sum(float(line["seconds"]) for line in cells(text)) > 0.5
    for i, line in enumerate(cells(text)):
        assert (line["place"], line["codebook"]) == (str(i + 1), BOOK.mark)
        assert line["note"] == ('-1 "quoted", and\nmore' if i % 3 == 0 else "")
        assert list(value_notes_of(line["value_notes"], SLUGS).values()) == (
            ["=2s, is it 5? a, “b”"] if i % 3 == 0 else []
        )


def test_the_table_is_that_of_python_and_a_fresh_profile_goes_on_from_it(
    opened: Callable[..., Tab], tmp_path: Path
) -> None:
    some = sheet(*items(3, probability=0.5), replace(items(1)[0], round="again"))
    page = opened(some).page
    page.keyboard.type("35")
    press(page, "ArrowRight", "ArrowRight", "ArrowRight", "1", "Shift+N")
    page.keyboard.type("@later")
    press(page, "Escape", "k", "n")
    page.keyboard.type("  +new ")
    press(page, "Escape")
    text = saved(page)
    lines = cells(text)
    codings = [
        Coding(
            items(1)[0].item,
            "ann",
            "main" if i == 0 else "again",
            {slug: word for slug in SLUGS if (word := line[slug]) != NOT_ANSWERED},
            line["note"],
            value_notes_of(line["value_notes"], SLUGS),
            line["coded_at"],
            float(line["seconds"]) if "." in line["seconds"] else int(line["seconds"]),
            1 if i == 0 else 4,
            BOOK.mark,
            0.5 if i == 0 else None,
        )
        for i, line in enumerate(lines)
    ]
    assert text == coding_csv(codings, SLUGS)
    assert [line["annotator"] for line in lines] == ["ann", "ann (again)"]
    assert [line["self_direction_thought"] for line in lines] == ["endorsed", "confronted"]
    (tmp_path / SAVED).write_text(text, encoding="utf-8", newline="")
    other = opened(some).page
    load(other, tmp_path / SAVED)
    expect(other.locator("#place")).to_have_text("Item 4 of 4")
    expect(other.locator("#note")).to_have_value("@later")
    assert [row | {"seconds": ""} for row in cells(saved(other))] == [row | {"seconds": ""} for row in lines]
    # of two states of an item the later one stays; a spreadsheet may have written the file anew
    sink = io.StringIO()
    csv.writer(sink, delimiter=";").writerows(csv.reader(io.StringIO(text, newline="")))
    (tmp_path / SAVED).write_text("\ufeff" + sink.getvalue(), encoding="utf-8", newline="")
    press(other, "2")
    load(other, tmp_path / SAVED)
    assert cells(saved(other))[1]["self_direction_action"] == "absent"
    fresh = opened(some).page
    press(fresh, "4")  # what was begun anew before the file was read is filled up from it
    load(fresh, tmp_path / SAVED)
    expect(fresh.locator("#toast")).to_contain_text(
        "1 item taken from it; 1 in a later state here were filled"
    )
    first = cells(saved(fresh))[0]
    assert [first[slug] for slug in SLUGS[:3]] == ["dominant", NOT_SURE, NOT_ANSWERED]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (",ann,", ",bob,", "line 2: it was coded by “bob”, and this is the sheet of ann"),
        ("schwartz-19 1", "schwartz-19 2", "line 2: it was coded with codebook “schwartz-19 2"),
        (",endorsed,", ",maybe,", "line 2, column self_direction_thought: “maybe” is none of"),
        ("annotator,", "who,", "it has no column annotator"),
        ("7312345678901234000", "7312345678901239999", "none of its items is in this sheet"),
    ],
)
def test_a_table_that_is_not_of_this_sheet_is_refused(
    opened: Callable[..., Tab], tmp_path: Path, old: str, new: str, problem: str
) -> None:
    text = coding_csv(
        [Coding(items(1)[0].item, "ann", "main", {SLUGS[0]: "endorsed"}, codebook=BOOK.mark)], SLUGS
    )
    (tmp_path / "other.csv").write_text(text.replace(old, new), encoding="utf-8")
    page = opened(sheet(*items(2))).page
    load(page, tmp_path / "other.csv")
    expect(page.locator("#toast")).to_contain_text(problem)
    assert len(cells(saved(page))) == 0


NASTY: Final = (
    *(
        "=cmd|' /C calc'!A0",
        "+1",
        "-1",
        "@x",
        "7312345678901234567",
        "007",
        "1e5",
        "\tx",
        "\r\nx",
        "'=1",
        "''+",
    ),
    *(
        " =1",
        "\u2212 1",
        "\uff1d1",
        "\uff0b",
        "\ufe63x",
        "\u200b=1",
        "\u3164-",
        "\xa0@",
        "\U000e0001=",
        "it's",
    ),
    *('say "x", y', "a\nb", "a\rb", "", "'", "0", "0.5", "12345", "é\u2028=", "\U0001f600", "'007", "\x00="),
)


def test_cells_are_quoted_as_python_quotes_them(opened: Callable[..., Tab]) -> None:
    page = opened(sheet(*items(1))).page
    draw = random.Random(2)
    letters = [letter for text in NASTY for letter in text] + list("0123456789eE'=+-@ \t")
    more = ["".join(draw.choices(letters, k=draw.randint(1, 20))) for _ in range(2000)]
    lines = [[*NASTY], more]
    text = page.evaluate("(lines) => tikval.table.csv(lines)", lines)
    assert text == csv_of(lines)
    back = "(texts) => texts.map((text) => tikval.table.unsafe(tikval.table.safe(text)))"
    assert page.evaluate(back, more) == more
    parse = "(text) => tikval.table.parse(text).lines.map(([, line]) => [...line.values()])"
    some = [[NASTY[i], NASTY[i + 1]] for i in range(len(NASTY) - 1)]
    assert page.evaluate(parse, csv_of([["a", "b"], *some])) == some


def test_nothing_from_outside_runs_and_no_host_is_asked(opened: Callable[..., Tab]) -> None:
    far = ("http://127.0.0.1:9/x.png", "//127.0.0.1:9/y.png")
    evil: dict[str, Any] = {"caption": EVIL, "script": EVIL, "files": far}
    others = (Others(EVIL, {"face": EVIL}, EVIL, {"face": EVIL}),)
    book = [
        replace(one, definition=EVIL, about=((EVIL, EVIL),), title=EVIL) for one in questions_of(BOOK)[:2]
    ]
    face = next(one for one in questions_of(BOOK) if one.slug == "face")
    some = sheet(
        *(SheetItem(EVIL, "practice", gold=Gold({}, EVIL), others=others, **evil),),
        coder=EVIL,
        title=EVIL,
        codebook=EVIL,
        questions=(*book, face),
        guidelines=((EVIL, EVIL),),
    )
    tab = opened(some)
    page = tab.page
    expect(page.locator("#caption")).to_have_text(EVIL)
    press(page, "e", "n")
    page.keyboard.type("<b>note</b>")
    press(page, "Escape", "Home", "5", "5", "5", "g", "Escape", "h", "Escape", "l")
    expect(page.locator("#list .id")).to_have_text(EVIL)
    assert (
        page.locator("main b:not(.beside b):not(#others b), main img:not(#picture), script[src]").count() == 0
    )
    assert not [url for url in tab.requests if not url.startswith("file:")]
    # files that a path with a host in it names are looked for beside the sheet, and are not there
    assert all("ERR_FILE_NOT_FOUND" in error for error in tab.errors)
    tab.errors.clear()
    failures: list[str | None] = []
    page.on("requestfailed", lambda request: failures.append(request.failure))
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        const picture = new Image();
        picture.src = "http://127.0.0.1:9/x.png";
        document.body.append(script, picture);
        document.body.insertAdjacentHTML("beforeend", "<p onclick='window.ran = true'>x</p>");
        document.body.lastChild.click();
        fetch("http://127.0.0.1:9/").catch(() => {});
    }""")
    page.wait_for_timeout(100)
    assert page.evaluate("window.ran") is None
    assert failures == ["csp"]  # the browser tells of the picture, and does not ask for it
    violated = {"script-src-elem", "script-src-attr", "img-src", "connect-src"}
    assert all(any(f"violates {one}" in error for error in tab.errors) for one in violated)
    tab.errors.clear()


def test_what_is_no_text_is_written_nevertheless() -> None:
    page = write_page(sheet(*items(1, caption="\ud800 \x00"), title="\ud800"))
    assert b"\\ud800 \\u0000" in page


def test_a_practice_item_shows_what_was_agreed_once_it_is_answered(opened: Callable[..., Tab]) -> None:
    gold = Gold(dict.fromkeys(SLUGS, "absent") | {"stimulation": "endorsed"}, "She jumps for the thrill.")
    page = opened(sheet(replace(items(1)[0], round="practice", gold=gold), *items(2)[1:])).page
    expect(page.locator("#round")).to_have_text("practice")
    places = "[...document.querySelectorAll('.question')].map((line) => line.offsetTop)"
    before = page.evaluate(places)
    page.keyboard.type("2" * 18)
    expect(page.locator("#feedback")).to_be_hidden()
    assert page.locator(".right, .wrong").count() == 0
    press(page, "3")
    expect(page.locator("#answered")).to_have_text("17 of 19 as agreed")
    expect(page.locator("#feedback")).to_contain_text("2 of your answers differ")
    expect(page.locator("#feedback")).to_contain_text("She jumps for the thrill.")
    expect(page.locator(".wrong .title")).to_have_text([BOOK.titles["stimulation"], BOOK.titles[SLUGS[-1]]])
    expect(page.locator(".wrong .feedback")).to_have_text(["Agreed: endorsed", "Agreed: absent"])
    assert page.evaluate(places) == before  # nothing has moved
    press(page, "2", "Backspace", "Home", "1", "a")  # what was answered before one saw it stays
    [line] = cells(saved(page))
    assert (line["annotator"], line[SLUGS[0]], line[SLUGS[-1]]) == ("ann (practice)", "absent", "endorsed")
    press(page, "u")
    expect(page.locator("#place")).to_have_text("Item 2 of 2")
    expect(page.locator("#feedback")).to_be_hidden()


def test_the_third_sees_both_and_answers_what_is_asked(opened: Callable[..., Tab]) -> None:
    agreed = dict.fromkeys(SLUGS, "absent")
    others = (
        Others("Coder A", agreed | {"face": "endorsed"}, "Loud.", {"face": "He hides his scar."}),
        Others("Coder B", agreed | {"face": "confronted", "humility": NOT_SURE}, "", {}),
    )
    page = opened(sheet(replace(items(1)[0], others=others, asked=("face", "humility")), coder="cem")).page
    expect(page.locator("#answered")).to_have_text("0 of 2 answered")
    expect(page.locator("#others")).to_have_text("Coder A: Loud.")
    expect(page.locator(".beside p")).to_have_text(
        [
            "Coder A: endorsedHe hides his scar.",
            "Coder B: confronted",
            "Coder A: absent",
            "Coder B: not sure",
        ]
    )
    expect(page.locator(".settled")).to_have_count(17)
    expect(page.locator(".settled-answer:visible").first).to_have_text("agreed: absent")
    assert page.locator(".settled button:visible").count() == 0
    press(page, "1", "4")
    expect(page.locator("#progress")).to_have_text("1 of 1 done")
    [line] = cells(saved(page))
    decided = {slug: line[slug] for slug in SLUGS if line[slug] != NOT_ANSWERED}
    assert decided == {"face": "confronted", "humility": "dominant"}, (
        "what is not asked is not the third's word"
    )
    assert line["annotator"] == "cem"


def test_pictures_with_their_sound_a_video_and_files_that_lie_elsewhere(
    opened: Callable[..., Tab], tmp_path: Path
) -> None:
    (tmp_path / "a folder #1%").mkdir()
    (tmp_path / "far" / "away").mkdir(parents=True)
    write_clip(tmp_path / "a folder #1%" / "clip.mp4", n=50)
    write_clip(tmp_path / "far" / "away" / "gone.mp4", n=25)
    pictures = write_slides(tmp_path / "post")
    write_sound_of(tmp_path / "post" / "sound.mp3")
    post = (*(f"post/{path.name}" for path in pictures), "post/sound.mp3")
    files = [("a folder #1%/clip.mp4",), post, ("videos/gone.mp4",), ()]
    tab = opened(sheet(*(replace(one, files=some) for one, some in zip(items(4), files, strict=True))))
    page = tab.page
    playing = "document.getElementById('{}').currentTime > 0.1"
    press(page, " ")
    wait_until(page, playing.format("video"))
    expect(page.locator("#answered")).to_have_text("0 of 19 answered")  # a space is no answer
    press(page, "ArrowRight")
    expect(page.locator("#video")).to_be_hidden()
    expect(page.locator("#turn-text")).to_have_text("1 of 3")
    wait_until(page, "document.getElementById('picture').naturalWidth > 0")
    press(page, ".", ".", ".", " ")
    expect(page.locator("#turn-text")).to_have_text("3 of 3")
    assert page.locator("#picture").get_attribute("src") == f"./post/{pictures[2].name}"
    wait_until(page, playing.format("sound"))
    press(page, "ArrowRight")
    expect(page.locator("#missing-text")).to_contain_text("Put the folder “videos” beside this sheet.")
    page.set_input_files("#pick-folder", tmp_path / "far")
    expect(page.locator("#missing")).to_be_hidden()
    press(page, " ")
    wait_until(page, playing.format("video"))
    press(page, "ArrowRight")
    expect(page.locator("#nothing")).to_be_visible()
    assert [error for error in tab.errors if "ERR_FILE_NOT_FOUND" not in error] == []
    tab.errors.clear()


def test_a_sheet_of_accounts_has_other_questions(opened: Callable[..., Tab], tmp_path: Path) -> None:
    genres = [f"Genre {letter}" for letter in "ABCDEFGHIJKL"]
    some = (
        SheetQuestion(
            "minors", "Aimed at minors?", "Who", "d", (Option("yes", "Yes", "aimed"), Option("no", "No"))
        ),
        SheetQuestion("constructor", "Genre", "What", "d", tuple(Option(one, one) for one in genres)),
    )
    accounts = (SheetItem("account-1", "main", ()), SheetItem("account-2", "main", ()))
    one = sheet(*accounts, questions=some, key="account", guidelines=())
    page = opened(one).page
    expect(page.locator("#rest")).to_be_hidden()
    expect(page.locator("#progress")).to_have_text("0 of 2 done")
    press(page, "1", "w", "ArrowRight", "3", "0")
    text = saved(page)
    assert [(line["account"], line["minors"], line["constructor"]) for line in cells(text)] == [
        ("account-1", "yes", "Genre K"),
        ("account-2", NOT_SURE, NOT_SURE),
    ]
    assert text.split("\r\n")[0] == coding_csv([], ["minors", "constructor"], "account").split("\r\n")[0]
    (tmp_path / SAVED).write_text(text, encoding="utf-8", newline="")
    load(opened(one).page, tmp_path / SAVED)


def test_a_browser_that_keeps_nothing_says_so_and_warns_before_it_is_closed(
    opened: Callable[..., Tab],
) -> None:
    full = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"
    page = opened(sheet(*items(2)), before=full).page
    expect(page.locator("#trouble")).to_contain_text("keeps nothing")
    press(page, "3")
    warned: list[str] = []

    def stay(dialog: Dialog) -> None:
        warned.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.close(run_before_unload=True)
    page.wait_for_timeout(200)
    assert warned == ["beforeunload"]
    assert cells(saved(page))[0][SLUGS[0]] == "endorsed"
    with page.expect_event("close"):
        page.close(run_before_unload=True)  # all is in the file: no question


def test_two_windows_do_not_overwrite_each_other(opened: Callable[..., Tab]) -> None:
    tab = opened(sheet(*items(2)))
    one, two = tab.page, tab.page.context.new_page()
    two.goto(f"{tab.site}sheet.html")
    press(one, "3")
    expect(two.locator("#toast.shown")).to_contain_text("open in a second window")
    press(two, "ArrowDown", "1")
    expect(one.locator("[aria-checked=true]")).to_have_text(["3endorsed", "1confronted"])
    press(one, "ArrowRight", "4")
    for page in (one, two):
        expect(page.locator("#progress")).to_have_text("0 of 2 done")
        first, second = cells(saved(page))
        assert [first[slug] for slug in SLUGS[:2]] == ["endorsed", "confronted"]
        assert second[SLUGS[0]] == "dominant"


def test_a_chosen_file_is_kept_up_to_date(opened: Callable[..., Tab]) -> None:
    stub = """window.showSaveFilePicker = async ({ suggestedName: name }) => ({ name, createWritable: async () => ({
        write: async (text) => { window.written = text; }, close: async () => {} }) });"""
    page = opened(sheet(*items(1)), before=stub).page
    page.click("#autosave")
    expect(page.locator("#autosave")).to_have_text("Autosave on")
    press(page, "3", "2")
    wait_until(page, "(window.written || '').includes(',endorsed,absent,')")
    expect(page.locator("#kept")).to_contain_text("in a file: ")


def test_keys_belong_to_a_text_while_one_is_written(opened: Callable[..., Tab]) -> None:
    page = opened(sheet(*items(2))).page
    press(page, "n")
    page.keyboard.type("1234 ?jksalghune,.")
    press(page, "ArrowRight", "PageDown", "Home", "Backspace", "Escape")
    expect(page.locator("#place")).to_have_text("Item 1 of 2")
    expect(page.locator("[aria-checked=true]")).to_have_count(0)
    assert page.locator(".question textarea").first.input_value() == "1234 ?jksalghune,."
    press(page, "3", "a")
    expect(page.locator("#answered")).to_have_text("19 of 19 answered")
    page.click("#toast button")  # what was set to absent at once is taken back at once
    expect(page.locator("#answered")).to_have_text("1 of 19 answered")
    press(page, "Home", "Backspace")
    expect(page.locator("#answered")).to_have_text("0 of 19 answered")
    french = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {}))"
    french = french.replace("{}", "{ key: '&', code: 'Digit1', bubbles: true }")
    page.evaluate(french)  # the key 1 without shift, where that writes something else
    expect(page.locator("[aria-checked=true]")).to_have_text(["1confronted"])
    press(page, "l", "ArrowDown", "Enter")
    expect(page.locator("#place")).to_have_text("Item 2 of 2")
    press(page, "F1")
    expect(page.locator("#keys")).to_be_visible()
    press(page, "3", "Escape")
    expect(page.locator("#answered")).to_have_text("0 of 19 answered")
    assert page.evaluate("document.activeElement.closest('[role=radiogroup]') !== null")


def test_the_time_of_an_item_is_that_in_which_it_is_seen(opened: Callable[..., Tab]) -> None:
    page = opened(sheet(*items(2))).page
    seen, hidden = page.evaluate("""async () => {
        const during = async (state) => {
            Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
            const before = tikval.store.record(0).seconds;
            await new Promise((done) => setTimeout(done, 300));
            document.dispatchEvent(new Event("visibilitychange"));
            return tikval.store.record(0).seconds - before;
        };
        return [await during("visible"), await during("hidden")];
    }""")
    assert seen >= 0.29
    assert hidden == 0
    assert cells(saved(page)) == []  # an item that was looked at alone is not begun
