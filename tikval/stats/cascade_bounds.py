"""How sure a share of right answers is, from a sample whose answers come in groups: recall and precision alike.

Errors among trials (the strong system's positives, or the positives given). The group is a video where the sample was
drawn from the corpus that the share is of, and an account where it is to hold for others like these. Clopper and
Pearson's bound (1934) on the trials that these are worth: divided by the design effect, and by how much wider t is
than a normal for so few groups (Korn and Graubard 1998). It needs no error to have a width.

G groups.
"""

from statistics import NormalDist
from typing import Final, NamedTuple

from tikval.stats.arrays import Floats
from tikval.stats.limits import effective_groups
from tikval.stats.student import few_errors, most_errors, t_critical

_ONE_SIDED: Final = 0.05
FEWEST_WITH_ERRORS: Final = 5  # groups, below which their own spread tells nothing


class RightShare(NamedTuple):
    """1 - errors / trials, and what it is worth."""

    errors: float
    trials: float
    effect: float  # the design effect
    degrees: float

    @property
    def value(self) -> float | None:
        return 1 - self.errors / self.trials if self.trials else None

    def p(self, least: float) -> float:
        """The probability of so few errors if the share is `least`: below 1 - level, the share is above."""
        if least <= 0:
            return 0.0
        return few_errors(*self._worth(_ONE_SIDED), 1 - least) if self.trials else 1.0

    def lower(self, p: float) -> float | None:
        """The share that is exceeded, at level 1 - `p`."""
        return 1 - most_errors(*self._worth(p), p) if self.trials else None

    def upper(self, p: float) -> float | None:
        if not self.trials:
            return None
        errors, trials = self._worth(p)
        return most_errors(trials - errors, trials, p)

    def _worth(self, p: float) -> tuple[float, float]:
        wider = t_critical(self.degrees, 2 * p) / NormalDist().inv_cdf(1 - p)
        factor = self.effect * wider**2
        return self.errors / factor, self.trials / factor


def right_share(errors_G: Floats, trials_G: Floats, unknown: float) -> RightShare:
    """Where few groups have an error, the design effect is `unknown` at least."""
    errors, trials = float(errors_G.sum()), float(trials_G.sum())
    if not trials:
        return RightShare(0.0, 0.0, 1.0, 0.0)
    effect = max(1.0, _effect(errors_G, trials_G))
    if (errors_G > 0).sum() < FEWEST_WITH_ERRORS:
        effect = max(effect, unknown)
    return RightShare(errors, trials, effect, effective_groups(trials_G) - 1)


def unknown_effect(errors_G: Floats, trials_G: Floats) -> float:
    """The design effect of errors that are too few to show it: that of the more errors given here.

    Where these are too few as well, half of what answers would have that are all right or all wrong in a group.
    """
    if (errors_G > 0).sum() >= FEWEST_WITH_ERRORS:
        return _effect(errors_G, trials_G)
    return float((trials_G**2).sum()) / max(1.0, float(trials_G.sum())) / 2


def _effect(errors_G: Floats, trials_G: Floats) -> float:
    """How many times the variance of independent errors the errors' is, as residuals of a ratio have it."""
    trials, groups = float(trials_G.sum()), int((trials_G > 0).sum())
    rate = float(errors_G.sum()) / trials if trials else 0.0
    if not 0 < rate < 1 or groups < 2:
        return 0.0
    spread = float(((errors_G - rate * trials_G) ** 2).sum()) * groups / (groups - 1)
    return spread / (trials * rate * (1 - rate))
