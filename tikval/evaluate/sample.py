"""Which videos people annotate: drawn by a rule that gives every video a known probability above 0.

Units, videos or whole accounts, are drawn without replacement from all of them or within strata: those whose number,
a hash of the seed and their name, is smallest. So the same seed and catalog give the same videos, whatever the order;
a larger sample by the same rule holds the smaller one; and a new video displaces few (permanent random numbers: Ohlsson
1995, in "Business Survey Methods").

Shape letters: N videos, U units, H strata, n videos drawn.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from tikval.config import UserError
from tikval.evaluate.video_groups import OF_POSTS, UNKNOWN, codes_by, column_of
from tikval.privacy import canonical_account
from tikval.rows import PostRow, VideoRow, arrow_schema
from tikval.sources.catalog import list_videos
from tikval.sources.posts import read_videos_with_posts
from tikval.stats.arrays import Floats, Ints
from tikval.store.row_keys import draw_number
from tikval.store.runs import Study, stage_folders

EVERY_VIDEO: Final = "all"  # the one stratum where there are none

Allocation = Literal["proportional", "equal"]


class SampleFrame(NamedTuple):
    """The videos that can be drawn: all that a catalog lists without a failure, by id."""

    videos: pa.Table  # [N] VideoRow
    left_out: dict[str, int]  # failures, by reason
    study: Study | None  # None: the videos have no catalog yet


class Stratum(NamedTuple):
    name: str
    videos: int
    units: int  # videos, or accounts
    drawn: int  # units
    probability: float


@dataclass(frozen=True)
class VideoSample:
    rule: str  # in words
    at: Ints  # [n] places in the frame, in the order of the list
    stratum: Ints  # [n] places in `strata`
    strata: list[Stratum]
    own: Floats | None = None  # [n] each video's probability, where those of a stratum differ

    @property
    def probability(self) -> Floats:
        """[n]"""
        if self.own is not None:
            return self.own
        return np.array([each.probability for each in self.strata])[self.stratum]


def read_frame(source: str) -> SampleFrame:
    """The frame of a study's folder, or of videos as `tikval analyze` takes them.

    Raises UserError where there is no video that can be drawn.
    """
    study = Study(source) if is_study(source) else None
    if study:
        listed = read_videos_with_posts(study.catalog(), [*VideoRow.__annotations__, *OF_POSTS])
    else:
        posts = pa.schema(
            [arrow_schema(PostRow).field(name) for name in OF_POSTS]
        )  # of which nothing is known yet
        schema = pa.schema([*arrow_schema(VideoRow), *posts])
        listed = pa.Table.from_pylist(list(list_videos(source)), schema=schema)
    failed = Counter(listed["error"].drop_null().to_pylist())
    videos = listed.filter(listed["error"].is_null()).sort_by("video_id")
    if not videos.num_rows:
        raise UserError(f"{source}: no video that can be drawn: {sum(failed.values())} failed")
    return SampleFrame(videos, dict(failed.most_common()), study)


def is_study(source: str) -> bool:
    """Whether stages of a study lie in a folder."""
    try:
        return bool(stage_folders(source))
    except UserError:
        return False


def draw_sample(
    videos: pa.Table,
    n: int,
    *,
    by: str | None = None,
    allocation: Allocation = "proportional",
    whole_accounts: bool = False,
    seed: int = 0,
) -> VideoSample:
    """Draw `n` videos, or whole accounts with about as many, from all or within the groups that `by` makes.

    `proportional` gives each stratum its share of the units, `equal` the same number; one at least. Raises UserError
    for more videos than there are, for fewer than strata, and where no video has what `by` names.
    """
    n_videos = videos.num_rows
    if n > n_videos:
        raise UserError(f"--n {n}: more than the {n_videos} that can be drawn")
    names, unit_N = _units(videos, whole_accounts=whole_accounts)
    first_U = np.unique(unit_N, return_index=True)[1]
    strata, stratum_N = _strata(videos, by)
    stratum_U = stratum_N[first_U]  # an account is where its first video is
    units_H = np.bincount(stratum_U, minlength=len(strata))
    strata, stratum_U, units_H = _without_empty(strata, stratum_U, units_H)
    wanted = max(round(n * len(names) / n_videos), len(strata)) if whole_accounts else n
    if wanted < len(strata):
        raise UserError(f"--n {n}: fewer than the {len(strata)} groups by {by}, each of which needs one")
    drawn_H = allocate(wanted, units_H, equal=allocation == "equal")
    number_U = np.array([draw_number(seed, name) for name in names])
    chosen_U = np.zeros(len(names), bool)
    for h, drawn in enumerate(drawn_H):
        inside = np.flatnonzero(stratum_U == h)
        chosen_U[inside[np.argsort(number_U[inside], kind="stable")[:drawn]]] = True
    videos_H = np.bincount(stratum_U[unit_N], minlength=len(strata))
    found = [
        Stratum(name, int(videos_H[h]), int(units_H[h]), int(drawn_H[h]), float(drawn_H[h] / units_H[h]))
        for h, name in enumerate(strata)
    ]
    at = np.flatnonzero(chosen_U[unit_N])
    ids = videos["video_id"].take(pa.array(at)).to_pylist()
    at = at[np.argsort([draw_number(seed, f"order {name}") for name in ids], kind="stable")]
    rule = f"{'whole accounts' if whole_accounts else 'videos'} at random"
    rule += f" within each {by}, {allocation} allocation" if by else ""
    return VideoSample(rule, at, stratum_U[unit_N[at]], found)


def _units(videos: pa.Table, *, whole_accounts: bool) -> tuple[list[str], Ints]:
    """What is drawn, by name, and the unit of each video [N]; a video without an account is one of its own."""
    ids: list[str] = videos["video_id"].to_pylist()
    if not whole_accounts:
        return ids, np.arange(len(ids))
    owners = [
        f"@{canonical_account(account)}" if account else video_id
        for video_id, account in zip(ids, videos["account"].to_pylist(), strict=True)
    ]
    names, unit_N = np.unique(np.array(owners, object), return_inverse=True)
    return names.tolist(), unit_N


def _strata(videos: pa.Table, by: str | None) -> tuple[list[str], Ints]:
    """Names, and the stratum of each video [N]; those of which nothing is known are the last."""
    if by is None:
        return [EVERY_VIDEO], np.zeros(videos.num_rows, np.int64)
    column_of(by)
    code, names = codes_by(videos, by)
    return [*names, UNKNOWN], np.where(code < 0, len(names), code)


def _without_empty(strata: list[str], stratum_U: Ints, units_H: Ints) -> tuple[list[str], Ints, Ints]:
    there = np.flatnonzero(units_H)
    return [strata[h] for h in there.tolist()], np.searchsorted(there, stratum_U), units_H[there]


def allocate(wanted: int, units_H: Ints, *, equal: bool) -> Ints:
    """[H] how many units of each stratum are drawn: `wanted` in all, one at least and all at most of each.

    The rest of the division goes to where most is missing.
    """
    quota_H = np.full(len(units_H), wanted / len(units_H)) if equal else wanted * units_H / units_H.sum()
    drawn_H: Ints = np.clip(np.floor(quota_H).astype(np.int64), 1, units_H)
    while (missing := wanted - int(drawn_H.sum())) != 0:
        step = 1 if missing > 0 else -1
        can = drawn_H < units_H if missing > 0 else drawn_H > 1
        drawn_H[np.argmax(np.where(can, step * (quota_H - drawn_H), -np.inf))] += step
    return drawn_H
