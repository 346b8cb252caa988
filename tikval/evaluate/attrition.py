"""How many posts of a study get how far, from listed to annotated, and why the others do not.

Steps are nested: a post that is counted at one is counted at each before it. docs/attrition.md defines them. Counted
column by column, for millions of posts. Shape letters: N posts, V videos of the catalog.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tikval.config import UserError
from tikval.evaluate.attrition_groups import AttritionGroup, all_together, grouped
from tikval.evaluate.attrition_posts import PostCodes, VideoCodes, posts_of, videos_of
from tikval.evaluate.attrition_steps import (
    ANNOTATED,
    CODE,
    JUDGED,
    NO_LABEL,
    NO_ROW,
    NO_SYSTEM,
    NOT_OPENED,
    OPENING,
    STEPS,
    WHY,
    is_one_of,
    last_step,
    taken,
    why_not_judged,
    why_not_read,
    why_not_there,
)
from tikval.evaluate.video_groups import encoded
from tikval.rows import AccountRow, Outcome, Reason, arrow_schema
from tikval.sources.posts import read_told
from tikval.stats.arrays import Codes
from tikval.store.runs import Study

GROUPINGS: Final = ("genre", "account", "minor")
MINOR_FLAGS: Final = ("yes", "no", None)
_NO_POST: Final = (Outcome.LIVE, Outcome.OTHER_PLATFORM, Outcome.INVALID_ROW)
_AT_ONCE: Final = 2**20  # posts that are counted at once
_NO_POST_ERRORS: Final = (Reason.INVALID_ID, Reason.INVALID_ROW)


@dataclass(frozen=True)
class Attrition:
    """How far the posts of a study get. The groups of one kind add up to the total, at each step and reason."""

    system: str | None  # whose results count as judged; None: no system has any
    total: AttritionGroup
    groups: Mapping[str, Sequence[AttritionGroup]]  # by each of GROUPINGS, the one with the most posts first
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
    labels = pa.array(sorted({row["video_id"] for row in study.annotations()}), pa.string())
    told = read_told(catalog, ["video_id", "account", "source", "outcome"])
    videos, by_key, ids, doubles = videos_of(catalog, labels, with_ids=told.num_rows > 0)
    not_read_V = why_not_read(
        by_key, videos.error, [each for stage in OPENING for each in study.folders(stage)]
    )
    not_judged = {
        name: why_not_judged(by_key, len(videos.error), folder) for name, (folder, _) in systems.items()
    }
    del by_key  # it is as large as all the rest
    found = count_attrition(
        posts_of(told, ids, videos.annotated, labels),
        videos,
        pa.Table.from_pylist(catalog.read_side_table("accounts"), arrow_schema(AccountRow)),
        not_read_V,
        not_judged,
        len(labels),
        system,
    )
    return (
        replace(found, set_aside={**found.set_aside, Reason.DUPLICATE_ID.value: doubles})
        if doubles
        else found
    )


def count_attrition(
    posts: PostCodes,
    videos: VideoCodes,
    accounts: pa.Table,
    not_read_V: Codes,
    not_judged: Mapping[str, Codes],
    n_labelled: int,
    system: str | None = None,
) -> Attrition:
    """Count posts [N] by what became of their videos [V].

    `not_read_V`, and `not_judged` by system: codes of why_not_read and why_not_judged. `n_labelled`: annotated ids,
    listed or not. `system`: whose results count; None: those of the first by name.
    """
    system = system or min(not_judged, default=None)
    error_N = taken(videos.error, posts.video)
    odd_N = is_one_of(error_N, _NO_POST_ERRORS)
    is_post_N = ~(odd_N | is_one_of(posts.outcome, _NO_POST))
    set_aside = Counter(np.where(odd_N, error_N, posts.outcome)[~is_post_N].tolist())
    if set_aside:
        posts, error_N = posts.only(is_post_N), error_N[is_post_N]
    at_N, annotated_N = posts.video, posts.annotated
    there = why_not_there(posts.alone, posts.outcome, error_N, at_N)
    not_read_N = taken(not_read_V, at_N, NOT_OPENED)
    not_annotated_N = np.where(annotated_N, np.int8(-1), np.int8(CODE[NO_LABEL]))

    def steps_of(name: str | None) -> tuple[Codes, Codes]:
        none_N = np.full(len(at_N), CODE[NO_SYSTEM], np.int8)
        not_N = none_N if name is None else taken(not_judged[name], at_N, NO_ROW)
        return last_step([*there, not_read_N, not_N, not_annotated_N])

    level_N, why_N = steps_of(system)
    cells = _cells(posts, videos, accounts, level_N, why_N)
    lost = Counter(level_N[annotated_N & (level_N < JUDGED)].tolist())
    annotated_lost = {STEPS[0]: n_labelled - int(annotated_N.sum())}
    annotated_lost |= {STEPS[level + 1]: n for level, n in sorted(lost.items())}
    return Attrition(
        system,
        all_together(cells),
        {by: _groups(cells, by) for by in GROUPINGS},
        {WHY[code]: n for code, n in sorted(set_aside.items())},
        {step: n for step, n in annotated_lost.items() if n},
        {name: _last_two(steps_of(name)[0]) for name in sorted(not_judged) if name != system},
    )


def _cells(
    posts: PostCodes, videos: VideoCodes, accounts: pa.Table, level_N: Codes, why_N: Codes
) -> pa.Table:
    """How many posts there are of each genre, account, minor flag, step and reason: what a video has, else its account.

    Counted some at a time, as numbers, whose texts are those of the few cells.
    """
    known = accounts.group_by("account", use_threads=False).aggregate(
        [("genre", "first"), ("is_minor", "any")]
    )
    accounts_V, accounts_P, names = _together(videos.account, posts.account)
    genres_V, genres_K, genres = _together(videos.genre, encoded(known["genre_first"]))
    row_A = pc.fill_null(
        pc.index_in(names, known["account"].combine_chunks()), -1
    ).to_numpy()  # of each account
    genre_A = taken(genres_K, row_A)
    minor_A = taken(pc.fill_null(pc.cast(known["is_minor_any"], pa.int8()), -1).to_numpy(), row_A)
    parts = []
    for start in range(0, max(len(level_N), 1), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        at = posts.video[some]
        account = _first_known(taken(accounts_V, at), accounts_P[some])
        columns = {
            "genre": _first_known(taken(genres_V, at), taken(genre_A, account)),
            "account": account,
            "minor": _first_known(taken(videos.is_minor, at), taken(minor_A, account)),
            "level": level_N[some],
            "why": why_N[some],
        }
        parts.append(pa.table(columns).group_by(list(columns)).aggregate([([], "count_all")]))
    cells = pa.concat_tables(parts)
    texts = {"genre": genres, "account": names, "minor": pa.array(["no", "yes"])}
    for name, words in texts.items():
        code = cells[name].combine_chunks()
        words = words.take(pc.if_else(pc.less(code, 0), None, code))
        cells = cells.set_column(cells.column_names.index(name), name, words)
    return cells


def _together(
    some: pa.DictionaryArray, others: pa.DictionaryArray
) -> tuple[NDArray[Any], NDArray[Any], pa.Array]:
    """Numbers of texts, -1 for null, in one list of texts: those of `some` as they were."""
    new = others.dictionary.filter(pc.invert(pc.is_in(others.dictionary, some.dictionary)))
    names = pa.concat_arrays([some.dictionary, new])
    place = np.append(pc.index_in(others.dictionary, names).to_numpy(), -1).astype(np.int32)
    first, second = (pc.fill_null(each.indices, -1).to_numpy(zero_copy_only=False) for each in (some, others))
    return first, place[second], names


def _first_known(codes: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
    return np.where(codes >= 0, codes, others)


def _groups(cells: pa.Table, by: str) -> Sequence[AttritionGroup]:
    found = grouped(cells, by)
    return sorted(found, key=lambda group: MINOR_FLAGS.index(group.name)) if by == "minor" else found


def _last_two(level_N: Codes) -> tuple[int, int]:
    return int((level_N >= JUDGED).sum()), int((level_N >= ANNOTATED).sum())
