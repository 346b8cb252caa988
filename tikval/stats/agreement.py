"""Agreement of annotators beyond chance, with intervals: numbers in, numbers out.

R annotators, N videos, V items (values or labels), K categories, C clusters (accounts), P pools of items.
A cell is one item of one video. `codes` is int8 [R, N, V]: a category from 0 to K - 1, or MISSING where this
annotator did not judge the cell, which is not "absent".

All coefficients follow from the number r_k of ratings of each category in a cell (r in all) by sums over cells. So
they take any number of annotators and missing cells, a pool of items is the sum of its items, and what a coefficient
is without one cluster is that of the other clusters' sums. Definitions, n cells with r >= 1, n2 of them with r >= 2:

    observed  p = mean over n2 of sum_k r_k (r_k - 1) / (r (r - 1));   q_k = mean over n of r_k / r
    AC1       (p - e) / (1 - e), e = sum_k q_k (1 - q_k) / (K - 1)     Gwet (2014), Handbook of Inter-Rater Reliability
    kappa     the same with e = sum_k q_k^2 (Fleiss, as Gwet 2014 has it for missing cells); of two annotators
              Cohen's: over the cells that both rated, e = sum_k (share of k by one) (share of k by the other)
    alpha     Krippendorff's, nominal: 1 - (1 - o) / (1 - c) over the m ratings of the n2 cells, m_k of them of
              category k: o = sum over n2 of sum_k r_k (r_k - 1) / (r - 1) / m, c = sum_k m_k (m_k - 1) / (m (m - 1))
    positive  of what one codes, "absent" apart, how much another codes too: 2a / (2a + b + c) of two annotators, with
              a cells in which both code the same and b + c ratings that the other does not share; of more, over all
              pairs of annotators together. It is the F1 of either against the other.

Undefined (nan): all where no cell has two ratings; kappa and alpha where only one category was coded, so that chance
agrees perfectly (AC1 is then 1); positive where nobody coded anything but "absent".

Intervals are 95 %, by the jackknife over clusters: with x the coefficient, x_c the same without cluster c, and G
clusters that have a cell with two ratings, se^2 = (G - 1) / G sum_c (x - x_c)^2. It is Student's t with G* - 1 degrees
(limits.effective_groups) on the logit scale of the coefficient's range, 0 to 1 or -1 to 1, so that no end leaves it.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tikval.stats.arrays import Bools, Floats
from tikval.stats.intervals import logit_interval
from tikval.stats.limits import FEWEST_POSITIVES, NO_VARIANCE, effective_groups, why_no_interval
from tikval.stats.student import t_critical

Codes = NDArray[np.int8]

MISSING: Final = -1
# by name, the least that each can be; the most is 1
RANGES: Final = {"observed": 0.0, "ac1": -1.0, "alpha": -1.0, "kappa": -1.0, "positive": 0.0}
COEFFICIENTS: Final = tuple(RANGES)
FEW_FOUND: Final = (
    f"anything but absent was coded in fewer than {FEWEST_POSITIVES} cells: too few for an interval"
)
ONE_DECIDES: Final = "without one of the accounts there is no number: no interval"
TINY: Final = 1e-9  # what rounding makes of no error, of 0 and of 1
ON_WHAT_IS_FOUND: Final = frozenset(
    {"alpha", "kappa", "positive"}
)  # where all else is absent, these hang on it
_PLAIN: Final = 7  # sums of a cell that are not by category


class Coefficient(NamedTuple):
    """nan where it is not defined; the ends of the 95 % interval are nan where there is none."""

    value: float
    low: float
    high: float
    why_none: str | None  # why there is no interval, in words; None: there is one, or no value either


class AgreementLine(NamedTuple):
    """Agreement over one pool of items."""

    cells: int  # with two ratings or more
    clusters: int  # that have such a cell
    expected: float  # agreement by chance, as AC1 has it
    coefficients: dict[str, Coefficient]  # by COEFFICIENTS


def agreement_of(
    codes_RNV: Codes,
    n_categories: int,
    absent: int,
    pools_PV: Bools,
    clusters_N: NDArray[np.int64],
) -> list[AgreementLine]:
    """Agreement over each of P pools. `absent` is the category of a value that is not there; clusters count from 0.

    An item that no two annotators rated in any video is left out of its pools. Raises ValueError for other shapes,
    categories or fewer than two annotators.
    """
    _check(codes_RNV, n_categories, absent, pools_PV, clusters_N)
    n_items, n_clusters = codes_RNV.shape[2], int(clusters_N.max(initial=-1)) + 1
    sums_CVS = np.zeros((n_clusters, n_items, _PLAIN + 4 * n_categories))
    for v in range(n_items):
        np.add.at(sums_CVS[:, v], clusters_N, _sums(codes_RNV[:, :, v], n_categories, absent))
    sums_CVS[:, sums_CVS[:, :, 1].sum(0) == 0] = 0
    sums_CPS = np.einsum("pv,cvs->cps", pools_PV.astype(np.float64), sums_CVS)
    two, total_PS = len(codes_RNV) == 2, sums_CPS.sum(0)
    values, expected_P = _coefficients(total_PS, two), _expected(total_PS)
    without = _coefficients(total_PS - sums_CPS, two)
    lines = []
    for p in range(len(pools_PV)):
        cells_C = sums_CPS[:, p, 1]
        few_found = total_PS[p, _PLAIN - 1] < FEWEST_POSITIVES
        found = {}
        for name in RANGES:
            why = why_no_interval(cells_C) or (FEW_FOUND if few_found and name in ON_WHAT_IS_FOUND else None)
            found[name] = _estimate(name, float(values[name][p]), without[name][:, p], cells_C, why)
        lines.append(
            AgreementLine(int(total_PS[p, 1]), int((cells_C > 0).sum()), float(expected_P[p]), found)
        )
    return lines


def _check(codes: Codes, n_categories: int, absent: int, pools: Bools, clusters: NDArray[np.int64]) -> None:
    if codes.ndim != 3 or len(codes) < 2:
        raise ValueError(
            f"codes are {codes.shape}: they must be [annotators, videos, items], two annotators at least"
        )
    if pools.shape[1:] != codes.shape[2:] or clusters.shape != codes.shape[1:2]:
        raise ValueError(f"codes are {codes.shape}, pools {pools.shape}, clusters {clusters.shape}")
    if not 0 <= absent < n_categories or n_categories < 2:
        raise ValueError(f"{absent} is none of {n_categories} categories, or there are fewer than two")
    if codes.size and (codes.min() < MISSING or codes.max() >= n_categories):
        raise ValueError(f"codes from {codes.min()} to {codes.max()}: categories are 0 to {n_categories - 1}")


def _sums(codes_RN: Codes, n_categories: int, absent: int) -> Floats:
    """What each cell of one item adds to the sums of the coefficients, [N, S].

    S: n, n2, the terms of p and of o, those of positive (2a and 2a + b + c, each twice), whether anything but absent
    was coded in a cell that two rated, then by category r_k / r, m_k, and of two annotators what the first and the
    second coded in the cells that both rated.
    """
    seen_NK = np.stack([(codes_RN == k).sum(0) for k in range(n_categories)], axis=1).astype(np.float64)
    r_N = seen_NK.sum(1)
    paired_N = r_N >= 2
    others_N = np.where(paired_N, r_N - 1, 1)
    same_NK = seen_NK * (seen_NK - 1)
    possible_NK = seen_NK * (r_N - 1)[:, None]  # 0 in cells of one rating
    present = np.arange(n_categories) != absent
    plain = [r_N > 0, paired_N, same_NK.sum(1) / (others_N * np.maximum(r_N, 1)), same_NK.sum(1) / others_N]
    found_N = paired_N & seen_NK[:, present].any(1)
    positive = [same_NK[:, present].sum(1), possible_NK[:, present].sum(1), found_N]
    by_category = [seen_NK / np.maximum(r_N, 1)[:, None], seen_NK * paired_N[:, None]]
    for codes_N in codes_RN[:2]:
        by_category.append((codes_N[:, None] == np.arange(n_categories)) & paired_N[:, None])
    return np.concatenate([np.stack([*plain, *positive], axis=1), *by_category], axis=1)


def _expected(sums: Floats) -> Floats:
    """Chance agreement as AC1 has it; [..., S] -> [...]."""
    n_categories = (sums.shape[-1] - _PLAIN) // 4
    q = _divide(sums[..., _PLAIN : _PLAIN + n_categories], sums[..., :1])
    return np.where(sums[..., 1] > 0, (q * (1 - q)).sum(-1) / (n_categories - 1), np.nan)


def _coefficients(sums: Floats, two: bool) -> dict[str, Floats]:
    """[..., S] -> [...] of each coefficient; `two` annotators have Cohen's kappa."""
    n, n2, p_terms, o_terms, shared, possible, _ = np.moveaxis(sums[..., :_PLAIN], -1, 0)
    share, m_k, first, second = np.split(sums[..., _PLAIN:], 4, axis=-1)
    p, m = _divide(p_terms, n2), m_k.sum(-1)
    alike, cells = (first * second, n2) if two else (share * share, n)
    by_chance = _divide(alike.sum(-1), cells * cells)
    c = _divide((m_k * (m_k - 1)).sum(-1), m * (m - 1))
    return {
        "observed": p,
        "ac1": _beyond(p, _expected(sums)),
        "alpha": _beyond(_divide(o_terms, m), c),
        "kappa": _beyond(p, by_chance),
        "positive": _divide(np.where(n2 > 0, shared, np.nan), possible),
    }


