"""Trained systems over new videos, in actors of Ray Data: one training, or all of a system averaged."""

import json
import sys
from collections.abc import Sequence
from functools import partial

from tikval.config import PredictConfig
from tikval.files import read_bytes, write_bytes
from tikval.finetune.model_files import EnsembleFacts
from tikval.finetune.model_index import usable_members
from tikval.flow.data import Stage, Step, run_stage
from tikval.rows import PredictionRow, arrow_schema
from tikval.stats.folds import PARTS, from_json
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun


def predict(config: PredictConfig) -> FolderRun:
    trained = config.trained.folder
    facts, names = usable_members(trained, config.members)
    state = facts.state_of(names)
    _forget_other_models(Folder(config.folder), trained, state)
    warn_of_trained_videos(config)
    judge = Step(partial(_load, config, facts, names), arrow_schema(PredictionRow), config.pool)
    return run_stage(
        config, [judge], source=config.source, catalog=config.catalog, settings={f"{trained}/models": state}
    )


def _load(config: PredictConfig, facts: EnsembleFacts, names: Sequence[str]) -> Stage:
    from tikval.finetune.inference import Judge  # torch, which only the actor pays for

    return Judge(config, facts, names)


def _forget_other_models(folder: Folder, trained: str, state: str) -> None:
    """Rows of models that were trained anew since are no rows of this system: all are made again."""
    marker = f"{folder.uri}/judged_by.json"
    judged_by = json.dumps({"trained": trained, "state": state}).encode()
    with folder.lock():
        if read_bytes(marker) != judged_by:
            folder.remove()
            write_bytes(marker, judged_by)  # last: rows beside it are of these models


def warn_of_trained_videos(config: PredictConfig) -> None:
    """What people should know of the rows that they are about to get."""
    trained_on = config.trained.embeddings if config.trained.takes_vectors else config.trained.scripts
    if trained_on and trained_on.fingerprint != config.source.fingerprint:
        print(
            f"{config.stage}: {config.trained.system} was trained on {trained_on.folder}, made by another recipe than "
            f"{config.source.folder}; its scores may not hold here",
            file=sys.stderr,
        )
    folds = read_bytes(f"{config.trained.folder}/folds.json")
    if folds is None:  # erased with the rows that it named
        return
    known = {name for fold in from_json(folds.decode()) for part in PARTS for name in getattr(fold, part)}
    here = Folder(config.catalog.folder).read(["video_id"])["video_id"].to_pylist()
    if seen := len(known.intersection(here)):
        print(
            f"{config.stage}: {seen} of {len(here)} videos were trained on; their predictions are not held out, and "
            f"no measure of {config.system}: score {config.trained.system} instead",
            file=sys.stderr,
        )
