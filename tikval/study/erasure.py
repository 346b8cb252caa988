"""Forgetting a video: its derived rows go, and it does not come back while its file is still there.

The catalogs go last: as long as anything is left, the same command finds it again, wherever it was killed.
"""

import json
import re
import secrets
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tikval.annotate.rating_sheets import without
from tikval.claims.declaration import family_folder, family_names
from tikval.evaluate.batches import FOLDER as BATCHES
from tikval.evaluate.development import trial_folders
from tikval.files import (
    delete,
    delete_folder,
    has_folder,
    list_files,
    parse_json,
    read_bytes,
    read_parquet,
    read_schema,
    write_bytes,
    write_table,
)
from tikval.llm.batch_jobs import JobFiles
from tikval.llm.ledger import Ledger
from tikval.llm.uploads import Upload, Uploads
from tikval.privacy import canonical_account
from tikval.sources.erased import remember_erased
from tikval.sources.tables import Say, print_note
from tikval.stats.folds import PARTS, from_json
from tikval.store.folder import Folder
from tikval.store.runs import Study, stage_folders
from tikval.store.shards import shard_outs
from tikval.study.erased_names import ErasedNames, find_erased_names, ids_of
from tikval.study.erasure_coding import coded_items, erase_from_coding
from tikval.study.erasure_proof import cells_with_names, files_below
from tikval.study.learnt_models import note_models

# of the ledger, whole or half written
_ENTRY: Final = re.compile(r"(?:^|/)(?:[0-9a-f]{32}\.json|\.tmp-[^/]*)$")
_REMOVED: Final = ("scores", "report")  # made with the erased, and quickly made anew
# of others, who may mention them
_TEXTS: Final = ("caption", "script", "notes", "detail", "unheard", "url", "music", "hashtags", "evidence")
_MENDED: Final = (".json", ".csv", ".md", ".txt", ".log")
_AS_WRITTEN: Final = ("run.json", "judged_by.json")  # with another path in it a recipe would be another one
_MODELS: Final = ("models/", "encoders/")  # a tokenizer's words are nobody's names
_THREADS: Final = 16  # a store answers each request late


def names_to_erase(out: str, video_ids: set[str], accounts: set[str]) -> ErasedNames:
    """All names under which a study knows some videos and accounts. Raises UserError where no study lies."""
    study = Study(out)
    return find_erased_names(study.out, _folders(study), video_ids, accounts, coded_items(study.out))


def erase_videos(out: str, video_ids: set[str], accounts: set[str]) -> tuple[set[str], int]:
    """Remove videos, and all videos of accounts, from every table, page and paid reply below `out`, finished or not.

    A video is named by its id or its alias. Returns the ids that were found, and the number of rows that went. Scores
    and pages were made with these videos, so they are deleted whole: the analysis, run again, makes them anew.
    Raises UserError where another run works on one of the folders, and where the key is missing.
    """
    return erase_names(out, names_to_erase(out, video_ids, accounts))


def erase_names(out: str, names: ErasedNames, say: Say = print_note) -> tuple[set[str], int]:
    """Remove those who are named, as erase_videos; `say` is told what of coding folders went whole."""
    study = Study(out)
    remember_erased(study.out, set(names.ids), set(names.accounts))
    catalogs = [folder for folder in _folders(study) if folder.stage == "catalog"]
    others = [folder for folder in _folders(study) if folder.stage != "catalog"]
    cleaned = [found for trials in trial_folders(study.out) for found in _erase_from_trials(trials, names)]
    cleaned += [_erase_from(study.out, folder, names) for folder in others]
    _clean_ledger(Ledger(study.out), others, names)
    for place in (study.out, *shard_outs(study.out)):
        _clean_uploads(Uploads(place), names)
        _clean_jobs(place, names)
    _clean_batches(study.out, names)
    _clean_claims(study.out, names)
    cleaned.append((set(), erase_from_coding(study.out, names, say)))
    cleaned += [_erase_from(study.out, folder, names) for folder in catalogs]
    return set[str]().union(*(found for found, _ in cleaned)), sum(rows for _, rows in cleaned)


def _erase_from_trials(out: str, names: ErasedNames) -> list[tuple[set[str], int]]:
    """Clean what was tried on a development sample, which lies in its folder as a study does."""
    folders = [Folder(uri) for uri in stage_folders(out)]
    cleaned = [_erase_from(out, folder, names) for folder in folders]
    _clean_ledger(Ledger(out), folders, names)
    _clean_uploads(Uploads(out), names)
    _clean_jobs(out, names)
    return cleaned


def uploads_of_erased(out: str) -> list[Upload]:
    """The files of erased videos that a provider's server may still have: an erasure asks nobody."""
    places = (out, *trial_folders(out), *shard_outs(out))
    return [upload for place in places for upload in Uploads(place).erase(())]


def _folders(study: Study) -> list[Folder]:
    """Those of the study and of its shards."""
    of_shards = [Folder(uri) for out in shard_outs(study.out) for uri in stage_folders(out)]
    return [*study.folders(), *study.unfinished, *of_shards]


