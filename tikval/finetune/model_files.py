"""What fine-tuning leaves for others to use, as closed and typed files.

    models/ensemble.json        EnsembleFacts: what the system is worth on held-out rows, and its thresholds
    models/p0-f0-s0/            one training
      weights.pt                of each model's best epoch: {its number: tensors by name}
      encoder/                  configuration and tokenizer of the encoder, so that nothing else is needed
      model.json                Kept: how they are used; written last

No ids and no account names stand in them. L trained labels.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError

from tikval.config import Config, Protocol, TextEncoder, UserError, VectorHead
from tikval.files import read_bytes


class Measured(Config):
    """A number and its 95 % interval over accounts; None: nothing to measure, or `why_none`, in words."""

    value: float | None
    low: float | None = None
    high: float | None = None
    why_none: str | None = None


class Scores(Config):
    """F1 beside that of the predict-all baseline, over the same rows; gain: macro F1 less the latter's."""

    macro_f1: Measured
    weighted_f1: Measured
    baseline_macro_f1: Measured
    baseline_weighted_f1: Measured
    gain: Measured


class MemberFacts(Config):
    """One training."""

    weights_sha256: str
    train: int  # rows
    validation: int
    test: int
    cut_rows: int  # of the study's texts, that were longer than the encoder takes
    scores: Scores  # over its test rows, with its own thresholds


class EnsembleFacts(Config):
    system: str
    protocol: Protocol
    label_set: str
    all_labels: tuple[str, ...]  # in whose order a PredictionRow has its decisions
    labels: tuple[str, ...]  # [L]
    thresholds: tuple[float, ...]  # [L] of the average of all members
    # none: a number of the protocol's
    thresholds_from: Literal["held-out scores", "validation rows", "none"]
    members: dict[str, MemberFacts]
    rows: int  # held out and judged
    failed: int  # annotated, without a text or vector
    groups: int  # of accounts and near-duplicates
    accounts: int | None = None  # None: written by an earlier version
    support: tuple[int, ...]  # [L] rows for which a label is true
    intervals: Literal["percentiles", "jackknife"] = "percentiles"  # by which earlier versions had them
    scores: Scores  # of the trainings: of each partition and seed (paper: and fold), averaged
    label_f1: tuple[Measured, ...]  # [L]
    brier: float  # of the mean held-out scores
    ece: float

    def state_of(self, members: Sequence[str]) -> str:
        """A hash that changes whenever these members would judge a row otherwise."""
        parts = [*(self.members[name].weights_sha256 for name in members), self.thresholds, self.labels]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


class Kept(Config):
    """How one training's weights are used. What else stands in the file is a human-readable record."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: Annotated[TextEncoder | VectorHead, Field(discriminator="kind")]
    heads: Literal["multilabel", "per_label", "three_way"]
    models: int = 1  # whose probabilities are averaged
    labels: tuple[str, ...]  # [L]
    thresholds: tuple[float, ...]  # [L]
    width: int | None  # of vectors
    weights_sha256: str


def read_kept(place: str) -> Kept:
    """Read `models/p0-f0-s0`. Raises UserError where it is not there or not whole."""
    data = read_bytes(f"{place}/model.json")
    if data is None:
        raise UserError(f"{place}: no model was kept there; run jobs.finetune with keep_models: best")
    try:
        return Kept.model_validate_json(data)
    except ValidationError as err:
        raise UserError(f"{place}/model.json: not as jobs.finetune writes it now; train it again") from err


def read_facts(folder: str) -> EnsembleFacts:
    """Read the facts of a trained system's folder. Raises UserError where no models were kept."""
    data = read_bytes(f"{folder}/models/ensemble.json")
    if data is None:
        raise UserError(
            f"{folder}: its models were not kept; delete the folder and run jobs.finetune with keep_models: best"
        )
    try:
        return EnsembleFacts.model_validate_json(data)
    except ValidationError as err:
        raise UserError(
            f"{folder}/models/ensemble.json: not as jobs.finetune writes it now; train it again"
        ) from err
