"""What reports and exports call a video whose id, a path or a file's name, names somebody."""

import re
from collections.abc import Mapping, Set
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tikval.privacy import canonical_account, strip_handles
from tikval.rows import Reason, sha256
from tikval.sources.ids import name_by_key
from tikval.store.runs import Study

_WORD: Final = re.compile(r"[\w.]+")
_PLAIN: Final = re.compile(r"\d+")
_DIGITS: Final = r"\A[0-9]+\z"  # as RE2 has it


def shown_ids(study: Study, more: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Names in place of ids that hold their account's name, any account's as a word, an @handle or an address.

    `more`: further ids with their accounts, of annotations and texts. Ids that are shown as they are are not among the
    keys, nor does one of them become a Python object where it has digits only.
    """
    return hidden_names(_listed(study), more)


def hidden_names(listed: pa.Table, more: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """The same of videos that need not be a study's: `listed` has `video_id` once each, `account` and `row_key`."""
    known = [name for name in pc.unique(listed["account"]).to_pylist() if name]
    accounts = {
        name: canonical_account(name) for name in {*known, *(name for name in (more or {}).values() if name)}
    }
    names, shown = set(accounts.values()) - {""}, dict[str, str]()
    for batch in listed.filter(pc.invert(pc.match_substring_regex(listed["video_id"], _DIGITS))).to_batches(
        2**14
    ):
        for row in batch.to_pylist():
            if _names_somebody(row["video_id"], accounts.get(row["account"], ""), names):
                shown[row["video_id"]] = name_by_key(row["row_key"])
    for video_id, account in (more or {}).items():
        if video_id not in shown and _names_somebody(video_id, accounts.get(account or "", ""), names):
            shown[video_id] = name_by_key(_key_of(listed, video_id))
    return shown


def _listed(study: Study) -> pa.Table:
    """Ids, accounts and row keys of the catalog's videos, each id once."""
    columns = ["video_id", "account", "row_key", "error"]
    if study.latest("catalog") is None:
        return pa.table({name: pa.array([], pa.string()) for name in columns})
    listed = study.catalog().read(columns)
    return listed.filter(pc.fill_null(pc.not_equal(listed["error"], Reason.DUPLICATE_ID), True))


def _key_of(listed: pa.Table, video_id: str) -> str:
    at = pc.index(listed["video_id"], video_id).as_py()
    return str(listed["row_key"][at]) if at >= 0 else sha256(video_id)


def _names_somebody(video_id: str, own: str, names: Set[str]) -> bool:
    """Whether an id names an account; `own`: the canonical name of its own, `names`: those of all."""
    if _PLAIN.fullmatch(video_id):
        return False
    folded = canonical_account(video_id)
    return bool(
        (len(own) > 2 and own in folded)
        or names & {*_WORD.findall(folded), *folded.split("/")}
        or (any(mark in video_id for mark in "@\uff20\ufe6b") and strip_handles(video_id) != video_id)
        or "://" in video_id
    )


def show_ids(table: pa.Table, shown: Mapping[str, str]) -> pa.Table:
    """A table with the ids of its column `video_id` as they are shown."""
    if not shown:
        return table
    ids = table["video_id"]
    place = pc.index_in(ids, pa.array(list(shown), pa.string()))
    names = pa.array(list(shown.values()), pa.string()).take(place.combine_chunks())
    column = table.schema.get_field_index("video_id")
    return table.set_column(column, "video_id", pc.coalesce(names, ids.combine_chunks()))
