"""Several systems side by side: combined, scored, reported."""

from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from tikval.config.base import JobConfig, Limits, Upstream, inline
from tikval.config.extract import ExtractConfig
from tikval.config.predict import PredictConfig
from tikval.config.scripts import CatalogConfig, ScriptConfig
from tikval.config.train import FinetuneConfig, SystemName

_ONLY_TRAINED: Final = frozenset({"model", "fit", "protocol", "embeddings", "texts", "labels", "encoder"})


def _kind_of_system(system: Any) -> str:
    """By the keys that only its kind has."""
    said = system if isinstance(system, dict) else dict.fromkeys(type(system).model_fields)
    if "trained" in said:
        return "predict"
    if "systems" in said:
        return "combine"
    return "finetune" if _ONLY_TRAINED & said.keys() else "extract"


_Extract = Annotated[ExtractConfig, Tag("extract")]
_Finetune = Annotated[FinetuneConfig, Tag("finetune")]
_Predict = Annotated[PredictConfig, Tag("predict")]
CombinedSystem = Annotated[
    Annotated[_Extract | _Finetune, Discriminator(_kind_of_system)], BeforeValidator(inline)
]


class CombineConfig(JobConfig):
    """jobs/combine.py: PredictionRow of several systems -> PredictionRow of them as one, fitted out of fold.

    The trained systems must have been trained on the same folds; these are the folds of the whole.
    """

    stage: ClassVar[str] = "combined"

    systems: tuple[CombinedSystem, ...] = Field(min_length=1)
    system: SystemName
    # mean: of the trained systems' and seeds' scores; regression: regularised, with language models' stances too
    how: Literal["mean", "regression"] = "mean"
    threshold: float | Literal["global", "per_label"] = (
        "global"  # a number, or chosen on the other folds' scores
    )
    calibrate: bool = False  # Platt scaling of each label, fitted on the other folds' scores

    @model_validator(mode="after")
    def _has_folds(self) -> Self:
        trained = self.trained_systems
        if not trained:
            raise ValueError("systems: one at least must be a trained one, whose folds are taken")
        if self.how == "mean" and len(trained) < len(self.systems):
            raise ValueError(
                "how: mean is of trained systems only; regression takes language models' stances too"
            )
        return self

    @property
    def trained_systems(self) -> tuple[FinetuneConfig, ...]:
        return tuple(system for system in self.systems if isinstance(system, FinetuneConfig))

    @property
    def codebook(self) -> str:
        return self.systems[0].codebook

    @property
    def scripts(self) -> ScriptConfig | None:
        """That are shown beside what it says."""
        return next((system.scripts for system in self.systems if system.scripts), None)

    @property
    def catalog(self) -> CatalogConfig:
        return self.systems[0].catalog


_Combine = Annotated[CombineConfig, Tag("combine")]
System = Annotated[
    Annotated[_Extract | _Finetune | _Predict | _Combine, Discriminator(_kind_of_system)],
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


class ReportConfig(JobConfig):
    """jobs/report.py: everything before it -> a site to look at."""

    stage: ClassVar[str] = "report"

    scores: Upstream[EvaluateConfig]
    title: str = "Values in short videos"
    videos: int = Field(default=10_000, ge=1)  # with a page each; of more, annotated ones first
    show_accounts: bool = False  # account names and handles stay out of the site unless asked for
    show_pictures: bool = (
        False  # so do pictures of what the videos show: three of each, none of minors' accounts
    )
    limits: Limits = Limits()  # of reading these
