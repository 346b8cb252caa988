"""How posts are chosen out of a list, in one value that can be cited; and what of two rows of one post counts."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from tikval.config import UserError
from tikval.rows import Outcome, PostRow

Order = Literal["newest", "random"]
Period = Literal["month", "quarter", "year"]
OF_ACCOUNTS: Final = {
    "genre": "genre",
    "is_minor": "is_minor",
    "is_parent_run": "is_parent_run",
    "account_source": "source",
}  # strata out of the table of accounts, by its columns; `source` is the post's own
STRATA: Final = (*OF_ACCOUNTS, *PostRow.__annotations__)
_GONE: Final = (Outcome.DELETED, Outcome.PRIVATE, Outcome.UNAVAILABLE)
_NO_POST: Final = (Outcome.LIVE, Outcome.OTHER_PLATFORM, Outcome.INVALID_ROW)
NOT_DRAWN: Final = (*_GONE, *_NO_POST)  # there is nothing to collect


@dataclass(frozen=True)
class SampleRule:
    """How posts are chosen; without any number all that lie in the frame are."""

    per_account: int | None = None  # posts of each account, its pinned ones among them
    order: Order = "newest"
    seed: int = 0
    period: Period | None = None  # the numbers hold within each one, in UTC
    stratum: str | None = None  # a column of the posts or of the accounts
    per_stratum: int | None = None  # posts of each, over all accounts
    since: datetime | None = None
    until: datetime | None = None  # the first moment that is too late

    def __post_init__(self) -> None:
        """Raises UserError for a rule that says nothing."""
        if (self.stratum is None) != (self.per_stratum is None):
            raise UserError(
                "--stratum and --per-stratum go together: by which column, and how many posts of each"
            )
        if self.stratum is not None and self.stratum not in STRATA:
            raise UserError(f"--stratum {self.stratum}: no such column; there are {', '.join(STRATA)}")
        if self.period and not (self.per_account or self.per_stratum):
            raise UserError(
                f"--period {self.period}: of how many posts? give --per-account or --per-stratum too"
            )
        if self.since and self.until and self.since >= self.until:
            raise UserError(f"--from {self.since:%Y-%m-%d}: not before --until {self.until:%Y-%m-%d}")

    @property
    def chooses(self) -> bool:
        """Whether there is anything to choose by; else a list is all that its sources tell."""
        return bool(self.per_account or self.per_stratum or self.since or self.until)

    @property
    def needs_dates(self) -> bool:
        return bool(self.period or self.since or self.until)

    def __str__(self) -> str:
        """The rule as a methods section may have it."""
        within = f" and {self.period}" if self.period else ""
        fill = "the newest" if self.order == "newest" else f"random ones (seed {self.seed})"
        parts = []
        if self.per_account:
            parts.append(f"{self.per_account} posts of each account{within}: all pinned ones, then {fill}")
        if self.per_stratum:
            parts.append(f"{self.per_stratum} posts of each {self.stratum}{within}, in the same way")
        if self.since or self.until:
            ends = [
                f"{word} {when:%Y-%m-%d}"
                for word, when in (("from", self.since), ("until", self.until))
                if when
            ]
            parts.append(f"posted {' '.join(ends)}")
        return "; ".join(parts) or "every post"


def period_of(when: float | None, period: Period | None) -> str:
    """2026-03, 2026-Q1 or 2026, in UTC; "" where there are no periods. `when`: seconds since 1970."""
    if period is None or when is None:
        return ""
    date = datetime.fromtimestamp(when, UTC)
    if period == "quarter":
        return f"{date.year}-Q{(date.month + 2) // 3}"
    return f"{date:%Y-%m}" if period == "month" else f"{date.year}"


def merge_posts(one: PostRow, other: PostRow) -> PostRow:
    """One row of two of the same post, whichever came first: what either knows.

    That it is pinned, or gone, is known if one of them knows it; of two dates the told one counts, of two numbers the
    larger one.
    """
    both: dict[str, Any] = {name: known_of(one[name], other[name]) for name in PostRow.__annotations__}  # type: ignore[literal-required]
    dated = max(
        one, other, key=lambda row: (row["posted_at"] is not None, not row["posted_at_from_id"], _date(row))
    )
    worst = max(one, other, key=lambda row: (severity(Outcome(row["outcome"])), row["detail"] or ""))
    both |= {name: dated[name] for name in ("posted_at", "posted_at_from_id")}
    both |= {name: worst[name] for name in ("outcome", "detail")}
    return both  # type: ignore[return-value]


def _date(row: PostRow) -> float:
    return row["posted_at"].timestamp() if row["posted_at"] else 0.0


def known_of(one: Any, other: Any) -> Any:
    return other if one is None else one if other is None else max(one, other)


def severity(outcome: Outcome) -> tuple[bool, bool, str]:
    return outcome in _GONE, outcome.has_files, outcome.value
