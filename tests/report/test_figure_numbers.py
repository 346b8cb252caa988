"""The numbers of the figures, by hand: counts, F1, rates, steps; as CSV and as JSON for the web."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.posts import attrition
from tikval.config import ExtractConfig, load_config
from tikval.report.figures import data as web
from tikval.report.figures.numbers import (
    circle_csv,
    group_arcs,
    occurrences_csv,
    per_video_csv,
    radar_of,
    series_of,
)
from tikval.report.figures.pipelines import pipeline_steps
from tikval.report.figures.points import points_data, points_of_rates
from tikval.report.figures.rates import (
    MOST_GROUPS,
    GroupRates,
    genres_of,
    months_of,
    most_predicted,
    rates_csv,
    rates_of,
)
from tikval.report.figures.systems import predict_everything_score, scored_csv, scored_of
from tikval.rows import ScoreRow
from tikval.sources.labels import read_labels
from tikval.stats.prevalence import RateLine
from tikval.values import SLUGS, binary

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "tiktok_annotations.csv"
ALL_MODELLED = np.ones(4, dtype=bool)


def lines(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


# what was predicted


def test_counts_by_hand() -> None:
    predicted = np.array(
        [[1, 0, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]]
    )  # two values; the second video has one twice over
    one = series_of("a", predicted, ALL_MODELLED)
    assert one.per_video == (1, 1, 1)
    assert one.counts.tolist() == [[2, 0], [1, 1]]
    assert [line["count"] for line in lines(per_video_csv([one]))] == ["1", "1", "1"]
    numbers = {(line["value"], line["stance"]): line["count"] for line in lines(occurrences_csv([one], "xy"))}
    assert numbers == {
        ("x", "endorsed"): "2",
        ("x", "confronted"): "1",
        ("y", "endorsed"): "0",
        ("y", "confronted"): "1",
    }


def test_what_is_not_modelled_is_no_zero() -> None:
    one = series_of("a", np.zeros((2, 4)), np.array([True, True, True, False]))
    assert np.isnan(one.counts[1, 1])
    assert [line["count"] for line in lines(occurrences_csv([one], "xy"))] == ["0", "0", "0", ""]


def test_shares_of_several_answers() -> None:
    one = series_of("a", np.array([[0.5, 0.25, 0, 0], [1, 0.25, 0, 0]]), ALL_MODELLED)
    assert one.per_video == (0, 2)
    assert one.counts.tolist() == [[1.5, 0.5], [0, 0]]


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published annotations are elsewhere")
def test_the_published_annotations() -> None:
    rows = read_labels(str(PUBLISHED), SLUGS, "schwartz-19")
    predicted = np.array([binary(row["stances"]) for row in rows])
    one = series_of("annotations", predicted, np.ones(38, bool), is_human=True)
    assert one.per_video == (4, 59, 205, 275, 181, 100, 31, 19, 12, 1, 1)
    assert one.counts.sum(1).tolist() == [2132, 820]


@pytest.mark.parametrize("shape", [(2, 3), (2, 6), (0, 4)])
def test_arrays_that_do_not_fit(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="a: "):
        series_of("a", np.zeros(shape), ALL_MODELLED)


def score(system: str, label: str, f1: float | None, support: int, failures: str = "left_out") -> ScoreRow:
    return {
        "system": system,
        "label_set": "mine",
        "failures": failures,
        "stance": "endorsed",
        "label": label,
        "frequent": True,
        "n_labels": None,
        "support": support,
        "precision": None,
        "recall": None,
        "f1": f1,
        "lower": None,
        "upper": None,
        "precision_lower": None,
        "precision_upper": None,
        "recall_lower": None,
        "recall_upper": None,
        "why_none": None,
        "average_precision": None,
        "brier": None,
        "ece": None,
        "n_videos": 10,
        "n_scored": 9,
        "n_groups": 3,
    }


def test_a_radar_has_gaps_and_one_baseline() -> None:
    rows = [
        *(
            score("predict_everything", f"{v}+", f1, n)
            for v, f1, n in (("x", 0.5, 3), ("y", None, 0), ("z", 0.2, 1))
        ),
        score("frequency_prior", "x+", 0.9, 3),
        score("a", "x+", 0.7, 3),
        score("a", "x+", 0.1, 3, "wrong"),
        score("a", "y+", 0.0, 0),
        score("unasked", "x+", 0.9, 3),
    ]
    found = radar_of(rows, "xyz", "endorsed", ["a", "unscored"])
    assert list(found.f1) == ["predict_everything", "a"]
    assert found.support == (3, 0, 1)
    np.testing.assert_array_equal(found.f1["a"], [0.7, np.nan, np.nan])
    for slugs, stance, message in (
        ("xy", "endorsed", "three values"),
        ("xyz", "confronted", "no annotated video"),
    ):
        with pytest.raises(ValueError, match=message):
            radar_of(rows, slugs, stance, ["a"])


def test_the_circle_names_both_groups_of_a_border() -> None:
    found = lines(circle_csv([series_of("a", np.zeros((1, 38)), np.ones(38, bool))], SLUGS))
    assert [line["place"] for line in found] == [str(i) for i in range(19)]
    assert {line["value"]: line["groups"] for line in found}["face"] == "self_enhancement and conservation"


def test_the_groups_go_once_around_the_circle() -> None:
    arcs = group_arcs(SLUGS)
    assert [name for name, _, _ in arcs] == [
        "openness to change",
        "self-enhancement",
        "conservation",
        "self-transcendence",
    ]
    ends = [(begin, end) for _, begin, end in arcs]
    assert [end for _, end in ends[:-1]] == [begin for begin, _ in ends[1:]] == [3.0, 7.0, 13.0]
    assert (ends[0][0], ends[-1][1]) == (-0.5, 18.5)


# macro F1


def macro(system: str, f1: float | None, **changes: Any) -> ScoreRow:
    return {**score(system, "macro", f1, 9), "stance": "all", "frequent": None, **changes}  # type: ignore[typeddict-item]


def test_the_best_system_stands_on_top_and_baselines_have_names() -> None:
    rows = [
        macro("b", 0.4, lower=0.3, upper=0.5),
        macro("a", 0.4),
        macro("predict_everything", 0.6),
        macro("frequency_prior", 0.1),
        macro("unasked", 0.9),
        macro("none", None),
        macro("b", 0.99, failures="wrong"),
        macro("b", 0.99, stance="endorsed"),
        macro("b", 0.99, label="weighted"),
    ]
    found = scored_of(rows, ["a", "b", "none", "unscored"])
    assert [(one.name, one.title, one.f1) for one in found] == [
        ("predict_everything", "Predict everything", 0.6),
        ("a", "a", 0.4),
        ("b", "b", 0.4),
        ("frequency_prior", "Guess by frequency", 0.1),
    ]
    assert [one.is_baseline for one in found] == [True, False, False, True]
    assert predict_everything_score(found) == 0.6
    assert predict_everything_score(found[1:]) is None
    written = lines(scored_csv(found))
    assert [(line["system"], line["lower"], line["n_scored"]) for line in written[1:3]] == [
        ("a", "", "9"),
        ("b", "0.3", "9"),
    ]
    assert web.systems_data(found)["systems"][2] == {
        "name": "b",
        "baseline": False,
        "f1": 0.4,
        "lower": 0.3,
        "upper": 0.5,
        "videos": 10,
        "scored": 9,
    }
    with pytest.raises(ValueError, match="no system has a macro F1"):
        scored_of(rows, ["none"])


# rates


def line(group: str, what: str, rate: float, low: float | None = None, videos: int = 10) -> RateLine:
    high = None if low is None else 2 * rate - low
    return RateLine(group, what, videos, 2, 0, rate, low, high, None, None, None)


def grouped(*groups: str, videos: int = 10) -> GroupRates:
    """x is endorsed by half of the videos of each group, y confronted by a fifth; y+ is not modelled."""
    predicted = [
        (group, what, rate) for group in groups for what, rate in (("x+", 0.5), ("x-", 0.0), ("y-", 0.2))
    ]
    return rates_of("a", [line(group, what, rate, rate / 2, videos) for group, what, rate in predicted], "xy")


def test_rates_stand_where_their_label_and_group_are() -> None:
    found = rates_of(
        "a",
        [line("g", "x+", 0.5, 0.25), line("g", "conservation", 0.9), line("h", "x+", 0.125, videos=5)],
        "xy",
    )
    assert (found.groups, found.videos, found.rate.shape) == (("g", "h"), (10, 5), (2, 2, 2))
    np.testing.assert_array_equal(found.rate[0, 0], [0.5, 0.125])
    np.testing.assert_array_equal(found.low[0, 0], [0.25, np.nan])
    np.testing.assert_array_equal(found.high[0, 0], [0.75, np.nan])
    assert np.isnan(found.rate[0, 1]).all()
    assert np.isnan(found.rate[1]).all()


def test_genres_are_those_with_the_most_videos() -> None:
    names = [f"g{n:02}" for n in range(MOST_GROUPS + 2)]
    predicted = [line(name, "x+", 0.5, videos=5 + (n != 1) + (n != 4)) for n, name in enumerate(names)]
    found = genres_of(rates_of("a", predicted, "x"), names)
    assert found.groups == tuple(name for name in names if name not in ("g01", "g04"))
    assert found.rate.shape == (2, 1, MOST_GROUPS)
    for groups, named in ((("other (few)", "not given"), ["food"]), (("food", "not given"), ["food"])):
        with pytest.raises(ValueError, match="fewer than two genres"):
            genres_of(grouped(*groups), named)


def test_a_month_without_videos_is_a_gap() -> None:
    found = months_of(grouped("2025-12", "2026-02", "2025-11", "other (few)", "not given"))
    assert found.groups == ("2025-11", "2025-12", "2026-01", "2026-02")
    assert found.videos == (10, 10, 0, 10)
    np.testing.assert_array_equal(found.rate[0, 0], [0.5, 0.5, np.nan, 0.5])
    np.testing.assert_allclose(found.high[1, 1], [0.3, 0.3, np.nan, 0.3])
    for groups in (("2026-01", "not given"), ("2026-13", "26-01", "2026-01-01", "2026-02")):
        with pytest.raises(ValueError, match="fewer than two months"):
            months_of(grouped(*groups))


def test_values_are_ranked_by_videos_and_not_by_months() -> None:
    predicted = [
        *(line("2026-01", what, rate, videos=100) for what, rate in (("x+", 0.1), ("y+", 0.1), ("z+", 0.0))),
        *(line("2026-02", what, rate, videos=10) for what, rate in (("x+", 0.9), ("y-", 1.0), ("z-", 0.0))),
    ]
    found = rates_of("a", predicted, "wxyz")
    assert most_predicted(found) == [2, 1]  # y of 20 videos, x of 19; z is never predicted, w is not modelled
    assert most_predicted(found, 1) == [2]


def test_a_genre_is_no_formula_of_a_spreadsheet() -> None:
    written = lines(rates_csv([grouped("=1+1", "food")], "xy", "genre"))
    assert {one["genre"] for one in written} == {"'=1+1", "food"}
    assert [(one["value"], one["stance"], one["rate"]) for one in written[:4]] == [
        ("x", "endorsed", "0.5"),
        ("x", "confronted", "0"),
        ("y", "endorsed", ""),
        ("y", "confronted", "0.2"),
    ]


# for the web


def test_what_goes_to_the_web_is_json_and_says_what_the_csv_says() -> None:
    one = series_of("a", np.array([[1, 0.5, 1, 0], [1, 0, 0, 0]]), np.array([True, True, True, False]))
    people = series_of("annotations", np.zeros((1, 4)), ALL_MODELLED, is_human=True)
    series, titles = [people, one], ["X: x", "Y"]
    months, genres = months_of(grouped("2026-01", "2026-03")), grouped("f", "g")
    all_of_them = [
        web.per_video_data(series),
        web.occurrences_data(series, titles),
        web.circle_data([series_of("a", np.zeros((1, 38)), np.ones(38, bool))], list(SLUGS), SLUGS),
        web.radar_data(
            radar_of([score("predict_everything", f"{v}+", 0.5, 3) for v in "xyz"], "xyz", "endorsed", []),
            "xyz",
        ),
        web.systems_data(scored_of([macro("a", 0.5)], ["a"])),
        web.genres_data([genres], titles),
        web.months_data([months], titles, [1]),
        web.attrition_data(attrition()),
        points_data(points_of_rates([grouped("all")]), titles),
        web.pipelines_data(
            {"a": pipeline_steps(load_config(ExtractConfig, "configs/paper/gemini_direct.yaml", []))}
        ),
    ]
    assert json.loads(json.dumps(all_of_them, allow_nan=False)) == all_of_them
    assert {data["kind"] for data in all_of_them} == set(web.KINDS)
    assert web.occurrences_data(series, titles)["series"][1] == {
        "name": "a",
        "human": False,
        "videos": 2,
        "endorsed": [2, 0.5],
        "confronted": [1, None],
    }
    assert web.per_video_data([people])["note"] == ""
    assert web.per_video_data(series)["note"].endswith("not corrected for model error.")
    assert web.months_data([months], titles, [1])["values"] == ["Y"]
    assert web.months_data([months], titles, [1])["sources"][0]["confronted"] == [
        {
            "rate": [0.2, None, 0.2],
            "low": [0.1, None, 0.1],
            "high": [pytest.approx(0.3), None, pytest.approx(0.3)],
        }
    ]
    assert web.genres_data([genres], titles)["sources"][0]["endorsed"] == [[0.5, 0.5], [None, None]]