def unknown_names(names: ErasedNames, video_ids: set[str], accounts: set[str]) -> dict[str, list[str]]:
    """Ids and accounts that no table of the study names in any spelling; accounts with up to three that are near."""
    known = {canonical_account(name): name for name in names.known_accounts}
    found: dict[str, list[str]] = {
        name: [] for name in sorted(video_ids) if not names.known_ids & ids_of(name)
    }
    for account in sorted(accounts):
        if canonical_account(account) not in known:
            near = get_close_matches(canonical_account(account), known, cutoff=0.7)
            found[account] = [known[name] for name in near]
    return found


def _erase_from(out: str, folder: Folder, names: ErasedNames) -> tuple[set[str], int]:
    """Clean one stage's folder; returns the ids that were found, and how many rows went."""
    with folder.lock():
        if folder.stage in _REMOVED:
            folder.remove()
            found, rows = set[str](), 0
        else:
            note_models(out, folder, names.ids)
            found, rows = _filter(folder, names)
            _cut_sheets(folder, set(names.ids))
            _drop_folds(folder, names.ids, found)
        _mend(folder, names)
    return found, rows


def _filter(folder: Folder, names: ErasedNames) -> tuple[set[str], int]:
    """Write every table of a folder anew without the erased rows, and without mentions; then forget the old ones."""
    found: set[str] = set()
    rows = 0
    renamed: dict[str, str] = {}
    for name in list_files(folder.uri, ".parquet", include_side_tables=True):
        table = read_parquet(f"{folder.uri}/{name}")
        gone = pa.chunked_array([pa.array([False] * table.num_rows, pa.bool_())])
        for column, erased in _erased_in(table, names).items():
            gone = pc.or_(gone, pc.fill_null(pc.is_in(table[column], pa.array(erased, pa.string())), False))
        removed = table.filter(gone)
        left = _without_mentions(table.filter(pc.invert(gone)), names)
        if removed.num_rows == 0 and left.equals(table):
            continue
        rows += removed.num_rows
        if "video_id" in table.column_names and "other_id" not in table.column_names:
            found |= set(removed["video_id"].to_pylist())  # of a pair the other one may stay
        stem = name.removesuffix(".parquet").rpartition("-")[0] or "part"
        renamed[name] = f"{stem}-{secrets.token_hex(8)}.parquet"
        write_table(f"{folder.uri}/{renamed[name]}", left)
    if renamed:
        if run := folder.run():
            folder.rewrite_run(run, renamed)
        for name in renamed:
            delete(f"{folder.uri}/{name}")
    return found, rows


def _erased_in(table: pa.Table, names: ErasedNames) -> dict[str, list[str]]:
    """Who is erased, by the table's columns that name somebody."""
    ids, accounts = sorted(names.ids), sorted(names.accounts)
    wanted = {"video_id": ids, "other_id": ids, "alias": ids, "account": accounts}
    return {column: erased for column, erased in wanted.items() if column in table.column_names}


def _without_mentions(table: pa.Table, names: ErasedNames) -> pa.Table:
    """Texts of others, who may have mentioned the erased, say @someone."""
    for column in _TEXTS:
        if column not in table.column_names or not (
            rows := cells_with_names(table[column], names, exact=False)
        ):
            continue
        cells = table[column].to_pylist()
        for row in rows:
            cells[row] = _hidden(cells[row], names)
        field = table.schema.field(column)
        table = table.set_column(table.schema.get_field_index(column), field, pa.array(cells, field.type))
    return table


