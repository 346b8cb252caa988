"""Several systems, scored: jobs/evaluate.py; and the videos on which prompts are tried."""

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Discriminator, Field, Tag

from tikval.config.base import ADDED_LATER, JobConfig, inline
from tikval.config.cascade import CascadeConfig
from tikval.config.combine import CombineConfig, ExtractSystem, FinetuneSystem, kind_of_system
from tikval.config.extract import ExtractConfig
from tikval.config.predict import PredictConfig
from tikval.config.scripts import CatalogConfig
from tikval.config.tune import TuneConfig

_Predict = Annotated[PredictConfig, Tag("predict")]
_Combine = Annotated[CombineConfig, Tag("combine")]
_Tune = Annotated[TuneConfig, Tag("tune")]
_Cascade = Annotated[CascadeConfig, Tag("cascade")]
System = Annotated[
    Annotated[
        ExtractSystem | FinetuneSystem | _Predict | _Combine | _Tune | _Cascade, Discriminator(kind_of_system)
    ],
    BeforeValidator(inline),
]


class EvaluateConfig(JobConfig):
    """jobs/evaluate.py: PredictionRow and LabelRow -> ScoreRow, with ComparisonRow and SliceRow beside it."""

    stage: ClassVar[str] = "scores"
    version: ClassVar[int] = 4
    operational: ClassVar[frozenset[str]] = JobConfig.operational | {"draws"}

    predictions: tuple[System, ...] = Field(min_length=1)  # systems, trained or not
    # the labels that means are over: those that min_share of the annotated videos have, and min_positives of them in
    # two accounts at least; or the ones that `labels` names, which then stay the same whatever is annotated
    min_share: float = Field(default=0.05, ge=0, le=1)
    min_positives: Annotated[int, ADDED_LATER] = Field(default=5, ge=0)  # a label with fewer is in no mean
    # scored labels; null: all that annotators coded
    labels: Annotated[tuple[str, ...] | None, ADDED_LATER] = Field(default=None, min_length=1)
    annotator: str | None = None  # whose labels are the truth; needed where there are several
    # swaps of accounts for p_exchangeable, and their seed; all swaps where there are no more
    permutations: int = Field(default=2_000, ge=100)
    seed: int = Field(default=0, ge=0)  # of resampling
    draws: int | None = None  # does nothing, and says so: intervals were drawn once

    @property
    def catalog(self) -> CatalogConfig:
        return self.predictions[0].catalog

    @property
    def extracted(self) -> tuple[ExtractConfig, ...]:
        """The systems that were not trained."""
        return tuple(system for system in self.predictions if isinstance(system, ExtractConfig))


class DevelopmentConfig(JobConfig):
    """tikval prompt sample: the annotated videos on which prompts are tried, whole accounts. They are in no score."""

    stage: ClassVar[str] = "development"

    catalog: str  # the name of its folder
    n: int = Field(default=18, ge=1)  # videos, or a few more: accounts stay whole
    by: str | None = None  # drawn within each genre, month ...
    seed: int = 0  # of the draw
