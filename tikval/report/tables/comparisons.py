"""Systems of a study against each other on a terminal: differences in F1, or how often they agree."""

import math
from collections.abc import Sequence

from rich.table import Table

from tikval.evaluate.system_agreement import SystemAgreement
from tikval.rows import ComparisonRow


def comparisons_table(rows: Sequence[ComparisonRow]) -> Table:
    """A line per pair and metric; "-" where a number is not known, and then why."""
    table = Table("systems", "metric", "a - b", "95 % interval", "p", "p, Holm", "videos", "accounts")
    for row in rows:
        ends = [_signed(row[end]) for end in ("lower", "upper")]
        interval = str(row.get("why_none") or "-") if "-" in ends else " to ".join(ends)
        table.add_row(
            f"{row['system_a']} - {row['system_b']}",
            row["metric"].replace("_f1", " F1"),
            _signed(row["difference"]),
            interval,
            *(_number(row[p], 4) for p in ("p", "p_holm")),
            f"{row['n_videos']:,}",
            f"{row['n_groups']:,}",
        )
    return table


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
