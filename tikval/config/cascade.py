"""A cheap system for all videos, a strong one where doubt can change an answer: jobs/cascade.py."""

from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, Discriminator, Field, PositiveInt, Tag, model_validator

from tikval.config.base import JobConfig, Upstream, inline
from tikval.config.combine import ExtractSystem, FinetuneSystem, kind_of_system
from tikval.config.extract import ExtractConfig
from tikval.config.predict import PredictConfig
from tikval.config.scripts import CatalogConfig, ScriptConfig
from tikval.config.train import SystemName
from tikval.config.tune import TuneConfig

CheapSystem = Annotated[
    Annotated[
        ExtractSystem
        | FinetuneSystem
        | Annotated[PredictConfig, Tag("predict")]
        | Annotated[TuneConfig, Tag("tune")],
        Discriminator(kind_of_system),
    ],
    BeforeValidator(inline),
]


class CascadeConfig(JobConfig):
    """jobs/cascade.py: PredictionRow of a cheap system -> PredictionRow, some of them by a strong one."""

    stage: ClassVar[str] = "cascade"

    cheap: CheapSystem  # answers every video, with scores
    strong: Upstream[ExtractConfig]  # answers a random sample, and where doubt can change an answer
    system: SystemName
    sample: PositiveInt = 400  # random videos that both answer: half set the limits, half check the promise
    # of the strong system's positives, of each stance: what is promised with 95 % confidence
    recall: float = Field(default=0.9, ge=0, le=1)
    precision: float = Field(default=0.9, ge=0, le=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _has_one_study(self) -> Self:
        if self.cheap.codebook != self.strong.codebook:
            raise ValueError(f"cheap answers by {self.cheap.codebook}, strong by {self.strong.codebook}")
        if self.cheap.catalog.fingerprint != self.strong.catalog.fingerprint:
            raise ValueError("cheap and strong list their videos in different ways, so they are two studies")
        return self

    @property
    def codebook(self) -> str:
        return self.strong.codebook

    @property
    def scripts(self) -> ScriptConfig | None:
        """The scripts that are shown beside its predictions."""
        return self.strong.scripts or getattr(self.cheap, "scripts", None)

    @property
    def catalog(self) -> CatalogConfig:
        return self.strong.catalog
