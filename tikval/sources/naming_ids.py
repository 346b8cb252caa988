"""Which ids name somebody, and what is shown in their place."""

import re
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tikval.privacy import canonical_account, strip_handles
from tikval.rows import sha256
from tikval.sources.ids import name_by_key

_WORD: Final = re.compile(r"[\w.]+")
_PLAIN: Final = re.compile(r"\d+")
_DIGITS: Final = r"\A[0-9]+\z"  # as RE2 has it


def hidden_names(
    tables: Callable[[], Iterable[pa.Table]], more: Mapping[str, str | None] | None = None
) -> dict[str, str]:
    """Names in place of ids that hold their account's name, any account's as a word, an @handle or an address.

    `tables`: those of the videos, some at a time, read twice; they have `video_id` once each, `account` and `row_key`.
    `more`: further ids with their accounts. Ids that are shown as they are are not among the keys, nor does one of them
    become a Python object where it has digits only.
    """
    more = more or {}
    known = {name for name in more.values() if name}
    for table in tables():
        known.update(filter(None, pc.unique(table["account"]).to_pylist()))
    accounts = {name: canonical_account(name) for name in known}
    names, shown = set(accounts.values()) - {""}, dict[str, str]()
    further, keys = pa.array(list(more), pa.string()), dict[str, str]()
    for table in tables():
        for batch in table.filter(pc.invert(pc.match_substring_regex(table["video_id"], _DIGITS))).to_batches(
            2**14
        ):
            for row in batch.to_pylist():
                if _names_somebody(row["video_id"], accounts.get(row["account"], ""), names):
                    shown[row["video_id"]] = name_by_key(row["row_key"])
        some = table.filter(pc.is_in(table["video_id"], further))
        keys |= dict(zip(some["video_id"].to_pylist(), some["row_key"].to_pylist(), strict=True))
    for video_id, account in more.items():
        if video_id not in shown and _names_somebody(video_id, accounts.get(account or "", ""), names):
            shown[video_id] = name_by_key(keys.get(video_id) or sha256(video_id))
    return shown


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
