"""A study is what one output folder holds: the finished runs of all stages, found by their run.json.

A system is its name and its codebook: systems over two codebooks are two label sets, side by side. Of the runs of one
system over one codebook the last one that was asked for is current, and so is the last evaluation and the last report
of a label set. Every command reads this list, and says what of it is not shown.
"""

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Final, NamedTuple, cast

import pyarrow.fs as pafs

from tikval.codebook import Codebook, load_codebook
from tikval.config import (
    CascadeConfig,
    CombineConfig,
    ExtractConfig,
    FinetuneConfig,
    JobConfig,
    PredictConfig,
    TuneConfig,
    UserError,
    find_file,
    plain_path,
    validate,
)
from tikval.files import filesystem
from tikval.rows import LabelRow
from tikval.store.folder import Folder
from tikval.store.folder_run import OVER_SOME, FolderRun
from tikval.store.given import GivenTables

STAGE_FOLDER: Final = re.compile(r"[a-z]+-[0-9a-f]{12}")

SystemConfig = ExtractConfig | PredictConfig | FinetuneConfig | CombineConfig | TuneConfig | CascadeConfig
_SYSTEMS: Final[dict[str, type[JobConfig]]] = {  # by stage; PredictConfig has the stage of the first
    kind.stage: kind for kind in (ExtractConfig, FinetuneConfig, CombineConfig, TuneConfig, CascadeConfig)
}
_OF_SYSTEMS: Final = ("scores", "report")


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


class CurrentRun(NamedTuple):
    """The run of a system that counts: of its name and its codebook the last one that was asked for."""

    system: str
    label_set: str  # the name of its codebook
    folder: Folder
    run: FolderRun


