"""How a target stands in each group of videos: what is known, what it still takes, and whether it can be reached."""

from typing import NamedTuple

import numpy as np

from tikval.annotate.width_target import WidthTarget
from tikval.stats.arrays import Ints
from tikval.stats.batch_rates import BatchSample, after, needed
from tikval.stats.limits import FEWEST_ACCOUNTS
from tikval.stats.prevalence import Target


class TargetLine(NamedTuple):
    """One label in one group of videos; None where nothing is known yet."""

    group: str
    label: str
    videos: int
    labelled: int
    having: int  # labelled videos that have the label
    estimate: float | None
    low: float | None
    high: float | None
    reach: float | None  # of the farther end from the estimate
    reach_after: float | None  # about, once the batch is labelled
    needed: int | None  # labels of the group, about; None: not known, or no number is enough


class TargetGroup(NamedTuple):
    """A group of videos as it stands before the next batch."""

    name: str
    sample: BatchSample
    unlabelled: Ints  # places in N
    state: str  # open, reached, or stuck


def target_group(
    name: str, sample: BatchSample, unlabelled: Ints, target: WidthTarget, of: Target
) -> TargetGroup:
    """How a target stands in one group, and whether more labels are wanted there."""
    between = of == "accounts"
    found = sample.rates(of_accounts=between)
    ends = np.maximum(found.high - found.estimate, found.estimate - found.low)
    accounts = int(sample.cluster.max()) + 1
    if (len(unlabelled) == 0 and not between) or bool((ends <= target.width).all()):
        state = "reached"
    elif accounts < FEWEST_ACCOUNTS or (between and narrowest(sample) > target.width):
        state = "stuck"
    else:
        state = "open" if len(unlabelled) else "stuck"
    return TargetGroup(name, sample, unlabelled, state)


def narrowest(sample: BatchSample) -> float:
    """How close to the estimate the interval for accounts like these comes once every video is labelled, about."""
    if not len(sample.labelled):
        return 0.0
    return float(sample.reach(sample.between_accounts(), sample.account_degrees).max())


def target_lines(
    group: TargetGroup, target: WidthTarget, n: int, uniform: float, between: bool, is_usable: bool
) -> list[TargetLine]:
    """A line for each label, as it is and as `n` more labels of the group would make it."""
    sample, found = group.sample, group.sample.rates(of_accounts=between)
    fixed = sample.between_accounts() if between else np.zeros(len(target.labels))
    reach = np.maximum(found.high - found.estimate, found.estimate - found.low)
    degrees = sample.account_degrees if between else sample.draw_degrees + n
    later = sample.reach(after(sample, n, uniform).variance + fixed, degrees) if is_usable else None
    more = (
        needed(sample, target.width, uniform, fixed if between else None)
        if is_usable
        else [None] * len(target.labels)
    )
    return [
        TargetLine(
            group.name,
            label,
            len(sample.p),
            len(sample.labelled),
            int(sample.truth[:, k].sum()),
            _number(found.estimate[k]) if is_usable else None,
            _number(found.low[k]),
            _number(found.high[k]),
            _number(reach[k]),
            float(later[k]) if later is not None and n else None,
            0 if group.state == "reached" else more[k],
        )
        for k, label in enumerate(target.labels)
    ]


def _number(x: float) -> float | None:
    return None if np.isnan(x) else float(x)
