"""Sweeps: which settings of a fine-tuning are tried, how, and where trials are tracked."""

import itertools
import json
import math
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, PositiveInt, ValidationError, field_validator, model_validator

from tikval.config.base import Config, JobConfig, Pool, Upstream, holds_secret
from tikval.config.train import FinetuneConfig, changed
from tikval.errors import UserError


class Axis(Config):
    """What a sweep tries of one key: some values, or a range."""

    values: tuple[Any, ...] | None = None  # one of these
    low: float | None = None  # between this
    high: float | None = None  # and this
    log: bool = False  # of a range: as likely between 1 and 10 as between 10 and 100
    whole: bool = False  # of a range: whole numbers

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        ranged = self.low is not None and self.high is not None
        if (self.values is None) != ranged or (self.low is None) != (self.high is None):
            raise ValueError("give values, or low and high")
        if self.values is not None and not self.values:
            raise ValueError("values: is empty")
        if ranged and not (self.low < self.high and (self.low > 0 or not self.log)):  # type: ignore[operator]
            raise ValueError("low must be below high, and above 0 where log is true")
        if self.whole and not (ranged and self.low % 1 == 0 == self.high % 1):  # type: ignore[operator]
            raise ValueError("whole: needs low and high that are whole numbers")
        return self

    def __str__(self) -> str:
        if self.values is not None:
            return ", ".join(map(json.dumps, self.values))
        return f"{self.low:g} to {self.high:g}" + ", log" * self.log + ", whole" * self.whole

    @property
    def samples(self) -> tuple[Any, ...]:
        """Values that show whether a key takes what this would try: all, or the ends and one between."""
        if self.values is not None:
            return self.values
        low, high = self.low or 0.0, self.high or 0.0
        return (int(low), int(high)) if self.whole else (low, low + (high - low) / math.pi, high)


class Mlflow(Config):
    """Where trials are tracked beside the folder's own table."""

    tracking_uri: str  # a server, or sqlite:///FILE
    experiment: str = "tikval"  # its name there

    @field_validator("tracking_uri")
    @classmethod
    def _holds_no_secret(cls, uri: str) -> str:
        # a UserError: pydantic repeats the value of what raises a ValueError
        if holds_secret(uri.replace("@", "") if uri.startswith("sqlite:///") else uri):
            raise UserError(
                "mlflow.tracking_uri: must hold no user, password or token, for it is stored with the sweep's results; "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment"
            )
        return uri


_NOT_SWEPT: Final = {"model.model", "model.kind", "model.revision", "fit.best_by", "fit.models"}
# what the memory of a training, and whether an encoder takes its texts, follow from
_OF_SIZE: Final = {"model.max_tokens", "model.gradient_checkpointing", "model.precision", "fit.batch_rows"}


class SweepConfig(JobConfig):
    """jobs/sweep.py: a fine-tuning's space of settings -> the best of each fold, chosen on its validation rows."""

    stage: ClassVar[str] = "sweep"
    operational: ClassVar[frozenset[str]] = JobConfig.operational | {"mlflow"}

    finetune: Upstream[FinetuneConfig]
    # by keys of model and fit: fit.learning_rate, model.dropout
    space: dict[str, Axis] = Field(min_length=1)
    trials: PositiveInt = 16  # of each fold
    search: Literal["optuna", "random"] = "optuna"  # who proposes settings
    # ASHA: a trial's epochs before it may be stopped, and of how many one goes on at each halt
    grace_epochs: PositiveInt = 1
    reduction: int = Field(default=3, ge=2)  # one of so many trials goes on at each rung
    seed: int = 0  # of the search
    mlflow: Mlflow | None = None
    pool: Pool = Pool()  # of one trial: cpus, gpus; actors: trials at once

    @model_validator(mode="after")
    def _can_be_swept(self) -> Self:
        fit, model = self.finetune.fit, self.finetune.model
        for key, axis in self.space.items():
            if key.partition(".")[0] not in ("model", "fit") or key in _NOT_SWEPT:
                raise ValueError(f"space: {key} is no setting of a training; sweep keys of model and fit")
            if key == "fit.heads" and "per_label" in (fit.heads, *axis.samples):
                raise ValueError(
                    "space: fit.heads: per_label is judged by other thresholds; sweep it by itself"
                )
            if fit.best_by == "loss" and key in ("fit.heads", "fit.positive_weight"):
                raise ValueError(
                    f"space: {key} changes what the loss is; sweep it with fit.best_by: macro_f1"
                )
            for value in axis.samples:
                try:
                    changed(model, fit, {key: value})
                except ValidationError as err:
                    raise ValueError(f"space: {key}: {value}: {err.errors()[0]['msg'].lower()}") from err
                except ValueError as err:
                    raise ValueError(f"space: {err}") from err
        if self.grace_epochs > self.most_epochs:
            raise ValueError(f"grace_epochs: {self.grace_epochs} is more than fit.epochs")
        if self.finetune.workers > 1:
            raise ValueError("finetune: workers: a trial is one process; sweep with workers: 1")
        if self.finetune.protocol.name == "paper":
            raise ValueError("protocol: paper sets no validation rows aside; sweep under honest or given")
        if self.finetune.by_fold:
            raise ValueError("finetune: has by_fold, which a sweep writes")
        return self

    @property
    def most_epochs(self) -> int:
        """The most epochs that any trial may train."""
        axis = self.space.get("fit.epochs")
        return max(int(each) for each in axis.samples) if axis else self.finetune.fit.epochs

    @property
    def sizes(self) -> list[dict[str, Any]]:
        """Settings of all sizes that this would try: of each key that tells, all samples, in every combination."""
        axes = [
            [(key, value) for value in axis.samples] for key, axis in self.space.items() if key in _OF_SIZE
        ]
        return [dict(each) for each in itertools.product(*axes)]

    @property
    def own(self) -> dict[str, Any] | None:
        """The fine-tuning's own settings of the swept keys; None where they lie outside the space."""
        own: dict[str, Any] = {}
        for key, axis in self.space.items():
            mine = self._value(key, {})
            if axis.values is None:
                inside = isinstance(mine, int | float) and axis.low <= mine <= axis.high  # type: ignore[operator]
                found = [mine] if inside else []
            else:
                found = [each for each in axis.values if self._value(key, {key: each}) == mine]
            if not found:
                return None
            own[key] = found[0]
        return own

    def _value(self, key: str, settings: dict[str, Any]) -> Any:
        part, _, name = key.partition(".")
        model, fit = changed(self.finetune.model, self.finetune.fit, settings)
        return getattr(model if part == "model" else fit, name)
