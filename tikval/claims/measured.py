"""What one way of measuring says of one claim: made by measure.py, judged by verdict.py."""

from dataclasses import dataclass
from typing import Final, Literal

Way = Literal["corrected", "raw", "annotated"]

FEWEST_ACCOUNTS_OF_GROUP: Final = 10  # below, no p
FEWEST_POSITIVES_OF_GROUP: Final = 5  # distinct labelled videos that have the label, in each group


@dataclass(frozen=True, slots=True)
class MeasuredClaim:
    """A claim in one way. The estimate is that of the mean over accounts of the share of their videos with the label:
    of group A less that of B, or less the number, or later less earlier within accounts."""

    claim: str
    way: Way
    system: str | None  # None: annotated
    estimate: float | None
    error: float | None  # standard error
    degrees: float | None
    p: float | None  # one-sided where the claim has a direction, else two-sided
    lower: float | None  # of the two-sided 95 % interval
    upper: float | None
    accounts_a: int
    accounts_b: int | None  # None: a number, or within accounts
    videos_a: int
    videos_b: int | None
    labelled_a: int
    labelled_b: int | None
    positives_a: int  # labelled videos that have the label
    positives_b: int | None
    label_variance: float | None = (
        None  # of error²: what labels could take away; the rest lies between accounts
    )
    why_none: str | None = None  # why there is no number, or no p, in words
    too_few: Literal["labels", "accounts"] | None = (
        None  # what there is too little of, where `why_none` is set
    )
    sample: int | None = None
    seed: int | None = None
    prompt_sha: str | None = None
