"""Who was erased from a study: `erased.json` holds salted hashes of ids and accounts, so that it names nobody."""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from typing import TypeVar

from tikval.files import read_bytes, write_bytes
from tikval.privacy import canonical_account
from tikval.rows import AccountRow, LabelRow, VideoRow

R = TypeVar("R", VideoRow, LabelRow, AccountRow)


def not_erased(out: str, rows: Iterable[R]) -> list[R]:
    """Rows that name no video and no account that was erased from this study."""
    data = read_bytes(f"{out}/erased.json")
    if data is None:
        return list(rows)
    erased = json.loads(data)
    gone = {"video_id": set(erased["videos"]), "account": set(erased["accounts"])}

    def named(row: Mapping[str, object]) -> bool:
        account = row.get("account")
        names = [("video_id", row.get("video_id")), ("account", account)]
        names += [("account", canonical_account(str(account)))] if account else []
        return any(name and _hash(str(name), erased["salt"]) in gone[column] for column, name in names)

    return [row for row in rows if not named(row)]


def still_there(out: str, video_ids: Iterable[str]) -> set[str]:
    """Those of the ids that were erased from this study, by whichever command."""
    data = read_bytes(f"{out}/erased.json")
    if data is None:
        return set()
    erased = json.loads(data)
    gone = set(erased["videos"])
    return {name for name in video_ids if _hash(name, erased["salt"]) in gone}


def remember_erased(out: str, ids: set[str], accounts: set[str]) -> None:
    """Add videos and accounts to the list, whose salt stays that of its first entry."""
    data = read_bytes(f"{out}/erased.json")
    before = json.loads(data) if data is not None else {"salt": secrets.token_hex(16)}
    erased = {"salt": before["salt"]}
    for kind, names in (("videos", ids), ("accounts", set(map(canonical_account, accounts)))):
        hashes = {_hash(name, before["salt"]) for name in names}
        erased[kind] = sorted({*before.get(kind, ()), *hashes})
    write_bytes(f"{out}/erased.json", json.dumps(erased).encode())


def _hash(video_id: str, salt: str) -> str:
    return hashlib.blake2b(video_id.encode(), salt=bytes.fromhex(salt), digest_size=16).hexdigest()
