"""A study is what one output folder holds: the finished runs of all stages, found by their run.json."""

import re
from typing import Final

import pyarrow.fs as pafs

from tikval.config import UserError
from tikval.files import filesystem
from tikval.flow.folder import Folder, Run

_STAGE_FOLDER: Final = re.compile(r"[a-z]+-[0-9a-f]{12}")


def stage_folders(out: str) -> list[str]:
    """URIs of the stages' folders below `out`, finished or not, by name. Raises UserError where it cannot be listed."""
    try:
        fs, path = filesystem(out.rstrip("/"))
        infos = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    except OSError as err:
        raise UserError(f"{out}: cannot be listed ({err.strerror or err})") from err
    names = sorted(info.base_name for info in infos if info.type == pafs.FileType.Directory)
    return [f"{out.rstrip('/')}/{name}" for name in names if _STAGE_FOLDER.fullmatch(name)]


class Study:
    def __init__(self, out: str) -> None:
        """Raises UserError where nothing below `out` has finished."""
        self.out = out.rstrip("/")
        found = [(folder, folder.run()) for folder in map(Folder, stage_folders(out))]
        self.runs: list[tuple[Folder, Run]] = [(folder, run) for folder, run in found if run is not None]
        self.unfinished = [folder for folder, run in found if run is None]
        if not self.runs:
            raise UserError(f"{out}: no finished run of tikval lies here")

    def folders(self, stage: str | None = None) -> list[Folder]:
        return [folder for folder, run in self.runs if stage in (None, run.stage)]

    def latest(self, stage: str) -> tuple[Folder, Run] | None:
        """The run of a stage that finished last."""
        runs = [(folder, run) for folder, run in self.runs if run.stage == stage]
        return max(runs, key=lambda pair: pair[1].finished_at, default=None)

    def systems(self) -> dict[str, Folder]:
        """For each system, the predictions that finished last."""
        runs = [(folder, run) for folder, run in self.runs if run.stage == "predictions"]
        ordered = sorted(runs, key=lambda pair: pair[1].finished_at)
        return {run.config["system"]: folder for folder, run in ordered}

    def catalog(self) -> Folder:
        latest = self.latest("catalog")
        if latest is None:
            raise UserError(f"{self.out}: holds no catalog")
        return latest[0]
