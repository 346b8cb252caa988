"""Agreement against hand-worked cases, published examples, scikit-learn and the published annotations."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import cohen_kappa_score
from typer.testing import CliRunner

from tests.rows import label
from tests.test_erase_export import ANN, Made
from tikval.cli import app
from tikval.codebook import load_codebook
from tikval.config import UserError, find
from tikval.evaluate.agreement import COEFFICIENTS, MISSING, Line, agreement
from tikval.evaluate.consolidate import NO_THIRD, ONE_ANNOTATOR, consolidate
from tikval.flow.agreement import Coding, Row, compare, comparisons
from tikval.flow.annotators import Annotators, add_systems, people, read_tables
from tikval.flow.consolidate import consolidate_rows, write_consolidated
from tikval.flow.folder import Folder
from tikval.labels import read_labels
from tikval.rows import LabelRow, PredictionRow, arrow_schema
from tikval.values import SLUGS

PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "tiktok_annotations.csv"
BOOK = load_codebook(find("prompts/codebook.yaml"))
FACE = SLUGS.index("face")


def codes_of(*annotators: str) -> np.ndarray[Any, np.dtype[np.int8]]:
    """[R, N, 1] out of a row of categories for each annotator; a dot is a missing cell."""
    return np.array([[[MISSING if c == "." else int(c)] for c in row] for row in annotators], dtype=np.int8)


def line_of(*annotators: str, k: int = 2, absent: int = 0, clusters: Sequence[int] | None = None) -> Line:
    codes = codes_of(*annotators)
    groups = np.arange(codes.shape[1]) if clusters is None else np.array(clusters)
    (line,) = agreement(codes, k, absent, np.ones((1, 1), dtype=bool), groups)
    return line


def values_of(line: Line) -> dict[str, float]:
    return {name: estimate.value for name, estimate in line.coefficients.items()}


def test_two_annotators_by_hand() -> None:
    # 40 cells both say 1, 10 only the first, 20 only the second, 30 neither: p = 0.7
    line = line_of("1" * 50 + "0" * 50, "1" * 40 + "0" * 10 + "1" * 20 + "0" * 30)
    assert line.cells == 100
    assert line.expected == pytest.approx(2 * 0.55 * 0.45)  # half of 50 % and 60 % is 55 %
    m_1, m_0 = 110, 90
    assert values_of(line) == pytest.approx(
        {
            "observed": 0.7,
            "ac1": (0.7 - 0.495) / (1 - 0.495),
            "alpha": 1 - 0.3 / (1 - (m_1 * (m_1 - 1) + m_0 * (m_0 - 1)) / (200 * 199)),
            "kappa": (0.7 - 0.5) / (1 - 0.5),  # chance: 0.5 * 0.6 + 0.5 * 0.4
            "positive": 2 * 40 / (2 * 40 + 10 + 20),
        }
    )


def test_three_annotators_and_a_missing_cell_by_hand() -> None:
    # cells 000, 001 and 11 with one missing: agreeing pairs 6 of 6, 2 of 6, 2 of 2
    line = line_of("001", "001", "01.")
    p = (1 + 2 / 6 + 1) / 3
    q_0, q_1 = (1 + 2 / 3 + 0) / 3, (0 + 1 / 3 + 1) / 3
    assert values_of(line) == pytest.approx(
        {
            "observed": p,
            "ac1": (p - 2 * q_0 * q_1) / (1 - 2 * q_0 * q_1),
            "kappa": (p - q_0**2 - q_1**2) / (1 - q_0**2 - q_1**2),
            # 8 ratings, 5 and 3 of a kind; pairs weighted by 1 / (ratings of the cell - 1)
            "alpha": 1 - (1 - (6 / 2 + 2 / 2 + 2 / 1) / 8) / (1 - (5 * 4 + 3 * 2) / (8 * 7)),
            # those who say 1 meet two others in the second cell, of whom none does, and one each in the third
            "positive": (0 + 2) / (2 + 2),
        }
    )


def test_the_published_example_of_four_annotators_with_missing_cells() -> None:
    """Krippendorff (2011), example C, nominal: alpha 0.743; Gwet (2014) on the same: AC1 0.775, Fleiss 0.761."""
    line = line_of("012210301...", "0122113014.2", ".2221231140.", "01221330140.", k=5)
    assert line.cells == 11  # one video was rated by one annotator only
    said = values_of(line)
    assert said["observed"] == pytest.approx(0.81818, abs=5e-6)
    assert line.expected == pytest.approx(0.19032, abs=5e-6)
    assert said["ac1"] == pytest.approx(0.77544, abs=5e-6)
    assert said["kappa"] == pytest.approx(0.76117, abs=5e-6)
    assert said["alpha"] == pytest.approx(0.74342, abs=5e-6)


@pytest.mark.parametrize("seed", range(6))
def test_kappa_of_two_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = 2 + seed % 3
    first = rng.integers(0, k, 60)
    second = np.where(rng.random(60) < 0.5, first, rng.integers(0, k, 60))
    codes = np.stack([first, second])[:, :, None].astype(np.int8)
    codes[0, :5] = MISSING  # Cohen's is over what both rated
    (line,) = agreement(codes, k, 0, np.ones((1, 1), dtype=bool), np.arange(60), draws=0)
    theirs = cohen_kappa_score(first[5:], second[5:])
    assert line.coefficients["kappa"].value == pytest.approx(theirs, abs=1e-12)


def test_the_order_of_annotators_and_an_absent_one_do_not_matter() -> None:
    plain = line_of("00112", "01122", "00.12", k=3)
    assert values_of(line_of("00.12", "00112", "01122", k=3)) == pytest.approx(values_of(plain))
    assert values_of(line_of("00112", "01122", "00.12", ".....", k=3)) == pytest.approx(values_of(plain))


@pytest.mark.parametrize("annotators", [("0120", "0120"), ("0120", "0120", "01.0")])
def test_perfect_agreement_is_one(annotators: tuple[str, ...]) -> None:
    assert values_of(line_of(*annotators, k=3)) == pytest.approx(dict.fromkeys(COEFFICIENTS, 1.0))


@pytest.mark.parametrize("annotators", [("000", "000"), ("000", "000", "00.")])
def test_one_category_leaves_chance_agreement_perfect(annotators: tuple[str, ...]) -> None:
    said = values_of(line_of(*annotators))
    assert (said["observed"], said["ac1"]) == (1, 1)
    assert all(math.isnan(said[name]) for name in ("kappa", "alpha", "positive"))


def test_nothing_in_common_is_no_number() -> None:
    line = line_of("01..", "..01")
    assert line.cells == 0
    assert all(math.isnan(number) for estimate in line.coefficients.values() for number in estimate)


def test_items_pool_by_their_cells_and_one_that_only_one_rated_stays_out() -> None:
    codes = np.concatenate([codes_of("0011", "0111"), codes_of("1111", "....")], axis=2)
    pools = np.array([[True, True], [True, False], [False, True]])
    both, first, second = agreement(codes, 2, 0, pools, np.arange(4), draws=50)
    assert both == first
    assert second.cells == 0
    codes[1, :, 1] = codes[0, ::-1, 1]  # now the second one is agreed on
    both, first, second = agreement(codes, 2, 0, pools, np.arange(4), draws=50)
    assert both.cells == first.cells + second.cells == 8
    assert values_of(both) == pytest.approx(values_of(line_of("00111111", "01111111")))


def test_intervals_follow_the_accounts() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 20)
    second = np.where(rng.random(20) < 0.7, first, 1 - first)
    words = ["".join(map(str, np.repeat(said, 10))) for said in (first, second)]  # ten copies of each video
    alone, together = line_of(*words), line_of(*words, clusters=np.repeat(np.arange(20), 10).tolist())
    assert values_of(alone) == pytest.approx(values_of(together))
    for name in COEFFICIENTS:
        narrow, wide = alone.coefficients[name], together.coefficients[name]
        assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
        assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(10**0.5, rel=0.35)
    assert line_of(*words) == alone, "the same draws every time"


def test_no_interval_where_the_draws_cannot_give_one() -> None:
    assert math.isnan(line_of("0110", "0111", clusters=[0] * 4).coefficients["ac1"].low)
    # said once: in (1 - 1/20)^20 = 36 % of the draws not at all
    rare = line_of("1" + "0" * 19, "1" + "0" * 19).coefficients
    assert rare["positive"].value == 1
    assert math.isnan(rare["positive"].low)
    assert rare["ac1"].low == rare["ac1"].high == 1


def test_codes_that_are_none_are_refused() -> None:
    every = np.ones((1, 1), dtype=bool)
    for codes, k in ((codes_of("01"), 2), (codes_of("02", "01"), 2)):
        with pytest.raises(ValueError, match="codes"):
            agreement(codes, k, 0, every, np.arange(2))
    with pytest.raises(ValueError, match="clusters"):
        agreement(codes_of("01", "01"), 2, 0, every, np.arange(3))


# annotators out of tables


def faces(annotator: str, account: str | None = None, /, **stances: int) -> list[LabelRow]:
    """Stances of one value per video."""
    zeros = [0] * len(SLUGS)
    return [
        label(
            video, annotator=annotator, account=account, stances=[*zeros[:FACE], stance, *zeros[FACE + 1 :]]
        )
        for video, stance in stances.items()
    ]


def said_by(*rows: list[LabelRow]) -> Annotators:
    return people([row for some in rows for row in some], BOOK)


def pick(rows: list[Row], names: tuple[str, ...], coding: Coding, of: str = "all") -> dict[str, float]:
    (row,) = (row for row in rows if (row.names, row.coding, row.of) == (names, coding, of))
    return values_of(row.line) | {"videos": row.videos, "cells": row.line.cells}


CODINGS: tuple[Coding, ...] = ("binary", "three_way", "dominance")


def test_codings_differ_where_dominance_and_sign_do() -> None:
    found = said_by(faces("a", v1=2, v2=1, v3=-1, v4=0), faces("b", v1=1, v2=1, v3=1, v4=0))
    rows = compare(found, comparisons(found, None), CODINGS, by_value=True)
    two = ("a", "b")
    assert [pick(rows, two, "three_way", "face")[name] for name in ("observed", "positive")] == [3 / 4, 2 / 3]
    assert [pick(rows, two, "dominance", "face")[name] for name in ("observed", "positive")] == [2 / 4, 1 / 3]
    assert [pick(rows, two, "binary", f"face{sign}")["observed"] for sign in "+-"] == [3 / 4, 3 / 4]
    assert pick(rows, two, "binary", "face+")["positive"] == 2 * 2 / (2 + 3)
    # pooled over labels, what is said the same is that of three ways
    assert pick(rows, two, "binary")["positive"] == pick(rows, two, "three_way")["positive"] == 2 / 3
    assert pick(rows, two, "binary", "confronted")["cells"] == 4 * 19
    assert pick(rows, ("a", "absent"), "three_way", "face")["observed"] == 1 / 4
    assert pick(rows, ("b", "absent"), "three_way", "face")["observed"] == 1 / 4
    (tradition,) = (row for row in rows if (row.names, row.coding, row.of) == (two, "three_way", "tradition"))
    assert tradition.note == "one category only"


def test_who_is_compared_with_whom() -> None:
    two = said_by(faces("a", v1=1), faces("b", v1=1))
    assert comparisons(two, None) == [("a", "b"), ("a", "absent"), ("b", "absent")]
    three = said_by(faces("a", v1=1), faces("b", v1=1), faces("c", v1=1))
    assert comparisons(three, None)[:4] == [("a", "b", "c"), ("a", "b"), ("a", "c"), ("b", "c")]
    assert comparisons(three, "b") == [("a", "b"), ("c", "b"), ("b", "absent")]
    assert comparisons(three.only(["c"]), "absent") == [("c", "absent")]
    many = said_by(*(faces(f"a{n}", v1=1) for n in range(11)))
    assert len(comparisons(many, None)) == 1 + 11


def test_annotators_of_different_videos() -> None:
    found = said_by(faces("a", v1=1, v2=0), faces("b", v2=0, v3=1), faces("c", v4=1))
    rows = compare(found, comparisons(found, None), CODINGS)
    assert pick(rows, ("a", "b"), "three_way")["videos"] == 1
    assert pick(rows, ("a", "b", "c"), "three_way")["videos"] == 1
    assert pick(rows, ("a", "absent"), "three_way")["videos"] == 2
    assert pick(rows, ("a", "c"), "three_way")["videos"] == 0
    only = found.only(["a", "c"])
    with pytest.raises(UserError, match=r"no video in common .*: a, c$"):
        compare(only, comparisons(only, None), CODINGS)


def test_annotators_who_are_not_there() -> None:
    found = said_by(faces("a", v1=1))
    with pytest.raises(UserError, match="one annotator only \\(a\\)"):
        comparisons(found, None)
    with pytest.raises(UserError, match="nobody: no such annotator; there are a"):
        comparisons(said_by(faces("a", v1=1)), "nobody")
    with pytest.raises(UserError, match="nobody: no such annotator"):
        found.only(["nobody"])
    with pytest.raises(UserError, match="no annotations"):
        comparisons(said_by(), None)


def table(path: Path, text: str) -> str:
    path.write_text(text.replace(" ", "\n") + "\n")
    return str(path)


def test_a_table_of_each_annotator_is_named_after_its_file(tmp_path: Path) -> None:
    first = table(tmp_path / "ann.csv", "video_id,face v1,1 v2,0")
    second = table(tmp_path / "bob.csv", "video_id,annotator,face v1,robert,dominant v1,eve,-1")
    rows = read_tables([first, second], BOOK)
    assert [(row["annotator"], row["stances"][FACE]) for row in rows] == [
        ("ann", 1),
        ("ann", 0),
        ("robert", 2),
        ("eve", -1),
    ]
    assert read_tables([first], BOOK)[0]["annotator"] == "human"


def test_tables_that_contradict_each_other(tmp_path: Path) -> None:
    first = table(tmp_path / "one.csv", "video_id,annotator,account,face v1,ann,x,1")
    again = table(tmp_path / "two.csv", "video_id,annotator,account,face v1,ann,x,0")
    other = table(tmp_path / "three.csv", "video_id,annotator,account,face v1,bob,y,0")
    absent = table(tmp_path / "four.csv", "video_id,annotator,face v1,absent,0")
    with pytest.raises(UserError, match=r"two.csv: v1 was annotated by ann before, in .*one.csv"):
        read_tables([first, again], BOOK)
    with pytest.raises(UserError, match="v1 was annotated by ann before"):
        read_tables([first, first], BOOK)
    with pytest.raises(UserError, match="v1 is of 'y' here and of 'x' in"):
        read_tables([first, other], BOOK)
    with pytest.raises(UserError, match="the baseline's name"):
        read_tables([absent], BOOK)


# systems as annotators


def test_a_system_is_an_annotator_and_its_failures_are_missing(tmp_path: Path) -> None:
    made = Made(tmp_path)  # says face+ of first-video, achievement+ of third-video; broken-video failed
    found = said_by(faces("ann", **dict.fromkeys(("first-video", "third-video", "broken-video", "gone"), 1)))
    add_systems(found, made.out, BOOK)
    assert set(found.said) == {"ann", "local"}
    assert set(found.said["local"]) == {"first-video", "third-video"}
    assert found.failed == {"local": {"unreadable": 1, "missing": 1}}
    assert found.accounts["first-video"] == ANN
    rows = compare(found, comparisons(found, "ann"), CODINGS, by_value=True)
    face = pick(rows, ("local", "ann"), "three_way", "face")
    assert (face["videos"], face["observed"], face["positive"]) == (2, 1 / 2, 2 / 3)
    assert pick(rows, ("local", "ann"), "dominance")["cells"] == 0, "it does not tell dominance"
    with pytest.raises(UserError, match="'local' is an annotator's name too"):
        add_systems(said_by(faces("local", **{"first-video": 1})), made.out, BOOK)


def test_what_a_system_does_not_model_is_missing_and_its_runs_are_annotators(tmp_path: Path) -> None:
    made = Made(tmp_path)
    half = made.system.model_copy(update={"system": "half"})
    rows = []
    for sample in (0, 1):
        for row in made.rows[:3]:
            changes = {"system": "half", "sample": sample, "decisions": [True] * 19 + [False] + [None] * 18}
            rows.append({**row, **changes, "scores": None, "stances": [2, *[0] * 18] if sample else None})
    folder = Folder(half.folder)  # as the jobs write what ran several times: a row per video and run
    name = folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow)))
    folder.write_run(half, [name], {}, len(rows), {}, 1.0)
    found = said_by(faces("ann", **{"first-video": 1}))
    add_systems(found, made.out, BOOK)
    assert set(found.said) == {"ann", "local", "half (sample 0)", "half (sample 1)"}
    said = found.said["half (sample 1)"]["first-video"]
    assert list(said.three_way) == [1, *[None] * 18], "absent or confronted: it cannot tell"
    assert list(said.labels[:20]) == [True] * 19 + [False]
    assert list(said.with_dominance) == [2, *[0] * 18]


def test_a_study_of_another_codebook(tmp_path: Path) -> None:
    made = Made(tmp_path)
    other = BOOK.model_copy(update={"values": BOOK.values[::-1]})
    with pytest.raises(UserError, match=r"local: its codebook is prompts/codebook\.yaml"):
        add_systems(said_by(faces("ann", **{"first-video": 1})), made.out, other)


# consolidation


def test_a_third_decides_where_two_differ() -> None:
    first = {"v1": [1, 0, -1, 2], "v2": [0, 0, 0, 0], "v3": [1, 0, 0, 0], "v4": [0] * 4}
    second = {"v1": [1, 1, 1, 1], "v2": [0, 0, 0, 0], "v3": [0, 0, 0, 0], "v5": [0] * 4}
    done = consolidate(first, second, {"v1": [0, 1, -1, 0], "v9": [1] * 4})
    assert done.stances == {"v1": [1, 1, -1, 0], "v2": [0, 0, 0, 0]}
    assert done.decided == {"agreed": 1 + 4, "with_first": 1, "with_second": 1, "with_neither": 1}
    assert done.left_out == {"v3": NO_THIRD, "v4": ONE_ANNOTATOR, "v5": ONE_ANNOTATOR}


def test_what_is_consolidated_can_be_read_as_annotations(tmp_path: Path) -> None:
    rows = [
        *faces("a", "=x", v1=1, v2=2, **{'=1+"1,': 0}),
        *faces("b", "=x", v1=-1, v2=2, **{'=1+"1,': 0}),
        *faces("c", v1=1),
    ]
    done, two = consolidate_rows(rows, "c", [])
    assert two == ("a", "b")
    write_consolidated(done, rows, SLUGS, tmp_path / "labels.csv")
    read = read_labels(str(tmp_path / "labels.csv"), SLUGS, BOOK.label_set)
    assert {row["video_id"]: row["stances"][FACE] for row in read} == {"v1": 1, "v2": 2, '=1+"1,': 0}
    assert {(row["annotator"], row["account"]) for row in read} == {("consolidated", "=x")}


def test_consolidating_without_two_and_a_third() -> None:
    rows = [*faces("a", v1=1), *faces("b", v1=0), *faces("c", v2=0), *faces("d", v1=0)]
    with pytest.raises(UserError, match="nobody: no such annotator; there are a, b, c, d"):
        consolidate_rows(rows, "nobody", [])
    with pytest.raises(UserError, match="two annotators besides c are needed, not a, b, d"):
        consolidate_rows(rows, "c", [])
    for two in (["a"], ["a", "a"], ["a", "c"]):
        with pytest.raises(UserError, match="two annotators besides c"):
            consolidate_rows(rows, "c", two)
    with pytest.raises(UserError, match=r"nothing to consolidate: 1 the two differ.*\(v1\)"):
        consolidate_rows(rows, "c", ["a", "b"])


# commands


def test_the_commands(tmp_path: Path) -> None:
    tables = [
        table(tmp_path / "ann.csv", "video_id,account,face v1,x,1 v2,y,0 v3,y,2"),
        table(tmp_path / "bob.csv", "video_id,face v1,1 v2,1 v3,2"),
        table(tmp_path / "eve.csv", "video_id,face v1,1 v2,1"),
    ]
    out = str(tmp_path / "agreement.csv")
    done = CliRunner().invoke(app, ["agreement", *tables, "--by", "value", "--csv", out])
    assert done.exit_code == 0, done.output
    with (tmp_path / "agreement.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (1 + 3 + 3) * (3 + 38 + 1 + 19 + 1 + 19)
    assert rows[0]["annotators"] == "ann & bob & eve"
    (face,) = (
        row
        for row in rows
        if (row["annotators"], row["coding"], row["value"]) == ("ann & bob", "three_way", "face")
    )
    assert float(face["observed"]) == pytest.approx(2 / 3)
    to = str(tmp_path / "both.csv")
    done = CliRunner().invoke(app, ["consolidate", *tables, "--third", "eve", "--to", to])
    assert done.exit_code == 0, done.output
    assert "3 videos, 57 stances: 56 (98.2%) agreed on; eve said as ann in 0, as bob in 1" in done.output
    done = CliRunner().invoke(app, ["agreement", tables[0], tables[1], "--csv", str(tmp_path / "a.txt")])
    assert "must end in .csv" in str(done.exception)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published annotations are not here")
def test_golden_values_of_the_published_annotations(tmp_path: Path) -> None:
    """By the command of docs/agreement.md: the truth against an annotator who finds nothing."""
    out = tmp_path / "agreement.csv"
    done = CliRunner().invoke(app, ["agreement", str(PUBLISHED), "--against", "absent", "--csv", str(out)])
    assert done.exit_code == 0, done.output
    with out.open(newline="") as file:
        rows = {(row["coding"], row["stance"]): row for row in csv.DictReader(file)}
    three, binary = rows["three_way", "all"], rows["binary", "all"]
    assert (three["videos"], three["cells"], binary["cells"]) == ("888", str(888 * 19), str(888 * 38))
    golden = {
        "ac1": 0.80954,
        "observed": 0.82504,
        "chance": 0.08136,
        "alpha": -0.07516,
        "kappa": 0,
        "positive": 0,
    }
    assert {name: float(three[name]) for name in golden} == pytest.approx(golden, abs=5e-6)
    assert float(binary["ac1"]) == pytest.approx(0.90453, abs=5e-6)
    assert float(three["ac1_low"]) < 0.80954 < float(three["ac1_high"])
