"""Prevalence in human-readable tables on a terminal, and as a CSV file."""

from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
from rich.console import Console
from rich.table import Table

from tikval.config import UserError
from tikval.evaluate.prevalence import Prevalence, small_groups, why_no_ends
from tikval.files import write_bytes
from tikval.spreadsheet import csv_of_table
from tikval.stats.circle import MEASURES, Confusion
from tikval.stats.prevalence import RateLine

SHOWN: Final = 30  # groups on a terminal


def show_prevalence(found: Prevalence, console: Console) -> None:
    """Print a table of values for each group, the circle's measures, confusions, and what to know of them."""
    corpus = found.corpus
    titles = {value.slug: value.title for value in corpus.codebook.values}
    headers = ["endorsed", "confronted"]
    groups = [(name, list(some)) for name, some in groupby(found.lines, key=attrgetter("group"))]
    for group, some in groups[:SHOWN]:
        lines = {line.what: line for line in some}
        first = max(lines.values(), key=attrgetter("annotated"))  # of a value that nobody coded no video is
        size = (
            f"{first.videos:,} videos, {first.clusters:,} {'videos' if found.by == 'account' else 'accounts'}"
        )
        annotated = max(line.annotated for line in some) if found.target else 0  # of what is annotated at all
        ends = " [95 % interval]" if any(line.low is not None for line in some) else ""
        table = _table(f"{corpus.system}, {group}: {size}; % of videos{ends}", found, headers, annotated)
        for slug, title in titles.items():
            table.add_row(
                title, *(cell for sign in "+-" for cell in _cells(lines.get(f"{slug}{sign}"), annotated))
            )
        console.print(table)
        if measured := [lines[name] for name in MEASURES if name in lines]:
            title = "Schwartz's circle: endorsed less confronted, mean over the values, in % of videos"
            table = _table(title, found, ["score"], annotated)
            for line in measured:
                table.add_row(line.what.replace("_", " "), *_cells(line, annotated))
            console.print(table)
        for reason in why_no_ends(some, of_accounts=found.by != "account"):
            console.print(f"* {reason}")
    if len(groups) > SHOWN:
        console.print(f"... and {len(groups) - SHOWN} more groups, which --csv writes")
    if found.small:
        console.print(f"* {small_groups(found.small)}")
    if found.confusions:
        console.print(_confusion_table(found.confusions))
    left = ", ".join(f"{reason} {n}" for reason, n in corpus.left_out.items())
    for note in [f"left out: {left}" if left else "every video has a result", *found.notes]:
        console.print(f"* {note}")


def _table(title: str, found: Prevalence, headers: list[str], annotated: int) -> Table:
    table = Table("", title=title, title_justify="left")
    for header in headers:
        table.add_column(f"{header}: {found.header}")
        if annotated:
            table.add_column(f"{header}: corrected, {annotated} annotated")
    return table


def _cells(line: RateLine | None, annotated: int) -> list[str]:
    if line is None:
        return ["not modelled", *(["-"] if annotated else [])]
    texts = [_percent(line.rate, line.low, line.high)]
    if annotated:
        texts.append(_percent(line.corrected, line.corrected_low, line.corrected_high))
    return texts


def _percent(rate: float | None, low: float | None, high: float | None) -> str:
    if rate is None:
        return "-"
    ends = "" if low is None or high is None else f" [{100 * low:z.1f}, {100 * high:z.1f}]"
    return f"{100 * rate:z.1f}{ends}"


def _confusion_table(found: list[Confusion]) -> Table:
    ends = "" if all(np.isnan(each.low) for each in found) else " [95 %]"
    head = ("stance", "false alarms that are", "number", "by chance", f"number / chance{ends}")
    table = Table(*head, title="Where false alarms lie on the circle", title_justify="left")
    for each in found:
        times = "-" if np.isnan(each.ratio) else f"{each.ratio:.2f}"
        times += "" if np.isnan(each.low) else f" [{each.low:.2f}, {each.high:.2f}]"
        table.add_row(each.stance, each.kind, f"{each.observed}", f"{each.expected:.1f}", times)
    return table


class _Small(NamedTuple):
    """A group that is not shown by itself, as a line without a label or a rate."""

    group: str
    videos: int
    what: str = ""
    why_none: str = "too few videos: in the group `other`"


def write_prevalence_csv(found: Prevalence, file: Path) -> None:
    """Write a line per group and label, and one per group that is not shown by itself, with its size alone.

    Names that a spreadsheet would take for a formula get a quote before them.
    """
    header = found.header
    lines: list[Any] = [*found.lines, *(_Small(*each) for each in found.small)]
    columns: dict[str, list[Any]] = {
        "system": [found.corpus.system] * len(lines),
        "by": [found.by or ""] * len(lines),
        **{
            name: [getattr(line, field, None) for line in lines]
            for name, field in (
                ("group", "group"),
                ("label", "what"),
                ("videos", "videos"),
                ("clusters", "clusters"),
                ("annotated", "annotated"),
                (f"rate ({header})", "rate"),
                (f"low ({header})", "low"),
                (f"high ({header})", "high"),
                ("corrected rate", "corrected"),
                ("corrected low", "corrected_low"),
                ("corrected high", "corrected_high"),
                ("why no interval", "why_none"),
                ("why no corrected interval", "why_none_corrected"),
            )
        },
        "corrected rates are of": [found.target or ""] * len(lines),
    }
    try:
        write_bytes(str(file), csv_of_table(pa.table(columns)))
    except OSError as err:
        raise UserError(f"{file}: cannot be written ({err.strerror})") from err
