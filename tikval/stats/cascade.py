"""What a cascade promises: a cheap system answers all videos, a strong one those where doubt can change an answer.

A random sample that both have judged is split in two, whole groups together. One part tells how likely the strong
system says yes, given the cheap score (pooled_platt.py); a video's doubt is the share of the strong system's positives
that its answers are expected to get wrong (cascade_order.py). The other part tests cuts of that doubt, fixed by the
share of the corpus that is above them, from the costliest down, each at 5 %, until the first that does not show all
that is promised (fixed sequence: Angelopoulos et al. 2021, arXiv:2110.01052). A cut shows it where each recall and
each precision does, at 5 % (intersection-union: Berger 1982). So all of it holds together with 95 %, after choosing.
Above the cut the answers are the strong system's, so recall and precision rise with the share.

N videos, n of them sampled, L labels. Stances: 0 endorsed, 1 confronted.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np

from tikval.stats.arrays import Bools, Floats
from tikval.stats.cascade_order import doubts
from tikval.stats.pooled_platt import PooledPlatt

PromiseFor = Literal["corpus", "accounts"]
Pair = tuple[float, float]

ERROR: Final = 0.05  # how often a promise is not kept, at most
ALL_UP: Final = -1.0  # a cut that every video is above


@dataclass(frozen=True)
class Reached:
    """Shares of the strong system's positives that are found, and of the positives given that are the strong's."""

    recall: float | None  # None: the strong system has no positive in the sample
    recall_lower: float | None
    precision: float | None  # None: no positive is given
    precision_lower: float | None


@dataclass(frozen=True)
class CascadeRow:
    """One line of the table; its lower bounds hold together with 95 %, those of another line not with them."""

    name: str  # nothing, cheap, cascade, random or strong
    share: float  # of the videos, sent to the strong system
    reached: tuple[Reached | None, Reached | None]  # by stance; None: no label of this stance


@dataclass(frozen=True)
class CascadePlan:
    """Which videos go up, and what is promised of it."""

    calibration: PooledPlatt
    threshold: tuple[float, ...]  # [L] calibrated probability from which a video that stays has the label
    cost: tuple[float, ...]  # [L] of one wrong answer
    cut: float  # a video goes up whose doubt is above it
    share: float  # of the videos outside the sample that go up
    rows: tuple[CascadeRow, ...]
    promised: tuple[Pair | None, Pair | None]  # recall and precision of each stance
    why_none: tuple[str | None, str | None]  # in words, where a stance has labels and no promise
    needed: tuple[
        int | None, int | None
    ]  # where it has none: so many sampled videos, hold-out not counted, allow one
    error: float  # how often, at most, not all that is promised holds
    promise_for: PromiseFor  # `corpus`: these videos; `accounts`: also those of other accounts like these
    fitted: int  # videos that the calibration was fitted on
    fit_mean: tuple[float, ...]  # of `PooledPlatt.residuals` of these
    fit_covariance: tuple[tuple[float, ...], ...]  # of that mean

    def doubt(self, scores_NL: Floats) -> Floats:
        """[N] the expected cost of wrong answers if a video stays; infinite where the cheap system has no score."""
        p_NL = self.calibration.probability(scores_NL)
        return doubts(p_NL, np.array(self.threshold), np.array(self.cost), scores_NL)

    def goes_up(self, scores_NL: Floats) -> Bools:
        """[N] which videos the strong system answers."""
        return self.doubt(scores_NL) > self.cut

    def answers(self, scores_NL: Floats) -> Bools:
        """[N, L] the answers of videos that stay: the cheap system's, recalibrated to the strong one."""
        return self.calibration.probability(scores_NL) >= np.array(self.threshold)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, made: dict[str, Any]) -> "CascadePlan":
        """What `as_json` gave, after any way through JSON."""
        fields = {name: _tuples(value) for name, value in made.items()}
        fields["calibration"] = PooledPlatt(**{k: _tuples(v) for k, v in made["calibration"].items()})
        fields["rows"] = tuple(_row(row) for row in made["rows"])
        return cls(**fields)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list | tuple) else value


def _row(row: dict[str, Any]) -> CascadeRow:
    endorsed, confronted = (one and Reached(**one) for one in row["reached"])
    return CascadeRow(row["name"], row["share"], (endorsed, confronted))