class Study:
    def __init__(self, out: str, only: Iterable[str] | None = None, codebook: str | None = None) -> None:
        """Find the runs of all stages below `out`, or of the folders `only`.

        `codebook`: the name or file of the one that is picked; None: the one that was asked for last. Raises UserError
        where there is no run, or nothing over that codebook.
        """
        self.out = _plain(out).rstrip("/")
        places = stage_folders(out) if only is None else dict.fromkeys(only)
        found = [(folder, folder.run()) for folder in map(Folder, places)]
        self.runs: list[tuple[Folder, FolderRun]] = [
            (folder, run) for folder, run in found if run is not None
        ]
        self.unfinished = [folder for folder, run in found if run is None]
        if not self.runs:
            raise UserError(f"{self.out}: no finished run of tikval lies here")
        self._file: str | None = None  # of the codebook, where it was picked by a file
        self._picked = codebook and self._pick(codebook)

    def folders(self, stage: str | None = None) -> list[Folder]:
        return [folder for folder, run in self.runs if stage in (None, run.stage)]

    @cached_property
    def _all_current(self) -> list[CurrentRun]:
        """The current run of every system over every codebook, the one asked for last first.

        A system that another one asked about some of the videos is none by itself.
        """
        runs = [(folder, run) for folder, run in self.runs if run.stage in _SYSTEMS and not run.is_partial]
        current: dict[tuple[str, str], CurrentRun] = {}
        for folder, run in sorted(runs, key=_asked_at, reverse=True):
            one = CurrentRun(run.config["system"], self.label_set_of(folder, run), folder, run)
            current.setdefault((one.system, one.label_set), one)
        return list(current.values())

    def current(self, label_set: str | None = None) -> list[CurrentRun]:
        """The current runs of systems over one codebook (None: over every), by codebook and name."""
        return sorted(
            (one for one in self._all_current if label_set in (None, one.label_set)), key=lambda one: one[:2]
        )

    @cached_property
    def label_sets(self) -> list[str]:
        """Names of the codebooks of systems and annotations, the one asked for last first."""
        annotated = sorted({row["label_set"] for row in self._labels})
        return list(dict.fromkeys([*(one.label_set for one in self._all_current), *annotated]))

    @property
    def label_set(self) -> str:
        """The label set that is picked; "" where there is none."""
        return self._picked or next(iter(self.label_sets), "")

    def systems(self) -> dict[str, tuple[Folder, FolderRun]]:
        """The current systems over the picked codebook by name, whatever stage they are of."""
        return {one.system: (one.folder, one.run) for one in self.current(self.label_set)}

    def annotations(self) -> list[LabelRow]:
        """The annotations over the picked codebook, of all annotators."""
        return [row for row in self._labels if row["label_set"] == self.label_set]

    def annotator(self) -> str | None:
        """Whose annotations the current scores took as the truth, while there still are any; None: nobody was named."""
        latest = self.latest("scores")
        named = latest and latest[1].config.get("annotator")
        return named if any(row["annotator"] == named for row in self.annotations()) else None

    @cached_property
    def _labels(self) -> list[LabelRow]:
        catalog = self.latest("catalog")
        return catalog[0].read_side_table("labels") if catalog else []

    def latest(self, stage: str) -> tuple[Folder, FolderRun] | None:
        """The run of a stage that was asked for last; of systems, scores and reports over the picked codebook."""
        runs = [(folder, run) for folder, run in self.runs if run.stage == stage]
        if stage in _SYSTEMS:
            runs = [(one.folder, one.run) for one in self.current(self.label_set) if one.run.stage == stage]
        elif stage in _OF_SYSTEMS:
            runs = [pair for pair in runs if self.label_set == self.label_set_of(*pair)]
        return max(runs, key=_asked_at, default=None)

    def label_set_of(self, folder: Folder, run: FolderRun) -> str:
        """The codebook of a system, of an evaluation or of a report; "" where nothing tells it any more."""
        if run.stage in _SYSTEMS:
            return _label_set(folder, run, run.config)
        if run.stage == "scores" and (found := _label_set(folder, run, {})):
            return found
        read = set(map(_name, run.inputs))
        systems = (pair for pair in self.runs if pair[1].stage in _SYSTEMS and _name(pair[0].uri) in read)
        return next((self.label_set_of(*pair) for pair in systems), "")

    def not_shown(self) -> list[str]:
        """What lies here over other codebooks than the picked one, and how it is shown."""
        return [
            f"also in this folder: {what}; --codebook {other} shows them"
            for other, what in self.over_others(self.label_set).items()
        ]

    def over_others(self, than: str) -> dict[str, str]:
        """What lies here over each codebook other `than` one, in words."""
        found = {}
        for label_set in sorted(set(self.label_sets) - {than, ""}):
            systems = len(self.current(label_set))
            n_labels = sum(row["label_set"] == label_set for row in self._labels)
            parts = [f"{systems} system{'s' * (systems != 1)}"] if systems else []
            parts += [f"{n_labels} annotation{'s' * (n_labels != 1)}"] if n_labels else []
            found[label_set] = f"{' and '.join(parts)} over {label_set}"
        return found

    def _pick(self, codebook: str) -> str:
        """The label set that is named by its codebook's name or file."""
        if codebook in self.label_sets:
            return codebook
        here = f"there are {', '.join(self.label_sets) or 'none'}"
        try:
            named = load_codebook(find_file(codebook)).label_set
        except (ValueError, UserError) as err:
            if any(mark in codebook for mark in "/."):  # meant as a file
                raise UserError(f"--codebook: {err}") from err
            raise UserError(f"{self.out}: nothing over a codebook {codebook}; {here}") from err
        if named not in self.label_sets:
            raise UserError(f"{self.out}: nothing over {named} ({codebook}); {here}")
        self._file = codebook
        return named

    def codebook(self) -> Codebook:
        """The picked codebook, out of its file. Raises UserError where no file that is known holds it any more."""
        known = [self._file, *(one.run.config.get("codebook") for one in self.current(self.label_set))]
        if (latest := self.latest("catalog")) is not None:
            given = GivenTables.of(latest[0]).annotations.get(self.label_set)
            known += [given and given.codebook, latest[1].config.get("codebook")]
        places = list(dict.fromkeys(filter(None, known)))
        for place in places:
            with contextlib.suppress(UserError, ValueError):
                if (book := load_codebook(find_file(place))).label_set == self.label_set:
                    return book
        raise UserError(
            f"{self.label_set}: no such codebook in {', '.join(places) or 'any file'}; give its file"
        )

    def catalog(self) -> Folder:
        latest = self.latest("catalog")
        if latest is None:
            raise UserError(f"{self.out}: holds no catalog")
        return latest[0]

    def reads_what_is_there(self, run: FolderRun) -> bool:
        """Whether all that a run has read is in this folder still, and unchanged.

        Scores that were made before a development sample was set apart have not read it, and have its videos.
        """
        now = {_name(folder.uri): run.state for folder, run in self.runs}
        read = set(map(_name, run.inputs))
        apart = {_name(folder.uri) for folder, one in self.runs if one.config.get("catalog") in read}
        if run.stage == "scores" and not apart <= read:
            return False
        return all(now.get(_name(uri)) == state for uri, state in run.inputs.items() if uri != OVER_SOME)

    def has_read(self, run: FolderRun, folder: Folder) -> bool:
        return _name(folder.uri) in map(_name, run.inputs)


def _asked_at(pair: tuple[Folder, FolderRun]) -> str:
    """When a run was asked for last: a finished one that is asked for again is not computed again."""
    folder, run = pair
    return max(run.finished_at, folder.asked_at() or "")


def _label_set(folder: Folder, run: FolderRun, config: Mapping[str, Any]) -> str:
    """The name of a codebook, as rows have it; where there are none, as the configuration's file has it."""
    for name in run.files:
        found = folder.table(name, ["label_set"])["label_set"]
        if len(found):
            return str(found[0])
    try:
        return load_codebook(find_file(config["codebook"])).label_set
    except (UserError, ValueError, KeyError):
        return ""


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


def run_here(run: FolderRun, out: str) -> FolderRun:
    """A run with the study's folder as it is named now in its configuration, wherever the study was moved from."""

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        if not isinstance(value, dict):
            return value
        here = {key: moved(item) for key, item in value.items()}
        return here | {"out": out} if here.get("out") == run.config["out"] else here

    return replace(run, config=moved(run.config))


def has_texts(config: SystemConfig) -> bool:
    """Whether it judges texts that no catalog lists."""
    first = config.trained_systems[0] if isinstance(config, CombineConfig) else config
    return isinstance(first, FinetuneConfig) and first.texts is not None


def _name(uri: str) -> str:
    """A stage's folder, wherever the study has been moved."""
    return uri.rstrip("/").rpartition("/")[2]
