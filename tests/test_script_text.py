"""Sentences of a script with their places, and quotes looked up in it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tikval.rows import PassageSource
from tikval.script_text import find_quote, pieces_of, without_pieces

SCRIPT = """Genre: Crafts
Sound: Yes
Language: de, probability 0.93; TRANSLATED is the recogniser's English

[THREE HOURS LATER. Done]
SPEAKER (DE): "Endlich habe ich es selbst gemacht. Gro\u00dfartig!"
TRANSLATED: "I finally made it myself. Don\u2019t stop  now!"
She holds a caf\u00e9 cup.
SPEAKER: "\u81ea\u5df1\u52d5\u624b\u505a\u7684\u3002"
"""
CAPTION = "Look what I did\nall by myself! #x"


def where(quote: str) -> list[tuple[str, int | None, str]]:
    return [(str(piece.source), piece.line, piece.text) for piece in find_quote(quote, SCRIPT, CAPTION)]


def test_every_sentence_has_its_place() -> None:
    pieces = pieces_of(SCRIPT, CAPTION)
    for piece in pieces:
        text = SCRIPT if piece.line is not None else CAPTION
        assert text[piece.begin : piece.end] == piece.text
        if piece.line is not None:
            assert piece.text in SCRIPT.splitlines()[piece.line]
    assert [(piece.source, piece.text) for piece in pieces[:3]] == [
        (PassageSource.ON_SCREEN, "THREE HOURS LATER."),
        (PassageSource.ON_SCREEN, "Done"),
        (PassageSource.SPEECH, "Endlich habe ich es selbst gemacht."),
    ]
    assert {piece.source for piece in pieces} == set(PassageSource) - {PassageSource.PICTURE}
    english = pieces_of(SCRIPT, only_english=True)
    assert all("Endlich" not in piece.text for piece in english)


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("I FINALLY made it - myself", [("speech", 6, "I finally made it myself")]),
        ("made it myself. dont stop", [("speech", 6, "made it myself"), ("speech", 6, "Don\u2019t stop")]),
        ("I finally made it ... Don't stop", [("speech", 6, "I finally made it"), ("speech", 6, "Don\u2019t stop")]),
        ("Don't\u2026 stop now", [("speech", 6, "Don\u2019t stop  now")]),
        ("grossartig", [("speech", 5, "Gro\u00dfartig")]),
        ("holds a cafe", [("action", 7, "holds a caf\u00e9")]),
        ("three hours later", [("on_screen", 4, "THREE HOURS LATER")]),
        ("\u52d5\u624b\u505a\u7684", [("speech", 8, "\u52d5\u624b\u505a\u7684")]),
        ("what I did all by myself", [("caption", None, "what I did"), ("caption", None, "all by myself")]),
    ],
)  # fmt: skip
def test_a_quote_is_found_whatever_its_case_and_marks(quote: str, found: list[object]) -> None:
    assert where(quote) == found


@pytest.mark.parametrize(
    "quote",
    [
        "I never made it myself",
        "finally made",  # two words stand in any text
        "inally made it mysel",  # no whole words
        "Don't stop now ... I finally made it",  # in another order
        "Sound: Yes",  # the head of a script is nobody's words
        "SPEAKER",
        "...",
        "",
    ],
)
def test_what_is_not_there_is_found_nowhere(quote: str) -> None:
    assert where(quote) == []


def test_what_is_cut_is_gone_and_all_else_stays() -> None:
    first, second, *_ = find_quote("made it myself. dont stop", SCRIPT)
    caption = find_quote("all by myself!", SCRIPT, CAPTION)
    whole_line = find_quote("She holds a caf\u00e9 cup", SCRIPT)
    script, rest = without_pieces(SCRIPT, CAPTION, [first, second, *caption, *whole_line])
    assert 'TRANSLATED: "I finally .   now!"' in script
    assert "caf\u00e9" not in script
    assert "\n.\n" not in script
    assert rest == "Look what I did\n! #x"
    assert without_pieces(SCRIPT, None, []) == (SCRIPT, None)


LINES = st.sampled_from(
    [
        "Genre: x",
        "Sound: Yes",
        "",
        " ",
        'SPEAKER: "A b c. D e!"',
        "[X Y. Z]",
        "he goes",
        'A: "open',
        "\x0bq. r",
        "\u2028",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, max_size=6), st.none() | st.lists(LINES, max_size=3), st.data())
def test_each_sentence_is_found_and_can_be_cut(
    lines: list[str], caption: list[str] | None, data: st.DataObject
) -> None:
    script, post = "\n".join(lines), None if caption is None else "\n".join(caption)
    pieces = pieces_of(script, post)
    for piece in pieces:
        assert find_quote(piece.text, script, post), piece
    cut = data.draw(st.sets(st.sampled_from(pieces), max_size=3)) if pieces else set()
    left = pieces_of(*without_pieces(script, post, cut))
    assert sum(len(p.text.split()) for p in left) <= sum(len(p.text.split()) for p in pieces if p not in cut)
