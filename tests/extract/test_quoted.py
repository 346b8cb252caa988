"""Evidence of a language model is looked up, never believed: what it quotes rightly, otherwise, or invents."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.rows import script as script_row
from tikval.ask.withheld import Withheld
from tikval.codebook import load_codebook
from tikval.config import LlmExtractor, find_file
from tikval.extract.llm import AskOfScript, ReadValues
from tikval.extract.reply import MAX_QUOTE, QuotesFrom, parse_reply
from tikval.extract.strict_reply import BadReply
from tikval.privacy import strip_handles
from tikval.rows import Passage, PassageSource, PredictionRow, arrow_schema
from tikval.script_text import find_quote
from tikval.values import SLUGS

NOBODY = Withheld(np.empty(0, "S16"), np.empty(0, "S16"))
BOOK = load_codebook(find_file("prompts/codebook.yaml"))
SCRIPT = """Genre: Vlog
Sound: Yes

ANNA: "Nobody owns my time. I decide what I do!"
[WORK HARD, REST LATER]
She hands her lunch to a stranger.
BEN (V.O.): "We have always done it this way."
"""
TIMES = {
    "line_starts": [None, None, None, 1.0, 4.5, 6.0, 8.0],
    "line_ends": [None, None, None, 4.0, 6.0, 8.0, 9.5],
}
CAPTION = "for grandma, every sunday"
OF_SCRIPT, OF_VIDEO = (
    ("value", "quote", "source"),
    ("value", "quote", "source", "start_seconds", "end_seconds"),
)


def reply(*given: tuple[Any, ...], keys: tuple[str, ...] = OF_SCRIPT, **stances: str) -> str:
    evidence = [dict(zip(keys, each, strict=True)) for each in given]
    values = dict.fromkeys(SLUGS, "absent") | stances
    return json.dumps({"has_sound": True, "values": values, "evidence": evidence, "notes": ""})


def predicted(
    *replies: str, quotes_from: QuotesFrom = "script", script: str = SCRIPT, caption: str | None = CAPTION
) -> PredictionRow:
    """What is read of a model's replies to one post, as the job carries it to the reader."""
    extractor = LlmExtractor.model_validate(
        {"llm": {"kind": "endpoint", "model": "m"}, "samples": len(replies), "evidence": True}
    )
    carried = json.dumps({"account": "ann", "caption": caption, "seconds": 9.5})
    if quotes_from == "script":
        written = script_row("v", script=script, caption=caption, **TIMES)
        (ask,) = AskOfScript("P", NOBODY, evidence=True)([written])
        carried = ask["carried"]
    empty = dict.fromkeys(("error", "detail", "samples", "tokens_in", "tokens_out", "cost_usd", "ledger_key"))
    row = empty | {
        "video_id": "v",
        "row_key": "0" * 32,
        "attempt": 1,
        "model_served": "m",
        "carried": carried,
    }
    answers = [{**row, "reply": each} for each in replies]
    asked = answers[0] if len(answers) == 1 else {**row, "reply": None, "samples": json.dumps(answers)}
    (found,) = ReadValues("s", BOOK, extractor, "sha", quotes_from)([asked])
    assert found.keys() == set(arrow_schema(PredictionRow).names)
    return found


def evidence(*replies: str, **more: Any) -> list[Passage]:
    row = predicted(*replies, **more)
    assert row["error"] is None, row["detail"]
    assert row["evidence"] is not None
    return row["evidence"]


def short(passage: Passage) -> tuple[Any, ...]:
    return tuple(passage[key] for key in ("label", "source", "quote", "start", "end", "in_script"))


