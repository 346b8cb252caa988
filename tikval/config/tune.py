"""Heads on frozen sentence vectors, learnt from a few hundred annotated videos or from a strong system's answers."""

from typing import Any, ClassVar, Self

from pydantic import Field, PositiveInt, model_validator

from tikval.config.base import Config, JobConfig, Pool, TextFile, Upstream
from tikval.config.extract import SCHWARTZ, ExtractConfig, LocalExtractor, suited_to
from tikval.config.scripts import CatalogConfig, ScriptConfig
from tikval.config.train import SystemName


class Heads(Config):
    """How the heads are fitted; all of it out of fold, with accounts whole."""

    folds: int = Field(default=5, ge=2, le=20)  # of whole accounts
    seed: int = Field(default=0, ge=0)  # of the folds


class TuneConfig(JobConfig):
    """jobs/tune.py: ScriptRow and LabelRow -> PredictionRow, out of fold where a video has labels."""

    stage: ClassVar[str] = "tuned"

    scripts: Upstream[ScriptConfig]
    system: SystemName  # the name it has in every table
    codebook: TextFile = SCHWARTZ  # whose values are learned
    heads: Heads = Heads()
    base: LocalExtractor = LocalExtractor()  # whose vectors and scores the heads start from
    # distillation: this system's answers on a random sample are the labels, in place of annotations
    teacher: Upstream[ExtractConfig] | None = None
    sample: PositiveInt | None = None  # videos that the teacher answers
    annotator: str | None = None  # whose annotations; needed where there are several
    pool: Pool = Pool(batch_rows=32)

    @model_validator(mode="before")
    @classmethod
    def _has_its_codebooks_threshold(cls, data: Any) -> Any:
        """A threshold that nobody gave is set from the codebook, where that is another."""
        part = data.get("base", {}) if isinstance(data, dict) else None
        return {**data, "base": suited_to(data.get("codebook"), part)} if isinstance(part, dict) else data

    @model_validator(mode="after")
    def _has_its_labels(self) -> Self:
        if (self.teacher is None) != (self.sample is None):
            raise ValueError(
                "teacher and sample go together: whose answers are learnt, and on how many videos"
            )
        if self.base.rates is not None:
            raise ValueError("base.rates: heads have thresholds of their own; leave it out")
        if self.teacher is not None and self.teacher.codebook != self.codebook:
            raise ValueError(
                f"teacher: answers by {self.teacher.codebook}, and this system by {self.codebook}"
            )
        return self

    @property
    def source(self) -> ScriptConfig:
        return self.scripts

    @property
    def catalog(self) -> CatalogConfig:
        return self.scripts.videos
