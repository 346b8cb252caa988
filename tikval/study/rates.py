"""How fast open models and this machine's tools are: rates that were measured, or are stated (configs/rates.yaml)."""

from typing import Final

import numpy as np
from pydantic import Field

from tikval.config import Config, UserError, read_yaml, validate

SHIPPED_RATES: Final = "configs/rates.yaml"


class GpuRate(Config):
    """Tokens per second of one model on one GPU, all posts together."""

    models: str  # whose name begins with this
    gpu: str
    prompt_tokens_per_second: float = Field(gt=0)  # of what no cache holds
    output_tokens_per_second: float = Field(gt=0)
    run_here: bool  # False: stated, by what `source` says
    source: str


class CachedShare(Config):
    """The share of the prompt before the post that an engine's prefix cache holds."""

    share: float = Field(ge=0, le=1)
    source: str


class CoreRate(Config):
    """Seconds of one core for a video, by its length in seconds."""

    core_seconds: dict[float, float] = Field(min_length=2)
    source: str
    machine: str

    def at(self, seconds: float) -> float:
        """Core-seconds of a video of this length: on the line through what was measured, also beyond it."""
        lengths, measured = zip(*sorted(self.core_seconds.items()), strict=True)
        slope, start = np.polyfit(lengths, measured, 1)
        return max(0.0, float(start + slope * seconds))


class CoreRates(Config):
    script: CoreRate
    pictures: CoreRate
    values: CoreRate


class Rates(Config):
    """The whole file."""

    gpus: list[GpuRate]
    cached_share: CachedShare
    cores: CoreRates

    def of(self, model: str, gpu: str | None = None) -> GpuRate | None:
        """The rate of a model on a GPU; None: on the first that is known; no rate: None.

        Raises UserError for a GPU that the file does not know at all.
        """
        known = sorted({rate.gpu for rate in self.gpus})
        if gpu is not None and gpu not in known:
            raise UserError(f"{SHIPPED_RATES}: no rates on {gpu!r}; known: {', '.join(known) or 'none'}")
        mine = (rate for rate in self.gpus if model.startswith(rate.models) and gpu in (None, rate.gpu))
        return next(mine, None)


def load_rates(path: str = SHIPPED_RATES) -> Rates:
    """Read the file. Raises UserError that names it and every wrong key."""
    return validate(Rates, read_yaml(path), path)
