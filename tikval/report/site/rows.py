"""A stage's table as a report needs it: counted in full, with the rows of some videos. Read file by file.

Shape letters: N videos of the catalog.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tikval.evaluate.scores import Coverage
from tikval.evaluate.video_groups import encoded, joined
from tikval.report.site.record import Failure
from tikval.rows import LabelRow, Reason
from tikval.stats.arrays import Bools, Ints
from tikval.store.folder import Folder
from tikval.store.row_keys import KeyPlaces, contains, keys_of

FAILURES_LISTED: Final = 10_000
_AT_ONCE: Final = 2**20  # videos
_COUNTED: Final = ("video_id", "row_key", "error", "detail")
_OF_SYSTEMS: Final = ("split", "seed", "abstained")


@dataclass(frozen=True, slots=True)
class StageRows:
    """One folder's rows of videos that the catalog still lists."""

    coverage: Coverage
    failed: pa.Table  # video_id, row_key, error, detail
    shown: list[Any]  # rows of the videos that get a page


@dataclass(frozen=True, slots=True)
class CatalogRows:
    """The rows of a catalog [N], as far as they are counted."""

    account: pa.DictionaryArray
    genre: pa.DictionaryArray
    twice: Bools  # an earlier row has the id
    annotated: Bools
    failed: Bools  # at any stage, but for what is twice


def read_catalog_rows(
    catalog: Folder, labels: dict[str, LabelRow]
) -> tuple[CatalogRows, KeyPlaces, StageRows, pa.Table]:
    """The rows, where their keys stand, the catalog as a stage, and the failures of rows whose id is there twice.

    The stage's failures are without those.
    """
    names = pa.array(sorted(labels), pa.string())
    accounts, genres = list[pa.DictionaryArray](), list[pa.DictionaryArray]()
    twice, annotated, keys = list[Bools](), list[Bools](), KeyPlaces()
    counted, failed, doubles = list[Coverage](), list[pa.Table](), list[pa.Table]()
    for table in catalog.tables([*_COUNTED, "account", "genre"]):
        accounts.append(encoded(table["account"]))
        genres.append(encoded(table["genre"]))
        twice.append(is_duplicate(table))
        annotated.append(np.asarray(pc.is_in(table["video_id"], names).to_numpy(), bool))
        keys.add(keys_of(table["row_key"]))
        counted.append(coverage_of(table))
        failed.append(failed_of(table.filter(pa.array(~twice[-1]))))
        doubles.append(failed_of(table.filter(pa.array(twice[-1]))))
    twice_N, none_N = np.concatenate(twice), np.zeros(sum(map(len, twice)), bool)
    rows = CatalogRows(joined(accounts), joined(genres), twice_N, np.concatenate(annotated), none_N)
    stage = StageRows(_together(counted), pa.concat_tables(failed), [])
    keys.sort()
    return rows, keys, stage, pa.concat_tables(doubles)


def is_duplicate(listed: pa.Table) -> np.ndarray:
    """Which rows have an id that an earlier row has: bool [N]."""
    return np.asarray(pc.fill_null(pc.equal(listed["error"], Reason.DUPLICATE_ID), False).to_numpy(), bool)


def with_a_page(listed: CatalogRows, most: int) -> Bools:
    """Which videos get a page: bool [N], all, or where there are more than `most` the annotated ones first."""
    page_N: Bools = ~listed.twice
    if int(page_N.sum()) <= most:
        return page_N
    annotated = _first(page_N & listed.annotated, most)
    others = _first(page_N & ~listed.annotated, most - len(annotated))
    page_N[:] = False
    page_N[annotated] = True
    page_N[others] = True
    return page_N


def _first(some_N: Bools, most: int) -> Ints:
    """Places of the first of some videos, `most` at most; no list of all places is made."""
    found, n = [np.empty(0, np.int64)], 0
    for start in range(0, len(some_N), _AT_ONCE):
        if n >= most:
            break
        found.append(start + np.flatnonzero(some_N[start : start + _AT_ONCE]))
        n += len(found[-1])
    return np.concatenate(found)[:most]


