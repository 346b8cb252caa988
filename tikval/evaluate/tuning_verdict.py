"""Whether a tuned system is shown to be better than the default, in words, and how many labels could show it."""

from tikval.evaluate.recommendation import labels_to_tell
from tikval.rows import ComparisonRow


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
    more = _more(difference, (high - low) / 2, row["n_videos"])
    return f"not shown to be better than {other}: {difference:+.2f} {ends}; {more}"


def _more(difference: float, half_width: float, n_videos: int) -> str:
    if difference <= 0:
        return "nor do more labels promise it"
    more = labels_to_tell(difference, half_width, n_videos)
    if more is None:
        return f"even ten times the {n_videos:,} labels would not tell"
    return f"label {more:,} more (an estimate, if the difference stays as it is)"
