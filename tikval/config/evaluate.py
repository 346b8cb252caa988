"""Several systems, scored: jobs/evaluate.py."""

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Discriminator, Field, Tag

from tikval.config.base import JobConfig, inline
from tikval.config.combine import CombineConfig, ExtractSystem, FinetuneSystem, kind_of_system
from tikval.config.extract import ExtractConfig
from tikval.config.predict import PredictConfig
from tikval.config.scripts import CatalogConfig

_Predict = Annotated[PredictConfig, Tag("predict")]
_Combine = Annotated[CombineConfig, Tag("combine")]
System = Annotated[
    Annotated[ExtractSystem | FinetuneSystem | _Predict | _Combine, Discriminator(kind_of_system)],
    BeforeValidator(inline),
]


class EvaluateConfig(JobConfig):
    """jobs/evaluate.py: PredictionRow and LabelRow -> ScoreRow, with ComparisonRow and SliceRow beside it."""

    stage: ClassVar[str] = "scores"
    version: ClassVar[int] = 3

    predictions: tuple[System, ...] = Field(min_length=1)  # systems, trained or not
    min_share: float = Field(default=0.05, ge=0, le=1)  # labels in fewer videos are left out of aggregates
    annotator: str | None = None  # whose labels are the truth; needed where there are several
    draws: int = Field(default=1_000, ge=100)  # of accounts, for the intervals
    permutations: int = Field(
        default=2_000, ge=100
    )  # of each comparison: the smallest p-value is 1 / (1 + these)
    seed: int = Field(default=0, ge=0)  # of both

    @property
    def catalog(self) -> CatalogConfig:
        return self.predictions[0].catalog

    @property
    def extracted(self) -> tuple[ExtractConfig, ...]:
        """The systems that were not trained."""
        return tuple(system for system in self.predictions if isinstance(system, ExtractConfig))
