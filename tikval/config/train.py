"""Systems that learn from annotations: pre-trained on their texts, fine-tuned."""

import re
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from tikval.config.base import (
    ADDED_LATER,
    Config,
    JobConfig,
    Place,
    Pool,
    TextFile,
    Upstream,
    inline,
)
from tikval.config.embed import EmbedConfig
from tikval.config.extract import ExtractConfig
from tikval.config.scripts import CatalogConfig, ScriptConfig
from tikval.errors import UserError


class TextEncoder(Config):
    """A pre-trained encoder of texts with a classification head; all weights train (Appendix C.1)."""

    gone: ClassVar[dict[str, Any]] = {"definitions": False}

    kind: Literal["text"] = "text"  # an encoder of texts
    model: str = "FacebookAI/roberta-large"  # hub name or local directory: any AutoModel of transformers
    revision: str | None = None  # commit of the hub's
    max_tokens: int = Field(default=512, ge=8, le=16_384)  # longer texts are cut, or read in windows
    # cut: what does not fit is left out and counted; windows: overlapping parts, their scores averaged
    long_texts: Literal["cut", "windows"] = "cut"
    overlap_tokens: int = Field(default=64, ge=0)  # of windows
    # head: the architecture's own, on the first token, as transformers defines it; mean: linear, on all tokens' mean
    pooling: Literal["head", "mean"] = "head"
    dropout: float = Field(default=0.1, ge=0, lt=1)  # before the head
    gradient_checkpointing: bool = False  # less memory for a third more time
    precision: Literal["float32", "bfloat16"] = "float32"  # of the forward pass; weights stay float32


class VectorHead(Config):
    """An MLP over the vectors of jobs/embed.py (F-VideoMAE)."""

    kind: Literal["vectors"] = "vectors"  # an MLP over vectors
    hidden: tuple[PositiveInt, ...] = (512,)  # units of each layer
    dropout: float = Field(default=0.1, ge=0, lt=1)  # after each layer
    standardise: bool = True  # each number to mean 0 and deviation 1 over the training rows


class Fit(Config):
    """How one model is trained. Defaults: Appendix C.1, and our choices where it is silent."""

    gone: ClassVar[dict[str, Any]] = {"head_rate": 1.0}

    batch_rows: PositiveInt = 16  # rows per step, over all workers
    learning_rate: float = Field(default=2e-5, gt=0)  # the highest of the schedule
    weight_decay: float = Field(default=0.01, ge=0)  # of AdamW
    warmup_share: float = Field(default=0.1, ge=0, lt=1)  # of all steps
    epochs: PositiveInt = 5  # at most
    patience: PositiveInt = 2  # epochs without a better one
    best_by: Literal["macro_f1", "weighted_f1", "loss"] = "macro_f1"  # of the rows that choose the epoch
    # multilabel: one model for all labels; per_label: one for each; three_way: one model whose probabilities of a
    # value endorsed, confronted and absent sum to one
    heads: Literal["multilabel", "per_label", "three_way"] = "multilabel"
    # a label's positives weigh as much more as they are rarer, up to this; None: all rows weigh the same
    positive_weight: float | None = Field(default=None, ge=1)
    gradient_norm: float = Field(default=1.0, gt=0)  # longer gradients are shortened to it
    # each training is so many models from other seeds, one after another; their probabilities are averaged
    models: Annotated[PositiveInt, ADDED_LATER] = 1

    @property
    def is_one_model(self) -> bool:
        """Whether a training's epochs are those of a single model."""
        return self.models == 1 and self.heads != "per_label"


class Protocol(Config):
    """Which rows train, choose and test.

    paper: shuffled folds; the test fold chooses the epoch; threshold 0.5; scores averaged over the folds.
    honest: folds that no account and no near-duplicate straddles, balanced over the labels; a part of the training
    folds chooses epoch and threshold; several partitions and seeds.
    given: the `split` column of the texts says train, validation or test.
    """

    name: Literal["honest", "paper", "given"] = "honest"  # docs/protocols.md
    folds: int = Field(default=3, ge=2)  # of a partition
    partitions: PositiveInt = 3  # ways to cut the rows into folds
    seeds: PositiveInt = 1  # trainings of each fold
    validation_share: float = Field(default=0.2, gt=0, lt=1)  # of the training folds
    threshold: float | Literal["global", "per_label"] = "global"  # a number, or chosen on the validation rows

    @model_validator(mode="after")
    def _is_the_papers(self) -> Self:
        if self.name == "paper" and (self.partitions, self.threshold) != (1, 0.5):
            raise ValueError("paper: takes partitions: 1 and threshold: 0.5")
        return self


