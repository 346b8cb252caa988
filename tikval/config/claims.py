"""A family of claims: configs/claims.yaml, for `tikval claim`."""

import re
from datetime import date
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from tikval.config.base import Config

_LABEL: Final = re.compile(r"[a-z0-9][a-z0-9_]*[+-]")


def _as_word(value: Any) -> Any:
    """YAML reads `yes`, a number and a date as what they look like; a column's value is a word."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int | float | date) else value


Word = Annotated[str, BeforeValidator(_as_word)]


def _is_label(label: str) -> str:
    if not _LABEL.fullmatch(label):
        raise ValueError(
            f"{label!r} is no label: it is a value with + (endorsed) or - (confronted), such as hedonism+"
        )
    return label


Part = dict[
    str, Word | list[Word]
]  # column of the catalog or of its posts -> value, or one of several; all must hold


Share = Annotated[float, Field(gt=0, lt=1)]  # nothing is below 0 or above 1: no claim


class Time(Config):
    """Two stretches of time, by when videos were posted (UTC)."""

    before: date  # the earlier stretch ends before this day
    since: date | None = None  # None: `before`; what lies between is left out

    @property
    def begin_of_later(self) -> date:
        return self.since or self.before

    @model_validator(mode="after")
    def _follow_each_other(self) -> Self:
        if self.begin_of_later < self.before:
            raise ValueError("since: lies before `before`")
        return self


class Claim(Config):
    """One statement: of a group of accounts against another group, a number, or the same accounts earlier."""

    label: Annotated[str, AfterValidator(_is_label)]  # `hedonism+`: endorsed, `hedonism-`: confronted
    group: Part = Field(default_factory=dict)  # {}: all videos
    against: Part | Share | None = None  # another group, or a share of an account's videos
    over_time: Time | None = None  # in place of `against`: later less earlier, within each account
    direction: Literal["more", "less", "differ"] = "more"  # that is claimed; differ: either

    @model_validator(mode="after")
    def _has_one_contrast(self) -> Self:
        if (self.against is None) == (self.over_time is None):
            raise ValueError("name one of against (a group, or a share between 0 and 1) and over_time")
        return self


class ClaimsConfig(Config):
    """The claims that are tested together, and how often one looks while labels come in."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")  # of the family, in every table
    claims: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")], Claim] = Field(min_length=1)
    system: str | None = None  # whose corrected rates decide; None: the only one, or the first by name
    annotator: str | None = None  # whose labels correct; needed where there are several
    alpha: float = Field(default=0.05, gt=0, lt=1)  # of the whole family, over all looks
    looks: PositiveInt = 5  # batches of labels that are planned
    spending: Literal["equal", "obrien_fleming", "open"] = "equal"  # of alpha over the looks
    labels: PositiveInt | None = None  # planned in all: for obrien_fleming

    @model_validator(mode="after")
    def _has_planned_labels(self) -> Self:
        if self.spending == "obrien_fleming" and self.labels is None:
            raise ValueError("labels: obrien_fleming spends by the share of the planned labels; say how many")
        return self
