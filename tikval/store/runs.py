"""A study is what one output folder holds: the finished runs of all stages, found by their run.json."""

import re
from collections.abc import Iterable
from typing import Final, cast

import pyarrow.fs as pafs

from tikval.config import (
    CombineConfig,
    ExtractConfig,
    FinetuneConfig,
    JobConfig,
    PredictConfig,
    UserError,
    plain_path,
    validate,
)
from tikval.files import filesystem
from tikval.store.folder import Folder, FolderRun

STAGE_FOLDER: Final = re.compile(r"[a-z]+-[0-9a-f]{12}")

SystemConfig = ExtractConfig | PredictConfig | FinetuneConfig | CombineConfig
_SYSTEMS: Final[dict[str, type[JobConfig]]] = {  # by stage; PredictConfig has the stage of the first
    kind.stage: kind for kind in (ExtractConfig, FinetuneConfig, CombineConfig)
}


def stage_folders(out: str) -> list[str]:
    """URIs of the stages' folders below `out`, finished or not, by name. Raises UserError where it cannot be listed."""
    out = _plain(out)
    try:
        fs, path = filesystem(out.rstrip("/"))
        infos = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    except OSError as err:
        raise UserError(f"{out}: cannot be listed ({err.strerror or err})") from err
    names = sorted(info.base_name for info in infos if info.type == pafs.FileType.Directory)
    return [f"{out.rstrip('/')}/{name}" for name in names if STAGE_FOLDER.fullmatch(name)]


def _plain(out: str) -> str:
    try:
        return plain_path(out)
    except ValueError as err:
        raise UserError(str(err)) from err


class Study:
    def __init__(self, out: str, only: Iterable[str] | None = None) -> None:
        """Find the runs of all stages below `out`, or of the folders `only`. Raises UserError where there is none."""
        self.out = _plain(out).rstrip("/")
        places = stage_folders(out) if only is None else dict.fromkeys(only)
        found = [(folder, folder.run()) for folder in map(Folder, places)]
        self.runs: list[tuple[Folder, FolderRun]] = [
            (folder, run) for folder, run in found if run is not None
        ]
        self.unfinished = [folder for folder, run in found if run is None]
        if not self.runs:
            raise UserError(f"{out}: no finished run of tikval lies here")

    def folders(self, stage: str | None = None) -> list[Folder]:
        return [folder for folder, run in self.runs if stage in (None, run.stage)]

    def latest(self, stage: str) -> tuple[Folder, FolderRun] | None:
        """The run of a stage that finished last."""
        runs = [(folder, run) for folder, run in self.runs if run.stage == stage]
        return max(runs, key=lambda pair: pair[1].finished_at, default=None)

    def systems(self) -> dict[str, tuple[Folder, FolderRun]]:
        """Systems by name, whatever stage they are of: the run of each that finished last."""
        runs = [(folder, run) for folder, run in self.runs if run.stage in _SYSTEMS]
        ordered = sorted(runs, key=lambda pair: pair[1].finished_at)
        return {run.config["system"]: (folder, run) for folder, run in ordered}

    def catalog(self) -> Folder:
        latest = self.latest("catalog")
        if latest is None:
            raise UserError(f"{self.out}: holds no catalog")
        return latest[0]

    def reads_what_is_there(self, run: FolderRun) -> bool:
        """Whether all that a run has read is in this folder still, and unchanged."""
        now = {_name(folder.uri): run.state for folder, run in self.runs}
        return all(now.get(_name(uri)) == state for uri, state in run.inputs.items())

    def has_read(self, run: FolderRun, folder: Folder) -> bool:
        return _name(folder.uri) in map(_name, run.inputs)


def system_config(run: FolderRun) -> SystemConfig:
    """The configuration of a system's run. Raises UserError where the files that its recipe names have changed."""
    kind = PredictConfig if "trained" in run.config else _SYSTEMS[run.stage]
    name = run.config["system"]
    config = cast(SystemConfig, validate(kind, run.config, f"{name}: {run.stage}-{run.fingerprint}/run.json"))
    if config.fingerprint != run.fingerprint:
        raise UserError(
            f"{config.codebook}: has changed since {name} ran, or a prompt has, or tikval; run the analysis again"
        )
    return config


def has_texts(config: SystemConfig) -> bool:
    """Whether it judges texts that no catalog lists."""
    first = config.trained_systems[0] if isinstance(config, CombineConfig) else config
    return isinstance(first, FinetuneConfig) and first.texts is not None


def _name(uri: str) -> str:
    """A stage's folder, wherever the study has been moved."""
    return uri.rstrip("/").rpartition("/")[2]
