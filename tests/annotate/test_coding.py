"""The table that a sheet saves: read as annotations, and back, nothing turns into "absent"."""

from pathlib import Path

from tikval.annotate.coding import (
    Coding,
    annotator_of,
    coder_and_round,
    coding_csv,
    value_notes_of,
    value_notes_text,
)
from tikval.annotate.sheet import questions_of
from tikval.codebook import load_codebook
from tikval.sources.labels import read_labels
from tikval.values import SLUGS

BOOK = load_codebook(Path("prompts/codebook.yaml"))


def test_what_has_no_stance_is_not_read_as_absent(tmp_path: Path) -> None:
    answers = {"hedonism": "endorsed", "face": "not_sure", "humility": "absent"}
    (tmp_path / "ann.csv").write_text(coding_csv([Coding("7123", "ann", "main", answers)], SLUGS))
    [row] = read_labels(str(tmp_path / "ann.csv"), SLUGS, "schwartz-19")
    stances = dict(zip(SLUGS, row["stances"], strict=True))
    assert (stances["hedonism"], stances["humility"]) == (1, 0)
    assert stances["face"] is None
    assert stances["tradition"] is None  # not answered


def test_a_second_answer_is_another_annotator(tmp_path: Path) -> None:
    both = [
        Coding("7123", "ann", "main", {"face": "endorsed"}),
        Coding("7123", "ann", "again", {"face": "absent"}),
    ]
    (tmp_path / "ann.csv").write_text(coding_csv(both, SLUGS))
    rows = read_labels(str(tmp_path / "ann.csv"), SLUGS, "schwartz-19")
    assert [row["annotator"] for row in rows] == ["ann", "ann (again)"]
    assert [coder_and_round(annotator_of("ann", one.round)) for one in both] == [
        ("ann", "main"),
        ("ann", "again"),
    ]


def test_notes_of_values_come_back() -> None:
    notes = {"face": "is it\nshame: or pride?", "humility": "  "}
    assert value_notes_of(value_notes_text(notes), SLUGS) == {"face": "is it shame: or pride?"}


def test_every_value_is_asked_under_its_heading() -> None:
    questions = questions_of(BOOK)
    assert {question.slug for question in questions} == set(SLUGS)
    assert list(dict.fromkeys(question.section for question in questions)) == [
        "Openness to change",
        "Self-enhancement",
        "Conservation",
        "Self-transcendence",
    ]
    hedonism = questions[3]
    assert [option.word for option in hedonism.options] == ["confronted", "absent", "endorsed", "dominant"]
    assert dict(hedonism.examples)["endorsed"] == BOOK.values[3].endorsing


def test_the_mark_changes_with_the_text_alone() -> None:
    value = BOOK.values[0].model_copy(update={"motivation": "Another."})
    assert BOOK.mark.startswith("schwartz-19 1 ")
    assert BOOK.model_copy(update={"values": (value, *BOOK.values[1:])}).mark != BOOK.mark
