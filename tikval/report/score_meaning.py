"""What a system's scores are, and the thresholds that its decisions follow from: a score is shown as what it is.

Shape letters: L labels of the system's codebook.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tikval.codebook import Codebook, load_codebook
from tikval.config import (
    CascadeConfig,
    CombineConfig,
    CriticExtractor,
    ExtractConfig,
    FinetuneConfig,
    LocalExtractor,
    PredictConfig,
    TuneConfig,
    UserError,
    find_file,
)
from tikval.extract.calibration import kept_calibration
from tikval.extract.votes import MAJORITY
from tikval.files import parse_json, read_bytes
from tikval.finetune.model_files import read_facts, read_kept
from tikval.store.folder import Folder
from tikval.store.runs import Study, SystemConfig, system_config

NO_SCORE: Final = "none"  # a language model that is asked once decides, and scores nothing
UNKNOWN: Final = "score"
SHARE: Final = "similarity share"
VOTES: Final = "vote share"
PROBABILITY: Final = "probability"
WHAT_IT_IS: Final = {
    NO_SCORE: "no score: a language model decides without one",
    UNKNOWN: "score: of a kind that was not kept",
    SHARE: "similarity share: how much of a text lies nearer to this label than to all others, by cosine similarities "
    "that are shared out among them; no probability",
    VOTES: "vote share: how many of a language model's replies to the same video give the label, by those that were "
    "valid; more than half decide. How sure the model is of itself: no probability that it is right",
    PROBABILITY: "probability: what a trained model gives the label; whether it holds is measured by Brier score and "
    "calibration error",
}
_TRAINING: Final = re.compile(r"p(\d+)-f(\d+)-s(\d+)")  # partition, fold and seed

Thresholds = tuple[float | None, ...]  # [L] None: the system does not model this label


@dataclass(frozen=True)
class ScoreMeaning:
    """What the scores of one system are.

    `thresholds`: those of all rows; None where there is no score, where each training has its own (`by_training`, by
    split, fold and seed as its rows name them), or where they were not kept.
    """

    kind: str = UNKNOWN
    thresholds: Thresholds | None = None
    by_training: Mapping[tuple[str, int, int], Thresholds] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """A sentence on what the scores are."""
        return WHAT_IT_IS[self.kind]

    def of_row(self, row: Mapping[str, Any]) -> Thresholds | None:
        """The thresholds of a PredictionRow; None: not known, or there is no score."""
        training = (row["split"] or "", row["fold"] or 0, row["seed"] or 0)
        return self.thresholds or self.by_training.get(training)

    def text(self, score: float, threshold: float | None) -> str:
        """A score as it is shown: `probability 0.620 (threshold 0.500)`."""
        return f"{self.kind} {score:.3f} ({threshold_text(threshold)})"


def threshold_text(threshold: float | None) -> str:
    return "threshold not kept" if threshold is None else f"threshold {threshold:.3f}"


def score_meaning(study: Study, system: str) -> ScoreMeaning:
    """What the scores of a study's system are. Raises UserError where its files have changed since."""
    folder, run = study.systems()[system]
    config = system_config(run)
    return score_meaning_of(folder, config, load_codebook(find_file(config.codebook)))


def score_meaning_of(folder: Folder, config: SystemConfig, codebook: Codebook) -> ScoreMeaning:
    """What the scores in a system's folder are."""
    match config:
        case ExtractConfig():
            return _of_extractor(folder, config, codebook)
        case PredictConfig():
            return ScoreMeaning(PROBABILITY, _of_kept_models(config))
        case FinetuneConfig():
            return _of_trainings(folder, config, codebook)
        case CombineConfig():
            return _of_combination(folder, config, codebook)
        case TuneConfig():
            return ScoreMeaning(PROBABILITY, None)
        case CascadeConfig():
            return ScoreMeaning(NO_SCORE)


def _of_extractor(folder: Folder, config: ExtractConfig, codebook: Codebook) -> ScoreMeaning:
    extractor = config.extractor
    if isinstance(extractor, CriticExtractor):  # it drops decisions, and leaves scores as they are
        assert config.predictions is not None
        return _of_extractor(Folder(config.predictions.folder), config.predictions, codebook)
    if not isinstance(extractor, LocalExtractor):
        one = extractor.samples == 1
        return ScoreMeaning(NO_SCORE) if one else ScoreMeaning(VOTES, (MAJORITY,) * len(codebook.labels))
    if extractor.threshold != "codebook" and extractor.rates is None:
        return ScoreMeaning(SHARE, (extractor.threshold,) * len(codebook.labels))
    kept = kept_calibration(folder.uri)
    if kept is None:
        return ScoreMeaning(SHARE)
    return ScoreMeaning(SHARE, kept.thresholds or (kept.threshold,) * len(codebook.labels))


def _of_kept_models(config: PredictConfig) -> Thresholds | None:
    """Those of the members' average; of a single member, its own."""
    folder = config.trained.folder
    try:
        facts = read_facts(folder)
        alone = config.members if config.members is not None else tuple(facts.members)
        kept = read_kept(f"{folder}/models/{alone[0]}") if len(alone) == 1 else facts
    except UserError:  # erased, or written by another version
        return None
    return _over(facts.all_labels, dict(zip(kept.labels, kept.thresholds, strict=True)))


def _of_trainings(folder: Folder, config: FinetuneConfig, codebook: Codebook) -> ScoreMeaning:
    if not isinstance(config.protocol.threshold, str):
        return ScoreMeaning(PROBABILITY, (config.protocol.threshold,) * len(codebook.labels))
    found: dict[tuple[str, int, int], Thresholds] = {}
    try:
        facts = read_facts(folder.uri)
        for name in facts.members:
            kept = read_kept(f"{folder.uri}/models/{name}")
            if numbers := _TRAINING.fullmatch(name):
                partition, fold, seed = map(int, numbers.groups())
                own = dict(zip(kept.labels, kept.thresholds, strict=True))
                found[f"{config.protocol.name}-{partition}", fold, seed] = _over(facts.all_labels, own)
    except UserError:  # its models were not kept
        return ScoreMeaning(PROBABILITY)
    return ScoreMeaning(PROBABILITY, None, found)


def _of_combination(folder: Folder, config: CombineConfig, codebook: Codebook) -> ScoreMeaning:
    if not isinstance(config.threshold, str):
        return ScoreMeaning(PROBABILITY, (config.threshold,) * len(codebook.labels))
    data = read_bytes(f"{folder.uri}/combined.json")
    if data is None:
        return ScoreMeaning(PROBABILITY)
    protocol = config.trained_systems[0].protocol.name
    found = {
        (f"{protocol}-{part['partition']}", fold["fold"], 0): _over(codebook.labels, fold["thresholds"])
        for part in parse_json(data, f"{folder.uri}/combined.json")["partitions"]
        for fold in part["folds"]
    }
    return ScoreMeaning(PROBABILITY, None, found)


def _over(labels: tuple[str, ...], own: Mapping[str, float]) -> Thresholds:
    return tuple(own.get(label) for label in labels)
