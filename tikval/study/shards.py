"""One shard of a study: the part of the catalog that is its own, and what the study has of that part already."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa

from tikval.config import (
    CatalogConfig,
    EmbedConfig,
    ExtractConfig,
    JobConfig,
    LocalExtractor,
    PredictConfig,
    ScriptConfig,
    UserError,
    validate,
)
from tikval.files import delete, list_files, read_bytes, write_bytes
from tikval.rows import AccountRow
from tikval.sources.catalog_files import write_named, write_small
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.lock import InUseError
from tikval.store.row_keys import contains, keys_of
from tikval.store.shards import Shard

T = TypeVar("T")
J = TypeVar("J", bound=JobConfig)

ROW_BY_ROW: Final = (ScriptConfig, EmbedConfig, ExtractConfig, PredictConfig)
# what all rows of a folder rest on, in files of their own
SETTINGS: Final = ("calibration.json", "judged_by.json", "commits.json")
_WAIT_SECONDS: Final = 1800.0  # for the other shards to list the videos
_LOOK_SECONDS: Final = 2.0


def check_row_by_row(job: JobConfig) -> None:
    """Raise UserError for a stage that no shard can do, for it looks at all rows."""
    whole = "do it over the whole study: leave --shard out, or `tikval merge` first"
    if not isinstance(job, ROW_BY_ROW):
        raise UserError(
            f"--shard: {getattr(job, 'system', job.stage)} ({job.stage}) looks at all rows; {whole}"
        )
    extractor = job.extractor if isinstance(job, ExtractConfig) else None
    if isinstance(extractor, LocalExtractor) and extractor.rates is not None:
        raise UserError(f"--shard: extractor.rates sets thresholds from a sample of all scripts; {whole}")


def in_shard(config: J, shard: Shard) -> J:
    """The configuration of a whole study's stage for one shard; a trained system of before stays where it lies."""

    def moved(value: Any, key: str = "") -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        if not isinstance(value, dict) or key == "trained":
            return value
        inside = {name: moved(item, name) for name, item in value.items()}
        return inside | {"out": shard.out(config.out)} if inside.get("out") == config.out else inside

    return validate(type(config), moved(config.model_dump(mode="json")), config.stage)


def write_shard_catalog(config: CatalogConfig, shard: Shard) -> FolderRun:
    """List the whole study anew, and write the shard's part of that list.

    Ids, accounts and what is erased are settled over all videos. The other shards may be listing: they are waited for.
    Raises what write_catalog raises.
    """
    _waiting(config.folder, lambda: write_catalog(config))
    return _waiting(config.folder, lambda: _part_of_catalog(config, shard))


def _waiting(uri: str, work: Callable[[], T]) -> T:
    """The result of some work under a folder's lock, once nobody else has it. Raises InUseError after half an hour."""
    until, told = time.monotonic() + _WAIT_SECONDS, False
    while True:
        try:
            return work()
        except InUseError:
            if time.monotonic() > until:
                raise
            if not told:
                print(f"catalog: {uri}: another driver lists the videos; waiting for it", file=sys.stderr)
            told = True
            time.sleep(_LOOK_SECONDS)


def _part_of_catalog(config: CatalogConfig, shard: Shard) -> FolderRun:
    mine, whole, begin = in_shard(config, shard), Folder(config.folder), time.monotonic()
    folder = Folder(mine.folder)
    with folder.lock(), whole.lock():
        before, run = folder.run(), whole.finished()
        files, rows, failed = list[str](), 0, Counter[str]()
        for table in whole.tables():  # file by file: one that has not changed is the same file of the shard
            videos = table.filter(pa.array(shard.holds(keys_of(table["row_key"])))).combine_chunks()
            files.append(write_named(folder, "data", videos))
            rows += videos.num_rows
            failed.update(videos["error"].drop_null().to_pylist())
        files = list(dict.fromkeys(files))  # those without a row are one
        side_tables = {
            "accounts": write_small(folder, "_accounts", AccountRow, whole.read_side_table("accounts"))
        }
        if before and (before.files, before.side_tables) == (files, side_tables):
            return before
        settled = validate(CatalogConfig, {**run.config, "out": mine.out}, f"{whole.uri}/run.json")
        seconds = time.monotonic() - begin
        done = folder.write_run(settled, files, {}, rows, dict(failed), seconds, side_tables)
        for name in {*list_files(folder.uri, ".parquet", include_side_tables=True)} - {
            *files,
            *side_tables.values(),
        }:
            delete(f"{folder.uri}/{name}")
        return done


def take_over(config: JobConfig, mine: JobConfig, catalog: CatalogConfig) -> int:
    """Give a shard's stage the rows of its videos that the whole study has; returns how many it lacked.

    Nothing is computed or paid twice where a study began without shards, or its shards were deleted once merged.
    """
    whole, folder = Folder(config.folder), Folder(mine.folder)
    if not (names := whole.parts()):
        return 0
    with folder.lock():
        if folder.parts() and settings_of(whole) != settings_of(folder):
            return 0
        for name, data in settings_of(whole).items():
            write_bytes(f"{folder.uri}/{name}", data)
        wanted = np.unique(Folder(catalog.folder).keys())
        seen = folder.seen()
        lacks = wanted[~contains(np.union1d(seen.done, seen.retry), wanted)]
        return sum(copy_rows(whole, name, folder, lacks) for name in names)


def copy_rows(source: Folder, name: str, to: Folder, keys: np.ndarray) -> int:
    """Write the rows of a file whose key is among `keys`, S16 [K] sorted, as a part of another folder."""
    mask = contains(keys, keys_of(source.table(name, ["row_key"])["row_key"]))
    if mask.any():
        to.write_part(source.table(name).filter(pa.array(mask)))
    return int(mask.sum())


def settings_of(folder: Folder) -> dict[str, bytes]:
    """The files that all rows of a folder rest on, by name."""
    found = {name: read_bytes(f"{folder.uri}/{name}") for name in SETTINGS}
    return {name: data for name, data in found.items() if data is not None}
