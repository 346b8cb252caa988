"""What `tikval annotate next` knows of its target, on a terminal."""

from rich.console import Console
from rich.table import Table

from tikval.annotate.next_videos import NextVideos


def show_target(found: NextVideos, console: Console) -> None:
    """Print a line for each label and group, and what to know and do."""
    speaks_of = "this corpus" if found.of == "corpus" else "accounts like these"
    title = f"{found.target}: the rate in {speaks_of}, % of videos [95 % interval]"
    head = ("group", "label", "labelled", "have it", "rate", "within", "then", "needed")
    table = Table(title=title, title_justify="left")
    several = len(found.target.labels) > 1  # one stands in the title
    for name in head if several else [head[0], *head[2:]]:
        table.add_column(name, no_wrap=name in ("label", "rate"))
    for line in found.lines:
        rate = "-" if line.estimate is None else f"{100 * line.estimate:.1f}"
        if line.low is not None and line.high is not None:
            rate += f" [{100 * line.low:.1f}, {100 * line.high:.1f}]"
        table.add_row(
            line.group,
            *([line.label] if several else []),
            f"{line.labelled:,}",
            f"{line.having:,}",
            rate,
            _share(line.reach),
            _share(line.reach_after),
            "-" if line.needed is None else f"{line.needed:,}",
        )
    console.print(table)
    console.print(
        "within: the farther end from the rate; then, needed: after this batch, more labels, both about"
    )
    for sentence in found.sentences:
        console.print(f"* {sentence}")


def _share(reach: float | None) -> str:
    return "-" if reach is None else f"{reach:.3f}"
