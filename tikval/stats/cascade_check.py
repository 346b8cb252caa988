"""Was a cascade's promise kept? A hold-out that both systems judged, and tests of what the promise rests on.

The hold-out is drawn at random and had no part in the plan. Three tests, each with its rate of false alarms, notice
what would make the promise mean less than it says:

* sample: the cheap scores of the sampled videos are like those of the rest (Welch's F over sums of scores);
* calibration: the plan's probabilities fit the hold-out as they fit the videos they were learnt on (F of the residuals'
  means, with the covariances of both, so that what was learnt from few videos is no fault);
* accounts: the answers of videos that stay are wrong about as often in each account, given the strong system's
  positives (pairs of videos of one account, against permuted accounts).

N videos, n of them sampled, L labels, F features, G groups.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np

from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.cascade import ALL_UP, ERROR, CascadePlan, Reached
from tikval.stats.cascade_trial import bounded, trial_of
from tikval.stats.limits import FEWEST_ACCOUNTS
from tikval.stats.pooled_platt import residual_moments
from tikval.stats.student import f_above
from tikval.stats.thresholds import logit

Verdict = Literal["kept", "not shown", "broken", "nothing promised"]
FALSE_ALARMS: Final = 0.05 / 3  # of each test: together at most 5 %
PERMUTATIONS: Final = 599
_FEWEST: Final = 20  # videos of either part, for a test of means
_RANK: Final = 1e-8


@dataclass(frozen=True)
class CascadeTest:
    """One test of what the promise rests on."""

    name: Literal["sample", "calibration", "accounts"]
    p: float | None  # None: too little for a test
    false_alarms: float = FALSE_ALARMS  # how often it fires, at most, where nothing is wrong

    @property
    def fired(self) -> bool:
        return self.p is not None and self.p <= self.false_alarms


@dataclass(frozen=True)
class CascadeCheck:
    """The promise tested: kept where all lower ends reach it, broken where an upper end does not."""

    verdict: Verdict
    error: float  # how often, at most, a promise that is not kept is called kept, and a kept one broken
    videos: int
    reached: tuple[Reached | None, Reached | None]  # lower ends: each at 1 - error
    upper: tuple[tuple[float | None, float | None] | None, tuple[float | None, float | None] | None]
    tests: tuple[CascadeTest, ...]

    @property
    def notices(self) -> tuple[str, ...]:
        """The names of the tests that fired."""
        return tuple(test.name for test in self.tests if test.fired)

    def as_json(self) -> dict[str, Any]:
        tests = [{**asdict(test), "fired": test.fired} for test in self.tests]
        return {**asdict(self), "tests": tests}


def check_cascade(
    plan: CascadePlan,
    cheap_scores_NL: Floats,
    strong_nL: Floats,
    sampled_n: Ints,
    held_out_n: Bools,
    account_N: Ints,
    stance_L: Ints,
    *,
    seed: int = 0,
) -> CascadeCheck:
    """The check by the sampled videos `held_out_n`; `sampled_n` are all that were drawn, those of the plan, too.

    Arguments as of `plan_cascade`. The ends of an interval: lower at 1 - error each, which all together must pass;
    upper at 1 - error / (numbers promised) each, of which none may fail. Raises ValueError where no video of the
    hold-out was answered.
    """
    answered = ~np.isnan(strong_nL).any(1)
    used = answered & held_out_n
    at_n, strong = sampled_n[used], strong_nL[used] > 0.5
    if not len(at_n):
        raise ValueError("the strong system has answered no video of the hold-out")
    group_N = account_N if plan.promise_for == "accounts" else np.arange(len(account_N))
    scores = cheap_scores_NL[at_n]
    trial = trial_of(plan.answers(scores), strong, group_N[at_n], stance_L, plan.doubt(scores))
    pairs = trial.at(plan.cut)
    numbers = max(1, 2 * sum(one is not None for one in plan.promised))
    upper = [pair and (pair[0].upper(ERROR / numbers), pair[1].upper(ERROR / numbers)) for pair in pairs]
    reached = bounded(pairs, ERROR)
    known_n = sampled_n[answered]
    tests = (
        CascadeTest("sample", _unlike_rest(plan, cheap_scores_NL, sampled_n, stance_L)),
        CascadeTest("calibration", _miscalibrated(plan, scores, strong, group_N[at_n], stance_L)),
        CascadeTest(
            "accounts",
            _differing_accounts(
                plan.answers(cheap_scores_NL[known_n]),
                strong_nL[answered] > 0.5,
                account_N[known_n],
                stance_L,
                np.random.default_rng(seed),
            ),
        ),
    )
    verdict = _verdict(plan, reached, upper)
    return CascadeCheck(verdict, ERROR, len(at_n), reached, (upper[0], upper[1]), tests)


def _verdict(
    plan: CascadePlan,
    reached: tuple[Reached | None, Reached | None],
    upper: list[tuple[float | None, float | None] | None],
) -> Verdict:
    if not any(plan.promised):
        return "nothing promised"
    if plan.cut == ALL_UP:  # all answers are the strong system's
        return "kept"
    least: list[float] = []
    lower: list[float | None] = []
    most: list[float | None] = []
    for promised, one, ends in zip(plan.promised, reached, upper, strict=True):
        if promised and one and ends:
            least += promised
            lower += [one.recall_lower, one.precision_lower]
            most += [*ends]
    if any(end is not None and end < target for end, target in zip(most, least, strict=True)):
        return "broken"
    kept = all(end is not None and end >= target for end, target in zip(lower, least, strict=True))
    return "kept" if kept else "not shown"


def _unlike_rest(plan: CascadePlan, scores_NL: Floats, sampled_n: Ints, stance_L: Ints) -> float | None:
    """p that sampled videos' scores have other means than those of the rest, by stance: of p and of its log-odds."""
    p_NL = plan.calibration.probability(scores_NL)
    both = (p_NL, logit(p_NL))
    sums_NF = np.stack([x[:, stance_L == s].sum(1) for x in both for s in (0, 1)], axis=1)
    inside = np.zeros(len(scores_NL), bool)
    inside[sampled_n] = True
    smaller = min(int(inside.sum()), int((~inside).sum()))
    if smaller < _FEWEST:
        return None
    ours, others = (
        residual_moments(part, np.arange(len(part))) for part in (sums_NF[inside], sums_NF[~inside])
    )
    return _p_of_means(ours, others, smaller)


