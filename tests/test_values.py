"""The vocabulary: 19 values in the order of Table 1, 38 labels, and stances to labels and back."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tikval.values import LABELS, SLUG_OF_COLUMN, SLUGS, STANCE_OF_WORD, VALUES, binary, labels_of, stances

SHARED = Path(__file__).parents[2] / "shared"
PUBLISHED = SHARED / "data" / "tiktok_annotations.csv"
PAPER = SHARED / "paper" / "paper.txt"

codes = st.lists(st.sampled_from([-1, 0, 1, 2]), min_size=1, max_size=19)
score = st.floats(0, 1)


def test_19_values_make_38_labels() -> None:
    assert len(VALUES) == len(set(SLUGS)) == len({value.title for value in VALUES}) == 19
    assert len(SLUG_OF_COLUMN) == 19
    assert len(set(LABELS)) == 38
    assert LABELS[:2] == ("self_direction_thought+", "self_direction_action+")
    assert LABELS[18:20] == ("universalism_tolerance+", "self_direction_thought-")


@pytest.mark.skipif(not PAPER.is_file(), reason="the paper's text is not here")
def test_the_order_is_that_of_table_1() -> None:
    table = PAPER.read_text(encoding="utf-8").split("Value\tDefinition\n")[1].split("\n\n")[0]
    names = [line.split("\t")[0] for line in table.splitlines()]
    assert list(SLUGS) == [name.lower().replace("-", "_") for name in names]


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published annotations are not here")
def test_columns_and_words_are_those_of_the_published_table() -> None:
    with PUBLISHED.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"1_Link1", *SLUG_OF_COLUMN}
    assert {row[column] for row in rows for column in SLUG_OF_COLUMN} == set(STANCE_OF_WORD)


def test_labels_of_another_codebook() -> None:
    assert labels_of(["care", "loyalty"]) == ("care+", "loyalty+", "care-", "loyalty-")


def test_binary_counts_dominant_as_endorsed() -> None:
    assert binary([-1, 0, 1, 2]) == [False, False, True, True, True, False, False, False]


@given(codes, st.data())
def test_stances_come_back_from_their_labels(codes: list[int], data: st.DataObject) -> None:
    decisions = binary(codes)
    scores = data.draw(st.lists(score, min_size=len(decisions), max_size=len(decisions)))
    assert stances(decisions, scores) == [min(code, 1) for code in codes]


@pytest.mark.parametrize(
    ("yes", "no", "scores", "stance"),
    [
        (None, None, (None, None), None),
        (False, None, (0.1, None), 0),
        (None, False, (None, 0.1), 0),
        (True, None, (0.9, None), 1),
        (None, True, (None, 0.9), -1),
        (True, True, (0.9, 0.8), 1),
        (True, True, (0.8, 0.9), -1),
        (True, True, (0.9, 0.9), 1),
        (True, True, (None, 0.9), -1),
    ],
)
def test_one_value_is_never_both(
    yes: bool | None, no: bool | None, scores: tuple[float | None, ...], stance: int | None
) -> None:
    assert stances([yes, no], scores) == [stance]


@given(codes, st.data())
def test_a_label_that_is_not_modelled_is_not_absent(codes: list[int], data: st.DataObject) -> None:
    v = data.draw(st.integers(0, len(codes) - 1))
    decisions: list[bool | None] = [*binary(codes)]
    decisions[v] = decisions[len(codes) + v] = None
    wanted: list[int | None] = [min(code, 1) for code in codes]
    wanted[v] = None
    assert stances(decisions, [None] * len(decisions)) == wanted
