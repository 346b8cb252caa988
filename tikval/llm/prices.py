"""What a call costs: rates per model and date, and how many tokens a video makes (configs/prices.yaml)."""

import math
import re
from datetime import date, timedelta
from itertools import pairwise
from typing import Final, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from tikval.config import Config, UserError, read_yaml, validate
from tikval.llm.client import Usage

SHIPPED: Final = "configs/prices.yaml"
Resolution = Literal["low", "medium", "high"]


class TokenRates(Config):
    """USD per million tokens."""

    input: float = Field(ge=0)
    input_sound: float | None = Field(default=None, ge=0)  # None: as the rest of the input
    cached: float | None = Field(default=None, ge=0)  # None: as input
    output: float = Field(ge=0)  # thinking included


class Tier(TokenRates):
    """Rates of the whole call where its prompt is longer than `tokens`."""

    tokens: int = Field(gt=0)


class Period(TokenRates):
    """Rates of one model from a day on, until the day that is no longer one of them."""

    since: date = Field(alias="from")
    until: date | None = None  # None: open
    above: Tier | None = None
    # USD per million tokens and hour of an explicit cache; where a table says none, the dearest that is known
    storage: float = Field(default=4.5, ge=0)
    answered_by: str | None = None  # the model that answers to this name, at its own price, from `until` on
    source: str  # where the numbers were read, and when

    @model_validator(mode="after")
    def _runs_forward(self) -> Self:
        if self.until is not None and self.until <= self.since:
            raise ValueError(f"until {self.until} is not after from {self.since}")
        if self.until is None and self.answered_by is not None:
            raise ValueError("answered_by: needs until, the day from which on another model answers")
        return self


class PictureTokens(Config):
    """Tokens of one picture that is sent by itself, at each media resolution: at most."""

    default: int = Field(gt=0)
    low: int = Field(gt=0)
    medium: int = Field(gt=0)
    high: int = Field(gt=0)


# where a table says none: the most that is known of any model
_ANY_PICTURE: Final = PictureTokens(default=2304, low=280, medium=560, high=2304)


class Family(Config):
    """Tokens of one second of video, without its sound, at each media resolution; and of one second of sound."""

    models: str  # that begin with this
    default: float = Field(gt=0)
    low: float = Field(gt=0)
    medium: float = Field(gt=0)
    high: float = Field(gt=0)
    sound: float = Field(gt=0)
    picture: PictureTokens = _ANY_PICTURE
    cached_from: int = Field(default=4096, gt=0)  # tokens of the shortest prompt that a cache takes
    source: str


class Price(NamedTuple):
    """The price of one model on one day."""

    rates: TokenRates
    above: Tier | None = None
    storage: float = 0.0  # USD per million tokens and hour of an explicit cache
    batch_share: float = 1.0  # of input and output, by Batch; what was cached keeps its rate

    def cost(self, usage: Usage, *, batch: bool = False) -> float:
        """USD of a call. What was cached is taken to be text: the fixed prompt comes before the video."""
        rates = self._rates(usage.tokens_in, batch)
        plain = max(0, usage.tokens_in - usage.tokens_cached - usage.tokens_sound)
        return _usd(
            (plain, rates.input),
            (usage.tokens_sound, rates.input if rates.input_sound is None else rates.input_sound),
            (usage.tokens_cached, rates.input if rates.cached is None else rates.cached),
            (usage.tokens_out, rates.output),
        )

    def most(self, tokens_in: int, tokens_sound: int, max_tokens_out: int, *, batch: bool = False) -> float:
        """USD that a call can cost at most, cached or not; `tokens_sound` are a part of `tokens_in`."""
        rates = self._rates(tokens_in, batch)
        text = max(rates.input, rates.cached or 0.0)
        sound = max(text, rates.input_sound or 0.0)
        return _usd((tokens_in - tokens_sound, text), (tokens_sound, sound), (max_tokens_out, rates.output))

    def storage_usd(self, tokens: float, hours: float) -> float:
        """USD of an explicit cache of so many tokens for so many hours; to fill it costs them as input besides."""
        return tokens * hours * self.storage / 1_000_000

    def _rates(self, tokens_in: int, batch: bool) -> TokenRates:
        rates = self.above if self.above is not None and tokens_in > self.above.tokens else self.rates
        if not batch:
            return rates
        sound = None if rates.input_sound is None else self.batch_share * rates.input_sound
        return TokenRates(
            input=self.batch_share * rates.input,
            input_sound=sound,
            cached=rates.cached,
            output=self.batch_share * rates.output,
        )