@pytest.mark.parametrize(
    ("quote", "source", "found"),
    [
        ("I decide what I do!", "speech", ("speech", "I decide what I do", 1.0, 4.0)),
        ("nobody OWNS my time", "on_screen", ("speech", "Nobody owns my time", 1.0, 4.0)),
        ("Work hard, rest later", "speech", ("on_screen", "WORK HARD, REST LATER", 4.5, 6.0)),
        ("hands her lunch to a stranger", "action", ("action", "hands her lunch to a stranger", 6.0, 8.0)),
        (
            "Nobody owns my time ... always done it this way",
            "speech",
            ("speech", "Nobody owns my time \u2026 always done it this way", 1.0, 9.5),
        ),
        ("every sunday", "speech", None),
        ("for grandma, every Sunday", "speech", ("caption", "for grandma, every sunday", None, None)),
        ("nobody owns my house", "speech", None),
        ("", "speech", "dropped"),
        ("\u202e\u0007", "speech", "dropped"),
        ("I \u202edecide\u202c what I do", "speech", ("speech", "I decide what I do", 1.0, 4.0)),
        ('<img src=x onerror="alert(1)">', "caption", None),
    ],
)
def test_spelling_source_and_times_are_those_of_the_place(quote: str, source: str, found: Any) -> None:
    passages = evidence(reply(("self_direction_action", quote, source), self_direction_action="endorsed"))
    if found == "dropped":
        assert passages == []
    elif found is None:
        assert [short(p) for p in passages] == [("self_direction_action+", source, quote, None, None, False)]
    else:
        where, words, start, end = found
        assert [short(p) for p in passages] == [("self_direction_action+", where, words, start, end, True)]


WORDS = st.lists(
    st.sampled_from("nobody always never house money river we they burned sold loves".split()), min_size=3
)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4), st.sampled_from(["speech", "on_screen", "action", "caption"]))
def test_no_invented_quote_passes(invented: list[list[str]], source: str) -> None:
    quotes = [" ".join(words) for words in invented]
    for passage in evidence(reply(*(("face", quote, source) for quote in quotes), face="dominant")):
        assert passage["in_script"] is False
        assert (passage["start"], passage["end"], passage["weight"]) == (None, None, None)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80), st.text(max_size=60))
def test_what_is_called_found_is_found_again(spoken: str, quote: str) -> None:
    """By the same rule, from the words that are kept: a page or a check of later looks them up so."""
    line = " ".join(spoken.replace('"', "").split())
    script = f'{SCRIPT}SPEAKER: "{line}"\n'
    for passage in evidence(
        reply(("face", quote, "speech"), ("face", line, "speech"), face="endorsed"), script=script
    ):
        assert passage["quote"]
        assert bool(find_quote(passage["quote"], strip_handles(script), CAPTION)) == passage["in_script"]


def test_a_stance_has_three_passages_at_most_each_once_and_an_absent_value_none() -> None:
    four = [
        ("face", words, "speech") for words in ("one two three", "b b b", "One two three", "c c c", "d d d")
    ]
    given = reply(
        *four, ("humility", "Nobody owns my time", "speech"), face="confronted", tradition="endorsed"
    )
    assert [(p["label"], p["quote"]) for p in evidence(given)] == [
        ("face-", "one two three"),
        ("face-", "b b b"),
        ("face-", "c c c"),
    ]
    assert evidence(reply()) == []


def test_a_quote_of_another_values_sentence_is_found_where_it_stands() -> None:
    """That it says nothing of the value is for the deletion test, not for the look-up."""
    given = reply(("tradition", "We have always done it this way.", "speech"), tradition="endorsed")
    assert short(evidence(given)[0])[1:] == ("speech", "We have always done it this way", 8.0, 9.5, True)


