"""The data behind the page of all videos: numbers by hand, nothing lost, nothing that people must not see."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from tests.fixtures.rows import prediction
from tikval.report.site.browse import CAPTION_CHARS, CHUNK_BYTES, browse_files
from tikval.report.site.record import Card, Failure, Report
from tikval.report.site.texts import clean_text, hidden
from tikval.rows import PredictionRow

LABELS = ("a+", "b+", "a-", "b-")
HOSTILE = "</script><script>alert(1)</script><!-- \u2028 \" ' \\ \x00 \udcff \u202e"

ASSIGNMENT = (
    r"window\.tikval = window\.tikval \|\| \{\};\n"
    r"(?:tikval\.videos|\(tikval\.texts = tikval\.texts \|\| \[\]\)\[\d+\]) = (\{.*\});\n"
)


def predicted(video_id: str, decisions: list[bool | None] | None, **changes: Any) -> PredictionRow:
    row = prediction(video_id, error=None if decisions else "timeout", system=changes.pop("system", "s"))
    row["decisions"], row["scores"] = decisions, changes.pop("scores", None)
    assert not changes
    return row


def report(*cards: Card, systems: tuple[str, ...] = ("s",), **changes: Any) -> Report:
    made = Report(
        title="Some videos",
        facts=(),
        command="tikval analyze videos",
        labels=LABELS,
        titles={"a": "Value A"},
        systems=tuple((system, "a fake") for system in systems),
        coverage=(),
        cards=cards,
    )
    return replace(made, **changes)


def values(script: bytes) -> Any:
    """What a file assigns; also that it is nothing but one assignment of JSON behind the namespace."""
    match = re.fullmatch(ASSIGNMENT, script.decode("ascii"))
    assert match is not None
    return json.loads(match[1])


def files(made: Report) -> dict[str, Any]:
    return {name: values(data) for name, data in browse_files(made)}


def videos(made: Report) -> Any:
    return files(made)["data/videos.js"]


def test_columns_of_three_videos() -> None:
    one = Card(
        "one",
        key="0" * 32,
        seconds=61.04,
        caption="A  walk\nin the rain",
        account="jane.doe",
        genre="Food",
        month="2026-03",
        marks=("pinned", "ad"),
        counts={"plays": 12, "likes": 3},
        predictions=(predicted("one", [True, True, False, True], scores=[0.2, 0.9, 0.0, 0.5]),),
        annotated=(2, -1),
    )
    two = Card(
        "two",
        key="1" * 32,
        genre="News",
        failures=(Failure("two", "scripts", "unreadable"), Failure("two", "values: s", "timeout")),
        predictions=(predicted("two", None),),
    )
    three = Card(
        "three", key="2" * 32, genre="Food", predictions=(predicted("three", [False] * 4),), annotated=(0, 0)
    )
    four = Card("four", key="3" * 32)
    assert videos(report(one, two, three, four)) == {
        "slugs": ["a", "b"],
        "titles": ["Value A", "b"],
        "systems": ["s"],
        "accounts": ["account 1"],
        "genres": ["Food", "News"],
        "months": ["2026-03"],
        "stages": ["scripts", "values: s"],
        "in_all": 4,
        "id": ["one", "two", "three", "four"],
        "key": ["0" * 32, "1" * 32, "2" * 32, "3" * 32],
        "seconds": [61.0, None, None, None],
        "caption": ["A walk in the rain", "", "", ""],
        "account": [0, None, None, None],
        "genre": [0, 1, 0, None],
        "month": [0, None, None, None],
        "marks": ["ad", "pinned"],
        "mark": [[1, 0], [], [], []],
        "plays": [12, None, None, None],
        "failures": [[], [[0, "unreadable"], [1, "timeout"]], [], []],
        "annotated": [[0, 3], None, [], None],  # dominant is endorsed
        "not_annotated": [],
        "said": [
            [[1, 3, 0], "timeout", [], None]
        ],  # the best score first; a failure is no answer, nor is no row
        "unmodelled": [[]],
        "unmodelled_of": [None],
        "text_files": 1,
    }


def test_what_is_not_modelled_is_listed_once_where_it_is_the_same_and_else_for_each_video() -> None:
    other: dict[str, list[bool | None] | None] = {
        "x": [True, None, False, False],
        "y": [True, True, False, False],
        "z": None,
    }
    same = [
        Card(name, predictions=(predicted(name, [True, None, False, None]), predicted(name, row, system="t")))
        for name, row in other.items()
    ]
    found = videos(report(*same, systems=("s", "t")))
    assert found["unmodelled"] == [[1, 3], None]
    assert found["unmodelled_of"] == [None, [[1], [], None]]
    assert found["said"] == [[[0], [0], [0]], [[0], [0, 1], "timeout"]]
    nothing = videos(report(Card("x"), systems=("s",)))
    assert (nothing["unmodelled"], nothing["said"]) == ([[]], [[None]])


def test_a_system_that_only_cards_know_comes_last() -> None:
    found = videos(
        report(Card("x", predictions=(predicted("x", [True, False, False, False], system="new"),)))
    )
    assert found["systems"] == ["s", "new"]
    assert found["said"] == [[None], [[0]]]


def test_accounts_are_numbers_and_handles_are_gone_unless_asked_for() -> None:
    cards = [
        Card("1", account="zoe.k", caption="by zoe.k", script="ZOE: I am Zoe.K, see @other.person"),
        Card("2", account="jane.doe", caption="with @zoe.k", script="me@example.org"),
        Card("3", account="zoe.k"),
        Card("4"),
    ]
    closed = report(*cards)
    found = files(closed)
    assert found["data/videos.js"]["accounts"] == ["account 1", "account 2"]
    assert found["data/videos.js"]["account"] == [0, 1, 0, None]
    assert found["data/text-0.js"]["script"][:2] == ["ZOE: I am @someone, see @someone", "me@example.org"]
    assert found["data/videos.js"]["caption"] == ["by @someone", "with @someone", "", ""]
    everything = b"".join(data for _, data in browse_files(closed)).lower()
    for name in (b"zoe.k", b"jane.doe", b"other.person"):
        assert name not in everything
    found = files(replace(closed, show_accounts=True))
    assert found["data/videos.js"]["accounts"] == ["zoe.k", "jane.doe"]
    assert found["data/text-0.js"]["script"][0] == cards[0].script


def test_whatever_strings_hold_a_file_is_one_assignment() -> None:
    evil = Card(
        HOSTILE,
        key=HOSTILE,
        script=HOSTILE,
        caption=HOSTILE,
        account=HOSTILE,
        genre=HOSTILE,
        month=HOSTILE,
        failures=(Failure("x", HOSTILE, HOSTILE, HOSTILE),),
        predictions=(
            predicted("x", [True] * 4, system=HOSTILE),
            predicted("x", [True] * 4, system="__proto__"),
        ),
    )
    shown = report(evil, show_accounts=True)
    titles = report(Card("x"), labels=("__proto__+", "__proto__-"), titles={"__proto__": HOSTILE})
    for made in (shown, titles):
        for name, data in browse_files(made):
            assert data.isascii(), name
            assert b"<" not in data
            assert not {0, 0x7F} & set(data)
    found = files(shown)
    expected = HOSTILE.replace("\x00", "\ufffd").replace("\udcff", "\ufffd")
    assert found["data/text-0.js"] == {"first": 0, "caption": [expected], "script": [expected]}
    columns = found["data/videos.js"]
    assert columns["id"] == columns["key"] == columns["accounts"] == columns["genres"] == [expected]
    assert columns["systems"] == ["s", expected, "__proto__"]
    assert columns["failures"] == [[[0, expected]]]


def test_texts_come_in_chunks_and_every_video_stands_in_one() -> None:
    long = "x" * (CHUNK_BYTES // 4)
    texts = [long] * 9 + ["y" * 3 * CHUNK_BYTES, "z", "ö" * (CHUNK_BYTES // 6), "end"]
    cards = [Card(str(i), script=text, caption=f"caption {i}") for i, text in enumerate(texts)]
    found = [(name, data) for name, data in browse_files(report(*cards)) if name != "data/videos.js"]
    assert [name for name, _ in found] == [f"data/text-{i}.js" for i in range(len(found))]
    chunks = [values(data) for _, data in found]
    assert [chunk["first"] for chunk in chunks] == [0, 4, 8, 10, 12]
    assert [text for chunk in chunks for text in chunk["script"]] == texts
    assert [text for chunk in chunks for text in chunk["caption"]] == [card.caption for card in cards]
    sizes = [len(data) for _, data in found]
    assert max(size for i, size in enumerate(sizes) if i != 2) < 1.3 * CHUNK_BYTES
    assert videos(report(*cards))["text_files"] == len(found)


def test_the_beginning_of_a_caption() -> None:
    exact, longer = "w" * CAPTION_CHARS, "w" * (CAPTION_CHARS + 1)
    found = files(report(Card("1", caption=exact), Card("2", caption=longer)))
    assert found["data/videos.js"]["caption"] == [exact, "w" * (CAPTION_CHARS - 1) + "\u2026"]
    assert found["data/text-0.js"]["caption"] == [exact, longer]


def test_no_videos_and_only_some_of_them() -> None:
    assert files(report()).keys() == {"data/videos.js"}
    assert videos(report())["text_files"] == 0
    assert videos(report(Card("x"), n_videos=1_000_000))["in_all"] == 1_000_000


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), None])
def test_a_length_that_is_no_number(seconds: float | None) -> None:
    assert videos(report(Card("x", seconds=seconds)))["seconds"] == [None]


def test_two_answers_and_annotations_of_other_values_are_refused() -> None:
    answer = predicted("x", [True] * 4)
    with pytest.raises(ValueError, match="two answers of s to the video x"):
        list(browse_files(report(Card("x", predictions=(answer, answer)))))
    with pytest.raises(ValueError, match="x that do not have 2 stances"):
        list(browse_files(report(Card("x", annotated=(0, 0, 1)))))


def test_a_text_is_cleaned_and_anything_else_is_left() -> None:
    class Markup(str):
        def __html__(self) -> str:
            return self

    assert clean_text("a\x00b\x1b\udcff\ufffe\tc\nd") == "a\ufffdb\ufffd\ufffd\ufffd\tc\nd"
    assert clean_text(Markup("\x00")) == "\x00"
    assert (clean_text(7), clean_text(None)) == (7, None)
    assert hidden("jane.doe and @bob", "jane.doe") == "@someone and @someone"
    assert (hidden(None, "jane.doe"), hidden("", None)) == (None, "")
