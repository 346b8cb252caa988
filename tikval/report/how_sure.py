"""What a table says of its intervals: their ends, or in words why there are none, once for all its numbers."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tikval.report.display import two
from tikval.stats.footnotes import Footnotes
from tikval.stats.limits import EXPECTED, NO_NUMBER, few_accounts


class Ends(NamedTuple):
    """The 95 % interval of one number that is shown."""

    lower: float | None
    upper: float | None
    why_none: str | None  # None: there is an interval, or no number, or it was written by an earlier version
    n_groups: int | None  # accounts

    @property
    def text(self) -> str:
        """`[0.36, 0.46]`, or nothing."""
        none = self.lower is None or self.upper is None
        return "" if none else f"[{two(self.lower)}, {two(self.upper)}]"


def ends_of(row: Mapping[str, Any], metric: str = "f1") -> Ends:
    """The ends of a ScoreRow's `metric`, of a ComparisonRow's difference or of a SliceRow's value.

    A row of several metrics has one text of reasons, in which each that has its own is named.
    """
    prefix = "" if metric == "f1" else f"{metric}_"
    lower, upper, why = row.get(f"{prefix}lower"), row.get(f"{prefix}upper"), row.get("why_none")
    own = [part for part in (why or "").split("; ") if part.startswith(f"{metric}: ")]
    why = own[0].removeprefix(f"{metric}: ") if own else why
    return Ends(lower, upper, None if lower is not None or why == NO_NUMBER else why, row.get("n_groups"))


class HowSure:
    """The intervals of one table. Each reason against some is one line, and so is that accounts are few."""

    def __init__(self, shown: Iterable[Ends]) -> None:
        ends = [one for one in shown if one.why_none or one.lower is not None]
        some = [one for one in ends if one.lower is not None]
        # a baseline that is an exact expectation has no interval in any study: it does not need a line where none has
        self._notes = Footnotes(one.why_none for one in ends if some or one.why_none != EXPECTED)
        accounts = [one.n_groups for one in some if one.n_groups]
        self._few = few_accounts(min(accounts)) if accounts else None

    @property
    def lines(self) -> list[str]:
        """What stands below the table."""
        return [*self._notes.lines, *([self._few] if self._few else [])]

    def spread(self, ends: Ends) -> str:
        """What stands behind a number: its interval, else a mark of the reason where other numbers have another."""
        return ends.text or self._notes.mark(ends.why_none)

    def caption(self, names: Mapping[str, Ends]) -> str:
        """The same of a chart, in sentences: where some points have an interval, those without are named."""
        some = any(ends.lower is not None for ends in names.values())
        parts = []
        for why in self._notes.reasons:
            own = ", ".join(name for name, ends in names.items() if ends.why_none == why)
            parts.append(f"{own}: {why}" if some else _sentence(why))
        return " ".join(f"{part}." for part in [*parts, self._few and _sentence(self._few)] if part)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