def _hidden(cell: Any, names: ErasedNames) -> Any:
    if isinstance(cell, list):
        return [_hidden(item, names) for item in cell]
    if isinstance(cell, dict):
        return {key: _hidden(item, names) for key, item in cell.items()}
    if not isinstance(cell, str):
        return cell
    return names.without_names(cell.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def _cut_sheets(folder: Folder, ids: set[str]) -> None:
    """Scripts stand in the sheets that people rate; one that cannot be read as such goes whole."""
    for name in list_files(folder.uri, ".csv"):
        place = f"{folder.uri}/{name}"
        try:
            write_bytes(place, without(read_bytes(place) or b"", ids))
        except ValueError:
            delete(place)


def _drop_folds(folder: Folder, ids: frozenset[str], found: set[str]) -> None:
    """A training's and a sweep's folds name their rows, also before there is a result: the next run makes them anew.

    Checkpoints and trials are of these folds alone, and go with them.
    """
    place = f"{folder.uri}/folds.json"
    named = set(found)
    if (written := read_bytes(place)) is not None:
        try:
            folds = from_json(written.decode())
            named |= {name for fold in folds for part in PARTS for name in getattr(fold, part)}
        except ValueError:  # cut short or changed: whom it names is not known
            named |= ids
    if named & ids:
        for name in ("ray", "trials"):
            delete_folder(f"{folder.uri}/{name}")
        delete(place)  # last: an erasure that is killed before comes back to it


def _mend(folder: Folder, names: ErasedNames) -> None:
    """Delete what dead writers left half written, and take mentions out of small texts."""
    for file in files_below(folder.uri):
        place, name = f"{folder.uri}/{file}", file.rpartition("/")[2]
        if name.startswith(".tmp-"):
            delete(place)
        elif name.endswith(_MENDED) and name not in _AS_WRITTEN and not file.startswith(_MODELS):
            _hide_in_file(place, read_bytes(place), names)


def _hide_in_file(place: str, data: bytes | None, names: ErasedNames) -> None:
    if data is not None and (plain := names.without_names(data)) != data:
        write_bytes(place, plain)


def _clean_ledger(ledger: Ledger, folders: Sequence[Folder], names: ErasedNames) -> None:
    """Delete the paid replies of erased videos; one that another video's rows are read from becomes that one's."""
    files = [f"{ledger.uri}/{file}" for file in files_below(ledger.uri) if _ENTRY.search(file)]
    with ThreadPoolExecutor(_THREADS) as threads:
        theirs = {_key(place) for place in threads.map(partial(_clean_entry, names=names), files) if place}
    named = _who_names(folders, theirs) if theirs else {}
    for key in sorted(theirs):
        entry = ledger.get(key)
        if entry is not None and key in named:
            ledger.put(key, replace(entry, video_id=named[key]))
        elif entry is not None:
            ledger.forget(key)
    for key in named:
        place = ledger.place(key)
        _hide_in_file(place, read_bytes(place), names)


def _clean_jobs(out: str, names: ErasedNames) -> None:
    """Take erased videos out of what is written down of batch jobs: the next run deletes their uploads, and keeps no
    reply of theirs."""
    jobs = JobFiles(out)
    for file in files_below(jobs.uri):
        if file.startswith(".tmp-"):
            delete(f"{jobs.uri}/{file}")
    for job in jobs.all():
        with Folder(f"{out}/{job.folder}").lock():
            left = jobs.get(job.id)
            if left is not None and left != (without_them := left.without(set(names.ids))):
                jobs.put(without_them)


def _clean_batches(out: str, names: ErasedNames) -> None:
    """Take erased videos out of the records of what was drawn to be coded; the others' probabilities stay."""
    records = Folder(f"{out}/{BATCHES}")
    if has_folder(records.uri):
        _filter(records, names)
        _mend(records, names)


def _clean_claims(out: str, names: ErasedNames) -> None:
    """Take erased videos out of the examples of claims, and out of what was labelled when they were declared.

    The text of a declaration stays as it is: it is known by its hash, and names no video.
    """
    for name in family_names(out):
        folder = family_folder(out, name)
        for file in list_files(folder, ".json"):
            place = f"{folder}/{file}"
            data = read_bytes(place) or b""
            left = _without_items(parse_json(data, place), names.ids | names.keys)
            if left != parse_json(data, place):
                write_bytes(
                    place, json.dumps(left, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")
                )
        for file in (*list_files(folder, ".txt"), *list_files(folder, ".csv")):
            _hide_in_file(f"{folder}/{file}", read_bytes(f"{folder}/{file}"), names)


def _without_items(value: Any, gone: AbstractSet[str]) -> Any:
    """A value of JSON whose lists hold none of these texts."""
    if isinstance(value, dict):
        return {key: _without_items(item, gone) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_items(item, gone) for item in value if not (isinstance(item, str) and item in gone)]
    return value


def _clean_uploads(uploads: Uploads, names: ErasedNames) -> None:
    """Take the ids off the list of what lies on a provider's server; the files' own names stay, to be deleted by."""
    uploads.erase(names.ids)
    for file in files_below(uploads.uri):
        if file.startswith(".tmp-"):
            delete(f"{uploads.uri}/{file}")


def _clean_entry(place: str, names: ErasedNames) -> str | None:
    """Take mentions out of another video's reply; returns the place of a reply to an erased video."""
    data = read_bytes(place)
    if data is None:
        return None
    if _key(place).startswith(".tmp-"):  # of a process that died, or writes just now for somebody else
        if names.mentions(data):
            delete(place)
        return None
    try:
        video_id = json.loads(data)["video_id"]
    except (ValueError, KeyError, TypeError):  # not an entry
        video_id = None
    if video_id in names.ids:
        return place
    _hide_in_file(place, data, names)
    return None


def _key(place: str) -> str:
    return place.rpartition("/")[2].removesuffix(".json")


def _who_names(folders: Sequence[Folder], keys: set[str]) -> dict[str, str]:
    """The video of a row that is read from each of these replies, as far as there is one."""
    found: dict[str, str] = {}
    for folder in folders:
        for name in folder.parts():
            uri = f"{folder.uri}/{name}"
            if {"ledger_key", "video_id"} <= set(read_schema(uri).names):
                table = read_parquet(uri, ["ledger_key", "video_id"])
                named = pc.split_pattern(table["ledger_key"], " ").combine_chunks()  # one of each sample
                videos = table["video_id"].take(pc.list_parent_indices(named))
                flat = pa.table({"key": pc.list_flatten(named), "video": videos})
                flat = flat.filter(pc.is_in(flat["key"], pa.array(sorted(keys), pa.string())))
                found |= {row["key"]: row["video"] for row in flat.to_pylist()}
    return found
