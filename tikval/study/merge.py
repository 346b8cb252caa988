"""The shards of a study put together: each row once, and only where all of them made all of it by one recipe."""

from collections import Counter
from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter
from typing import Final, NamedTuple

import numpy as np

from tikval.config import (
    EmbedConfig,
    ExtractConfig,
    JobConfig,
    PredictConfig,
    ScriptConfig,
    UserError,
    validate,
)
from tikval.files import write_bytes
from tikval.llm.gate import read_spent
from tikval.rows import Reason
from tikval.store.folder import Folder
from tikval.store.folder_run import OVER_SOME, FolderRun
from tikval.store.row_keys import contains
from tikval.store.runs import STAGE_FOLDER, SystemConfig, run_here, stage_folders
from tikval.store.shards import Merged, Shard, read_merged, shards_of, write_merged
from tikval.study.shards import copy_rows, settings_of

_KINDS: Final[dict[str, type[JobConfig]]] = {
    kind.stage: kind for kind in (ScriptConfig, EmbedConfig, ExtractConfig)
}


class MergedStage(NamedTuple):
    """What became of one stage."""

    name: str  # of its folder
    rows: int  # of all shards, with what was there before
    copied: int  # now; 0: all was there
    retryable: int


class _Part(NamedTuple):
    """A stage of one shard, finished."""

    shard: Shard
    folder: Folder
    run: FolderRun


def merge_shards(out: str, say: Callable[[str], None] = lambda _: None) -> list[MergedStage]:
    """Put what the shards of a study made into its stage folders, in order; what was merged before is left alone.

    Copies, then seals: killed anywhere, the same call goes on, and no row is in the table twice. The shards' folders
    stay as they are. Raises UserError where a shard is missing, behind the catalog, unfinished or of another recipe,
    and where another driver works on a folder; nothing is merged then.
    """
    out = out.rstrip("/")
    shards = _all_shards(out)
    listed = np.unique(_catalog(out, shards).keys())
    parts = _parts(out, shards)
    for name, some in parts.items():
        _check_parts(name, some, listed)
    uses = {name: [_name(uri) for uri in some[0].run.inputs] for name, some in parts.items()}
    order = [name for name in TopologicalSorter(uses).static_order() if name in parts]
    done = []
    for name in order:
        done.append(_merge_stage(out, name, parts[name], listed))
        say(f"{name}: {done[-1].rows:,} rows, {done[-1].copied:,} of them new")
    return done


def _all_shards(out: str) -> list[Shard]:
    shards = shards_of(out)
    if not shards:
        raise UserError(
            f"{out}: holds no shards; tikval analyze ... --out {out} --shard 1/4 makes the first of four"
        )
    counts = Counter(shard.of for shard in shards)
    if len(counts) > 1:
        kinds = ", ".join(f"{n} of {of}" for of, n in sorted(counts.items()))
        raise UserError(
            f"{out}/shards: parts of different divisions ({kinds}); delete those that are not wanted"
        )
    [of] = counts
    if missing := [str(Shard(n, of)) for n in range(1, of + 1) if Shard(n, of) not in shards]:
        raise UserError(
            f"{out}/shards: {_some(missing)} not there; run the command with --shard {missing[0]}"
        )
    return shards


def _catalog(out: str, shards: Sequence[Shard]) -> Folder:
    """The catalog of the whole study that the shards are parts of."""
    every = [_name(uri) for shard in shards for uri in stage_folders(shard.out(out))]
    names = sorted({name for name in every if name.startswith("catalog-")})
    if len(names) != 1:
        raise UserError(
            f"{out}/shards: {len(names)} catalogs ({', '.join(names) or 'none'}), where one is to be"
        )
    return Folder(f"{out}/{names[0]}")


def _parts(out: str, shards: Sequence[Shard]) -> dict[str, list[_Part]]:
    """The finished stages by name, each of all shards. Raises UserError where one has not finished."""
    found = {
        shard: {f.name: (f, f.run()) for f in map(Folder, stage_folders(shard.out(out)))} for shard in shards
    }
    names = {name for stages in found.values() for name, (_, run) in stages.items() if run}
    parts: dict[str, list[_Part]] = {}
    for name in sorted(name for name in names if not name.startswith("catalog-")):
        for shard, stages in found.items():
            folder, run = stages.get(name, (None, None))
            if folder is None or run is None:
                others = sorted(n for n in stages if n.partition("-")[0] == name.partition("-")[0])
                what = (
                    f"has {', '.join(others)} instead" if others and folder is None else "has not finished it"
                )
                raise UserError(
                    f"{name}: shard {shard} {what}; run the same command for it with --shard {shard}, by the same "
                    "version and settings"
                )
            parts.setdefault(name, []).append(_Part(shard, folder, run))
    if not parts:
        raise UserError(f"{out}/shards: no shard has finished a stage")
    return parts