@pytest.mark.parametrize(
    ("passage", "kept"),
    [
        (("face", "look at me", "speech", 1, 2.5), ("speech", "look at me", 1.0, 2.5, None)),
        (("face", "SALE", "on_screen", 8, 99), ("on_screen", "SALE", 8.0, None, None)),
        (("face", "a mirror", "picture", 5, 3), ("picture", "a mirror", None, None, None)),
        (("face", "she bows", "action", -1, None), ("action", "she bows", None, None, None)),
        (
            ("face", "For Grandma, every Sunday", "caption", None, None),
            ("caption", CAPTION, None, None, True),
        ),
        (
            ("face", "for grandpa on mondays", "caption", 0, 1),
            ("caption", "for grandpa on mondays", 0.0, 1.0, False),
        ),
        (
            ("face", "by @jane_doe.1 again", "speech", 10**400, 1e308),
            ("speech", "by @someone again", None, None, None),
        ),
    ],
)
def test_of_a_video_only_the_caption_is_looked_up_and_times_lie_within(passage: Any, kept: Any) -> None:
    found = evidence(reply(passage, keys=OF_VIDEO, face="endorsed"), quotes_from="video")
    assert [short(p)[1:] for p in found] == [kept]


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (None, "evidence: null is not an array"),
        ({"face": "x"}, "evidence: an object is not an array"),
        (["x"], 'evidence 1: "x" is not an object'),
        ([{"value": "face", "quote": "x"}], "evidence 1: source is missing"),
        ([{"value": "face", "quote": "x", "source": "speech", "by": 1}], 'evidence 1: unknown key "by"'),
        ([{"value": "fame", "quote": "x", "source": "speech"}], 'evidence 1: value: "fame" is not one of'),
        (
            [{"value": "face", "quote": "x", "source": "picture"}],
            'evidence 1: source: "picture" is not one of',
        ),
        ([{"value": "face", "quote": 1, "source": "speech"}], "evidence 1: quote: a number is not a text"),
    ],
)
def test_evidence_that_is_none_is_no_answer(evidence: Any, why: str) -> None:
    text = json.dumps({**json.loads(reply(face="endorsed")), "evidence": evidence})
    with pytest.raises(BadReply, match=why):
        parse_reply(text, BOOK, "json", "script")
    row = predicted(text)
    assert (row["error"], row["decisions"], row["evidence"]) == ("bad_reply", None, None)


@pytest.mark.parametrize("second", [True, "3", [1]])
def test_seconds_are_numbers(second: Any) -> None:
    text = reply(("face", "x", "speech", second, None), keys=OF_VIDEO, face="endorsed")
    with pytest.raises(BadReply, match=r"evidence 1: start_seconds: .* is not a number or null"):
        parse_reply(text, BOOK, "json", "video")


def test_evidence_is_there_exactly_where_it_was_asked_for() -> None:
    with pytest.raises(BadReply, match='unknown key "evidence"'):
        parse_reply(reply(), BOOK, "json")
    without = json.loads(reply())
    del without["evidence"]
    with pytest.raises(BadReply, match="evidence is missing"):
        parse_reply(json.dumps(without), BOOK, "json", "script")


def test_a_reply_of_ten_megabytes_is_none_and_a_long_quote_is_cut_between_words() -> None:
    assert predicted(reply(("face", "x" * 10_000_000, "speech"), face="endorsed"))["error"] == "bad_reply"
    long = " ".join(["wordy"] * 500)
    (passage,) = evidence(
        reply(("face", long, "speech"), face="endorsed"), script=f'{SCRIPT}ANNA: "{long}"\n'
    )
    assert passage["in_script"]
    assert MAX_QUOTE - 6 <= len(passage["quote"] or "") <= MAX_QUOTE


def test_of_several_samples_those_count_that_agree_and_what_most_name_is_first() -> None:
    mine, ours, lunch = "Nobody owns my time", "We have always done it this way", "She hands her lunch"
    found = evidence(
        reply(("face", mine, "speech"), ("face", lunch, "action"), face="endorsed"),
        reply(("face", lunch.upper(), "speech"), face="dominant"),
        reply(
            ("face", ours, "speech"), ("tradition", ours, "speech"), face="confronted", tradition="endorsed"
        ),
    )
    assert [(p["label"], p["quote"], p["source"]) for p in found] == [
        ("face+", lunch, PassageSource.ACTION),
        ("face+", mine, PassageSource.SPEECH),
    ]
