"""Forgetting a video: its derived rows go, and it does not come back while its file is still there.

`erased.json` beside the stages keeps salted hashes, so that the list itself names nobody.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable
from typing import TypeVar

from tikval.files import delete, list_files, read_bytes, write_bytes, write_table
from tikval.flow.folder import Folder, Run, read_parquet
from tikval.flow.study import Study
from tikval.rows import LabelRow, VideoRow

R = TypeVar("R", VideoRow, LabelRow)


def not_erased(out: str, rows: Iterable[R]) -> list[R]:
    """Rows of videos that were not erased from this study."""
    data = read_bytes(f"{out}/erased.json")
    if data is None:
        return list(rows)
    erased = json.loads(data)
    gone, salt = set(erased["videos"]), erased["salt"]
    return [row for row in rows if _hash(row["video_id"], salt) not in gone]


def erase(out: str, video_ids: set[str], accounts: set[str]) -> tuple[set[str], int]:
    """Remove videos, and all videos of accounts, from every table and page below `out`.

    Returns the ids that were found, and the number of rows that went. Scores and pages were made with these
    videos, so they are deleted whole: the analysis, run again, makes them anew.
    Raises UserError where another run works on one of the folders.
    """
    study = Study(out)
    ids = video_ids | {
        row["video_id"]
        for folder in study.folders("catalog")
        for row in folder.read(["video_id", "account"]).to_pylist()
        if row["account"] in accounts
    }
    _remember(out, ids)
    found: set[str] = set()
    rows = 0
    for folder in study.folders():
        with folder.lock():
            run = folder.finished()
            if run.stage in ("scores", "report"):
                folder.remove()
                continue
            removed = _filter(folder, run, ids, accounts)
            found |= {video_id for video_id, _ in removed}
            rows += sum(n for _, n in removed)
    return found, rows


def _filter(folder: Folder, run: Run, ids: set[str], accounts: set[str]) -> list[tuple[str, int]]:
    """Write every table of a folder anew without the erased rows; then forget the old ones."""
    removed: dict[str, int] = {}
    renamed: dict[str, str] = {}
    for name in list_files(folder.uri, ".parquet", beside=True):
        table = read_parquet(f"{folder.uri}/{name}")
        column, gone = ("video_id", ids) if "video_id" in table.column_names else ("account", accounts)
        names = table[column].to_pylist()
        keep = [name not in gone for name in names]
        for erased in (name for name, kept in zip(names, keep, strict=True) if not kept):
            removed[erased] = removed.get(erased, 0) + 1
        if not all(keep):
            renamed[name] = f"{name.partition('-')[0]}-{secrets.token_hex(8)}.parquet"
            write_table(f"{folder.uri}/{renamed[name]}", table.filter(keep))
    if renamed:
        folder.rewrite_run(run, renamed)
        for name in renamed:
            delete(f"{folder.uri}/{name}")
    return list(removed.items())


def _remember(out: str, ids: set[str]) -> None:
    data = read_bytes(f"{out}/erased.json")
    erased = json.loads(data) if data is not None else {"salt": secrets.token_hex(16), "videos": []}
    hashes = {_hash(video_id, erased["salt"]) for video_id in ids}
    erased["videos"] = sorted({*erased["videos"], *hashes})
    write_bytes(f"{out}/erased.json", json.dumps(erased).encode())


def _hash(video_id: str, salt: str) -> str:
    return hashlib.blake2b(video_id.encode(), salt=bytes.fromhex(salt), digest_size=16).hexdigest()
