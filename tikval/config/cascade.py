"""A cheap system for all videos, a strong one where doubt can change an answer: jobs/cascade.py."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from tikval.config.base import JobConfig, Upstream, inline
from tikval.config.combine import ExtractSystem, kind_of_system
from tikval.config.extract import ExtractConfig
from tikval.config.predict import PredictConfig
from tikval.config.scripts import CatalogConfig, ScriptConfig
from tikval.config.train import SystemName
from tikval.config.tune import TuneConfig


def _judges_all(system: object) -> object:
    system = inline(system)
    if kind_of_system(system) in ("finetune", "combine", "cascade"):
        raise ValueError(
            "cheap must judge every video by itself, which a system does not that has rows of annotated videos alone; "
            "name the configuration with which jobs.predict runs it"
        )
    return system


CheapSystem = Annotated[
    Annotated[
        ExtractSystem | Annotated[PredictConfig, Tag("predict")] | Annotated[TuneConfig, Tag("tune")],
        Discriminator(kind_of_system),
    ],
    BeforeValidator(_judges_all),
]


class CascadeConfig(JobConfig):
    """jobs/cascade.py: PredictionRow of a cheap system -> PredictionRow, some of them by a strong one."""

    stage: ClassVar[str] = "cascade"
    operational: ClassVar[frozenset[str]] = JobConfig.operational | {"budget_usd"}

    cheap: CheapSystem  # answers every video, with scores
    strong: Upstream[ExtractConfig]  # answers a random sample, and where doubt can change an answer
    system: SystemName  # the name it has in every table
    sample: int = Field(
        default=400, ge=4
    )  # random videos that both answer: half set limits, half check the promise
    # of the strong system's positives, of each stance: what is promised with 95 % confidence
    recall: float = Field(default=0.9, ge=0, le=1)
    precision: float = Field(default=0.9, ge=0, le=1)  # of the positives that the cascade gives, likewise
    # in the place of these two: so many of the other videos go up, and what that reaches is told
    share: float | None = Field(default=None, ge=0, le=1)
    # corpus: of these videos; accounts: of others like these, too
    promise_for: Literal["corpus", "accounts"] = "corpus"
    seed: int = Field(default=0, ge=0)  # of the random sample
    # for the strong system and the scripts that it reads, over all their runs
    budget_usd: float | None = Field(default=None, ge=0)

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
        """The scripts that are shown beside its predictions: the cheap system's, which all videos have."""
        return self.cheap.scripts or self.strong.scripts

    @property
    def asked(self) -> tuple[ScriptConfig | ExtractConfig, ...]:
        """The stages that run for the videos that are sent up alone, in order."""
        own, scripts = self.cheap.scripts, self.strong.scripts
        if scripts is None or (own is not None and own.folder == scripts.folder):
            return (self.strong,)
        return scripts, self.strong

    @property
    def catalog(self) -> CatalogConfig:
        return self.strong.catalog
