"""Trained systems over new videos."""

from typing import Annotated, ClassVar, Self

from pydantic import model_validator

from tikval.config.base import ADDED_LATER, JobConfig, Pool, Upstream
from tikval.config.embed import EmbedConfig
from tikval.config.scripts import CatalogConfig, ScriptConfig
from tikval.config.train import FinetuneConfig, SystemName


class PredictConfig(JobConfig):
    """jobs/predict.py: ScriptRow or EmbeddingRow of new videos -> PredictionRow, by models that finetune kept."""

    stage: ClassVar[str] = "predictions"

    trained: Upstream[FinetuneConfig]
    scripts: Upstream[ScriptConfig] | None = None
    embeddings: Upstream[EmbedConfig] | None = None
    system: SystemName  # the name it has in every table
    members: tuple[str, ...] | None = None  # names of trainings ("p0-f1-s0"), averaged; None: all
    # the sentences that each decided label hangs on, found by cutting each one out: many times the work
    evidence: Annotated[bool, ADDED_LATER] = False
    pool: Pool = Pool(actors=1, batch_rows=32)

    @model_validator(mode="after")
    def _has_its_source(self) -> Self:
        wants = "embeddings" if self.trained.takes_vectors else "scripts"
        other = "scripts" if self.trained.takes_vectors else "embeddings"
        if getattr(self, wants) is None or getattr(self, other) is not None:
            raise ValueError(f"{self.trained.system} was trained on {wants}: name {wants}, and not {other}")
        if self.trained.keep_models == "none":
            raise ValueError("trained: keep_models: none keeps nothing to predict with")
        if self.evidence and self.trained.takes_vectors:
            raise ValueError(
                f"evidence: {self.trained.system} reads vectors, which have no sentences to cut out; leave it out"
            )
        return self

    @property
    def codebook(self) -> str:
        return self.trained.codebook

    @property
    def source(self) -> ScriptConfig | EmbedConfig:
        source = self.scripts or self.embeddings
        assert source is not None
        return source

    @property
    def catalog(self) -> CatalogConfig:
        return self.source.videos
