"""Videos that speak for a claim, and against it: for people to look at, and no part of any number.

For: videos with the label on the side where the claim says there are more. Against: those on the other side or, where a
group is compared with a number, videos of the group with the other stance of the same value.

Shape letters: N videos with a result and an account.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from tikval.claims.families import Examples, Side
from tikval.claims.population import ClaimView, Population
from tikval.config.claims import Claim, ClaimsConfig
from tikval.stats.arrays import Bools, Floats

_KEPT: Final = 12  # of each side, as not all have a page, or evidence
_OPPOSITE: Final = {"+": "-", "-": "+"}


def claim_examples(
    config: ClaimsConfig, population: Population, estimates: Mapping[str, float | None]
) -> Examples:
    """Row keys by claim and side, the best first; `estimates`: which way a claim without a direction points."""
    view = population.views[0]
    return {
        name: _of_claim(claim, name, view, population.labels, (estimates[name] or 0.0) < 0)
        for name, claim in config.claims.items()
    }


def _of_claim(
    claim: Claim, name: str, view: ClaimView, labels: tuple[str, ...], points_down: bool
) -> dict[Side, list[str]]:
    label, sides = labels.index(claim.label), view.sides[name]
    other = labels.index(claim.label[:-1] + _OPPOSITE[claim.label[-1]])
    more = _best(view, label, sides.a)
    less = _best(view, other, sides.a) if sides.b is None else _best(view, label, sides.b)
    if claim.direction == "less" or (claim.direction == "differ" and points_down):
        more, less = less, more
    return {"for": more, "against": less}


def _best(view: ClaimView, label: int, side_N: Bools) -> list[str]:
    """Videos of a side that have a label: labelled ones first, then by score, one of each account before a second."""
    corpus = view.corpus
    rank_N = corpus.predicted[:, label].astype(np.float64)
    if corpus.scores is not None:
        rank_N = rank_N * (1 + np.nan_to_num(corpus.scores[:, label]))
    rank_N[corpus.labelled] = 3.0 * corpus.truth[:, label]  # people are believed, also where they see nothing
    at = np.flatnonzero(side_N & (rank_N >= 0.5))
    at = at[np.argsort(-rank_N[at], kind="stable")]
    again = _times_before(view.account[at].astype(np.float64))
    at = at[np.argsort(again, kind="stable")][:_KEPT]
    return [str(key) for key in corpus.videos["row_key"].take(at).to_pylist()]


def _times_before(values: Floats) -> Floats:
    """How often each value stood there before."""
    order = np.argsort(values, kind="stable")
    starts = np.r_[True, np.diff(values[order]) != 0]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(values)), 0))
    found = np.empty(len(values))
    found[order] = np.arange(len(values)) - first
    return found