def _beyond(p: Floats, chance: Floats) -> Floats:
    """Agreement beyond chance; nan where chance agrees perfectly, to rounding."""
    room = 1 - chance
    return _divide(p - chance, np.where(room > 1e-12, room, 0))


def _estimate(name: str, value: float, without_C: Floats, cells_C: Floats, why: str | None) -> Coefficient:
    """A coefficient with its interval, from what it is without each cluster; `cells_C`: cells with two ratings.

    `why`: a reason against an interval that is known before.
    """
    nan, n_clusters = float("nan"), int((cells_C > 0).sum())
    if np.isnan(value):
        return Coefficient(value, nan, nan, None)
    if why is None and np.isnan(without_C).any():
        why = ONE_DECIDES
    error = float(np.sqrt((n_clusters - 1) / n_clusters * ((value - without_C) ** 2).sum()))
    least = RANGES[name]
    share = (value - least) / (1 - least)
    if why is None and not (error > TINY and TINY < share < 1 - TINY):
        why = NO_VARIANCE
    if why is not None:
        return Coefficient(value, nan, nan, why)
    found = logit_interval(
        share, t_critical(effective_groups(cells_C) - 1) * error / (1 - least) / (share * (1 - share))
    )
    assert found.lower is not None and found.upper is not None  # noqa: PT018
    return Coefficient(value, least + (1 - least) * found.lower, least + (1 - least) * found.upper, None)


def _divide(a: Floats, b: Floats) -> Floats:
    """Element-wise a / b, nan where b is 0."""
    out = np.full(np.broadcast_shapes(a.shape, b.shape), np.nan)
    np.divide(a, b, out=out, where=np.broadcast_to(b != 0, out.shape))
    return out
