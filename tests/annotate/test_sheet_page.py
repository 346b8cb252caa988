"""The sheet in a real browser, opened from disk: what is typed is what is saved, and nothing else runs or leaves it."""

import csv
import io
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures import browser
from tests.fixtures.browser import Tab, Visit
from tikval.annotate.coding import Coding, coding_csv, value_notes_of
from tikval.annotate.sheet import (
    CodingSheet,
    SheetItem,
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
                press(page, "N")
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
    press(page, "ArrowRight", "ArrowRight", "ArrowRight", "1", "N")
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
    # of two states of an item the later one stays
    press(other, "2")
    load(other, tmp_path / SAVED)
    assert cells(saved(other))[1]["self_direction_action"] == "absent"


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
