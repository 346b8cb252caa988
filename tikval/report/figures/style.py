"""How figures look, with matplotlib: readable in print, in grey and for colour-blind people, and the same every time.

Colours are Okabe and Ito's; hatching, markers and dashes show the same in grey. The same numbers give the same bytes:
no date, no random id, no setting of the user's own matplotlib.
"""

import contextlib
import io
import os
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tikval.report.figures.numbers import FigureSeries
from tikval.stats.arrays import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES: Final = ("svg", "png", "pdf")
BLUE, VERMILLION, GREY, BLACK = "#0072B2", "#D55E00", "#767676", "#000000"
OF_STANCE: Final[tuple[dict[str, Any], ...]] = (
    {"color": BLUE, "edgecolor": "white", "linewidth": 0.3},
    {"color": VERMILLION, "edgecolor": "white", "linewidth": 0.3, "hatch": "//////"},
)
# of systems in a radar: the first 210 differ in colour, marker or dashes, the first five in all of them
COLOURS: Final = (BLUE, VERMILLION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", BLACK)
MARKERS: Final = ("o", "s", "^", "D", "v", "P")
DASHES: Final = ("-", "--", "-.", (0, (4, 1, 1, 1, 1, 1)), (0, (5, 3)))
RAW: Final = "Counts and shares of systems are as predicted: not corrected for model error."
_STYLE: Final[dict[str, Any]] = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # a dollar in a value's title is a dollar
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "tikval",  # else ids are random
    "pdf.fonttype": 42,  # fonts embedded as they are, which publishers ask for
}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """A context in which figures are drawn and rendered."""
    # a notebook names its own way to show pictures to every command; where that is not installed the import fails
    shown = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if shown is not None:
            os.environ["MPLBACKEND"] = shown
    settings: dict[Any, Any] = {**matplotlib.rcParamsDefault, **_STYLE}
    del settings["backend"]  # of pyplot only
    with matplotlib.rc_context(settings):
        yield


def render(figure: "Figure", suffix: str) -> bytes:
    """The bytes of a figure as svg, png (300 dpi) or pdf."""
    undated: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    sink = io.BytesIO()
    # "tight": a long title widens the picture and is not cut
    figure.savefig(
        sink, format=suffix, dpi=300, bbox_inches="tight", pad_inches=0.05, metadata=undated[suffix]
    )
    return sink.getvalue()


def panels_of(
    n: int, width: float, height: float, across: int = 3, extra: float = 0.0, **kind: Any
) -> tuple["Figure", list["Axes"]]:
    """A grid of `n` panels, sizes in inches; `extra` is the room for the names of rows, `kind` goes to subplots."""
    from matplotlib.figure import Figure

    columns, rows = min(n, across), -(-n // across)
    size = (max(3.6, columns * width + extra), rows * height + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **kind).ravel().tolist()
    for empty in grid[n:]:
        figure.delaxes(empty)
    for panel in grid[:n]:
        panel.tick_params(labelbottom=True)  # also where another one with the same axis stands below
    return figure, grid[:n]


def title(panel: "Axes", one: FigureSeries, pad: float | None = None) -> None:
    panel.set_title(f"{short(one.name, 30)}: {one.videos:,} videos", pad=pad)


def legend(figure: "Figure", panels: Sequence["Axes"], note: str | None = None) -> None:
    """Write one legend below all panels, with each name once, and a note."""
    named: dict[str, Any] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(named.values()),
        list(named),
        loc="outside lower center",
        ncols=min(4, len(named)),
        frameon=False,
        title=note,
        title_fontsize=6,
    )


def note_of(series: Sequence[FigureSeries]) -> str | None:
    return None if all(one.is_human for one in series) else RAW


def unmodelled(panel: "Axes", x: Floats, y: Floats, count_V: Floats) -> None:
    """Draw a cross in the place of what is not modelled, which is not zero."""
    none_V = np.isnan(count_V)
    if none_V.any():
        panel.scatter(x[none_V], y[none_V], 12, color=GREY, marker="x", linewidths=0.8, label="not modelled")


def short(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def wrapped(text: str) -> str:
    """The text over a few short lines, to stand around a circle."""
    return "\n".join(textwrap.wrap(short(text, 44), 16))
