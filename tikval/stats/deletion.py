"""The deletion test's numbers: how much oftener a label goes without its evidence than without as much of other text.

Of each label of a video that was judged again without its evidence and without at least one control: 1 where it was
gone, minus the share of the controls without which it was gone. Both rates are over the same labels, so that their
difference is the gap; its interval is over accounts, as those of all differences.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tikval.rows import DeletionRow
from tikval.stats.intervals import Interval, ratio_estimate
from tikval.stats.limits import NO_NUMBER


@dataclass(frozen=True, slots=True)
class DeletionGap:
    """What the deletion test found of one system."""

    videos: int  # of the labels that count
    accounts: int
    labels: int  # of videos, that count: judged again in both ways
    without_control: int  # the script has no other text of that length
    failed: int  # could not be judged again
    evidence: float | None  # share of the labels that went without their evidence; None: none counts
    controls: float | None  # mean share of the controls without which they went
    gap: float | None
    interval: Interval  # of the gap


class _Tested(NamedTuple):
    account: Hashable
    video_id: str
    gone: bool
    gone_controls: float


def deletion_gap(rows: Sequence[DeletionRow]) -> DeletionGap:
    """The numbers of one system's DeletionRows; a video without an account stands alone."""
    tries: dict[tuple[str, str], list[DeletionRow]] = defaultdict(list)
    for row in rows:
        tries[row["video_id"], row["label"]].append(row)
    without_control, failed, tested = 0, 0, list[_Tested]()
    for (video_id, _), mine in tries.items():
        evidence = [row["kept"] for row in mine if row["control"] is None]
        controls = [row["kept"] for row in mine if row["control"] is not None]
        known = [kept for kept in controls if kept is not None]
        if not controls:
            without_control += 1
        elif not known or not evidence or evidence[0] is None:
            failed += 1
        else:
            account = mine[0]["account"] or (video_id,)
            share = sum(not kept for kept in known) / len(known)
            tested.append(_Tested(account, video_id, not evidence[0], share))
    return _gap(tested, without_control, failed)


def _gap(tested: Sequence[_Tested], without_control: int, failed: int) -> DeletionGap:
    videos: dict[Hashable, set[str]] = defaultdict(set)
    sums: dict[Hashable, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in tested:
        videos[one.account].add(one.video_id)
        sums[one.account][0] += one.gone - one.gone_controls
        sums[one.account][1] += 1
    if not tested:
        interval = Interval(None, None, NO_NUMBER)
        return DeletionGap(0, 0, 0, without_control, failed, None, None, None, interval)
    top_G, bottom_G = np.array(list(sums.values())).T
    estimate = ratio_estimate(top_G, bottom_G, np.array([float(len(ids)) for ids in videos.values()]))
    return DeletionGap(
        videos=sum(map(len, videos.values())),
        accounts=len(videos),
        labels=len(tested),
        without_control=without_control,
        failed=failed,
        evidence=float(np.mean([one.gone for one in tested])),
        controls=float(np.mean([one.gone_controls for one in tested])),
        gap=estimate.value,
        interval=estimate.of_difference(),
    )
