"""The ledger: every reply that was paid for, on durable storage before anything is made of it.

    <out>/ledger/3f/3f09...e1.json    one object per call, named by what determines the reply

A call is looked up here before it is made, so that no crash, and no second recipe that asks the same, pays twice.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow.fs as pafs

from tikval.files import delete, filesystem, parse_json, read_bytes, write_bytes
from tikval.llm.client import Reply, Usage
from tikval.rows import Reason
from tikval.store.shards import whole_study

_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Entry:
    video_id: str
    reply: Reply
    cost_usd: float | None  # None: the model has no price
    at: str  # ISO 8601, UTC
    call: str | None = (
        None  # at the gate, that was replied to; None: of a ledger from before it was written down
    )


def ledger_key(identity: dict[str, Any]) -> str:
    """32 hex digits of what determines a reply: input, prompt, model, parameters, schema, sample and attempt."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


class Ledger:
    def __init__(self, out: str) -> None:
        """`out`: the folder of the study, local or an object-store URI; its shards have one ledger, the study's."""
        self.uri = f"{whole_study(out)}/ledger"

    def get(self, key: str) -> Entry | None:
        data = read_bytes(self.place(key))
        if data is None:
            return None
        payload = parse_json(data, self.place(key))
        reply = payload["reply"]
        reason = Reason(reply["reason"]) if reply["reason"] else None
        reply = Reply(**{**reply, "usage": Usage(**reply["usage"]), "reason": reason})
        return Entry(payload["video_id"], reply, payload["cost_usd"], payload["at"], payload.get("call"))

    def put(self, key: str, entry: Entry) -> None:
        """Durable on return: synced to the disk, or taken by the store."""
        write_bytes(self.place(key), json.dumps(asdict(entry)).encode())

    def forget(self, key: str) -> None:
        delete(self.place(key))

    def keys(self) -> set[str]:
        fs, path = filesystem(self.uri)
        infos = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=True))
        names = (info.base_name for info in infos if info.type == pafs.FileType.File)
        return {name.removesuffix(".json") for name in names if name.endswith(".json") and name[0] in _HEX}

    def place(self, key: str) -> str:
        """The object of one call."""
        if len(key) != 32 or not set(key) <= _HEX:
            raise ValueError("a ledger key is 32 hexadecimal digits")
        return f"{self.uri}/{key[:2]}/{key}.json"
