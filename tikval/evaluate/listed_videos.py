"""The videos of a catalog as a corpus needs them: the columns that are asked for, and where rows and ids stand.

Read file by file. Shape letters: V videos of the catalog, M of them whose ids were looked for.
"""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.evaluate.video_groups import MONTH, coded_months, encoded, joined
from tikval.sources.posts import VideosWithPosts
from tikval.stats.arrays import Bools, Ints
from tikval.store.folder import Folder
from tikval.store.row_keys import KeyPlaces, keys_of

_COLUMNS: Final = ("account", "genre")  # of every corpus
_OF_ONE: Final = ("video_id", "row_key")  # texts that no two videos share


class ListedVideos(NamedTuple):
    """The V videos of a catalog."""

    videos: pa.Table  # [V] the columns that were asked for; texts that videos share are dictionaries
    by_key: KeyPlaces | None  # places by row key, where results are to be read
    usable: Bools  # [V] listed without a failure
    names: list[str]  # ids that were looked for, sorted
    at: Ints  # [M] places of videos with these ids
    which: Ints  # [M] the place of its id in `names`

    def places(self, ids: Sequence[str], among_V: Bools) -> Ints:
        """[len(ids)] the first place of each id among some of the videos, -1 where it is not there."""
        among = among_V[self.at]
        which, first = np.unique(self.which[among], return_index=True)
        place = dict(zip(which.tolist(), self.at[among][first].tolist(), strict=True))
        number = {name: i for i, name in enumerate(self.names)}
        return np.array([place.get(number[name], -1) for name in ids], np.int64)


def read_listed(
    catalog: Folder, columns: Sequence[str], names: Collection[str], *, with_places: bool = False
) -> ListedVideos:
    """The videos of a catalog, file by file, and where those stand whose ids are `names`."""
    columns, names = list(dict.fromkeys([*_COLUMNS, *columns])), sorted(set(names))
    wanted, start = pa.array(names, pa.string()), 0
    parts: dict[str, list[pa.Array]] = {name: [] for name in columns}
    by_key, usable = KeyPlaces(), [np.empty(0, bool)]
    at, which = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    read = ["posted_at" if name == MONTH else name for name in columns]
    for table in VideosWithPosts(catalog, [*read, "video_id", "row_key", "error"]):
        if MONTH in columns:
            table = table.append_column(MONTH, coded_months(table["posted_at"]))
        for name, chunks in parts.items():
            chunks.append(_encoded(name, table[name]))
        if with_places:
            by_key.add(keys_of(table["row_key"]))
        usable.append(np.asarray(table["error"].is_null().to_numpy(), bool))
        found = pc.fill_null(pc.index_in(table["video_id"], wanted), -1).to_numpy()
        at.append(start + np.flatnonzero(found >= 0))
        which.append(found[found >= 0].astype(np.int64))
        start += table.num_rows
    # one column after another, as each stands twice while it is joined
    videos = pa.table({name: joined(parts.pop(name)) for name in columns})
    if with_places:
        by_key.sort()
    usable_V, at_M, which_M = (np.concatenate(each) for each in (usable, at, which))
    return ListedVideos(videos, by_key if with_places else None, usable_V, names, at_M, which_M)


def _encoded(name: str, column: pa.ChunkedArray) -> pa.Array:
    return encoded(column) if column.type == pa.string() and name not in _OF_ONE else column.combine_chunks()
