"""Why a stage would be computed anew: what its recipe had when it ran, and what today's has in its place."""

from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from tikval.config import JobConfig, UserError, validate
from tikval.config.base import CONTENT
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.runs import STAGE_FOLDER, run_here, stage_folders

_VERSIONS: Final = 20  # of a stage, back to which a raised one is told
_LONGEST: Final = 60  # characters of a value that is shown


class RecipeChange(NamedTuple):
    """An earlier run of the same stage and system, by another recipe."""

    folder: str  # its name
    rows: int
    tikval: str  # the version that ran it
    reasons: tuple[str, ...]  # keys with their old and new value, or what else differs


def recipe_change(config: JobConfig) -> RecipeChange | None:
    """What sets a stage's recipe apart from that of its last run in the study; None: it is the same, or the first."""
    if Folder(config.folder).parts():
        return None
    system = getattr(config, "system", None)
    earlier = [
        (folder, run)
        for folder in map(Folder, stage_folders(config.out))
        if folder.stage == config.stage
        and (run := folder.run())
        and run.config.get("system") == system
        and _kinds(run.config) == _kinds(config.model_dump(mode="json"))  # else it is another way to do it
    ]
    if not earlier:
        return None
    folder, run = max(earlier, key=lambda pair: max(pair[1].finished_at, pair[0].asked_at() or ""))
    reasons = tuple(_reasons(config, run_here(run, config.out)))
    return RecipeChange(folder.name, run.rows, run.tikval, reasons)


def _kinds(config: dict[str, Any]) -> list[Any]:
    """The kinds of the parts of a configuration: a script by a model is no change of one by recognisers."""
    return [config[part]["kind"] for part in ("writer", "extractor") if "kind" in (config.get(part) or {})]


def _reasons(config: JobConfig, run: FolderRun) -> list[str]:
    try:
        before = validate(type(config), run.config, f"{run.stage}-{run.fingerprint}")
    except UserError as err:
        return [f"this version does not read the recipe of before ({err})"]
    if keys := _differing(before, config):
        return keys
    now = {
        job.stage: job.folder.rpartition("/")[2] for _, job in _fields(config) if isinstance(job, JobConfig)
    }
    read = [uri.rstrip("/").rpartition("/")[2] for uri in run.inputs]
    moved = [
        f"it reads {now[name.partition('-')[0]]}, and read {name}"
        for name in read
        if STAGE_FOLDER.fullmatch(name)
        and name.partition("-")[0] in now
        and name != now[name.partition("-")[0]]
    ]
    if moved:
        return moved
    if (version := _version(before, run.fingerprint)) is not None:
        return [f"version of the stage: {version} -> {config.version} (its code gives other results now)"]
    files = [value for path, value in _contents(config) if value]
    what = ", ".join(dict.fromkeys(files)) or "the stage before it"
    return [f"what stands in {what}, or the version of a stage: no key differs"]


def _differing(before: BaseModel, now: BaseModel, at: str = "") -> list[str]:
    """Keys of the recipe whose values differ, as `key: old -> new`."""
    skip = now.operational if isinstance(now, JobConfig) else frozenset()
    found = []
    for name, value in _fields(now):
        if name in skip:
            continue
        key, old = f"{at}.{name}" if at else name, getattr(before, name, None)
        if isinstance(value, BaseModel) and isinstance(old, BaseModel) and type(old) is type(value):
            found += _differing(old, value, key)
        elif old != value:
            found.append(f"{key}: {_shown(old)} -> {_shown(value)}")
    return found


def _fields(config: BaseModel) -> list[tuple[str, Any]]:
    return [(name, getattr(config, name)) for name in type(config).model_fields]


def _contents(config: BaseModel, at: str = "") -> list[tuple[str, str]]:
    """Files whose content belongs to the recipe, by their keys."""
    found: list[tuple[str, str]] = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            found += _contents(value, f"{at}{name}.")
        elif CONTENT in field.metadata and value is not None:
            found.append((f"{at}{name}", str(value)))
    return found


def _version(before: JobConfig, fingerprint: str) -> int | None:
    """The earlier version of a stage by which its recipe has a fingerprint; None: that is not it."""
    kind = type(before)
    for version in range(kind.version - 1, max(kind.version - _VERSIONS, -1), -1):
        older: type[JobConfig] = type(
            kind.__name__, (kind,), {"version": version, "__module__": kind.__module__}
        )
        if older.model_construct(**dict(_fields(before))).fingerprint == fingerprint:
            return version
    return None


def _shown(value: Any) -> str:
    text = str(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
