"""The thresholds that a system's decisions were made with, from where each kind of system keeps them.

Shape letters: L labels of the codebook. NaN: there is none, or it was not kept.
"""

import functools
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tikval.config import CombineConfig, ExtractConfig, FinetuneConfig, PredictConfig, UserError
from tikval.files import parse_json, read_bytes
from tikval.finetune.model_files import read_facts, read_kept
from tikval.stats.arrays import Floats
from tikval.store.runs import SystemConfig


class Thresholds(Protocol):
    def __call__(self, split: str | None, fold: int | None, seed: int | None) -> Floats: ...  # [L]


def thresholds_of_system(config: SystemConfig, folder: str, labels: Sequence[str]) -> Thresholds:
    """What a row's thresholds are, by its split, fold and seed; `folder`: the system's own."""
    none = np.full(len(labels), np.nan)

    def placed(of: dict[str, float]) -> Floats:
        return np.array([of.get(label, np.nan) for label in labels])

    @functools.cache
    def thresholds(split: str | None, fold: int | None, seed: int | None) -> Floats:
        partition = (split or "").rpartition("-")[2]
        match config:
            case ExtractConfig():
                local = config.extractor if config.extractor.kind == "local" else None
                return np.full(len(labels), local.threshold) if local else none
            case PredictConfig():
                return placed(_of_members(config))
            case FinetuneConfig() if isinstance(config.protocol.threshold, str):
                return placed(_of_training(f"{folder}/models/p{partition}-f{fold}-s{seed}"))
            case FinetuneConfig():
                return np.full(len(labels), config.protocol.threshold)
            case CombineConfig() if isinstance(config.threshold, str):
                return placed(_of_combined(folder, partition, fold))
            case CombineConfig():
                return np.full(len(labels), config.threshold)

    return thresholds


def _of_training(place: str) -> dict[str, float]:
    try:
        kept = read_kept(place)
    except UserError:  # a system's models need not be kept
        return {}
    return dict(zip(kept.labels, kept.thresholds, strict=True))


def _of_members(config: PredictConfig) -> dict[str, float]:
    """Those of the only training that judges, else those of the average."""
    try:
        facts = read_facts(config.trained.folder)
    except UserError:  # deleted or trained again since
        return {}
    names = config.members or tuple(facts.members)
    if len(names) == 1:
        return _of_training(f"{config.trained.folder}/models/{names[0]}")
    return dict(zip(facts.labels, facts.thresholds, strict=True))


def _of_combined(folder: str, partition: str, fold: int | None) -> dict[str, float]:
    where = f"{folder}/combined.json"
    facts = parse_json(read_bytes(where) or b"{}", where)
    of: dict[str, float] = next(
        (
            each["thresholds"]
            for part in facts.get("partitions", ())
            for each in part["folds"]
            if (str(part["partition"]), each["fold"]) == (partition, fold)
        ),
        {},
    )
    return of
