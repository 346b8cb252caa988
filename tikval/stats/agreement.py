"""Agreement of annotators beyond chance, with intervals: numbers in, numbers out.

R annotators, N videos, V items (values or labels), K categories, C clusters (accounts), P pools of items, D draws.
A cell is one item of one video. `codes` is int8 [R, N, V]: a category from 0 to K - 1, or MISSING where this
annotator did not judge the cell, which is not "absent".

All coefficients follow from the number r_k of ratings of each category in a cell (r in all) by sums over cells. So
they take any number of annotators and missing cells, a pool of items is the sum of its items, and a bootstrap draws
clusters and adds up their sums. Definitions, n cells with r >= 1, n2 of them with r >= 2:

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
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tikval.stats.arrays import Bools, Floats

Codes = NDArray[np.int8]

MISSING: Final = -1
DRAWS: Final = 1_000
COEFFICIENTS: Final = ("observed", "ac1", "alpha", "kappa", "positive")
MAX_UNDEFINED: Final = 0.05  # share of draws without a value above which a coefficient has no interval
_PLAIN: Final = 6  # sums of a cell that are not by category
_CHUNK: Final = 2**22  # weights of draws in memory at once


class Coefficient(NamedTuple):
    """nan where it is not defined. The interval is 95 %, by percentiles; nan also with fewer than two clusters."""

    value: float
    low: float
    high: float


class AgreementLine(NamedTuple):
    """Agreement over one pool of items."""

    cells: int  # with two ratings or more
    expected: float  # agreement by chance, as AC1 has it
    coefficients: dict[str, Coefficient]  # by COEFFICIENTS


def agreement_of(
    codes_RNV: Codes,
    n_categories: int,
    absent: int,
    pools_PV: Bools,
    clusters_N: NDArray[np.int64],
    draws: int = DRAWS,
    seed: int = 0,
) -> list[AgreementLine]:
    """Agreement over each of P pools. `absent` is the category of a value that is not there; clusters count from 0.

    An item that no two annotators rated in any video is left out of its pools. Clusters are drawn with replacement,
    the same ones for every pool. Raises ValueError for other shapes, categories or fewer than two annotators.
    """
    _check(codes_RNV, n_categories, absent, pools_PV, clusters_N)
    n_items, n_clusters = codes_RNV.shape[2], int(clusters_N.max(initial=-1)) + 1
    sums_CVS = np.zeros((n_clusters, n_items, _PLAIN + 4 * n_categories))
    for v in range(n_items):
        np.add.at(sums_CVS[:, v], clusters_N, _sums(codes_RNV[:, :, v], n_categories, absent))
    sums_CVS[:, sums_CVS[:, :, 1].sum(0) == 0] = 0
    sums_CPS = np.einsum("pv,cvs->cps", pools_PV.astype(np.float64), sums_CVS)
    two = len(codes_RNV) == 2
    total_PS = sums_CPS.sum(0)
    values = _coefficients(total_PS, two)
    drawn = _bootstrap(sums_CPS, two, draws, seed)
    expected_P = _expected(total_PS)
    return [
        AgreementLine(
            int(total_PS[p, 1]),
            float(expected_P[p]),
            {name: _estimate(values[name][p], drawn[name][:, p]) for name in COEFFICIENTS},
        )
        for p in range(len(pools_PV))
    ]


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

    S: n, n2, the terms of p and of o, those of positive (2a and 2a + b + c, each twice), then by category
    r_k / r, m_k, and of two annotators what the first and the second coded in the cells that both rated.
    """
    seen_NK = np.stack([(codes_RN == k).sum(0) for k in range(n_categories)], axis=1).astype(np.float64)
    r_N = seen_NK.sum(1)
    paired_N = r_N >= 2
    others_N = np.where(paired_N, r_N - 1, 1)
    same_NK = seen_NK * (seen_NK - 1)
    possible_NK = seen_NK * (r_N - 1)[:, None]  # 0 in cells of one rating
    present = np.arange(n_categories) != absent
    plain = [r_N > 0, paired_N, same_NK.sum(1) / (others_N * np.maximum(r_N, 1)), same_NK.sum(1) / others_N]
    positive = [same_NK[:, present].sum(1), possible_NK[:, present].sum(1)]
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
    n, n2, p_terms, o_terms, shared, possible = np.moveaxis(sums[..., :_PLAIN], -1, 0)
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


def _bootstrap(sums_CPS: Floats, two: bool, draws: int, seed: int) -> dict[str, Floats]:
    """[D, P] of each coefficient, or [0, P] with fewer than two clusters."""
    n_clusters, n_pools, n_sums = sums_CPS.shape
    flat, rng = sums_CPS.reshape(n_clusters, n_pools * n_sums), np.random.default_rng(seed)
    left = draws if n_clusters > 1 else 0
    parts = [_coefficients(np.zeros((0, n_pools, n_sums)), two)]
    while left:
        n = min(left, max(1, _CHUNK // n_clusters))
        times_DC = rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=n)
        parts.append(_coefficients((times_DC.astype(np.float64) @ flat).reshape(n, n_pools, n_sums), two))
        left -= n
    return {name: np.concatenate([part[name] for part in parts]) for name in COEFFICIENTS}


def _estimate(value: float, drawn_D: Floats) -> Coefficient:
    known = drawn_D[~np.isnan(drawn_D)]
    if np.isnan(value) or len(known) < max(1.0, (1 - MAX_UNDEFINED) * len(drawn_D)):
        return Coefficient(float(value), float("nan"), float("nan"))
    low, high = np.percentile(known, [2.5, 97.5])
    return Coefficient(float(value), float(low), float(high))


def _divide(a: Floats, b: Floats) -> Floats:
    """Element-wise a / b, nan where b is 0."""
    out = np.full(np.broadcast_shapes(a.shape, b.shape), np.nan)
    np.divide(a, b, out=out, where=np.broadcast_to(b != 0, out.shape))
    return out