class Texts(Config):
    """Texts that are not scripts of this study: CSV or Parquet with video_id, text and, where known, account, split."""

    table: Place  # video_id, text and, where known, account and split
    annotations: Place  # CSV or Parquet with video_id and one column per value


SystemName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]  # as it stands in every table


class LearnConfig(JobConfig):
    """What pre-training and fine-tuning share: texts or vectors, annotations, and the folds that follow from them."""

    operational: ClassVar[frozenset[str]] = JobConfig.operational | {"workers"}

    scripts: Upstream[ScriptConfig] | None = None
    embeddings: Upstream[EmbedConfig] | None = None  # in place of scripts; beside them: their near-duplicates
    texts: Texts | None = None  # in place of both
    codebook: TextFile = "prompts/codebook.yaml"  # whose values are learned
    # the labels that are trained; None: those in at least min_share of the annotated rows
    labels: tuple[str, ...] | None = None
    min_share: float = Field(default=0.05, ge=0, le=1)  # of the annotated rows, with `labels: null`
    annotator: str | None = None  # whose labels are the truth; needed where there are several
    protocol: Protocol = Protocol()
    workers: PositiveInt = 1  # of one training, each with its share of a batch (DDP)
    pool: Pool = Pool()  # of one worker: cpus, gpus; actors: trainings at once

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.texts is not None and (self.scripts or self.embeddings):
            raise ValueError("name texts, or scripts and embeddings, not both")
        if self.texts is None and (self.embeddings if self.takes_vectors else self.scripts) is None:
            raise ValueError("a text encoder needs scripts or texts, a head for vectors needs embeddings")
        if self.protocol.name == "given" and self.texts is None:
            raise ValueError("protocol: given needs texts with a split column")
        return self

    @property
    def takes_vectors(self) -> bool:
        return False

    @property
    def source(self) -> ScriptConfig | EmbedConfig:
        """What is read of each video of a study."""
        source = self.embeddings if self.takes_vectors else self.scripts
        assert source is not None
        return source

    @property
    def catalog(self) -> CatalogConfig:
        """Raises UserError where texts are trained on, which are no videos of a catalog."""
        source = self.scripts or self.embeddings
        if source is None:
            raise UserError("trained on texts of its own, which no catalog lists")
        return source.videos


class PretrainConfig(LearnConfig):
    """jobs/pretrain.py: ScriptRow or texts -> encoders that went on guessing masked tokens of them."""

    stage: ClassVar[str] = "pretrain"

    model: TextEncoder = TextEncoder()
    # test: an encoder for each fold, which sees no script of its test rows; nothing: one for all (the paper's way)
    leave_out: Literal["test", "nothing"] = "test"
    mask_share: float = Field(default=0.15, gt=0, lt=1)  # of the tokens, hidden and to be guessed
    epochs: PositiveInt = 3  # over all texts
    learning_rate: float = Field(default=5e-5, gt=0)  # the highest of the schedule
    batch_rows: PositiveInt = 16  # windows of text per step, over all workers
    weight_decay: float = Field(default=0.01, ge=0)  # of AdamW
    warmup_share: float = Field(default=0.1, ge=0, lt=1)  # of the steps, in which the rate grows
    gradient_norm: float = Field(default=1.0, gt=0)  # longer gradients are shortened to it
    seed: int = 0  # of masks and order


# what folds follow from: of a fine-tuning on a pre-trained encoder the same as of its pre-training
_SHARED: Final = (
    *("scripts", "embeddings", "texts", "codebook", "labels", "min_share", "annotator", "protocol"),
    "model",
)


