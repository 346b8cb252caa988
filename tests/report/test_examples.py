"""Three videos of the top value, with evidence that was found; what was invented is not shown."""

from functools import partial
from typing import Any

from tests.fixtures.site import PREDICTIONS, Page, files, rate, report
from tikval.report.site.record import Card, SystemRates
from tikval.rows import Passage

Speech = partial(Passage, source="speech", start=None, end=None, weight=None, in_script=None)
RATES = (SystemRates("s", "not corrected", False, (rate("a+", 0.5), rate("b-", 0.1)), (), ()),)


def judged(n: int, account: str | None, *quotes: str | None, **keys: Any) -> Card:
    """A video that `s` gives the label a+, with these quotes of speech; None: it gives no evidence."""
    evidence = [Speech(label="a+", quote=quote) for quote in quotes if quote]
    row = {**PREDICTIONS[0], "video_id": f"v{n}", "scores": [0.1 * n, 0, 0, 0]}
    row["evidence"] = None if None in quotes else evidence
    made = {"key": f"{n:032x}", "account": account, "predictions": (row,), "annotated": None, "failures": ()}
    return Card(f"v{n}", script="SPEAKER: I dare it", **{**made, **keys})


def examples(*cards: Card, **keys: Any) -> tuple[list[str], str]:
    """The titles of the example videos, and the words of their section."""
    html = files(report(rates=RATES, cards=cards, scores=(), failures=(), **keys))["index.html"].decode()
    section = html.partition('<section id="examples"')[2].partition("</section>")[0]
    page = Page(f"<section {section}</section>")
    shown = [part.partition("</bdi>")[0] for part in section.split("<h3>")[1:]]
    return [title.rpartition("<bdi>")[2] for title in shown], page.words


def test_found_evidence_comes_first_then_other_accounts_then_scores() -> None:
    titles, words = examples(
        judged(1, "x", "I dare it"),
        judged(2, "x", "I dare it"),
        judged(3, "y", "I dare it"),
        judged(4, "z", "nobody said that"),
        judged(5, "z", None),
    )
    assert titles == ["v3", "v2", "v1"]
    assert "For example: + endorsed Value A" in words
    assert "All 5 videos with this label" in words


def test_what_a_model_invented_is_no_quote() -> None:
    _, words = examples(judged(1, None, "nobody said that"))
    assert "nobody said that" not in words
    assert "what s quoted does not stand in this post" in words
    assert "dare" not in words, "the script's first lines are no evidence"


def test_without_evidence_it_says_why() -> None:
    assert "s was not asked for any, or gives none" in examples(judged(1, None, None))[1]
    assert "s named no passage for this label" in examples(judged(1, None))[1]
    assert examples(judged(1, None, predictions=()))[0] == []


def test_a_frequent_value_with_evidence_stands_in_for_one_without() -> None:
    row = {**PREDICTIONS[0], "video_id": "v2", "decisions": [True, False, False, True], "scores": None}
    quote = Speech(label="b-", quote="I dare it")
    titles, words = examples(
        judged(1, "x", None), judged(2, "x", predictions=({**row, "evidence": [quote]},))
    )
    assert titles == ["v2"]
    assert "confronted Value B The most frequent label with evidence;" in words
    assert "+ endorsed Value A comes before it. No evidence: s was not asked" in words


def test_accounts_are_numbers_and_scores_have_their_threshold() -> None:
    _, words = examples(judged(1, "jane.doe", "I dare it"))
    assert "jane.doe" not in words
    assert "account 1" in words
    assert "score 0.100 (threshold not kept)" in words
