"""What reports and exports call a video whose id, a path or a file's name, names somebody."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tikval.privacy import canonical_account, strip_handles
from tikval.rows import sha256
from tikval.store.runs import Study

_WORD: Final = re.compile(r"[\w.]+")
_PLAIN: Final = re.compile(r"\d+")
_KEY_CHARS: Final = 12  # of a row key, which nobody can guess without the file


def shown_ids(study: Study, more: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Names in place of ids that hold their account's name, any account's as a word, an @handle or an address.

    `more`: further ids with their accounts, of annotations and texts. Ids that are shown as they are are not among the
    keys.
    """
    listed: list[Any] = []
    if study.latest("catalog") is not None:
        listed = study.catalog().read(["video_id", "account", "row_key"]).to_pylist()
    owners = {row["video_id"]: row["account"] for row in reversed(listed)}
    owners |= {name: account for name, account in (more or {}).items() if account or name not in owners}
    keys = {row["video_id"]: row["row_key"] for row in reversed(listed)}
    return {name: f"video-{(keys.get(name) or sha256(name))[:_KEY_CHARS]}" for name in ids_that_name(owners)}


def ids_that_name(owners: Mapping[str, str | None]) -> list[str]:
    """Those of the ids that name somebody; `owners` has each id's account."""
    accounts = {name: canonical_account(name) for name in {*owners.values()} if name}
    names = set(accounts.values()) - {""}

    def names_somebody(video_id: str, owner: str | None) -> bool:
        if _PLAIN.fullmatch(video_id):
            return False
        own, folded = accounts[owner] if owner else "", canonical_account(video_id)
        return bool(
            (len(own) > 2 and own in folded)
            or names & {*_WORD.findall(folded), *folded.split("/")}
            or (any(mark in video_id for mark in "@\uff20\ufe6b") and strip_handles(video_id) != video_id)
            or "://" in video_id
        )

    return [video_id for video_id, owner in owners.items() if names_somebody(video_id, owner)]


def show_ids(table: pa.Table, shown: Mapping[str, str]) -> pa.Table:
    """A table with the ids of its column `video_id` as they are shown."""
    if not shown:
        return table
    ids = table["video_id"]
    place = pc.index_in(ids, pa.array(list(shown), pa.string()))
    names = pa.array(list(shown.values()), pa.string()).take(place.combine_chunks())
    column = table.schema.get_field_index("video_id")
    return table.set_column(column, "video_id", pc.coalesce(names, ids.combine_chunks()))