class Prices(Config):
    """The whole table."""

    models: dict[str, list[Period]]
    batch: float = Field(default=1.0, gt=0, le=1)  # the share of input's and output's rates that Batch costs
    families: list[Family] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_one_price_a_day(self) -> Self:
        for model, periods in self.models.items():
            days = sorted(periods, key=lambda period: period.since)
            for before, after in pairwise(days):
                if before.until is None or before.until > after.since:
                    raise ValueError(f"{model}: two prices on {after.since}")
        return self

    def of(self, model: str, on: date, where: str = SHIPPED) -> Price:
        """Rates of a model on a day; `-001` and the like at the end of a name is a version of the same model.

        Raises UserError that names the models known on that day.
        """
        for name in (model, re.sub(r"-\d{3}$", "", model)):
            for period in self.models.get(name, ()):
                if period.since <= on and (period.until is None or on < period.until):
                    return Price(period, period.above, period.storage, self.batch)
        known = ", ".join(sorted(self._known(on))) or "none"
        retired = " any more" if model in self.models else ""
        if (other := self.answering(model, on)) != model:
            retired += f" ({other} answers in its place)"
        raise UserError(f"{where}: no price of {model!r} on {on}{retired}; known on that day: {known}")

    def answering(self, model: str, on: date) -> str:
        """Name of the model that answers on a day: the model itself, unless it is retired and another is named."""
        names = [model]
        while True:
            last = max(self.models.get(names[-1], ()), key=lambda period: period.since, default=None)
            over = last is not None and last.until is not None and last.until <= on
            other = last.answered_by if last is not None and over else None
            if other is None or other in names:
                return names[-1]
            names.append(other)

    def changes(self, model: str, after: date, until: date) -> list[date]:
        """Days in (after, until] from which on calls to a model cost something else, or another model answers."""
        days = {day for periods in self.models.values() for p in periods for day in (p.since, p.until) if day}
        return [
            day
            for day in sorted(days)
            if after < day <= until
            and self._billed(model, day) != self._billed(model, day - timedelta(days=1))
        ]

    def _billed(self, model: str, on: date) -> object:
        """What a call is billed by on a day, to be compared."""
        name = self.answering(model, on)
        try:
            price = self.of(name, on)
        except UserError:
            return None
        rates = [getattr(price.rates, key) for key in TokenRates.model_fields]
        return name, rates, price.above, price.storage

    def video_tokens(self, model: str, seconds: float, resolution: Resolution | None) -> int:
        """Tokens of a video's pictures, for estimates; of a model that no family names: those of the dearest."""
        rates = [float(getattr(family, resolution or "default")) for family in self._families(model)]
        return math.ceil(seconds * max(rates))

    def picture_tokens(self, model: str, resolution: Resolution | None) -> int:
        """Tokens of one picture that is sent by itself, at most; of a model that no family names: of the dearest."""
        of = [int(getattr(family.picture, resolution or "default")) for family in self._families(model)]
        return max(of)

    def sound_tokens(self, model: str, seconds: float) -> int:
        """Tokens of the sound of a video, which come on top."""
        return math.ceil(seconds * max(family.sound for family in self._families(model)))

    def can_cache(self, model: str, tokens: int) -> bool:
        """Whether a prompt's first tokens are enough for a cache; of a model that no family names: for all."""
        return tokens >= max(family.cached_from for family in self._families(model))

    def _families(self, model: str) -> list[Family]:
        mine = [family for family in self.families if model.startswith(family.models)]
        return [max(mine, key=lambda family: len(family.models))] if mine else self.families

    def _known(self, on: date) -> list[str]:
        return [
            name
            for name, periods in self.models.items()
            if any(period.since <= on and (period.until is None or on < period.until) for period in periods)
        ]


def load_prices(path: str = SHIPPED) -> Prices:
    """Read a table. Raises UserError that names the file and every wrong key."""
    return validate(Prices, read_yaml(path), path)


def _usd(*parts: tuple[int, float]) -> float:
    return sum(tokens * rate for tokens, rate in parts) / 1_000_000