def _miscalibrated(
    plan: CascadePlan, scores_nL: Floats, strong_nL: Bools, group_n: Ints, stance_L: Ints
) -> float | None:
    """p that the residuals have other means in the hold-out than where the calibration was fitted."""
    held_out = residual_moments(plan.calibration.residuals(scores_nL, strong_nL, stance_L), group_n)
    groups = min(len(np.unique(group_n)), plan.fitted)
    fit = (np.array(plan.fit_mean), np.array(plan.fit_covariance))
    return _p_of_means(held_out, fit, groups) if groups >= _FEWEST else None


def _p_of_means(a: tuple[Floats, Floats], b: tuple[Floats, Floats], groups: int) -> float | None:
    """p of Hotelling's F that two means are equal, with so many groups in the smaller part."""
    apart_F, covariance_FF = a[0] - b[0], a[1] + b[1]
    scale_F = np.sqrt(np.diag(covariance_FF))
    some = scale_F > 0
    if not some.any():
        return None
    z_F = apart_F[some] / scale_F[some]
    correlation_FF = covariance_FF[some][:, some] / np.outer(scale_F[some], scale_F[some])
    rank = int(np.linalg.matrix_rank(correlation_FF, tol=_RANK, hermitian=True))
    square = float(z_F @ np.linalg.pinv(correlation_FF, rcond=_RANK, hermitian=True) @ z_F)
    below = groups - rank
    return f_above(square * below / (rank * (groups - 1)), rank, below)


def _differing_accounts(
    answers_nL: Bools, strong_nL: Bools, account_n: Ints, stance_L: Ints, rng: np.random.Generator
) -> float | None:
    """p that misses, or false alarms, go with accounts: permuting the accounts leaves pairs of one account as alike.

    Each video has, by stance, its misses less what its positives would have, at each label's rate of misses; and its
    false alarms likewise. The sum of the products over pairs of videos of an account is 0 on average where videos err
    on their own; it is divided by its spread given the sizes of the errors, and the four are added up.
    """
    groups, account_n, sizes = np.unique(account_n, return_inverse=True, return_counts=True)
    if (sizes > 1).sum() < FEWEST_ACCOUNTS:
        return None
    apart = [
        x_nL[:, stance_L == s].sum(1)
        for s in (0, 1)
        if (stance_L == s).any()
        for x_nL in (
            _beyond_rate(strong_nL & ~answers_nL, strong_nL),
            _beyond_rate(answers_nL & ~strong_nL, ~strong_nL),
        )
    ]
    apart = [x_n for x_n in apart if x_n.any()]
    if not apart:
        return None
    order = np.lexsort((*apart, account_n))  # one p whatever the rows' order
    x_nF, account_n = np.stack(apart, axis=1)[order], account_n[order]
    found = _alike(x_nF, account_n, len(groups))
    permuted = [_alike(x_nF, rng.permutation(account_n), len(groups)) for _ in range(PERMUTATIONS)]
    return (1 + sum(one >= found for one in permuted)) / (1 + PERMUTATIONS)


def _beyond_rate(wrong_nL: Bools, could_nL: Bools) -> Floats:
    """[n, L] errors less the expected, at the label's rate, which is drawn towards that of all labels."""
    all_labels = wrong_nL.sum() / max(1, could_nL.sum())
    rate_L = (wrong_nL.sum(0) + 2 * all_labels) / (could_nL.sum(0) + 2)
    beyond_nL: Floats = wrong_nL - could_nL * rate_L
    return beyond_nL


def _alike(x_nF: Floats, account_n: Ints, groups: int) -> float:
    """The sum over features of what pairs of an account have in common, by its spread."""
    total = 0.0
    for x_n in x_nF.T:
        square_n = x_n**2
        sums_G = np.bincount(account_n, x_n, groups)
        squares_G, fourths_G = (np.bincount(account_n, y_n, groups) for y_n in (square_n, square_n**2))
        spread = float((squares_G**2 - fourths_G).sum())
        if spread > 0:
            total += float((sums_G**2 - squares_G).sum()) / (2 * spread) ** 0.5
    return total
