"""Rates in the site, the figures and their numbers: where there is no interval, why, once; small groups by name."""

import csv
import io

from tests.fixtures.site import pages, report
from tikval.codebook import load_codebook
from tikval.config import find_file
from tikval.evaluate.prevalence import small_groups, why_no_ends
from tikval.report.figures.rates import GroupRates, months_of, rates_csv, rates_of
from tikval.report.figures.sheets import genres_sheet, months_sheet
from tikval.report.site.record import SystemRates
from tikval.stats.limits import NO_VARIANCE
from tikval.stats.prevalence import RateLine

BOOK = load_codebook(find_file("prompts/codebook.yaml"))
FEW = "4 accounts: too few for an interval"


def line(
    group: str, what: str, low: float | None = None, why: str | None = None, accounts: int = 20
) -> RateLine:
    high = None if low is None else low + 0.2
    return RateLine(group, what, 14, accounts, 14, 0.3, low, high, 0.3, low, high, why, why)


def shown(*lines: RateLine) -> str:
    rates = SystemRates("s", "not corrected for model error", False, lines, (), ("a note",))
    return pages(report(rates=(rates,)))["values.html"].words


def test_four_accounts_have_no_interval_on_the_page_and_the_reason_once() -> None:
    words = shown(*(line("all", what, why=FEW, accounts=4) for what in ("a+", "b+", "a-", "b-")))
    assert words.count(FEW) == 1
    assert "[" not in words.partition("as predicted")[2].partition("a note")[0]
    assert "95 % interval" not in words
    assert "None" not in words


def test_intervals_of_few_accounts_say_so() -> None:
    words = shown(*(line("all", what, 0.2, accounts=12) for what in ("a+", "b+", "a-", "b-")))
    assert "95 % interval" in words
    assert words.count("a few accounts decide this: 12") == 1
    assert "decide this" not in shown(line("all", "a+", 0.2, accounts=15))


def test_reasons_of_some_name_them() -> None:
    lines = [line("all", "a+", 0.2), line("all", "self_enhancement", why=NO_VARIANCE)]
    assert why_no_ends(lines) == [f"self enhancement: {NO_VARIANCE}"]


def months(*whys: str | None) -> GroupRates:
    slug = BOOK.slugs[0]
    lines = [line(f"2026-{n:02}", f"{slug}+", None if why else 0.2, why) for n, why in enumerate(whys, 1)]
    return months_of(rates_of("s", lines, BOOK.slugs, small=(("2025-12", 3),)))


def test_months_without_an_interval_are_told_in_the_caption() -> None:
    sheet = months_sheet([months(FEW, None, FEW)], BOOK, [0])
    assert "with 95 % intervals" in sheet.shows
    assert sheet.shows.count(FEW) == 1
    assert f"2026-01, 2026-03: {FEW}." in sheet.shows
    assert "in other, with fewer videos: 2025-12 (3)" in sheet.shows
    none = months_sheet([months(FEW, FEW)], BOOK, [0])
    assert "95 %" not in none.shows


def test_the_numbers_say_why_and_name_what_is_left_out() -> None:
    rows = list(csv.DictReader(io.StringIO(rates_csv([months(FEW, None)], BOOK.slugs, "month").decode())))
    at = {(row["month"], row["why_none"]) for row in rows}
    assert at == {("2026-01", FEW), ("2026-02", ""), ("2025-12", "too few videos")}
    (small,) = (row for row in rows if row["month"] == "2025-12")
    assert (small["videos"], small["rate"]) == ("3", "")


def test_genres_that_are_not_shown_are_named() -> None:
    one = rates_of("s", [line("food", f"{BOOK.slugs[0]}+")], BOOK.slugs, small=(("art", 2), ("pets", 1)))
    assert (
        "Not by themselves: in other, with fewer videos: art (2), pets (1)."
        in genres_sheet([one], BOOK).shows
    )
    assert small_groups([(f"g{n}", 1) for n in range(60)]).endswith("and 10 more")
