"""Who was erased from a study: `erased.json` holds keyed hashes of ids and accounts, so that it names nobody.

The key lies outside the study (study_key.py): who has the folder alone cannot try names. Lists that versions without a
key wrote hold salted hashes; these are honoured as they are, and keyed when their names are seen again.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast

from tikval.config import UserError
from tikval.files import read_bytes, write_bytes
from tikval.privacy import canonical_account
from tikval.rows import AccountRow, LabelRow, PostRow, VideoRow
from tikval.study_key import find_study_key, study_key

R = TypeVar("R", VideoRow, LabelRow, AccountRow, PostRow)

KINDS: Final = ("videos", "accounts")
ID_COLUMNS: Final = ("video_id", "other_id", "alias")  # of any table: a video by one of its names
SOMEONE: Final = "@someone"
_MENTION: Final = re.compile(r"[@\uff20\ufe6b][\w.\-]*\w")


def not_erased(out: str, rows: Iterable[R]) -> list[R]:
    """Rows that name no video and no account that was erased from this study; captions no longer mention one.

    Raises UserError where the key is missing or another one: nobody comes back because of that.
    """
    return list(iter_not_erased(out, rows))


def iter_not_erased(out: str, rows: Iterable[R]) -> Iterator[R]:
    """The rows of `not_erased`, one by one."""
    erased = _Erased.of(out)
    if erased is None:
        yield from rows
        return
    for row in rows:
        if erased.names(row):
            continue
        if caption := row.get("caption"):
            cast(dict[str, Any], row)["caption"] = _MENTION.sub(erased.hidden, str(caption))
        yield row
    erased.save_if_keyed()


def still_there(out: str, video_ids: Iterable[str]) -> set[str]:
    """Those of the ids that were erased from this study, by whichever command. Raises UserError as not_erased."""
    erased = _Erased.of(out)
    return {name for name in video_ids if erased.has("videos", name)} if erased else set()


def remember_erased(out: str, ids: set[str], accounts: set[str]) -> None:
    """Add videos and accounts to the list, whose salt stays that of its first entry; the first one makes the key."""
    erased = _Erased.of(out, create=True)
    assert erased is not None
    for kind, names in (("videos", ids), ("accounts", set(map(canonical_account, accounts)))):
        for name in names:
            erased.has(kind, name)  # an entry without a key is keyed
            erased.keyed[kind].add(erased.hash(name))
    erased.save()


def erased_hashes(out: str, ids: Iterable[str]) -> set[str]:
    """What stands for these ids in files that may name nobody. Raises UserError as not_erased."""
    erased = _Erased.of(out)
    return {erased.hash(name) for name in ids} if erased else set()


class _Erased:
    """erased.json, and the key to it."""

    def __init__(self, out: str, written: Mapping[str, Any], key: bytes | None) -> None:
        self.place, self.key = f"{out}/erased.json", key
        self.salt = bytes.fromhex(written["salt"])
        keyed = "key" in written
        old = written.get("unkeyed", {}) if keyed else written
        self.keyed = {kind: set[str](written.get(kind, ()) if keyed else ()) for kind in KINDS}
        self.unkeyed = {kind: set[str](old.get(kind, ())) for kind in KINDS}
        self.changed = False

    @classmethod
    def of(cls, out: str, create: bool = False) -> "_Erased | None":
        """The list of a study; None where nobody was erased, unless it is to be created."""
        out = out.rstrip("/")
        place, data = f"{out}/erased.json", read_bytes(f"{out}/erased.json")
        if data is None:
            return (
                cls(out, {"salt": secrets.token_hex(16), "key": ""}, study_key(create=True))
                if create
                else None
            )
        try:
            written = json.loads(data)
            wanted = written.get("key")
            key = study_key(create) if create and wanted is None else find_study_key()
            if wanted is not None and (key is None or _key_id(key) != wanted):
                state = "there is no key" if key is None else f"the key here is another one ({_key_id(key)})"
                raise UserError(
                    f"{place}: names who was erased in hashes of the key {wanted}, and {state}; nothing is listed "
                    "until it is back: set TIKVAL_KEY, or put ~/.config/tikval/key there as it was when `tikval "
                    "erase` ran"
                )
            return cls(out, written, key)
        except (ValueError, KeyError, AttributeError, TypeError) as err:
            raise UserError(f"{place}: cannot be read ({err}); put it back from a copy") from err

    def has(self, kind: str, name: str) -> bool:
        if self.key and self.hash(name) in self.keyed[kind]:
            return True
        if not self.unkeyed[kind]:
            return False
        before = _digest(name, self.salt, b"")
        if before not in self.unkeyed[kind]:
            return False
        if self.key:
            self.unkeyed[kind].discard(before)
            self.keyed[kind].add(self.hash(name))
            self.changed = True
        return True

    def names(self, row: Mapping[str, object]) -> bool:
        """Whether a row is of somebody who was erased, by any of its names."""
        videos = [row.get(column) for column in ID_COLUMNS]
        account = row.get("account")
        accounts = [str(account), canonical_account(str(account))] if account else []
        # every name is looked up, so that each is keyed
        found = [self.has("videos", str(name)) for name in videos if name]
        return any([*found, *(self.has("accounts", name) for name in accounts)])

    def hidden(self, mention: re.Match[str]) -> str:
        return SOMEONE if self.has("accounts", canonical_account(mention[0])) else mention[0]

    def hash(self, name: str) -> str:
        return _digest(name, self.salt, self.key or b"")

    def save_if_keyed(self) -> None:
        if self.changed:
            self.save()

    def save(self) -> None:
        assert self.key is not None
        lists = {kind: sorted(self.keyed[kind]) for kind in KINDS}
        unkeyed = {kind: sorted(self.unkeyed[kind]) for kind in KINDS if self.unkeyed[kind]}
        written = {"salt": self.salt.hex(), "key": _key_id(self.key), **lists}
        write_bytes(self.place, json.dumps(written | ({"unkeyed": unkeyed} if unkeyed else {})).encode())
        self.changed = False


def _key_id(key: bytes) -> str:
    """What tells one key from another, and nothing about it."""
    return hashlib.blake2b(b"tikval: which key", key=key, digest_size=8).hexdigest()


def _digest(name: str, salt: bytes, key: bytes) -> str:
    return hashlib.blake2b(
        name.encode("utf-8", "surrogatepass"), key=key, salt=salt, digest_size=16
    ).hexdigest()
