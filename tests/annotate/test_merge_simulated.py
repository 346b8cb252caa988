"""Two coders with known errors and a third over 888 x 19 made cells: merged exactly, measured independently."""

import csv
import io
import random
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
import pytest

from tikval.annotate.agreement import Coding as Scheme
from tikval.annotate.coding import Coding
from tikval.annotate.coding_agreement import CODERS, agreement_of_codings
from tikval.annotate.coding_folder import PlanLine
from tikval.annotate.merge import MergedItem, SortedCodings, merge_items, sort_codings
from tikval.annotate.merged_tables import disputed_cells_csv, labels_csv, origins_csv
from tikval.codebook import load_codebook
from tikval.config import find_file
from tikval.values import SLUGS

BOOK: Final = load_codebook(find_file("prompts/codebook.yaml"))
VIDEOS: Final = tuple(f"v{n:03}" for n in range(888))
WORDS: Final = ("confronted", "absent", "endorsed", "dominant")
ERRORS: Final = {"ann": (0.03, 0.2), "bob": (0.05, 0.3)}  # of cells that are absent, and of the others
# endorsed and confronted videos by value: near the published shares, made where there is none; the sums are published
ENDORSED: Final = (204, 231, 222, 151, 320, 169, 178, 71, 89, 9, 18, 18, 89, 62, 142, 100, 29, 12, 18)
CONFRONTED: Final = (9, 18, 9, 18, 44, 45, 18, 89, 89, 27, 9, 62, 115, 130, 40, 35, 20, 18, 25)


def truth() -> dict[tuple[str, str], str]:
    """2,132 endorsed cells, 339 of them dominant, 820 confronted; all others are absent."""
    chance, cells = random.Random(1), dict.fromkeys(((v, s) for v in VIDEOS for s in SLUGS), "absent")
    endorsed = []
    for slug, yes, no in zip(SLUGS, ENDORSED, CONFRONTED, strict=True):
        videos = chance.sample(VIDEOS, yes + no)
        endorsed += [(video, slug) for video in videos[:yes]]
        cells |= dict.fromkeys(((video, slug) for video in videos[yes:]), "confronted")
    cells |= dict.fromkeys(endorsed, "endorsed")
    return cells | dict.fromkeys(chance.sample(endorsed, 339), "dominant")


def coded(cells: dict[tuple[str, str], str], coder: str) -> dict[tuple[str, str], str]:
    """What a coder with errors says; some of it is that nothing is sure, or nothing at all."""
    chance, given = random.Random(coder), {}
    for cell, word in cells.items():
        wrong = chance.random() < ERRORS[coder][word != "absent"]
        given[cell] = chance.choice([*(w for w in WORDS if w != word), "not_sure"]) if wrong else word
        if chance.random() < 0.002:
            del given[cell]
    return given


TRUTH: Final = truth()
GIVEN: Final = {coder: coded(TRUTH, coder) for coder in ERRORS}
THIRD: Final = {  # the truth where the two differ, but for some cells
    cell: word
    for n, (cell, word) in enumerate(TRUTH.items())
    if GIVEN["ann"].get(cell) != GIVEN["bob"].get(cell) and n % 50
}


def codings(coder: str, given: dict[tuple[str, str], str], places: Sequence[str] = VIDEOS) -> list[Coding]:
    return [
        Coding(
            v, coder, "main", {s: given[v, s] for s in SLUGS if (v, s) in given}, place=places.index(v) + 1
        )
        for v in VIDEOS
    ]


@pytest.fixture(scope="module")
def found() -> SortedCodings:
    plan = [PlanLine(v, coder, "main", n, 0.5, "all") for coder in GIVEN for n, v in enumerate(VIDEOS, 1)]
    rows = [*(one for coder, given in GIVEN.items() for one in codings(coder, given)), *codings("eve", THIRD)]
    return sort_codings(rows, plan, "eve")


@pytest.fixture(scope="module")
def merged(found: SortedCodings) -> list[MergedItem]:
    plan = [PlanLine(v, coder, "main", n, 0.5, "all") for coder in GIVEN for n, v in enumerate(VIDEOS, 1)]
    return merge_items(plan, found, SLUGS, seed=3)


def lines_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def is_stance(word: str | None) -> bool:
    return word in WORDS


def test_the_truth_has_the_published_marginals() -> None:
    counts = Counter(TRUTH.values())
    assert (counts["endorsed"] + counts["dominant"], counts["dominant"], counts["confronted"]) == (
        2132,
        339,
        820,
    )
    assert (len(TRUTH), sum(ENDORSED), sum(CONFRONTED)) == (16_872, 2132, 820)


