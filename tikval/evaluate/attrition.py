"""How many posts of a study get how far, from listed to annotated, and why the others do not.

Steps are nested: a post that is counted at one is counted at each before it. docs/attrition.md defines them. Counted
column by column, for millions of posts. Shape letters: N posts, V videos of the catalog.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import UserError
from tikval.evaluate.attrition_steps import (
    ANNOTATED,
    CODE,
    JUDGED,
    NO_FILE,
    NO_LABEL,
    NO_ROW,
    NO_SYSTEM,
    NOT_OPENED,
    OPENING,
    REACHABLE,
    STEPS,
    WHY,
    codes_of,
    is_one_of,
    last_step,
    taken,
    why_not_judged,
    why_not_read,
    why_not_there,
)
from tikval.rows import AccountRow, Outcome, Reason, arrow_schema
from tikval.sources.posts import read_posts
from tikval.stats.arrays import Ints
from tikval.store.runs import Study

GROUPINGS: Final = ("genre", "account", "minor")
MINOR_FLAGS: Final = ("yes", "no", None)
_NOT_KNOWN: Final = (Outcome.NO_FILE, Outcome.FAILED, *NO_FILE)
_NO_POST: Final = (Outcome.LIVE, Outcome.OTHER_PLATFORM, Outcome.INVALID_ROW)
_NO_POST_ERRORS: Final = (Reason.INVALID_ID, Reason.INVALID_ROW)


class Loss(NamedTuple):
    step: int  # place in STEPS of the first that is not reached
    reason: str  # an Outcome, a Reason, NOT_OPENED, NO_ROW, NO_SYSTEM or NO_LABEL
    posts: int

    @property
    def known(self) -> bool:
        """Whether anything tells what became of these posts; else nobody knows whether they could be reached."""
        return self.step != REACHABLE or self.reason not in _NOT_KNOWN


class AttritionGroup(NamedTuple):
    name: str | None  # None: not known, and of the total
    reached: tuple[int, ...]  # posts at each of STEPS
    losses: tuple[Loss, ...]  # by step, the most frequent first

    @property
    def not_known(self) -> int:
        """Listed posts of which nothing tells whether they could be reached."""
        return sum(loss.posts for loss in self.losses if not loss.known)


@dataclass(frozen=True)
class Attrition:
    """How far the posts of a study get. The groups of one kind add up to the total, at each step and reason."""

    system: str | None  # whose results count as judged; None: no system has any
    total: AttritionGroup
    groups: Mapping[
        str, tuple[AttritionGroup, ...]
    ]  # by each of GROUPINGS, the one with the most posts first
    set_aside: Mapping[str, int]  # rows that are no post of the study, by outcome or reason
    annotated_lost: Mapping[
        str, int
    ]  # annotated and not judged: by the step that is not reached; not even listed
    others: Mapping[str, tuple[int, int]]  # of each other system: posts judged, and of them annotated


def attrition_of(study: Study, system: str | None = None) -> Attrition:
    """The attrition of a study over its picked codebook; judged by the system that is named, else the first by name.

    Raises UserError where there is no catalog, or no such system.
    """
    systems, catalog = study.systems(), study.catalog()
    if system is not None and system not in systems:
        raise UserError(f"{study.out}: no system {system}; there are {', '.join(sorted(systems)) or 'none'}")
    listed = catalog.read(["video_id", "row_key", "account", "genre", "is_minor", "error"])
    twice = pc.fill_null(pc.equal(listed["error"], Reason.DUPLICATE_ID), False)
    videos = listed.filter(pc.invert(twice))
    labels = pa.array(sorted({row["video_id"] for row in study.annotations()}), pa.string())
    accounts = pa.Table.from_pylist(catalog.read_side_table("accounts"), arrow_schema(AccountRow))
    found = count_attrition(
        read_posts(catalog, ["video_id", "account", "source", "outcome"]),
        videos,
        accounts,
        why_not_read(videos, [folder for stage in OPENING for folder in study.folders(stage)]),
        {name: why_not_judged(videos, folder) for name, (folder, _) in systems.items()},
        labels,
        system,
    )
    doubles = pc.sum(twice).as_py()
    return (
        replace(found, set_aside={**found.set_aside, Reason.DUPLICATE_ID.value: doubles})
        if doubles
        else found
    )


def count_attrition(
    posts: pa.Table,
    videos: pa.Table,
    accounts: pa.Table,
    not_read_V: Ints,
    not_judged: Mapping[str, Ints],
    labelled: pa.Array,
    system: str | None = None,
) -> Attrition:
    """Count PostRows [N] by what became of their videos [V]; both have each id once.

    `not_read_V`, and `not_judged` by system: codes of why_not_read and why_not_judged. `labelled`: ids of annotated
    videos, each once. `system`: whose results count; None: those of the first by name.
    """
    system = system or min(not_judged, default=None)
    at_N = pc.fill_null(pc.index_in(posts["video_id"], videos["video_id"]), -1).to_numpy()
    error_N, outcome_N = taken(codes_of(videos["error"]), at_N), codes_of(posts["outcome"])
    odd_N = is_one_of(error_N, _NO_POST_ERRORS)
    is_post_N = ~(odd_N | is_one_of(outcome_N, _NO_POST))
    set_aside = Counter(np.where(odd_N, error_N, outcome_N)[~is_post_N].tolist())
    posts, at_N = posts.filter(pa.array(is_post_N)), at_N[is_post_N]
    there = why_not_there(posts["source"], outcome_N[is_post_N], error_N[is_post_N], at_N)
    annotated_N = pc.is_in(posts["video_id"], labelled).to_numpy()

    def steps_of(name: str | None) -> tuple[Ints, Ints]:
        none_N = np.full(len(at_N), CODE[NO_SYSTEM])
        not_N = none_N if name is None else taken(not_judged[name], at_N, NO_ROW)
        not_annotated_N = np.where(annotated_N, -1, CODE[NO_LABEL])
        return last_step([*there, taken(not_read_V, at_N, NOT_OPENED), not_N, not_annotated_N])

    level_N, why_N = steps_of(system)
    named = {**_groups_of(posts, videos, accounts, at_N), "level": level_N, "why": why_N}
    cells = pa.table(named).group_by(list(named)).aggregate([([], "count_all")])
    lost = Counter(level_N[annotated_N & (level_N < JUDGED)].tolist())
    annotated_lost = {STEPS[0]: len(labelled) - int(annotated_N.sum())}
    annotated_lost |= {STEPS[level + 1]: n for level, n in sorted(lost.items())}
    return Attrition(
        system,
        _grouped(cells, None)[0],
        {by: tuple(_grouped(cells, by)) for by in GROUPINGS},
        {WHY[code]: n for code, n in sorted(set_aside.items())},
        {step: n for step, n in annotated_lost.items() if n},
        {name: _last_two(steps_of(name)[0]) for name in sorted(not_judged) if name != system},
    )


def _groups_of(posts: pa.Table, videos: pa.Table, accounts: pa.Table, at_N: Ints) -> dict[str, Any]:
    """Genre, account and minor flag of each post: what its video has, else what its account has."""
    place = pa.array(at_N, mask=at_N < 0)
    known = accounts.group_by("account", use_threads=False).aggregate(
        [("genre", "first"), ("is_minor", "any")]
    )
    account = pc.coalesce(videos["account"].take(place), posts["account"])
    at_account = pc.index_in(account, known["account"])
    genre = pc.coalesce(videos["genre"].take(place), known["genre_first"].take(at_account))
    minor = pc.coalesce(videos["is_minor"].take(place), known["is_minor_any"].take(at_account))
    return {"genre": genre, "account": account, "minor": pc.if_else(minor, *MINOR_FLAGS[:2])}


def _grouped(cells: pa.Table, by: str | None) -> list[AttritionGroup]:
    """The counts of each group, the one with the most posts first; those of which it is not known last."""
    keys = [*([by] if by else []), "level", "why"]
    reached: dict[str | None, list[int]] = {} if by else {None: [0] * len(STEPS)}
    losses: dict[str | None, list[Loss]] = {}
    for row in cells.group_by(keys).aggregate([("count_all", "sum")]).to_pylist():
        name, level, n = row.get(by), row["level"], row["count_all_sum"]
        counts = reached.setdefault(name, [0] * len(STEPS))
        counts[: level + 1] = [count + n for count in counts[: level + 1]]
        if row["why"] >= 0:
            losses.setdefault(name, []).append(Loss(level + 1, WHY[row["why"]], n))
    order = sorted(reached, key=lambda name: (name is None, -reached[name][0], name or ""))
    if by == "minor":
        order.sort(key=MINOR_FLAGS.index)
    return [
        AttritionGroup(name, tuple(reached[name]), tuple(sorted(losses.get(name, []), key=_by_step)))
        for name in order
    ]


def _by_step(loss: Loss) -> tuple[int, int, str]:
    return loss.step, -loss.posts, loss.reason


def _last_two(level_N: Ints) -> tuple[int, int]:
    return int((level_N >= JUDGED).sum()), int((level_N >= ANNOTATED).sum())
