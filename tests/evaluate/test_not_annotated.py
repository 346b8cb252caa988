"""A value that nobody looked for is not absent: it is in no truth, no score, no rate, no training and no agreement."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluate.test_prevalence import Made, lines_of
from tests.fixtures.rows import label, prediction
from tests.fixtures.scoring import score_everything, score_system
from tests.report.test_browse import report
from tikval.annotate.annotators import people
from tikval.annotate.consolidate import coded_by_all, consolidate_rows
from tikval.codebook import load_codebook
from tikval.config import UserError, find_file
from tikval.evaluate.answers import read_truth
from tikval.evaluate.baselines import frequency_prior, human_agreement
from tikval.evaluate.prevalence import prevalence_of
from tikval.finetune.examples import examples_of
from tikval.report.site.cards import card_of
from tikval.report.site.record import Card
from tikval.store.runs import Study
from tikval.values import LABELS, SLUGS, binary

FACE = SLUGS.index("face")
BOOK = load_codebook(find_file("prompts/codebook.yaml"))


def only(*codes: int | None) -> list[int | None]:
    """Stances of the values from face on; the others are not annotated."""
    stances: list[int | None] = [None] * len(SLUGS)
    stances[FACE : FACE + len(codes)] = codes
    return stances


ROWS = [label(f"v{n}", stances=only(n % 2, -(n % 3 == 0)), account=f"a{n}") for n in range(6)]
KNOWN = {"face+", "face-", "security_personal+", "security_personal-"}


def test_binary_labels_of_nothing_are_nothing() -> None:
    assert binary([None, 2, -1]) == [None, True, False, None, False, True]


def test_no_score_of_a_value_that_is_not_annotated() -> None:
    truth = read_truth(ROWS, LABELS, 0.0)
    assert set(LABELS) - set(truth.not_annotated) == KNOWN
    assert {name for name, often in zip(LABELS, truth.frequent, strict=True) if often} == KNOWN
    answers = [prediction(f"v{n}", "face+", "tradition+") for n in range(6)]
    means = {"macro", "weighted", "movie", "movie_micro"}
    for rows in (
        score_system(answers, ROWS, LABELS, 0.0, "s"),
        score_everything(ROWS, LABELS, 0.0),
        frequency_prior(truth),
    ):
        assert {row["label"] for row in rows} == KNOWN | means
    whole = [label(row["video_id"], stances=[code or 0 for code in row["stances"]]) for row in ROWS]

    def macro(rows: list[Any], share: float) -> Any:
        return next(
            row["f1"]
            for row in score_system(answers, rows, LABELS, share, "s")
            if (row["label"], row["stance"], row["failures"]) == ("macro", "endorsed", "left_out")
        )

    assert macro(ROWS, 0.1) == macro(whole, 0.1)  # tradition+ is a false alarm in neither
    assert macro(ROWS, 0.0) > macro(whole, 0.0)


def test_a_value_that_only_some_videos_have_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 values are annotated for some videos and not for 1 others"):
        read_truth([*ROWS, label("w", stances=only(1))], LABELS, 0.0)


def test_nobody_is_compared_on_what_one_did_not_look_for() -> None:
    def by(name: str, *codes: int | None) -> list[Any]:
        return [label(f"v{n}", annotator=name, stances=only(*codes), account=f"a{n}") for n in range(6)]

    rows = [*by("a", 1, 1), *by("b", 1), *by("c", 1, 1)]
    truth = read_truth(rows, LABELS, 0.0, "c")
    found = human_agreement(rows, truth, "c")
    assert found is not None
    assert {name for name, there in zip(LABELS, found.modelled, strict=True) if there} == {"face+", "face-"}


def test_no_corrected_rate(tmp_path: Path) -> None:
    made = Made(tmp_path).extract()
    found = prevalence_of(Study(made.out), assume_random=True)
    assert lines_of(found, "face+")["all"].corrected is not None
    tradition = lines_of(found, "tradition-")["all"]
    assert (tradition.rate, tradition.corrected, tradition.annotated) == (1.0, None, 0)
    assert not found.confusions
    assert "not annotated, so that nothing is said of them: self_direction_thought" in " ".join(found.notes)
    human = prevalence_of(Study(made.out), "annotations")
    assert {line.what for line in human.lines} == {"face+", "face-"}


def test_nothing_is_learnt_of_it() -> None:
    rows = [
        {
            "video_id": row["video_id"],
            "row_key": "0" * 32,
            "script": "x",
            "caption": None,
            "error": None,
            "detail": None,
        }
        for row in ROWS
    ]
    given: dict[str, Any] = {"annotator": None, "accounts": {}, "near_duplicates": {}}
    made = examples_of(rows, ROWS, LABELS, wanted=None, min_share=0.1, **given)
    assert made.labels == ("face+", "security_personal-")
    assert made.truth.shape == (6, 2)
    with pytest.raises(ValueError, match=r"labels: tradition\+: not annotated"):
        examples_of(rows, ROWS, LABELS, wanted=["face+", "tradition+"], min_share=0, **given)


def test_a_page_marks_nothing_against_it() -> None:
    answer = prediction("v", "face+", "tradition+", system="s")
    card = Card("v", predictions=(answer,), annotated=tuple(only(0, 1)))
    shown = card_of(card, replace(report(card), labels=LABELS), None)["readings"][0]
    marks = {LABELS[chip["index"]]: chip["mark"] for chip in shown["chips"]}
    assert marks == {"face+": "false alarm", "tradition+": None, "security_personal+": "missed"}


def test_annotators_are_compared_and_consolidated_on_what_all_looked_for() -> None:
    rows = [
        label("v", annotator=name, stances=stances)
        for name, stances in (("a", only(1, 0)), ("b", only(0)), ("c", only(0, 1)))
    ]
    found = people(rows, BOOK)
    assert found.annotations["b"]["v"].three_way == only(0)
    assert np.array(found.annotations["b"]["v"].labels)[FACE + 1] is None
    done, two = consolidate_rows(rows, "c", [])
    assert coded_by_all(rows, (*two, "c")) == [FACE]
    assert done.stances == {"v": [0]}
    with pytest.raises(UserError, match="a, d: have no value in common"):
        coded_by_all([*rows, label("v", annotator="d", stances=[None] * 19)], ("a", "d"))
