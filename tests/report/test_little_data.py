"""Charts that do not mislead on little data: points for circles, no bands of two months, no rows of nothing."""

import csv
import io

import numpy as np
import pytest

from tests.fixtures.site import pages, report
from tests.report.test_figure_numbers import line, score
from tikval.codebook import load_codebook
from tikval.config import find_file
from tikval.report.figures.data import months_data
from tikval.report.figures.numbers import FigureSeries, radar_of
from tikval.report.figures.point_sheets import value_f1_sheet, value_rates_sheet
from tikval.report.figures.points import ROUND_SUPPORT, circle_has_enough, enough_for_a_circle
from tikval.report.figures.rates import GroupRates, genres_of, months_of, rates_of
from tikval.report.figures.sheets import genres_sheet, occurrences_sheet
from tikval.report.figures.style import render, styled
from tikval.report.site.record import Chart

BOOK = load_codebook(find_file("prompts/codebook.yaml"))
FIRST, SECOND, *_ = BOOK.slugs


def test_half_of_the_values_need_enough_videos_for_a_circle() -> None:
    assert enough_for_a_circle([ROUND_SUPPORT, ROUND_SUPPORT, 0, 0])
    assert not enough_for_a_circle([ROUND_SUPPORT, ROUND_SUPPORT - 1, 0, 0])
    half = np.full((2, 19), ROUND_SUPPORT / 2)
    assert circle_has_enough([FigureSeries("a", 99, (), half)])
    assert not circle_has_enough([FigureSeries("a", 99, (), half), FigureSeries("b", 99, (), 0 * half)])


def test_points_have_the_intervals_of_the_rates_and_no_row_of_nothing() -> None:
    lines = [line("all", f"{FIRST}+", 0.3, 0.2), line("all", f"{SECOND}+", 0.0)]
    sheet = value_rates_sheet([rates_of("a", lines, BOOK.slugs)], BOOK)
    assert sheet.data["values"] == [BOOK.values[0].title]
    endorsed, confronted = sheet.data["panels"]
    (one,) = endorsed["series"]
    assert (one["at"], one["low"], one["high"]) == ([0.3], [0.2], [pytest.approx(0.4)])
    assert confronted["series"][0]["at"] == [None]
    assert "Not drawn: 18 values of which nothing is above 0." in sheet.shows
    assert len(list(csv.reader(io.StringIO(sheet.numbers.decode())))) == 1 + 38
    with styled():
        assert b"Not drawn" not in render(sheet.draw(), "svg")


def test_points_of_f1_say_how_many_videos_have_the_value() -> None:
    rows = [score("predict_everything", f"{FIRST}+", 0.2, 3), score("a", f"{FIRST}+", 0.7, 3)]
    sheet = value_f1_sheet(radar_of(rows, BOOK.slugs, "endorsed", ["a"]), BOOK)
    assert sheet.name == "value_f1_endorsed"
    assert sheet.data["values"] == [f"{BOOK.values[0].title} (3)"]
    assert [one["plain"] for one in sheet.data["panels"][0]["series"]] == [True, False]


def test_values_of_no_video_have_no_bar_and_no_row_of_a_heat_map() -> None:
    counts = np.zeros((2, 19))
    counts[1, 4] = 2
    sheet = occurrences_sheet([FigureSeries("a", 9, (), counts)], BOOK)
    assert sheet.data["values"] == [BOOK.values[4].title]
    assert sheet.data["series"][0]["confronted"] == [2]
    assert "Not drawn: 18 values" in sheet.shows
    assert sheet.numbers.count(b"endorsed") == 19
    heat = genres_sheet(
        [rates_of("a", [line("f", f"{FIRST}+", 0.1), line("g", f"{FIRST}+", 0.2)], BOOK.slugs)], BOOK
    )
    assert heat.data["values"] == [BOOK.values[0].title]


def of_months(*months: str, small: tuple[tuple[str, int], ...] = ()) -> GroupRates:
    return months_of(
        rates_of("a", [line(month, f"{FIRST}+", 0.3, 0.2) for month in months], BOOK.slugs, small=small)
    )


def test_two_months_are_points_and_three_a_course() -> None:
    two, three = of_months("2026-01", "2026-02"), of_months("2026-01", "2026-02", "2026-03")
    assert [months_data([one], ["x"], [0])["lines"] for one in (two, three)] == [False, True]


def test_a_month_that_is_too_small_stands_in_its_place_with_its_number() -> None:
    found = of_months("2026-02", "2026-04", small=(("2026-03", 2), ("2026-01", 3), ("2019-05", 1)))
    assert found.groups == ("2026-01", "2026-02", "2026-03", "2026-04")
    (source,) = months_data([found], ["x"], [0])["sources"]
    assert source["small"] == [3, None, 2, None]


def test_groups_that_are_all_too_small_are_named_with_their_numbers() -> None:
    few = rates_of(
        "a", [line("food", f"{FIRST}+", 0.3, videos=9)], BOOK.slugs, small=(("art", 2), ("pets", 1))
    )
    with pytest.raises(ValueError, match=r"by themselves: food \(9\), art \(2\), pets \(1\)$"):
        genres_of(few, ["food"])


def test_the_page_says_it_where_the_chart_would_stand() -> None:
    note = "not drawn: prevalence_genre of {}: fewer than two genres have enough videos: food (3)"
    words = pages(report(notes=(note.format("people"), note.format("s"))))["accounts.html"].words
    assert (
        words.count("Values by genre are not drawn: fewer than two genres have enough videos: food (3).") == 1
    )


def test_a_radar_of_few_videos_stands_with_the_papers_tables_alone() -> None:
    charts = tuple(
        Chart(f"{name}_{stance}", f"{name} {stance}", "s", b"a\n", {"kind": "x"})
        for name, stance in (
            ("figure4_radar", "endorsed"),
            ("value_f1", "endorsed"),
            ("figure4_radar", "confronted"),
        )
    )
    words = pages(report(charts=charts))["systems.html"].words
    assert "value_f1 endorsed" in words
    assert "figure4_radar endorsed" not in words
    assert "figure4_radar confronted" in words
