"""What an analysis would do, stage by stage, before anything is computed: rows, calls, money or hours, and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from tikval.config import CatalogConfig, ExtractConfig, JobConfig, ScriptConfig
from tikval.files import filesystem
from tikval.sources.video_rows import VideoRows
from tikval.sources.write_catalog import list_as_known
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.row_keys import KEY, contains
from tikval.store.shards import Shard
from tikval.store.status import read_status
from tikval.study.estimate import CostEstimate, estimate_of_rows, way_of
from tikval.study.recipe_change import RecipeChange, recipe_change
from tikval.study.shards import in_shard

_SECONDS: Final = 3600


class Hours(NamedTuple):
    """Hours that the rows to do take, and which rate says so."""

    hours: float
    of: str  # "driver", "cores" or "GPUs"
    rate: str


@dataclass(frozen=True)
class StagePlan:
    """One stage."""

    stage: str
    system: str | None
    folder: str  # its name
    rows: int  # of the catalog as it would be
    reused: int  # that are there, results and final failures
    again: int  # retryable failures, tried once more
    new: int  # that are not there
    calls: int | None = None  # of a language model; None: none is asked, or it is not estimated
    tokens_in: int | None = None
    tokens_out: int | None = None
    usd: tuple[float, float, float] | None = (
        None  # low, likely, high, by the way of asking of its configuration
    )
    hours: tuple[Hours, ...] = ()
    disk_mb: float | None = None  # that the rows to do add; None: not known before some are there
    change: RecipeChange | None = None
    why_not: str | None = None  # why nothing is said of what it costs

    @property
    def to_do(self) -> int:
        return self.again + self.new


class ListedNow(NamedTuple):
    """The catalog as it would be."""

    videos: int
    new: int  # that the catalog of before lacks
    gone: int  # that it has, and are not listed any more


def plan_study(
    steps: Iterable[JobConfig], catalog: CatalogConfig, shard: Shard | None = None
) -> tuple[ListedNow, list[StagePlan]]:
    """What every stage would do over a listing made now, or over a shard of it. Nothing is written, no Ray started.

    Raises UserError where the videos cannot be listed, or a model has no price.
    """
    videos = list_as_known(catalog)
    keys = np.unique(np.array([bytes.fromhex(row["row_key"]) for row in videos], KEY))
    folder = Folder(catalog.folder)
    before = np.unique(folder.keys()) if folder.run() else np.empty(0, keys.dtype)
    if shard:
        keys, before = (some[shard.holds(some)] for some in (keys, before))
    listed = ListedNow(len(keys), int((~contains(before, keys)).sum()), int((~contains(keys, before)).sum()))
    return listed, [_plan(job, keys, videos, shard) for job in steps if not isinstance(job, CatalogConfig)]


def _plan(job: JobConfig, keys: np.ndarray, videos: VideoRows, shard: Shard | None) -> StagePlan:
    folder = Folder(in_shard(job, shard).folder if shard else job.folder)
    seen = folder.seen()
    done, again = contains(seen.done, keys), contains(seen.retry, keys)
    if shard:  # which takes over what the whole study has of its videos
        before = Folder(job.folder).seen()
        lacks = ~(done | again)
        done |= lacks & contains(before.done, keys)
        again |= lacks & contains(before.retry, keys)
    todo = keys[~done]
    facts: dict[str, Any] = {
        "stage": job.stage,
        "system": getattr(job, "system", None),
        "folder": folder.name,
        "rows": len(keys),
        "reused": int(done.sum()),
        "again": int(again.sum()),
        "new": int((~done & ~again).sum()),
        "change": recipe_change(job),
        "disk_mb": _disk_mb(folder, len(todo)),
    }
    own = _own_rate(folder, len(todo))
    if not isinstance(job, ScriptConfig | ExtractConfig):
        why_not = None if own or not len(todo) else f"what {job.stage} takes is not estimated"
        return StagePlan(**facts, hours=own, why_not=why_not)
    wanted = {key.ljust(16, b"\0").hex() for key in todo.tolist()}
    rows = (
        {"row_key": row["row_key"], "path": row["path"], "files": row["files"]}
        for row in videos
        if row["row_key"] in wanted and row["error"] is None
    )
    found = estimate_of_rows(job, rows)
    return StagePlan(**facts, **_costs(job, found), hours=own or _hours(found))


def _costs(job: ScriptConfig | ExtractConfig, found: CostEstimate) -> dict[str, Any]:
    if found.tokens is None:
        return {}
    way = way_of(job.api)
    usd = found.usd(way) or found.usd(way._replace(cached=False))
    return {
        "calls": found.calls,
        "tokens_in": round(found.tokens.tokens_in * found.calls),
        "tokens_out": round(found.tokens.tokens_out * found.calls),
        "usd": tuple(usd) if usd else None,
    }


def _own_rate(folder: Folder, rows: int) -> tuple[Hours, ...]:
    """Hours by what this study took itself: of its last run that computed rows, or of one that is under way."""
    if not rows:
        return ()
    run = folder.run()
    if run is not None and run.computed and run.seconds:
        return (_hours_of(rows * run.seconds / run.computed, f"{run.computed:,} rows", folder, "run.json"),)
    status = read_status(folder.uri)
    if status is not None and status.rows_per_second:
        return (_hours_of(rows / status.rows_per_second, f"{status.done:,} rows", folder, "status.json"),)
    return ()


def _hours_of(seconds: float, what: str, folder: Folder, file: str) -> Hours:
    return Hours(seconds / _SECONDS, "driver", f"this study's own, over {what} ({folder.name}/{file})")


def _hours(found: CostEstimate) -> tuple[Hours, ...]:
    """Hours by the committed rates of benchmarks."""
    measured = "; ".join(note.text for note in found.notes if note.kind.startswith(("measured", "stated")))
    hours = []
    if found.core_hours is not None:
        hours.append(Hours(found.core_hours, "cores", measured))
    if found.gpu_hours is not None:
        hours.append(Hours(found.gpu_hours.mid, "GPUs", measured))
    if found.hours_at_limits and found.costs:
        hours.append(Hours(found.hours_at_limits, "driver", "the requests and tokens a minute in its api"))
    return tuple(hours)


def _disk_mb(folder: Folder, rows: int) -> float | None:
    run: FolderRun | None = folder.run()
    if not rows:
        return 0.0
    if run is None or not run.rows:
        return None
    fs, path = filesystem(folder.uri)
    infos = fs.get_file_info([f"{path}/{name}" for name in run.files])
    return sum(info.size or 0 for info in infos) / run.rows * rows / 1e6
