"""Whether a tuned system is shown to be better than the default, in words, and how many labels could show it."""

import math
from typing import Final

from tikval.rows import ComparisonRow

_STEP: Final = 50  # labels, to which an estimate is rounded up
_MOST: Final = 1000  # more than that is no estimate


def tuning_verdict(row: ComparisonRow, tuned: str) -> str:
    """One line on a comparison of macro F1s that `tuned` is one side of."""
    other = row["system_b"] if row["system_a"] == tuned else row["system_a"]
    sign = 1 if row["system_a"] == tuned else -1
    if row["difference"] is None:
        return (
            f"nothing to compare {tuned} and {other} by: {row['why_none'] or 'no label has enough positives'}"
        )
    difference = sign * row["difference"]
    if row["lower"] is None or row["upper"] is None:
        return f"{difference:+.2f} against {other}, which may be chance: {row['why_none']}"
    low, high = sorted((sign * row["lower"], sign * row["upper"]))
    ends = f"[{low:+.2f}, {high:+.2f}]"
    if low > 0:
        return f"better than {other} by {difference:.2f} {ends}"
    if high < 0:
        return f"worse than {other} by {-difference:.2f} {ends}: stay with {other}"
    return f"not shown to be better than {other}: {difference:+.2f} {ends}; {_more(difference, low, row['n_videos'])}"


def _more(difference: float, low: float, n_videos: int) -> str:
    """How many labels more; the width of an interval falls with the root of their number, at best."""
    if difference <= 0:
        return "nor do more labels promise it"
    needed = n_videos * (((difference - low) / difference) ** 2 - 1)
    more = max(_STEP, math.ceil(needed / _STEP) * _STEP)
    if more > _MOST:
        return f"if the difference stays as it is, more than {_MOST:,} labels would be needed"
    return f"label {more} more (an estimate, if the difference stays as it is)"
