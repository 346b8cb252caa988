"""When there is too little for an interval, and the words that say so: one home for both.

An interval over accounts tells how other accounts might have come out. With four accounts it would span half the
scale; of a label that one video has nothing is known. Then no interval is given, and the reason stands in its place.
"""

from typing import Final

from tikval.stats.arrays import Floats

FEWEST_ACCOUNTS: Final = 5
FEWEST_EFFECTIVE: Final = 4.0  # accounts of one size that those at hand are worth
FEWEST_POSITIVES: Final = 5  # videos that have a label
FEWEST_ACCOUNTS_OF_LABEL: Final = 2
FEW_ACCOUNTS: Final = 15  # below, a few accounts decide a number
NO_VARIANCE: Final = "nothing differs between accounts: no interval"
NO_NUMBER: Final = "no number, so no interval"
NO_LABELS: Final = "no label has enough positives for a mean (min_share, min_positives): no number"
EXPECTED: Final = "an exact expectation, which no account changes: no interval"
OF_LEFT_OUT: Final = "intervals are those of the reading left_out"


def effective_groups(sizes: Floats) -> float:
    """Accounts of one size that these are worth, (Σn)² / Σn² (Kish): G where all have as many videos, less else."""
    squares = float((sizes**2).sum())
    return float(sizes.sum()) ** 2 / squares if squares else 0.0


def why_no_interval(sizes: Floats) -> str | None:
    """Why there is none, in words; None where there is. `sizes`: the videos of each account in the slice at hand."""
    accounts, worth = int((sizes > 0).sum()), effective_groups(sizes)
    if accounts < FEWEST_ACCOUNTS:
        return f"{counted(accounts, 'account')}: too few for an interval"
    if worth < FEWEST_EFFECTIVE:
        return (
            f"most videos lie in so few of the {accounts} accounts that they count as {worth:.1f}: "
            "too few for an interval"
        )
    return None


def why_no_interval_of_label(positives: float, accounts: int) -> str | None:
    """Why one label's score has none; `positives`: videos that have it, in so many accounts."""
    if positives < FEWEST_POSITIVES:
        return f"fewer than {FEWEST_POSITIVES} videos have this label: too few for an interval"
    if accounts < FEWEST_ACCOUNTS_OF_LABEL:
        return "all videos that have this label are of one account: too few for an interval"
    return None


def few_accounts(n_accounts: int) -> str | None:
    """A line for below a table where intervals are given, but few accounts decide them."""
    return f"a few accounts decide this: {n_accounts}" if n_accounts < FEW_ACCOUNTS else None


def lowest_swap_p(n_accounts: int) -> float:
    """The smallest p that swapping accounts can give: of 2^G swaps, none and all always give the difference."""
    return min(1.0, 2.0 ** (1 - n_accounts))


def swap_floor(n_accounts: int) -> str:
    """What is said beside a p of the swap test."""
    return f"cannot be below {lowest_swap_p(n_accounts):.3g} with {counted(n_accounts, 'account')}"


def counted(n: int, what: str) -> str:
    """`1 account`, `4 accounts`."""
    return f"{n} {what}" + "s" * (n != 1)