def _check_parts(name: str, parts: Sequence[_Part], listed: np.ndarray) -> None:
    """Raise UserError where rows of the catalog are missing, or the parts rest on different settings."""
    for part in parts:
        wanted = listed[part.shard.holds(listed)]
        missing = int((~contains(part.folder.sorted_keys(), wanted)).sum())
        again = f"run the same command with --shard {part.shard} again"
        if missing:
            raise UserError(f"{name}: shard {part.shard} lacks {missing:,} videos of the catalog; {again}")
        if waiting := part.run.failed.get(Reason.NOT_ASKED):
            raise UserError(f"{name}: shard {part.shard} waits for {waiting:,} replies; {again}")
        if OVER_SOME in part.run.inputs:
            raise UserError(f"{name}: shard {part.shard} judged some of its videos alone; {again}")
    first = settings_of(parts[0].folder)
    for part in parts[1:]:
        if (mine := settings_of(part.folder)) != first:
            file = next(key for key in {**first, **mine} if first.get(key) != mine.get(key))
            raise UserError(
                f"{name}: {file} of shard {part.shard} is not that of shard {parts[0].shard}, so their rows are not of "
                f"one recipe; delete {part.folder.uri} and run it again"
            )


def _merge_stage(out: str, name: str, parts: Sequence[_Part], listed: np.ndarray) -> MergedStage:
    folder = Folder(f"{out}/{name}")
    config = _config_of(parts[0].run, out)
    with folder.lock():
        before, merged = folder.run(), read_merged(folder.uri)
        new = [
            part for part in parts if merged.get(part.shard.name, Merged("", 0)).run != part.run.finished_at
        ]
        if not new and before is not None:
            return MergedStage(name, before.rows, 0, before.retryable)
        mine, theirs = settings_of(folder), settings_of(parts[0].folder)
        if folder.parts() and mine != theirs:
            raise UserError(
                f"{folder.uri}: its rows rest on other settings than the shards'; delete it, or them"
            )
        for file, data in theirs.items():
            write_bytes(f"{folder.uri}/{file}", data)
        copied = sum(_copy(part, folder, listed) for part in new)
        seconds = sum(part.run.seconds for part in new)
        computed = sum(part.run.computed or 0 for part in new)
        if not isinstance(
            config, EmbedConfig
        ):  # whose duplicates are marked over all: the job itself does that
            run = folder.seal(config, _inputs(out, parts[0].run), seconds, listed=listed, computed=computed)
            if run.rows != len(listed):
                raise UserError(
                    f"{folder.uri}: {run.rows:,} rows for {len(listed):,} videos; run the shards again"
                )
        now = {part.shard.name: Merged(part.run.finished_at, _usd(part.folder)) for part in new}
        write_merged(folder.uri, merged | now)
        if isinstance(config, SystemConfig):
            folder.ask()
        return MergedStage(name, len(listed), copied, sum(part.run.retryable for part in parts))


def _copy(part: _Part, folder: Folder, listed: np.ndarray) -> int:
    """Copy the rows of a part that the folder has no final result of; returns how many."""
    wanted = listed[part.shard.holds(listed)]
    lacks = wanted[~contains(folder.seen().done, wanted)]
    return sum(copy_rows(part.folder, name, folder, lacks) for name in part.run.files)


def _config_of(run: FolderRun, out: str) -> JobConfig:
    """The configuration of a shard's stage as the whole study's. Raises UserError where its files have changed."""
    kind = PredictConfig if "trained" in run.config else _KINDS.get(run.stage)
    where = f"{run.stage}-{run.fingerprint}"
    if kind is None:
        raise UserError(f"{where}: is no stage that shards do")
    config = validate(kind, run_here(run, out).config, where)
    if config.fingerprint != run.fingerprint:
        raise UserError(
            f"{where}: its codebook, a prompt or tikval has changed since the shards ran; run them again"
        )
    return config


def _inputs(out: str, run: FolderRun) -> dict[str, str]:
    """What the whole table rests on: the study's own stages in the place of the shard's."""
    inputs: dict[str, str] = {}
    for uri, state in run.inputs.items():
        mine = f"{out}/{_name(uri)}"
        upstream = Folder(mine).run() if STAGE_FOLDER.fullmatch(_name(uri)) else None
        inputs |= {uri: state} if upstream is None else {mine: upstream.state}
    return inputs


def _usd(folder: Folder) -> float:
    spent = read_spent(folder.uri)
    return 0.0 if spent is None else spent.settled_usd


def _name(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2]


def _some(names: Sequence[str]) -> str:
    return (
        ", ".join(names[:5])
        + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        + (" are" if len(names) > 1 else " is")
    )
