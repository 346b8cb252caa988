"""Which sentences a trained encoder decided by: each is cut out in turn, and what a label's score loses is its weight.

Nothing of the model is looked into, so it holds for one encoder as for the mean of several, cut or in windows.

Shape letters: C texts with something cut out, L trained labels.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np

from tikval.rows import Passage
from tikval.script_text import Piece, pieces_of, without_pieces
from tikval.stats.arrays import Floats

MAX_CUTS: Final = 64  # of one text: where it has more sentences, neighbours are cut out together
_PASSAGES: Final = 3  # of each label
_LONGEST: Final = 1_000  # characters of a quote: speech without a full stop is as long as the video


def cuts_of(row: Any) -> list[list[Piece]]:
    """What is cut out of a ScriptRow in turn: its sentences one by one, or neighbours in a text of many."""
    by_place = groupby(pieces_of(row["script"], row["caption"]), key=lambda piece: piece.line is None)
    parts = [list(pieces) for _, pieces in by_place]  # no cut is of script and caption both
    size = -(-sum(map(len, parts)) // (MAX_CUTS - len(parts) + 1))
    return [part[at : at + size] for part in parts for at in range(0, len(part), size)]


def without_cut(row: Any, cut: Sequence[Piece]) -> dict[str, Any]:
    """The row without a cut's pieces."""
    script, caption = without_pieces(row["script"], row["caption"], cut)
    return {**row, "script": script, "caption": caption}


def passages_by_drop(
    row: Any, cuts: Sequence[Sequence[Piece]], drops_CL: Floats, labels: Sequence[str]
) -> list[Passage]:
    """The cuts without which each label's score falls the furthest, three at most of each, the strongest first."""
    found = list[Passage]()
    for label, drops_C in zip(labels, drops_CL.T, strict=True):
        strongest = np.argsort(-drops_C, kind="stable")[:_PASSAGES]
        found += [
            _passage(row, label, cuts[cut], float(drops_C[cut])) for cut in strongest if drops_C[cut] > 0
        ]
    return found


def _passage(row: Any, label: str, cut: Sequence[Piece], drop: float) -> Passage:
    start, end = _seconds(row, [piece.line for piece in cut if piece.line is not None])
    return Passage(
        label=label,
        source=cut[0].source.value,
        quote=_shorten(" ".join(piece.text for piece in cut)),
        start=start,
        end=end,
        weight=drop,
        in_script=True,
    )


def _shorten(quote: str) -> str:
    return quote if len(quote) <= _LONGEST else quote[:_LONGEST].rsplit(maxsplit=1)[0]


def _seconds(row: Any, lines: Sequence[int]) -> tuple[float | None, float | None]:
    """The seconds from which, and up to which, lines of a script were heard or seen."""
    starts, ends = (
        [times[line] for line in lines if line < len(times) and times[line] is not None]
        for times in (row["line_starts"] or (), row["line_ends"] or ())
    )
    return min(starts, default=None), max(ends, default=None)
