"""What is known of each video of a study beside its results: its post and its account, and what people annotated.

Columns of Arrow over files of the catalog, from which the lines of an export are taken: no Python object per video.
Shape letters: R rows of results, A annotated videos, V values.
"""

from collections import OrderedDict
from collections.abc import Set
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.evaluate.video_groups import encoded
from tikval.privacy import strip_handles
from tikval.report.export.columns import POST, TIME
from tikval.report.shown_ids import show_ids, shown_ids
from tikval.rows import LabelRow, Reason
from tikval.sources.posts import VideosWithPosts
from tikval.stats.arrays import Floats
from tikval.store.row_keys import KeyPlaces, keys_of
from tikval.store.runs import Study

NAMING: Final = ("url", "music", "hashtags")  # columns of a post that may name somebody
_COLUMNS: Final = ("video_id", "row_key", "account", "genre", "posted_at", "caption", "error")
_FILES_HELD: Final = 8  # of the catalog: results stand in its order, but for those of shards that were merged
_BATCH: Final = 2**14  # captions that are Python strings at once


class Posts:
    """The catalog's videos by row key: of a few files at a time all columns are held, of the others their keys."""

    def __init__(self, study: Study, *, names: bool) -> None:
        """`names`: ids, accounts and captions as they are, also where they name somebody."""
        catalog, self._names = study.catalog(), names
        self._told = [column.name for column in POST if names or column.name not in NAMING]
        self._files = VideosWithPosts(catalog, [*_COLUMNS, *self._told])
        self._shown = {} if names else shown_ids(study)
        self._places, sizes, self._accounts = KeyPlaces(), list[int](), dict[str, str]()
        for table in catalog.tables(["row_key", "account", "error"]):
            self._places.add(keys_of(table["row_key"]))
            sizes.append(table.num_rows)
            self._number(table)
        self._starts = np.cumsum([0, *sizes])
        self._places.sort()
        self._held = OrderedDict[int, dict[str, pa.ChunkedArray]]()

    def among(self, rows: pa.Table) -> pa.Table:
        """The rows of videos that the catalog lists."""
        return rows.filter(pa.array(self._places.find(keys_of(rows["row_key"])) >= 0))

    def columns_of(self, rows: pa.Table) -> dict[str, pa.ChunkedArray]:
        """The columns of VIDEO for rows [R] that the catalog lists."""
        at_R = self._places.find(keys_of(rows["row_key"]))
        file_R = np.searchsorted(self._starts, at_R, side="right") - 1
        parts, where = list[pa.Table](), list[NDArray[np.int64]]()
        for file in np.unique(file_R).tolist():
            mine = np.flatnonzero(file_R == file)
            columns = pa.table(self._columns(file))
            parts.append(columns.take(pa.array(at_R[mine] - self._starts[file])))
            where.append(mine)
        if not parts:
            parts, where = [pa.table(self._columns(0)).slice(0, 0)], [np.empty(0, np.int64)]
        order = np.argsort(np.concatenate(where))
        found = pa.concat_tables(parts)
        return {name: found[name].take(pa.array(order)) for name in found.column_names}

    def _columns(self, file: int) -> dict[str, pa.ChunkedArray]:
        """The columns of VIDEO for the rows of one file of the catalog."""
        if file not in self._held:
            if len(self._held) == _FILES_HELD:
                self._held.popitem(last=False)
            self._held[file] = self._shown_columns(self._files.table(file))
        self._held.move_to_end(file)
        return self._held[file]

    def _shown_columns(self, listed: pa.Table) -> dict[str, pa.ChunkedArray]:
        return {
            "video_id": show_ids(listed, self._shown)["video_id"],
            "account": listed["account"] if self._names else self._numbered(listed["account"]),
            "genre": listed["genre"],
            "posted_at": listed["posted_at"].cast(TIME, safe=False),
            "caption": listed["caption"] if self._names else _without_handles(listed),
            **{name: _plain(listed[name]) for name in self._told},
        }

    def _number(self, listed: pa.Table) -> None:
        """Accounts by a number, in the order in which the catalog has them: what a report's pages call them."""
        error = pc.fill_null(listed["error"], "")
        first = listed["account"].filter(pc.not_equal(error, Reason.DUPLICATE_ID))
        for name in pc.unique(first).to_pylist():
            if name and name not in self._accounts:
                self._accounts[name] = f"account {len(self._accounts) + 1}"

    def _numbered(self, accounts: pa.ChunkedArray) -> pa.ChunkedArray:
        coded = encoded(accounts)
        names = [self._accounts.get(name) for name in coded.dictionary.to_pylist()]
        return pa.chunked_array([pa.array(names, pa.string()).take(coded.indices)])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column that a table of text can hold."""
    if pa.types.is_list(column.type):
        return pc.binary_join(column, " ")
    return column.cast(TIME, safe=False) if pa.types.is_timestamp(column.type) else column


def _without_handles(listed: pa.Table) -> pa.ChunkedArray:
    posts = listed.select(["caption", "account"])
    order = pc.sort_indices(posts["account"])  # a name is looked for with a pattern, which is made once
    parts = []
    for batch in posts.take(order).to_batches(_BATCH):
        pairs = zip(batch["caption"].to_pylist(), batch["account"].to_pylist(), strict=True)
        parts.append(
            pa.array([text and strip_handles(text, account) for text, account in pairs], pa.string())
        )
    return pa.chunked_array(parts, pa.string()).take(pc.sort_indices(order))


class Annotations:
    """The stances of one annotator over each of some label sets."""

    def __init__(self, study: Study, label_sets: Set[str], annotator: str | None) -> None:
        """`annotator`: None is the one of the last evaluation, or the only one.

        Raises UserError for an annotator whom the catalog lacks.
        """
        rows: list[LabelRow] = study.catalog().read_side_table("labels") if study.latest("catalog") else []
        there = sorted({row["annotator"] for row in rows})
        if annotator is not None and annotator not in there:
            raise UserError(f"no annotator {annotator}; there are {', '.join(there) or 'none'}")
        scored = study.latest("scores")
        chosen = annotator or (scored[1].config.get("annotator") if scored else None)
        self._of: dict[str, tuple[pa.Array, Floats]] = {}  # by label set: [A] ids, [A, V] stances or NaN
        self.notes: list[str] = []
        for label_set in sorted(label_sets & {row["label_set"] for row in rows}):
            over = [row for row in rows if row["label_set"] == label_set]
            names = sorted({row["annotator"] for row in over})
            whose = chosen if chosen in names else names[0] if len(names) == 1 and annotator is None else None
            mine = [row for row in over if row["annotator"] == whose]
            if mine:
                ids = pa.array([row["video_id"] for row in mine], pa.string())
                self._of[label_set] = ids, np.array([row["stances"] for row in mine], np.float64)
            elif annotator is None:
                several = ", ".join(names)
                self.notes.append(
                    f"annotations are left out; name one of several annotators with --annotator: {several}"
                )

    def columns_of(self, rows: pa.Table, codebook: Codebook) -> list[pa.Array]:
        """A column of stances for each of the codebook's V values; null where a row's video is not annotated."""
        n_values = len(codebook.slugs)
        ids, stances = self._of.get(codebook.label_set, (None, np.empty((0, 0))))
        if ids is None or stances.shape[1] != n_values:
            return [pa.nulls(rows.num_rows, pa.int8())] * n_values
        at = pc.index_in(rows["video_id"], ids).combine_chunks()
        columns = [pa.array(stances_A, mask=np.isnan(stances_A)) for stances_A in stances.T]
        return [column.cast(pa.int8()).take(at) for column in columns]
