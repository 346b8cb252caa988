"""Several systems as one: jobs/combine.py."""

from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from tikval.config.base import JobConfig, inline
from tikval.config.extract import ExtractConfig
from tikval.config.scripts import CatalogConfig, ScriptConfig
from tikval.config.train import FinetuneConfig, SystemName

_ONLY_TRAINED: Final = frozenset({"model", "fit", "protocol", "embeddings", "texts", "labels", "encoder"})


def kind_of_system(system: Any) -> str:
    """The tag of a system's kind, told by the keys that only this kind has."""
    keys = system if isinstance(system, dict) else dict.fromkeys(type(system).model_fields)
    if "trained" in keys:
        return "predict"
    if "systems" in keys:
        return "combine"
    if "cheap" in keys:
        return "cascade"
    if "heads" in keys:
        return "tune"
    return "finetune" if _ONLY_TRAINED & keys.keys() else "extract"


ExtractSystem = Annotated[ExtractConfig, Tag("extract")]
FinetuneSystem = Annotated[FinetuneConfig, Tag("finetune")]
CombinedSystem = Annotated[
    Annotated[ExtractSystem | FinetuneSystem, Discriminator(kind_of_system)], BeforeValidator(inline)
]


class CombineConfig(JobConfig):
    """jobs/combine.py: PredictionRow of several systems -> PredictionRow of them as one, fitted out of fold.

    The trained systems must have been trained on the same folds; these are the folds of the whole.
    """

    stage: ClassVar[str] = "combined"

    systems: tuple[CombinedSystem, ...] = Field(min_length=1)
    system: SystemName  # the name it has in every table
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
        """The scripts that are shown beside its predictions."""
        return next((system.scripts for system in self.systems if system.scripts), None)

    @property
    def catalog(self) -> CatalogConfig:
        return self.systems[0].catalog
