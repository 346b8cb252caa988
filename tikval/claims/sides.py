"""Which videos a claim compares: two groups, a group with a number, or earlier and later ones of the same accounts.

Shape letter: N videos.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tikval.config import UserError
from tikval.config.claims import Claim, ClaimsConfig, Part
from tikval.evaluate.video_groups import NAMING, codes_by, column_of
from tikval.stats.arrays import Bools, Ints
from tikval.stats.limits import counted


class Sides(NamedTuple):
    """Which videos a claim compares."""

    a: Bools  # [N]
    b: Bools | None  # [N]; None: a number
    within: bool  # earlier and later videos of the same accounts

    def of(self, some: Bools | Ints) -> "Sides":
        return Sides(self.a[some], None if self.b is None else self.b[some], self.within)


def columns_of_groups(config: ClaimsConfig) -> list[str]:
    """The columns of the catalog or of its posts that tell the groups."""
    parts = [part for claim in config.claims.values() for part in (claim.group, claim.against)]
    return sorted({column_of(by) for part in parts if isinstance(part, dict) for by in part})


def sides_of(name: str, claim: Claim, videos: pa.Table) -> Sides:
    """Raises UserError for a group that no video is in, and for videos in both."""
    group_N = _inside(f"{name}.group", claim.group, videos)
    if claim.over_time is not None:
        if videos["posted_at"].null_count == videos.num_rows:
            raise UserError(f"{name}.over_time: nothing tells when the videos were posted")
        days = videos["posted_at"].cast(pa.timestamp("us")).combine_chunks().to_numpy(zero_copy_only=False)
        early_N = days < np.datetime64(claim.over_time.before)  # not where it is not known
        return Sides(
            group_N & (days >= np.datetime64(claim.over_time.begin_of_later)), group_N & early_N, True
        )
    if not isinstance(claim.against, dict):
        return Sides(group_N, None, False)
    against_N = _inside(f"{name}.against", claim.against, videos)
    if both := int((group_N & against_N).sum()):
        raise UserError(f"{name}: {counted(both, 'video')} in both groups; name groups that share none")
    return Sides(group_N, against_N, False)


def _inside(where: str, part: Part, videos: pa.Table) -> Bools:
    inside_N = np.ones(videos.num_rows, bool)
    for by, wanted in part.items():
        code, names = codes_by(videos, by)
        values = [wanted] if isinstance(wanted, str) else wanted
        if missing := [value for value in values if value not in names]:
            there = "" if by in NAMING else f"; there are {', '.join(names[:20])}"
            raise UserError(f"{where}: no video has the {by} {missing[0]!r}{there}")
        inside_N &= np.isin(code, [names.index(value) for value in values])
    if not inside_N.any():
        raise UserError(f"{where}: no video is in it")
    return inside_N
