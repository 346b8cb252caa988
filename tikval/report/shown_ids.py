"""What reports and exports call a video whose id, a path or a file's name, names somebody."""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from tikval.rows import Reason
from tikval.sources.naming_ids import hidden_names
from tikval.store.runs import Study


def shown_ids(study: Study, more: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Names in place of ids that hold their account's name, any account's as a word, an @handle or an address.

    `more`: further ids with their accounts, of annotations and texts.
    """
    return hidden_names(lambda: _listed(study), more)


def _listed(study: Study) -> Iterator[pa.Table]:
    """Ids, accounts and row keys of the catalog's videos, each id once, by file."""
    if study.latest("catalog") is None:
        return
    for table in study.catalog().tables(["video_id", "account", "row_key", "error"]):
        yield table.filter(pc.fill_null(pc.not_equal(table["error"], Reason.DUPLICATE_ID), True))


def show_ids(table: pa.Table, shown: Mapping[str, str]) -> pa.Table:
    """A table with the ids of its column `video_id` as they are shown."""
    if not shown:
        return table
    ids = table["video_id"]
    place = pc.index_in(ids, pa.array(list(shown), pa.string()))
    names = pa.array(list(shown.values()), pa.string()).take(place.combine_chunks())
    column = table.schema.get_field_index("video_id")
    return table.set_column(column, "video_id", pc.coalesce(names, ids.combine_chunks()))
