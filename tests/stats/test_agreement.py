"""Coefficients of agreement against hand-worked cases, published examples, scikit-learn, the published annotations."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from typer.testing import CliRunner

from tikval.cli.commands import app
from tikval.stats.agreement import (
    COEFFICIENTS,
    FEW_FOUND,
    MISSING,
    ONE_DECIDES,
    AgreementLine,
    agreement_of,
)
from tikval.stats.limits import NO_VARIANCE

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "tiktok_annotations.csv"


def codes_of(*annotators: str) -> np.ndarray[Any, np.dtype[np.int8]]:
    """[R, N, 1] out of a row of categories for each annotator; a dot is a missing cell."""
    return np.array([[[MISSING if c == "." else int(c)] for c in row] for row in annotators], dtype=np.int8)


def line_of(
    *annotators: str, k: int = 2, absent: int = 0, clusters: Sequence[int] | None = None
) -> AgreementLine:
    codes = codes_of(*annotators)
    groups = np.arange(codes.shape[1]) if clusters is None else np.array(clusters)
    (line,) = agreement_of(codes, k, absent, np.ones((1, 1), dtype=bool), groups)
    return line


def values_of(line: AgreementLine) -> dict[str, float]:
    return {name: estimate.value for name, estimate in line.coefficients.items()}


def test_two_annotators_by_hand() -> None:
    # 40 cells both code 1, 10 only the first, 20 only the second, 30 neither: p = 0.7
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
            # those who code 1 meet two others in the second cell, of whom none does, and one each in the third
            "positive": (0 + 2) / (2 + 2),
        }
    )


def test_the_published_example_of_four_annotators_with_missing_cells() -> None:
    """Krippendorff (2011), example C, nominal: alpha 0.743; Gwet (2014) on the same: AC1 0.775, Fleiss 0.761."""
    line = line_of("012210301...", "0122113014.2", ".2221231140.", "01221330140.", k=5)
    assert line.cells == 11  # one video was rated by one annotator only
    values = values_of(line)
    assert values["observed"] == pytest.approx(0.81818, abs=5e-6)
    assert line.expected == pytest.approx(0.19032, abs=5e-6)
    assert values["ac1"] == pytest.approx(0.77544, abs=5e-6)
    assert values["kappa"] == pytest.approx(0.76117, abs=5e-6)
    assert values["alpha"] == pytest.approx(0.74342, abs=5e-6)


@pytest.mark.parametrize("seed", range(6))
def test_kappa_of_two_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = 2 + seed % 3
    first = rng.integers(0, k, 60)
    second = np.where(rng.random(60) < 0.5, first, rng.integers(0, k, 60))
    codes = np.stack([first, second])[:, :, None].astype(np.int8)
    codes[0, :5] = MISSING  # Cohen's is over what both rated
    (line,) = agreement_of(codes, k, 0, np.ones((1, 1), dtype=bool), np.arange(60))
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
    values = values_of(line_of(*annotators))
    assert (values["observed"], values["ac1"]) == (1, 1)
    assert all(math.isnan(values[name]) for name in ("kappa", "alpha", "positive"))


def test_nothing_in_common_is_no_number() -> None:
    line = line_of("01..", "..01")
    assert line.cells == 0
    for value, low, high, why_none in line.coefficients.values():
        assert math.isnan(value)
        assert math.isnan(low)
        assert math.isnan(high)
        assert why_none is None, "there is nothing that an interval could be of"


def test_items_pool_by_their_cells_and_one_that_only_one_rated_stays_out() -> None:
    codes = np.concatenate([codes_of("0011", "0111"), codes_of("1111", "....")], axis=2)
    pools = np.array([[True, True], [True, False], [False, True]])
    both, first, second = agreement_of(codes, 2, 0, pools, np.arange(4))
    assert (both.cells, values_of(both)) == (first.cells, values_of(first))
    assert second.cells == 0
    codes[1, :, 1] = codes[0, ::-1, 1]  # now the second one is agreed on
    both, first, second = agreement_of(codes, 2, 0, pools, np.arange(4))
    assert both.cells == first.cells + second.cells == 8
    assert values_of(both) == pytest.approx(values_of(line_of("00111111", "01111111")))


def test_intervals_follow_the_accounts() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 20)
    second = np.where(rng.random(20) < 0.7, first, 1 - first)
    words = [
        "".join(map(str, np.repeat(values, 10))) for values in (first, second)
    ]  # ten copies of each video
    alone, together = line_of(*words), line_of(*words, clusters=np.repeat(np.arange(20), 10).tolist())
    assert values_of(alone) == pytest.approx(values_of(together))
    for name in COEFFICIENTS:
        narrow, wide = alone.coefficients[name], together.coefficients[name]
        assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
        assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(10**0.5, rel=0.35)
    assert line_of(*words) == alone


def _without(words: Sequence[str], clusters: Sequence[int], left_out: int) -> dict[str, float]:
    rows = ["".join(c for c, at in zip(word, clusters, strict=True) if at != left_out) for word in words]
    return values_of(line_of(*rows, k=3))


def test_an_interval_is_the_jackknife_over_accounts_with_students_t() -> None:
    """By the formula of docs/agreement.md, each account left out in turn; t of 6 degrees is 2.447."""
    rng = np.random.default_rng(3)
    first = rng.integers(0, 3, 42)
    second = np.where(rng.random(42) < 0.6, first, rng.integers(0, 3, 42))
    words, clusters = ["".join(map(str, each)) for each in (first, second)], [n % 7 for n in range(42)]
    line = line_of(*words, k=3, clusters=clusters)
    without = [_without(words, clusters, c) for c in range(7)]
    for name, (value, low, high, why_none) in line.coefficients.items():
        error = (6 / 7 * sum((value - each[name]) ** 2 for each in without)) ** 0.5
        least = 0 if name in ("observed", "positive") else -1
        share, width = (value - least) / (1 - least), 1 - least
        half = 2.4469118 * error / width / (share * (1 - share))
        ends = [least + width / (1 + (1 / share - 1) * math.exp(sign * half)) for sign in (1, -1)]
        assert (low, high) == pytest.approx(ends, abs=1e-6)
        assert why_none is None


@pytest.mark.parametrize(
    ("clusters", "why"),
    [
        ([0] * 40, "1 account: too few for an interval"),
        ([n % 4 for n in range(40)], "4 accounts: too few for an interval"),
        ([0] * 30 + [*range(1, 11)], "the 11 accounts that they count as 1.8: too few for an interval"),
        ([n % 5 for n in range(40)], None),
    ],
)
def test_below_five_accounts_there_are_words_and_no_interval(clusters: list[int], why: str | None) -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 2, 40)
    words = ["".join(map(str, each)) for each in (first, np.where(rng.random(40) < 0.8, first, 1 - first))]
    line = line_of(*words, clusters=clusters)
    assert line.clusters == len(set(clusters))
    for estimate in line.coefficients.values():
        assert math.isnan(estimate.low) == math.isnan(estimate.high) == (why is not None)
        assert (estimate.why_none or "").endswith(why or "")
        assert why is not None or -1 < estimate.low < estimate.value < estimate.high < 1


def test_no_interval_has_no_width() -> None:
    alike = line_of("01" * 20, "01" * 20, clusters=[n // 2 for n in range(40)]).coefficients
    assert {estimate.why_none for estimate in alike.values()} == {NO_VARIANCE}
    nothing = line_of("0110" * 5, "0000" * 5).coefficients
    assert nothing["kappa"].value == nothing["positive"].value == 0
    assert nothing["kappa"].why_none == nothing["positive"].why_none == NO_VARIANCE, (
        "they are 0 whoever is left out"
    )
    assert nothing["ac1"].why_none is None


def test_what_was_found_a_few_times_has_no_interval_of_what_hangs_on_it() -> None:
    rare = line_of("1101" + "0" * 36, "1110" + "0" * 36).coefficients
    assert {name for name, estimate in rare.items() if estimate.why_none == FEW_FOUND} == {
        "alpha",
        "kappa",
        "positive",
    }
    assert rare["ac1"].why_none is None
    often = line_of("11011" + "0" * 35, "11101" + "0" * 35).coefficients
    assert often["positive"].why_none is None
    one = line_of("1" * 5 + "0" * 35, "1" * 4 + "0" * 36, clusters=[0] * 5 + [*range(1, 36)]).coefficients
    assert one["positive"].why_none == ONE_DECIDES


def test_codes_that_are_none_are_refused() -> None:
    every = np.ones((1, 1), dtype=bool)
    for codes, k in ((codes_of("01"), 2), (codes_of("02", "01"), 2)):
        with pytest.raises(ValueError, match="codes"):
            agreement_of(codes, k, 0, every, np.arange(2))
    with pytest.raises(ValueError, match="clusters"):
        agreement_of(codes_of("01", "01"), 2, 0, every, np.arange(3))


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
