"""The sentence, the ranked chart and the links of the first page say what the report's rates and cards say."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.fixtures.site import LABELS, card, pages, rate, report
from tikval.report.site.answer import answer_sentence, led_rates
from tikval.report.site.ranked import ranked_chart
from tikval.report.site.record import Report, SystemRates
from tikval.report.site.video_links import VideoLink, VideoLinks, list_address
from tikval.stats.limits import NO_VARIANCE
from tikval.stats.prevalence import RateLine

FEW = "4 accounts: too few for an interval"


def given(
    shares: Sequence[float], *, why: str | None = None, annotated: int = 0, human: bool = False
) -> SystemRates:
    """Rates of 888 videos, in the order of LABELS; each interval reaches three points to both sides."""
    ends = [(None, None) if why else (max(0.0, x - 0.03), x + 0.03) for x in shares]
    lines = tuple(
        RateLine("all", label, 888, 90, annotated, x, end[0], end[1], None, None, None, why)
        for label, x, end in zip(LABELS, shares, ends, strict=False)
    )
    return SystemRates("annotations" if human else "s", "a header", human, lines, (), ())


def sentence(*rates: SystemRates, **keys: object) -> str:
    one = report(rates=rates, **keys)
    parts = answer_sentence(one, led_rates(one), VideoLinks(one))
    return "".join(part["text"] for part in parts).replace("\u00a0", " ")


def test_one_value_of_each_stance_with_its_interval() -> None:
    assert sentence(given((0.24, 0.1, 0.05, 0.23))) == (
        "In 888 videos the most endorsed value is Value A, in 24 % [21, 27]; "
        "the most confronted is Value B, in 23 % [20, 26]."
    )
    titles = {"a": "Self-direction: thought", "b": "AI"}
    words = sentence(given((0.24, 0.1, 0.05, 0.23)), titles=titles)
    assert "is self-direction: thought, in" in words
    assert "is AI, in" in words


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ((0.24, 0.24, 0.0, 0.0), "values are Value A and Value B, in 24 % [21, 27] each; none is confronted."),
        ((0.0, 0.0, 0.04, 0.01), "no value is endorsed; the most confronted is Value A, in 4.0 % [1.0, 7.0]."),
        ((0.24, 0.1), "is Value A, in 24 % [21, 27]; nothing was looked for that tells what they confront."),
    ],
)  # fmt: skip
def test_ties_and_what_nobody_has_or_looked_for(shares: Sequence[float], words: str) -> None:
    assert words in sentence(given(shares))


def test_many_that_tie_are_counted() -> None:
    labels = tuple(f"{v}{sign}" for sign in "+-" for v in "vwxyz")
    lines = tuple(RateLine("all", label, 9, 3, 0, 0.2, None, None, None, None, None, FEW) for label in labels)
    words = sentence(SystemRates("s", "", False, lines, (), ()), labels=labels, cards=())
    assert "the most endorsed are 5 values, equally often: in 20 %; the most confronted are 5 values" in words


def test_a_codebook_of_one_value_and_no_video() -> None:
    one = SystemRates("s", "", False, (rate("a+", 0.4), rate("a-", 0.2)), (), ())
    words = sentence(one, labels=("a+", "a-"), cards=())
    assert words == "Of 3 videos, 40 % [20, 80] endorse Value A and 20 % [10, 40] confront it."
    assert sentence() == "No video has a result yet."


def basis(*rates: SystemRates) -> tuple[str, list[str]]:
    led = led_rates(report(rates=rates))
    assert led is not None
    return led.basis, led.how_sure


def test_the_page_says_whether_rates_are_annotated_corrected_or_raw() -> None:
    human, raw = given((0.3,), human=True, annotated=888), given((0.2,), annotated=10)
    mended = replace(raw, lines=tuple(replace(line, corrected=0.25) for line in raw.lines))
    assert "not corrected" in basis(human, raw)[0]
    assert "corrected by 10 annotated videos" in basis(human, mended)[0]
    assert "people annotated every video" in basis(human, given((0.2,), annotated=888))[0]
    assert "the most endorsed value is Value A, in 25 %;" in sentence(human, mended)


def test_why_there_is_no_interval_stands_once() -> None:
    assert basis(given((0.2, 0.1), why=FEW))[1] == [f"{FEW}."]
    some = given((0.2, 0.1))
    none = replace(some.lines[1], low=None, high=None, why_none=NO_VARIANCE)
    assert len(basis(replace(some, lines=(some.lines[0], none)))[1]) == 1


def chart(one: Report) -> dict[str, object]:
    led = led_rates(one)
    assert led is not None
    return ranked_chart(one, led, VideoLinks(one))


def test_the_chart_ranks_and_names_what_it_leaves_out() -> None:
    found = chart(report(rates=(given((0.1, 0.0, 0.0, 0.3)),)))
    assert [row["title"] for row in found["rows"]] == ["Value B", "Value A"]  # type: ignore[attr-defined]
    endorsed, confronted = found["rows"][0]["cells"]  # type: ignore[index]
    assert (confronted["share"], confronted["dot"], confronted["bar"]) == ("30 %", 25.0, (25.0, 75.0))
    assert (endorsed["share"], endorsed["dot"]) == ("0.0 %", 0.0)
    assert found["ends"] == ["40 %", "20 %"]
    found = chart(report(rates=(given((0.1, 0.0, 0.2, 0.0)),)))
    assert found["empty"] == ["Value B"]
    found = chart(report(rates=(SystemRates("s", "", False, (rate("a+", 0.5),), (), ()),)))
    assert (found["unknown"], found["none"]) == (["Value B"], "not modelled")


def test_why_a_side_has_no_number_stands_once_below_the_chart() -> None:
    one = report(rates=(SystemRates("s", "", False, (rate("a+", 0.5), rate("b+", 0.2)), (), ()),))
    assert chart(one)["has_gaps"]
    words = pages(one)["index.html"].words
    assert words.count("\u2013: not modelled.") == 1
    assert not chart(report(rates=(given((0.1, 0.2, 0.3, 0.4)),)))["has_gaps"]


def test_a_link_counts_what_the_list_will_show() -> None:
    links = VideoLinks(
        report(cards=(card("one", account="x", genre="food & drink"), card("two"), card("four")))
    )
    assert links.label("s", "a+") == VideoLink("videos.html#who=system%20s&value=a&stance=endorsed", 1)
    assert links.label("annotations", "a+") == VideoLink("videos.html#who=people&value=a&stance=endorsed", 2)
    assert links.label("s", "b-") is None
    assert links.hits("s", "a+") == VideoLink(
        "videos.html#who=system%20s&agree=agrees&value=a&stance=endorsed", 1
    )
    assert links.stance("annotations", "confronted") == VideoLink(
        "videos.html#who=people&stance=confronted", 2
    )
    assert links.value("s", 1) == VideoLink("videos.html#who=system%20s&value=b", 1)
    assert links.genre("food & drink") == VideoLink("videos.html#genre=food%20%26%20drink", 1)
    assert links.account("x", "account 1") == VideoLink("videos.html#account=account%201", 1)
    assert links.label_of_account("s", "b+", "x", "account 1") == VideoLink(
        "videos.html#who=system%20s&account=account%201&value=b&stance=endorsed", 1
    )
    assert list_address(value="", who="\ud800") == "videos.html#who=%EF%BF%BD"


def test_the_first_page_begins_with_the_answer() -> None:
    words = pages(report(rates=(given((0.24, 0.1, 0.05, 0.23)),)))["index.html"].words
    order = [
        "In 888 videos the most endorsed",
        "Raw: as predicted",
        "Scores",
        "Coverage Every",
        "How it was made",
    ]
    places = [words.index(part) for part in order]
    assert places == sorted(places)