class FinetuneConfig(LearnConfig):
    """jobs/finetune.py: ScriptRow, EmbeddingRow or texts, and LabelRow -> PredictionRow of the held-out rows."""

    stage: ClassVar[str] = "finetune"
    operational: ClassVar[frozenset[str]] = LearnConfig.operational | {"keep_models"}

    system: SystemName  # the name it has in every table
    encoder: Upstream[PretrainConfig] | None = None  # keys that are not given here are as there
    model: Annotated[TextEncoder | VectorHead, Field(discriminator="kind")] = TextEncoder()
    fit: Fit = Fit()
    # of one partition's fold ("p0-f1"), other values of model.* and fit.*, as jobs/sweep.py chose them inside it
    by_fold: dict[str, dict[str, Any]] = Field(default={})
    keep_models: Literal["none", "best"] = "best"  # of every training: its best epoch's weights
    # distillation: this system's answers on a random sample are the labels, in place of annotations
    teacher: Annotated[Upstream[ExtractConfig] | None, ADDED_LATER] = None
    sample: Annotated[PositiveInt | None, ADDED_LATER] = None  # videos that the teacher answers

    @model_validator(mode="before")
    @classmethod
    def _as_pretrained(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("encoder") is None:
            return data
        encoder = inline(data["encoder"])
        keys = encoder if isinstance(encoder, dict) else encoder.model_dump()
        shared = {key: keys[key] for key in _SHARED if key in keys}
        own = data.get("model", {})
        # what it does not say of the encoder is as there, too
        if isinstance(own, dict) and own.get("kind", "text") == "text":
            data = {**data, "model": {"kind": "text", **shared.get("model", {}), **own}}
        return {**shared, **data, "encoder": encoder}

    @model_validator(mode="after")
    def _shares_the_folds(self) -> Self:
        if self.encoder is not None:
            for key in _SHARED:
                mine, other = (_for_folds(key, config) for config in (self, self.encoder))
                if mine != other:
                    raise ValueError(
                        f"{key}: differs from that of the encoder's pre-training; leave it out here"
                    )
        return self

    @model_validator(mode="after")
    def _has_its_labels(self) -> Self:
        if (self.teacher is None) != (self.sample is None):
            raise ValueError(
                "teacher and sample go together: whose answers are learnt, and on how many videos"
            )
        if self.teacher is None:
            return self
        if self.teacher.codebook != self.codebook:
            raise ValueError(
                f"teacher: answers by {self.teacher.codebook}, and this system by {self.codebook}"
            )
        if self.texts or self.encoder or self.annotator:
            raise ValueError("teacher: goes with scripts or embeddings, without texts, encoder and annotator")
        return self

    @model_validator(mode="after")
    def _knows_its_folds(self) -> Self:
        for name in self.by_fold:
            if not re.fullmatch(r"p\d+-f\d+", name):
                raise ValueError(f"by_fold: {name} is no fold; they are called p0-f0, p0-f1 and so on")
            self.of_fold(name)
        return self

    @property
    def takes_vectors(self) -> bool:
        return self.model.kind == "vectors"

    def of_fold(self, name: str) -> tuple[TextEncoder | VectorHead, Fit]:
        """How a fold ("p0-f1") is trained. Raises ValueError for a key or a value that does not exist."""
        return changed(self.model, self.fit, self.by_fold.get(name, {}))


def changed(
    model: TextEncoder | VectorHead, fit: Fit, settings: dict[str, Any]
) -> tuple[TextEncoder | VectorHead, Fit]:
    """Both, with other values of some keys `model.*` and `fit.*`. Raises ValueError as `of_fold`."""
    parts = {"model": model.model_dump(), "fit": fit.model_dump()}
    for key, value in settings.items():
        part, _, name = key.partition(".")
        if name not in parts.get(part, {}):
            raise ValueError(f"{key}: no setting of model or fit")
        parts[part][name] = value
    return type(model).model_validate(parts["model"]), Fit.model_validate(parts["fit"])


def _for_folds(key: str, config: LearnConfig) -> Any:
    """What of a shared key the folds, or the encoder, follow from."""
    value = getattr(config, key)
    if isinstance(value, TextEncoder):
        return value.model
    return value.model_dump(exclude={"seeds", "threshold"}) if isinstance(value, Protocol) else value
