"""The deletion test of a system's evidence: jobs/explain.py."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Discriminator, Field, PositiveInt, Tag, model_validator

from tikval.config.base import JobConfig, inline
from tikval.config.combine import ExtractSystem, kind_of_system
from tikval.config.predict import PredictConfig
from tikval.config.scripts import CatalogConfig, ScriptConfig


def _judges_anew(system: Any) -> Any:
    system = inline(system)
    if kind_of_system(system) in ("finetune", "combine"):
        raise ValueError(
            "a system that was trained judges texts anew by jobs.predict: give its configuration, with evidence: true"
        )
    return system


_JudgesScripts = Annotated[
    Annotated[ExtractSystem | Annotated[PredictConfig, Tag("predict")], Discriminator(kind_of_system)],
    BeforeValidator(_judges_anew),
]


class ExplainConfig(JobConfig):
    """jobs/explain.py: ScriptRow and PredictionRow with evidence -> DeletionRow."""

    stage: ClassVar[str] = "deletions"
    operational: ClassVar[frozenset[str]] = JobConfig.operational | {"budget_usd"}

    predictions: _JudgesScripts  # with evidence; the same system judges again
    sample: PositiveInt = 200  # videos with evidence, drawn at random
    controls: int = Field(default=2, ge=1, le=3)  # of each label: other sentences that are cut in its place
    seed: int = 0  # of the sample and of the controls
    budget_usd: float | None = Field(default=None, ge=0)  # for this folder, over all its runs

    @model_validator(mode="after")
    def _judges_scripts(self) -> Self:
        if self.predictions.scripts is None:
            raise ValueError(
                f"predictions: {self.predictions.system} reads no scripts, and nothing can be cut out of what a video "
                "says or shows; the deletion test is for systems over scripts"
            )
        return self

    @property
    def scripts(self) -> ScriptConfig:
        assert self.predictions.scripts is not None
        return self.predictions.scripts

    @property
    def catalog(self) -> CatalogConfig:
        return self.predictions.catalog