def test_the_table_is_what_the_rule_says(merged: list[MergedItem]) -> None:
    expected = {}
    for cell in TRUTH:
        ann, bob, eve = (given.get(cell) for given in (GIVEN["ann"], GIVEN["bob"], THIRD))
        same = is_stance(ann) and ann == bob
        expected[cell] = ann if same else eve or "not_answered"
    table = lines_of(labels_csv(merged, SLUGS, {}))
    assert {(row["video_id"], slug): row[slug] for row in table for slug in SLUGS} == expected
    assert {(row["annotator"], row["probability"]) for row in table} == {("consolidated", "0.5")}


def test_each_disagreement_is_there_once_with_its_origin(merged: list[MergedItem]) -> None:
    differ = {
        cell
        for cell in TRUTH
        if not is_stance(GIVEN["ann"].get(cell)) or GIVEN["ann"].get(cell) != GIVEN["bob"].get(cell)
    }
    lines = lines_of(disputed_cells_csv([one for one in merged if one.disputed]))
    assert Counter((line["video_id"], line["value"]) for line in lines) == Counter(differ)
    for line in lines:
        cell = line["video_id"], line["value"]
        for letter in "AB":
            assert line[f"answer_{letter}"] == GIVEN[line[f"coder_{letter}"]].get(cell, "not_answered")
        answers, eve = [line["answer_A"], line["answer_B"]], THIRD.get(cell)
        origin = "undecided" if eve is None else "third as neither"
        if eve in answers:
            origin = f"third as {'AB'[answers.index(eve)]}"
        assert line["origin"] == origin
    letters = Counter(line["coder_A"] for line in lines)
    assert min(letters.values()) > 0.4 * len(lines)  # nobody can tell who is A
    assert len(lines_of(origins_csv(merged))) == len(TRUTH)


def gwet(pairs: list[tuple[int, int]], n_categories: int) -> float:
    """AC1 of two raters, cells with one rating counted where chance is concerned (Gwet 2014, section 2.3)."""
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    observed = sum(a == b for a, b in both) / len(both)
    rated = [[x for x in pair if x is not None] for pair in pairs if any(x is not None for x in pair)]
    shares = [sum(cell.count(k) / len(cell) for cell in rated) / len(rated) for k in range(n_categories)]
    chance = sum(q * (1 - q) for q in shares) / (n_categories - 1)
    return (observed - chance) / (1 - chance)


def test_ac1_is_that_of_an_independent_formula(found: SortedCodings) -> None:
    rows = {
        (one.row.coding, one.row.stance, one.row.value): one.row.line
        for one in agreement_of_codings(found, {}, {}, BOOK)
        if one.what == CODERS and one.row.names == ("ann", "bob")
    }
    code = {word: n for n, word in enumerate(WORDS)}
    schemes: dict[Scheme, int] = {"dominance": 4, "three_way": 3}
    for coding, n_categories in schemes.items():
        for value in ("all", *SLUGS):
            pairs = [
                tuple(
                    None if (n := code.get(given.get(cell, ""))) is None else min(n, n_categories - 1)
                    for given in GIVEN.values()
                )
                for cell in TRUTH
                if value in ("all", cell[1])
            ]
            line = rows[coding, "all", value]
            assert line.coefficients["ac1"].value == pytest.approx(gwet(pairs, n_categories), abs=1e-10)  # type: ignore[arg-type]
            assert line.cells == sum(None not in pair for pair in pairs)
    pooled = rows["three_way", "all", "all"].coefficients["ac1"]
    assert pooled.low < pooled.value < pooled.high
    assert not np.isnan(pooled.low)


@pytest.mark.parametrize("timed", [False, True])
def test_agreement_that_falls_with_the_work_is_seen(timed: bool) -> None:
    def coder(name: str, *, tires: bool) -> list[Coding]:
        return [
            Coding(
                f"v{n}",
                name,
                "main",
                {"face": "endorsed" if tires and n >= 60 else "absent"},
                coded_at=f"2026-11-{n // 10 + 10}T10:{n % 10:02}:00+00:00" if timed else None,
                place=80 - n if timed else n + 1,  # a time tells more than a place
            )
            for n in range(80)
        ]

    rows = [*coder("ann", tires=False), *coder("bob", tires=True)]
    plan = [PlanLine(one.item, one.coder, "main", 0, None, "") for one in rows]
    found = agreement_of_codings(sort_codings(rows, plan, "eve"), {}, {}, BOOK)
    parts = [one for one in found if one.what.startswith("part") and one.row.coding == "dominance"]
    assert [one.what for one in parts] == [f"part {n} of 4" for n in range(1, 5)]
    assert [one.row.line.coefficients["observed"].value for one in parts] == [1, 1, 1, 0]
    assert sum(one.row.videos for one in parts) == 80
