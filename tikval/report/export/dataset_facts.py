"""The facts on the card of an exported data set: systems, models, recipes, counts, scores; no place, no person."""

import re
from dataclasses import dataclass
from typing import Any, Final

import pyarrow.compute as pc

from tikval.codebook import Codebook
from tikval.config import (
    CascadeConfig,
    CombineConfig,
    ExtractConfig,
    FinetuneConfig,
    PredictConfig,
    TuneConfig,
)
from tikval.evaluate.baselines import BASELINES
from tikval.evaluate.scores import Coverage
from tikval.report.export.systems import Exported
from tikval.report.model_change import model_change
from tikval.report.notices import is_local_system, not_calibrated
from tikval.report.tables.cascade import promise_of
from tikval.rows import LabelRow, ScoreRow
from tikval.store.folder import Folder
from tikval.store.runs import Study, SystemConfig, has_texts

# a folder of this machine or an address, in the name of a model that was loaded from there
_PLACE: Final = re.compile(
    r"(?<![^\s,])(?:[A-Za-z][\w+.-]*://|~?\.{0,2}/|[A-Za-z]:\\|[^\s,/]+/[^\s,/]+/).*?(?=\s+sha256:|,|$)"
)


@dataclass(frozen=True)
class SystemFacts:
    name: str
    about: str
    models: tuple[str, ...]  # that answered
    recipe: str
    finished_at: str
    tikval: str
    codebook: Codebook
    modelled: tuple[bool, ...]  # [L]
    videos: int
    coverage: Coverage  # of its rows: several of a video where it was trained several times
    without: int  # videos of the catalog for which it has no row
    local: bool  # the embedded default
    not_calibrated: str | None = None  # a sentence, where its threshold is not one for its codebook
    model_change: str | None = None  # a sentence, where more than one model answered


@dataclass(frozen=True)
class LabelFacts:
    codebook: Codebook
    rows: int
    videos: int
    listed: int  # of them, in the catalog
    annotators: int


@dataclass(frozen=True)
class DatasetFacts:
    systems: tuple[SystemFacts, ...]
    labels: LabelFacts | None
    scores: tuple[ScoreRow, ...]  # of these systems and the baselines
    no_scores: str  # why there are none
    ids: int
    naming: int  # of them, ids that hold an account's name, a handle or an address
    minors: int  # of them, ids of accounts that are marked as a minor's


def system_facts(study: Study, system: Exported, listed: set[str]) -> SystemFacts:
    table, run, config = system.table, system.run, system.config
    reasons = {row["values"]: row["counts"] for row in pc.value_counts(table["error"]).to_pylist()}
    results = reasons.pop(None, 0)
    ordered = dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
    seen = set(pc.unique(table["video_id"]).to_pylist())
    return SystemFacts(
        name=system.system,
        about="; ".join(filter(None, [_about(study, config), promise_of(system.folder)])),
        models=tuple(_served(system.folder)),
        recipe=run.fingerprint,
        finished_at=run.finished_at,
        tikval=run.tikval,
        codebook=system.codebook,
        modelled=tuple(system.modelled.tolist()),
        videos=len(seen),
        coverage=Coverage(table.num_rows, results, 0, ordered),
        without=0 if has_texts(config) else len(listed - seen),
        local=is_local_system(config),
        not_calibrated=not_calibrated(config, system.folder.uri),
        model_change=model_change(config, system.folder),
    )


def _about(study: Study, config: SystemConfig) -> str:
    """What a system is, in a few words that name no place."""
    match config:
        case ExtractConfig():
            return f"values {_from_scripts(study, config)}"
        case PredictConfig():
            kept = f"values by `{config.trained.system}` as it was trained"
            return f"{kept}, {_from_scripts(study, config)}"
        case FinetuneConfig():
            how = config.protocol
            source = "texts" if has_texts(config) else _from_scripts(study, config).removeprefix("from ")
            flatters = "; its scores flatter, see tikval's docs/protocols.md" if how.name == "paper" else ""
            return (
                f"trained on {source}; each row says what was said of held-out rows (`{how.name}`{flatters})"
            )
        case CombineConfig():
            names = ", ".join(f"`{system.system}`" for system in config.systems)
            return f"{config.how} of {names}, of held-out rows"
        case TuneConfig():
            return f"heads learnt on sentence vectors, {_from_scripts(study, config)}; out of fold where annotated"
        case CascadeConfig():
            return f"`{config.cheap.system}`, and `{config.strong.system}` where doubt can change an answer"


def _from_scripts(study: Study, config: ExtractConfig | PredictConfig | FinetuneConfig | TuneConfig) -> str:
    if config.scripts is None:
        return (
            "from vectors" if isinstance(config, PredictConfig | FinetuneConfig) else "from the video itself"
        )
    recipe = config.scripts.fingerprint
    served = {
        public_name(name)
        for folder, run in study.runs
        if (run.stage, run.fingerprint) == (config.scripts.stage, recipe)
        for name in _served(folder)
    }
    return f"from scripts by {', '.join(sorted(served)) or 'nobody'} (recipe `{recipe}`)"


def _served(folder: Folder) -> list[str]:
    """The models that answered, as the rows of a folder name them."""
    columns = [table["model_served"] for table in folder.tables(["model_served"])]
    return sorted({name for column in columns for name in pc.unique(column).to_pylist() if name})


def scores_of(study: Study, systems: list[Exported]) -> tuple[list[ScoreRow], str]:
    """The scores of the last evaluation that read just these predictions and annotations, and why there are none."""
    done = [(folder, run) for folder, run in study.runs if run.stage == "scores" and run.files]
    if not done:
        return [], "no evaluation has been run"
    fresh = [(folder, run) for folder, run in done if study.reads_what_is_there(run)]
    if not fresh:
        return [], "predictions or annotations have changed since the last evaluation"
    folder, run = max(fresh, key=lambda pair: pair[1].finished_at)
    here = {system.system for system in systems if study.has_read(run, system.folder)}
    rows: list[Any] = folder.read().to_pylist()
    scores = [row for row in rows if row["system"] in here | set(BASELINES)]
    return scores, "nothing was annotated"


def label_facts(codebook: Codebook, rows: list[LabelRow], listed: set[str]) -> LabelFacts:
    annotated = {row["video_id"] for row in rows}
    return LabelFacts(
        codebook, len(rows), len(annotated), len(annotated & listed), len({row["annotator"] for row in rows})
    )


def public_name(model: str) -> str:
    """A model's name without the folder or address that it was loaded from."""
    return plain(_PLACE.sub("a local model", model))


def plain(text: str) -> str:
    """Whatever a server or a codebook says, as one line that fits into a table of Markdown."""
    return " ".join(re.sub(r"[|<>`\[\]]", " ", text).split())
