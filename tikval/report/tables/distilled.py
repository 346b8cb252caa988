"""What a distillation came to, in human-readable form on a terminal."""

from rich.console import Console
from rich.table import Table

from tikval.evaluate.distilled import Distilled, WithEnds


def show_distilled(found: Distilled, console: Console) -> None:
    """Print sample, price and loss, and a table of the rates in three ways."""
    for sentence in found.sentences():
        console.print(f"* {sentence}")
    titles = (
        f"{found.small}, as it is",
        f"corrected by {found.answered} answers [95 %]",
        f"{found.teacher} on the sample alone [95 %]",
    )
    head = f"rates of {found.teacher}, which may be wrong, in % of {found.videos:,} videos"
    table = Table("label", *titles, title=head, title_justify="left")
    for line in found.rates:
        table.add_row(line.label, f"{100 * line.small:.1f}", _percent(line.corrected), _percent(line.alone))
    console.print(table)


def _percent(rate: WithEnds) -> str:
    if rate.value is None:
        return "-"
    ends = "" if rate.low is None or rate.high is None else f" [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
    return f"{100 * rate.value:.1f}{ends}"
