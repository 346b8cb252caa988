"""The plan of a cascade from a sample: cascade.py says what it promises and why that holds.

N videos, n of them sampled, L labels.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.cascade import ALL_UP, ERROR, CascadePlan, CascadeRow, Pair, PromiseFor, Reached
from tikval.stats.cascade_bounds import RightShare
from tikval.stats.cascade_order import doubts, order_of
from tikval.stats.cascade_trial import CascadeTrial, StanceCounts, bounded, trial_of
from tikval.stats.limits import FEWEST_POSITIVES, why_no_interval
from tikval.stats.pooled_platt import fit_pooled_platt, residual_moments
from tikval.stats.student import few_errors

FITTED: Final = 0.4  # of the sample, that the calibration is fitted on; the rest tests
CUTS: Final = tuple(
    round(0.98 - 0.02 * i, 2) for i in range(50)
)  # shares of the corpus, tested from the first on
SHOWN: Final = tuple(i / 10 for i in range(10))


def plan_cascade(
    cheap_scores_NL: Floats,
    cheap_decisions_NL: Bools,
    strong_nL: Floats,
    sampled_n: Ints,
    account_N: Ints,
    stance_L: Ints,
    *,
    recall: float = 0.9,
    precision: float = 0.9,
    share: float | None = None,
    promise_for: PromiseFor = "corpus",
    seed: int = 0,
) -> CascadePlan:
    """The cheapest cut that keeps `recall` and `precision` of each stance; or what a `share` sent up will reach.

    `cheap_scores_NL` of all videos of the corpus, in [0, 1], nan where there is none; `strong_nL` 0 or 1, the answers
    to the videos `sampled_n` (places, drawn at random; none of the hold-out): a row with nan, a failure, is not
    counted. `account_N` are numbers, `stance_L` 0 or 1. A stance of which there is too little has no promise, and the
    reason in words; where no stance has one and no share is asked for, every video goes up. Raises ValueError where
    fewer than two answers are counted.
    """
    answered = ~np.isnan(strong_nL).any(1)
    at_n, strong = sampled_n[answered], strong_nL[answered] > 0.5
    if len(at_n) < 2:
        raise ValueError(
            f"the strong system has answered {len(at_n)} videos of the sample: too few for a plan"
        )
    group_N = account_N if promise_for == "accounts" else np.arange(len(account_N))
    fits = _split(group_N[at_n], np.random.default_rng(seed))
    fitted, tested = at_n[fits], at_n[~fits]
    calibration = fit_pooled_platt(cheap_scores_NL, fitted, strong[fits], stance_L)
    p_NL = calibration.probability(cheap_scores_NL)
    threshold_L, cost_L = order_of(p_NL, stance_L, recall, precision)
    doubt_N = doubts(p_NL, threshold_L, cost_L, cheap_scores_NL)
    parts = (strong[~fits], group_N[tested], stance_L, doubt_N[tested])
    trial = trial_of(p_NL[tested] >= threshold_L, *parts)
    cheap = trial_of(cheap_decisions_NL[tested], *parts)
    found = _promised(trial, doubt_N, (recall, precision), share)
    rest_N = np.ones(len(doubt_N), bool)
    rest_N[sampled_n] = False
    rest = doubt_N[rest_N] if rest_N.any() else doubt_N
    residuals = calibration.residuals(cheap_scores_NL[fitted], strong[fits], stance_L)
    mean_F, covariance_FF = residual_moments(residuals, group_N[fitted])
    return CascadePlan(
        calibration=calibration,
        threshold=tuple(threshold_L.tolist()),
        cost=tuple(cost_L.tolist()),
        cut=found.cut,
        share=float((rest > found.cut).mean()),
        rows=tuple(_table(trial, cheap, doubt_N, rest, found.cut)),
        promised=found.promised,
        why_none=found.why_none,
        needed=found.needed,
        error=ERROR,
        promise_for=promise_for,
        fitted=len(fitted),
        fit_mean=tuple(mean_F.tolist()),
        fit_covariance=tuple(tuple(row) for row in covariance_FF.tolist()),
    )


class _Promise(NamedTuple):
    cut: float
    promised: tuple[Pair | None, Pair | None]
    why_none: tuple[str | None, str | None]
    needed: tuple[int | None, int | None]


def _promised(trial: CascadeTrial, doubt_N: Floats, targets: Pair, share: float | None) -> _Promise:
    """The cut, and what is promised of each stance: the targets, or with a `share` the bounds at its cut."""
    all_up = trial.at(ALL_UP)
    why = [_why_none(one, pair, targets, share) for one, pair in zip(trial.stances, all_up, strict=True)]
    promised = [targets if pair and not none else None for pair, none in zip(all_up, why, strict=True)]
    if share is None:
        cut = _cheapest(trial, doubt_N, promised)
    else:
        cut = cut_at(doubt_N, share)
        bounds = bounded(trial.at(cut), _each(promised))
        promised = [
            (one.recall_lower or 0.0, one.precision_lower or 0.0) if one and able else None
            for one, able in zip(bounds, promised, strict=True)
        ]
    needed = [
        _needed(pair[0], len(trial.doubt_n), targets) if pair and none else None
        for pair, none in zip(all_up, why, strict=True)
    ]
    return _Promise(cut, (promised[0], promised[1]), (why[0], why[1]), (needed[0], needed[1]))


def _why_none(
    one: StanceCounts | None, all_up: tuple[RightShare, RightShare] | None, targets: Pair, share: float | None
) -> str | None:
    """Why a stance that has labels can have no promise, in words."""
    if one is None or all_up is None:
        return None
    sizes_G = np.bincount(one.group).astype(np.float64)
    if none := why_no_interval(sizes_G):
        return none
    right, least = all_up[0], max(targets)
    few = right.trials < FEWEST_POSITIVES
    if share is None and least < 1:
        few = few or right.p(least) > ERROR  # not even without an error
    return (
        f"{right.trials:.0f} positives among the {len(one.group)} videos that test: too few" if few else None
    )


def _needed(right: RightShare, tested: int, targets: Pair) -> int | None:
    """Videos of a sample, of which so many test that a cascade halfway to all right is shown to reach the targets."""
    least = max(targets)
    if least >= 1:
        return None
    trials = 1.0
    while few_errors((1 - least) / 2 * trials, trials, 1 - least) > ERROR:
        trials *= 1.02
    positives = right.trials or -math.log(ERROR)  # without one, there are likely fewer than 3
    return math.ceil(trials * max(1.0, right.effect) * tested / positives / (1 - FITTED))


def _cheapest(trial: CascadeTrial, doubt_N: Floats, targets: Sequence[Pair | None]) -> float:
    """The last cut, of shares that fall, before the first that does not show its targets."""
    cut = ALL_UP
    if not any(targets):
        return cut
    for share in CUTS:
        if not trial.shows(lower := cut_at(doubt_N, share), targets):
            break
        cut = lower
    return cut


def cut_at(doubt_N: Floats, share: float) -> float:
    """The doubt that this share of videos is above, or fewer where many are alike; those without scores all are."""
    if share >= 1:
        return ALL_UP
    falling = -np.sort(-doubt_N)
    finite = falling[np.isfinite(falling)]
    if not len(finite):
        return ALL_UP
    return float(min(falling[math.floor(share * len(falling) + 1e-9)], finite[0]))


def _each(targets: Sequence[Pair | None]) -> float:
    """The level of one bound where those of a line hold together."""
    return ERROR / max(2, 2 * sum(one is not None for one in targets))


def _table(
    trial: CascadeTrial, cheap: CascadeTrial, doubt_N: Floats, rest: Floats, cut: float
) -> Iterator[CascadeRow]:
    """Saying nothing, the cheap system alone, cuts, as many videos at random, and the strong system on all."""
    p = _each([one and (0.0, 0.0) for one in trial.stances])
    there = [one is not None for one in trial.stances]
    nobody, everybody = np.zeros_like(trial.doubt_n), np.ones_like(trial.doubt_n)

    def row(name: str, share: float, reached: tuple[Reached | None, Reached | None]) -> CascadeRow:
        return CascadeRow(name, round(share, 6), reached)

    yield row("nothing", 0.0, _alike(there, Reached(0.0, 0.0, None, None)))
    yield row("cheap", 0.0, bounded(cheap.reached(nobody), p))
    shown = {float((rest > at).mean()): at for at in (*(cut_at(doubt_N, share) for share in SHOWN), cut)}
    for share in sorted(shown):
        if shown[share] != ALL_UP:
            yield row("cascade", share, bounded(trial.at(shown[share]), p))
    at_random = float((rest > cut).mean())
    yield row("random", at_random, bounded(trial.reached(at_random * everybody), p))
    yield row("strong", 1.0, _alike(there, Reached(1.0, 1.0, 1.0, 1.0)))


def _alike(there: Sequence[bool], reached: Reached) -> tuple[Reached | None, Reached | None]:
    return reached if there[0] else None, reached if there[1] else None


def _split(group_n: Ints, rng: np.random.Generator) -> Bools:
    """[n] which videos fit: whole groups, in random order, until they are enough."""
    groups, number, size = np.unique(group_n, return_inverse=True, return_counts=True)
    order = rng.permutation(len(groups))
    fits = np.zeros(len(groups), bool)
    fits[order] = np.cumsum(size[order]) - size[order] < FITTED * len(group_n)
    if fits.all():
        fits[order[-1]] = False
    return fits[number]
