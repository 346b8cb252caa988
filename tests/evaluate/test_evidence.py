"""What is left of a passage that a system gave: nothing is believed, and what was not found is no quote."""

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tikval.evaluate.evidence import PassageStatus, check_passages
from tikval.rows import Passage, PassageSource

HEAD = "Genre: Comedy\nSound: Yes\n\n"
SCRIPT = HEAD + (
    "A girl opens the door of a bright kitchen.\n"
    '[MY FIRST CAKE]\nGIRL: "I finally made it all by myself. It took me three whole hours."\nGIRL: "Thank you!"\n'
)
HEARD = HEAD + (
    '[MY FIRST CAKE]\nSPEAKER: "i finely made it all by my shelf it took me hours and hours"\nSPEAKER: "Thank you."\n'
)
CAPTION = "Be kind to everyone you meet. #baking"
FOUND, NOT_COMPARED, NOT_FOUND = PassageStatus


def passage(quote: str | None, source: str = "speech", **changes: Any) -> Passage:
    empty: Any = {"label": "face+", "start": None, "end": None, "weight": None, "in_script": True}
    return cast(Passage, {**empty, "quote": quote, "source": source, **changes})


@pytest.mark.parametrize(
    ("quote", "heard", "status", "shown"),
    [
        ("I finally made it all by myself.", HEARD, FOUND, True),
        ("i finally made it all by MYSELF", HEARD, FOUND, True),
        ("I finally made it ... three whole hours", HEARD, NOT_FOUND, False),  # the second part was not heard
        ("It took me three whole hours.", HEARD, FOUND, True),
        ("It took me three whole hours.", None, NOT_COMPARED, True),
        ("It took me three whole hours.", SCRIPT, FOUND, True),  # a script by the local writer itself
        ("my first cake", HEARD, FOUND, True),
        ("Thank you!", HEARD, FOUND, True),
        ("Thank you!", HEAD + 'SPEAKER: "Thank him."', NOT_FOUND, False),  # half is in any video
        ("A girl opens the door of a bright kitchen.", HEARD, FOUND, True),  # nobody says an action line
        ("Be kind to everyone you meet.", HEARD, FOUND, True),
        ("I made it all by myself and you can too.", HEARD, NOT_FOUND, False),
        ("I made it all by myself and you can too.", None, NOT_FOUND, False),
        ("Be the change that you wish to see.", SCRIPT, NOT_FOUND, False),
    ],
)
def test_a_quote_of_a_script(quote: str, heard: str | None, status: PassageStatus, shown: bool) -> None:
    for source in PassageSource:  # what a model says of its source counts for nothing
        if source is not PassageSource.PICTURE:
            (checked,) = check_passages([passage(quote, source)], SCRIPT, CAPTION, heard)
            assert (checked.status, checked.quote is not None) == (status, shown)
            assert all(place.text in (SCRIPT, CAPTION)[place.line is None] for place in checked.places)


@pytest.mark.parametrize(
    ("quote", "source", "heard", "status", "shown"),
    [
        ("I finally made it all by myself", "speech", HEARD, FOUND, True),
        ("finely made it \u2026 hours and hours", "speech", HEARD, FOUND, True),
        ("hours \u2026 shelf \u2026 finely \u2026 made", "speech", HEARD, NOT_FOUND, False),  # single words
        ("My first cake", "on_screen", HEARD, FOUND, True),
        ("I finally made it all by myself", "speech", None, NOT_COMPARED, False),
        ("Everybody should be as rich as I am", "speech", HEARD, NOT_FOUND, False),
        ("Everybody should be as rich as I am", "caption", HEARD, NOT_FOUND, False),
        ("Be kind to everyone", "caption", None, FOUND, True),
        ("A girl opens the door of a kitchen", "action", HEARD, NOT_COMPARED, False),
    ],
)
def test_a_quote_of_a_video_that_has_no_script(
    quote: str, source: str, heard: str | None, status: PassageStatus, shown: bool
) -> None:
    (checked,) = check_passages([passage(quote, source)], None, CAPTION, heard)
    assert (checked.status, checked.quote is not None) == (status, shown)


def test_a_recognisers_english_is_recognised() -> None:
    heard = (
        HEAD
        + 'SPEAKER (DE): "Endlich habe ich es selbst gemacht."\nTRANSLATED: "I finally made it myself."\n'
    )
    for quote, status in (
        ("I finally made it all by myself.", FOUND),
        ("It took me three whole hours.", NOT_FOUND),
    ):
        (checked,) = check_passages([passage(quote)], SCRIPT, None, heard)
        assert checked.status == status


@given(
    st.lists(
        st.sampled_from([*"abcde", "...", "I finally made it", "three whole", "hours", "my", "first", "cake"])
    ),
    st.sampled_from([SCRIPT, None]),
    st.sampled_from([HEARD, SCRIPT, None]),
    st.sampled_from(list(PassageSource)),
)
def test_what_is_shown_as_a_quote_stands_there(
    words: list[str], script: str | None, heard: str | None, source: PassageSource
) -> None:
    (checked,) = check_passages([passage(" ".join(words), source)], script, CAPTION, heard)
    assert (checked.quote is None) or checked.status is not NOT_FOUND
    if script is not None and checked.quote is not None:
        assert checked.places
        assert all(place.text in (SCRIPT, CAPTION)[place.line is None] for place in checked.places)
    if script is None and checked.quote is not None and not checked.places:
        assert heard is not None
        assert checked.status is FOUND


def test_an_invention_is_caught_every_time() -> None:
    """Sentences of words that occur, in an order that nobody used."""
    rng, words = np.random.default_rng(0), SCRIPT.replace('"', " ").split()[4:]
    invented = [" ".join(rng.permutation(words)[:8]) for _ in range(300)]
    for script, heard in ((SCRIPT, SCRIPT), (SCRIPT, None), (SCRIPT, HEARD), (None, HEARD), (None, None)):
        for checked in check_passages([passage(quote) for quote in invented], script, CAPTION, heard):
            assert checked.quote is None


def test_a_picture_is_never_a_quote() -> None:
    given = [passage("I finally made it all by myself.", "picture"), passage(None, "picture"), passage(None)]
    for checked in check_passages(given, SCRIPT, CAPTION, HEARD):
        assert (checked.status, checked.places, checked.quote) == (NOT_COMPARED, (), None)


def test_a_quote_is_spelt_as_it_stands_there_and_names_nobody() -> None:
    (checked,) = check_passages([passage("i FINALLY made it (...) three whole hours")], SCRIPT, None, SCRIPT)
    assert checked.quote == "I finally made it \u2026 three whole hours"
    (checked,) = check_passages([passage("it took me THREE whole hours")], SCRIPT, None, SCRIPT)
    assert checked.quote == "It took me three whole hours."
    heard = HEAD + 'SPEAKER: "thanks to @anna.lou for the cake"'
    (checked,) = check_passages([passage("thanks to @anna.lou for the cake")], None, None, heard)
    assert checked.quote == "thanks to @someone for the cake"
