"""Systems of a study against each other on a terminal: differences in F1, or how often they agree."""

import math
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from tikval.evaluate.system_agreement import SystemAgreement
from tikval.report.how_sure import HowSure, ends_of
from tikval.rows import ComparisonRow
from tikval.stats.limits import lowest_swap_p, swap_floor

TOLD: Final = 0.001  # a smaller p is told as being below this


def show_comparisons(rows: Sequence[ComparisonRow], console: Console) -> None:
    """Print a line per pair and metric, and below them why intervals are missing and what was corrected for."""
    sure = HowSure(map(ends_of, rows))
    tested = n_tested(rows) > 0
    heads = ("p", "p, Holm", "p if exchangeable") if tested else ()
    table = Table("systems", "metric", "a - b [95 %]", *heads, "labels", "videos", "accounts")
    for row in rows:
        ps = (row["p"], row["p_holm"], row.get("p_exchangeable")) if tested else ()
        table.add_row(
            f"{row['system_a']} - {row['system_b']}",
            row["metric"].replace("_f1", " F1"),
            f"{_signed(row['difference'])} {_ends(row, sure)}".strip(),
            *(_number(p, 4) for p in ps),
            f"{row['n_labels']:,}",
            f"{row['n_videos']:,}",
            f"{row['n_groups']:,}",
        )
    console.print(table)
    holm = f"p, Holm: corrected for all {n_tested(rows)} comparisons of this table, in both metrics"
    for line in [*sure.lines, *([holm] if tested else []), *swap_notes(rows)]:
        console.print(f"* {line}")


def n_tested(rows: Sequence[ComparisonRow]) -> int:
    """The number of comparisons that have a p: those that Holm's correction is over."""
    return sum(row["p"] is not None for row in rows)


def swap_notes(rows: Sequence[ComparisonRow]) -> list[str]:
    """What the p of swapped accounts cannot be below, where that is more than the smallest p that is told."""
    accounts = [row["n_groups"] for row in rows if row["p"] is not None]
    if not accounts or lowest_swap_p(min(accounts)) < TOLD:
        return []
    return [f"p if exchangeable {swap_floor(min(accounts))}"]


def _ends(row: ComparisonRow, sure: HowSure) -> str:
    if row["lower"] is None or row["upper"] is None:
        return sure.spread(ends_of(row))
    return f"[{_signed(row['lower'])}, {_signed(row['upper'])}]"


def system_agreement_table(rows: Sequence[SystemAgreement]) -> Table:
    """A line per pair: shares in percent, AC1 from -1 to 1."""
    table = Table("systems", "same decision", "AC1", "label of one is the other's too", "videos", "labels")
    for row in rows:
        shares = [_number(None if math.isnan(x) else 100 * x, 1) for x in (row.observed, row.positive)]
        table.add_row(
            f"{row.system_a}, {row.system_b}",
            f"{shares[0]} %",
            _number(row.ac1, 2),
            f"{shares[1]} %",
            f"{row.n_videos:,}",
            f"{row.n_labels:,}",
        )
    return table


def _signed(number: float | None) -> str:
    return "-" if number is None else f"{number:+.3f}"


def _number(number: float | None, places: int) -> str:
    return "-" if number is None or math.isnan(number) else f"{number:.{places}f}"