def read_stage(folder: Folder, known: KeyPlaces, paged: NDArray[np.bytes_], *, is_system: bool) -> StageRows:
    """A stage's rows of `known` videos; of a system trained several times those of its first partition and seed.

    `paged`: S16, sorted, the keys of videos that get a page.
    """
    first = _first_run(folder, known) if is_system else None
    parts, failed, shown = [], [], list[Any]()
    for table in folder.tables([*_COUNTED, *(_OF_SYSTEMS if is_system else ())]):
        counted = table.filter(pa.array(_among(known, table) & _of_run(table, first)))
        parts.append(coverage_of(counted))
        failed.append(failed_of(counted))
    for table in folder.iter_listed(paged):
        shown += table.filter(pa.array(_of_run(table, first))).to_pylist()
    return StageRows(_together(parts), pa.concat_tables(failed), shown)


def _first_run(folder: Folder, known: KeyPlaces) -> tuple[str, int] | None:
    """The first partition and seed of rows that are listed; None: no row is."""
    found = set[tuple[str, int]]()
    for table in folder.tables(["row_key", "split", "seed"]):
        table = table.filter(pa.array(_among(known, table)))
        runs = table.select(["split", "seed"]).group_by(["split", "seed"]).aggregate([]).to_pylist()
        found |= {(run["split"] or "", run["seed"] or 0) for run in runs}
    return min(found, default=None)


def _among(known: KeyPlaces, table: pa.Table) -> Bools:
    return known.find(keys_of(table["row_key"])) >= 0


def _of_run(table: pa.Table, first: tuple[str, int] | None) -> np.ndarray:
    if first is None:
        return np.ones(table.num_rows, bool)
    split = pc.equal(pc.fill_null(table["split"], ""), first[0])
    return np.asarray(pc.and_(split, pc.equal(pc.fill_null(table["seed"], 0), first[1])).to_numpy(), bool)


def _together(parts: Sequence[Coverage]) -> Coverage:
    """What all files of a stage come to."""
    counts = sum((Counter(part.failures) for part in parts), Counter[str]())
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return Coverage(
        sum(part.rows for part in parts),
        sum(part.results for part in parts),
        sum(part.abstained for part in parts),
        ordered,
    )


def coverage_of(table: pa.Table) -> Coverage:
    """The same as evaluate.scores.coverage, without a Python object per row."""
    failed = table["error"].drop_null()
    counts = {count["values"]: count["counts"] for count in pc.value_counts(failed).to_pylist()}
    abstained = pc.sum(table["abstained"]).as_py() or 0 if "abstained" in table.column_names else 0
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return Coverage(table.num_rows, table.num_rows - len(failed), abstained, ordered)


def failed_of(table: pa.Table) -> pa.Table:
    return table.filter(pc.is_valid(table["error"])).select(["video_id", "row_key", "error", "detail"])


def failures_of(stages: dict[str, StageRows], twice: pa.Table) -> tuple[list[Failure], int]:
    """Each video once, at the stage where it failed first, and rows whose id was `twice` listed; how many in all.

    A row of `twice` may have the key of the row that has the id, which did not fail by that.
    """
    seen = np.empty(0, "S16")
    found = [
        Failure(row["video_id"], "catalog", row["error"], row["detail"])
        for row in twice.slice(0, FAILURES_LISTED).to_pylist()
    ]
    for name, stage in stages.items():
        keys = keys_of(stage.failed["row_key"])
        new = ~contains(seen, keys)
        _, once = np.unique(keys[new], return_index=True)
        rows = stage.failed.filter(pa.array(new)).take(pa.array(np.sort(once)))
        found += [
            Failure(row["video_id"], name, row["error"], row["detail"], row["row_key"])
            for row in rows.slice(0, FAILURES_LISTED).to_pylist()
        ]
        seen = np.unique(np.concatenate([seen, keys]))
    return sorted(found, key=lambda failure: failure.video_id), len(seen) + twice.num_rows
