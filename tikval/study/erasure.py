"""Forgetting a video: its derived rows go, and it does not come back while its file is still there."""

import secrets
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.compute as pc

from tikval.annotate.rating_sheets import without
from tikval.files import delete, list_files, read_bytes, read_parquet, read_schema, write_bytes, write_table
from tikval.llm.ledger import Ledger
from tikval.privacy import canonical_account
from tikval.sources.erased import remember_erased, still_there
from tikval.stats.folds import PARTS, from_json
from tikval.store.folder import Folder
from tikval.store.runs import Study


def erase_videos(out: str, video_ids: set[str], accounts: set[str]) -> tuple[set[str], int]:
    """Remove videos, and all videos of accounts, from every table, page and paid reply below `out`, finished or not.

    Returns the ids that were found, and the number of rows that went. Scores and pages were made with these
    videos, so they are deleted whole: the analysis, run again, makes them anew.
    Raises UserError where another run works on one of the folders.
    """
    study, ledger = Study(out), Ledger(out)
    accounts = _spellings(study, accounts)
    ids = video_ids | {
        row["video_id"]
        for folder in study.folders("catalog")
        for row in [*folder.read(["video_id", "account"]).to_pylist(), *folder.read_side_table("labels")]
        if row["account"] in accounts
    }
    remember_erased(out, ids, accounts)
    ids = still_there(out, _values(study, "video_id") | ids)  # also those of an erasure that was killed
    found: set[str] = set()
    named: set[str] = set()  # ledger keys of rows that stay
    rows = 0
    for folder in [*study.folders(), *study.unfinished]:
        with folder.lock():
            folder.sweep()
            if folder.stage in ("scores", "report"):
                folder.remove()
                continue
            removed, n = _filter(folder, ids, accounts)
            found |= removed
            rows += n
            named |= _ledger_keys(folder)
            _cut_sheets(folder, ids)
            _drop_folds(folder, ids)
    for key in (
        ledger.keys() - named
    ):  # of the erased rows, of attempts that others replaced, of runs that died
        entry = ledger.get(key)
        if entry is not None and entry.video_id in ids:
            ledger.forget(key)
    return found, rows


def _spellings(study: Study, accounts: set[str]) -> set[str]:
    """These accounts as they are given, and in every spelling that tables of the study have of them."""
    wanted = set(map(canonical_account, accounts))
    return accounts | {name for name in _values(study, "account") if canonical_account(name) in wanted}


def _values(study: Study, column: str) -> set[str]:
    """Every id, or account, that a table of the study names."""
    found: set[str] = set()
    for folder in [*study.folders(), *study.unfinished]:
        for name in list_files(folder.uri, ".parquet", include_side_tables=True):
            uri = f"{folder.uri}/{name}"
            if column in read_schema(uri).names:
                found |= set(pc.unique(read_parquet(uri, [column])[column]).drop_null().to_pylist())
    return found


def unknown_accounts(out: str, accounts: set[str]) -> dict[str, list[str]]:
    """Accounts that no table of the study names in any spelling, each with up to three that are near it."""
    names = {canonical_account(name): name for name in _values(Study(out), "account")}
    return {
        account: [names[near] for near in get_close_matches(canonical_account(account), names, cutoff=0.7)]
        for account in sorted(accounts)
        if canonical_account(account) not in names
    }


def _cut_sheets(folder: Folder, ids: set[str]) -> None:
    """Scripts stand in the sheets that people rate; one that cannot be read as such goes whole."""
    for name in list_files(folder.uri, ".csv"):
        place = f"{folder.uri}/{name}"
        try:
            write_bytes(place, without(read_bytes(place) or b"", ids))
        except ValueError:
            delete(place)


def _drop_folds(folder: Folder, ids: set[str]) -> None:
    """A training's and a sweep's folds name their rows, also before there is a result: the next run makes them anew."""
    place = f"{folder.uri}/folds.json"
    written = read_bytes(place)
    if written is None:
        return
    try:
        named = {
            name for fold in from_json(written.decode()) for part in PARTS for name in getattr(fold, part)
        }
    except ValueError:  # cut short or changed: whom it names is not known
        named = ids
    if named & ids:
        delete(place)


def _ledger_keys(folder: Folder) -> set[str]:
    """Ledger keys of the folder's rows, in whichever of its files."""
    keys: set[str] = set()
    for name in folder.parts():
        uri = f"{folder.uri}/{name}"
        if "ledger_key" in read_schema(uri).names:
            keys |= set(read_parquet(uri, ["ledger_key"])["ledger_key"].drop_null().to_pylist())
    return keys


def _filter(folder: Folder, ids: set[str], accounts: set[str]) -> tuple[set[str], int]:
    """Write every table of a folder anew without the erased rows; then forget the old ones."""
    found: set[str] = set()
    rows = 0
    renamed: dict[str, str] = {}
    for name in list_files(folder.uri, ".parquet", include_side_tables=True):
        table = read_parquet(f"{folder.uri}/{name}")
        gone = pa.array([False] * table.num_rows, pa.bool_())
        for column, names in (("video_id", ids), ("other_id", ids), ("account", accounts)):
            if column in table.column_names:
                gone = pc.or_(gone, pc.is_in(table[column], pa.array(sorted(names), pa.string())))
        erased = table.filter(gone)
        if erased.num_rows:
            rows += erased.num_rows
            if "video_id" in erased.column_names and "other_id" not in erased.column_names:
                found |= set(erased["video_id"].to_pylist())  # of a pair the other one may stay
            renamed[name] = f"{name.partition('-')[0]}-{secrets.token_hex(8)}.parquet"
            write_table(f"{folder.uri}/{renamed[name]}", table.filter(pc.invert(gone)))
    if renamed:
        if run := folder.run():
            folder.rewrite_run(run, renamed)
        for name in renamed:
            delete(f"{folder.uri}/{name}")
    return found, rows
