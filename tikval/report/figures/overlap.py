"""Which lists name the same accounts: a bar for each combination of lists, as UpSet plots have it, and their sizes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tikval.report.figures.style import BLUE, VERMILLION, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS: Final = 20
_DARK, _LIGHT, _BAND = "#333333", "#D5D5D5", "#F2F2F2"


def overlap_of_lists(
    names: Sequence[str], sizes: Sequence[int], n_models: int, shared: Sequence[tuple[tuple[int, ...], int]]
) -> "Figure":
    """Draw how many accounts each combination of lists names and no other does.

    `names`, `sizes`: of the lists, models before surveys; `shared`: places of lists and a number of accounts, the most
    first, of which MOST_BARS are drawn.
    """
    from matplotlib.figure import Figure

    bars = shared[:MOST_BARS]
    at, rows = range(len(bars)), range(len(names))
    figure = Figure(figsize=(2.6 + 0.34 * len(bars), 2.0 + 0.26 * len(names)), layout="constrained")
    top, dots = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [1.7, 0.26 * len(names) + 0.05]}
    )

    counts = [count for _, count in bars]
    top.bar(at, counts, 0.6, color=_DARK)
    for place, count in enumerate(counts):
        top.annotate(
            f"{count:,}", (place, count), (0, 2), textcoords="offset points", ha="center", fontsize=7
        )
    top.set_ylabel("accounts that these\nlists name, no others", fontsize=7)
    top.tick_params(length=0, labelbottom=False, labelleft=False)
    top.spines["left"].set_visible(False)
    top.margins(y=0.15)

    colours = [BLUE if row < n_models else VERMILLION for row in rows]
    for row in rows:
        dots.axhspan(row - 0.5, row + 0.5, color=_BAND if row % 2 else "white", zorder=0)
        dots.scatter(list(at), [row] * len(bars), 18, color=_LIGHT, zorder=1)
    for place, (members, _) in enumerate(bars):
        dots.plot([place] * len(members), members, "-", color=_DARK, linewidth=1.2, zorder=2)
        dots.scatter([place] * len(members), members, 24, color=[colours[row] for row in members], zorder=3)
    dots.set_xlim(-0.6, len(bars) - 0.4)
    dots.set_ylim(len(names) - 0.5, -0.5)
    kinds = ["model" if row < n_models else "survey" for row in rows]
    dots.set_yticks(
        rows, [f"{short(names[row], 28)} ({kinds[row]}, {sizes[row]:,} accounts)" for row in rows]
    )
    dots.tick_params(length=0, labelbottom=False)
    for side in ("left", "bottom"):
        dots.spines[side].set_visible(False)
    return figure
