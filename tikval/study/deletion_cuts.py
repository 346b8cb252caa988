"""What the deletion test cuts out of a post: a label's evidence, or as much of something else. Pure text."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tikval.evaluate.evidence import check_passages
from tikval.evaluate.faithfulness import words_in
from tikval.rows import Passage
from tikval.script_text import Piece, pieces_of

_LEAST: Final = (
    0.5  # of the evidence's words that a control must have; a longer one is only harder on the evidence
)
_TRIES: Final = 5  # at another choice, where one came twice


def evidence_pieces(
    evidence: Sequence[Passage], label: str, script: str, caption: str | None
) -> tuple[Piece, ...]:
    """Where the passages of a label stand in the script and the caption; () where none does."""
    mine = [passage for passage in evidence if passage["label"] == label]
    found = [place for checked in check_passages(mine, script, caption, script) for place in checked.places]
    return tuple(dict.fromkeys(found))


def control_pieces(
    cut: Sequence[Piece], script: str, caption: str | None, n: int, seed: str
) -> list[tuple[Piece, ...]]:
    """Up to `n` other choices of whole sentences that hold about as many words as what is cut, and nothing of it.

    They are drawn by the seed, and no two are the same; [] where the rest of the post is too short.
    """
    wanted, chance = n_words(cut), np.random.default_rng(list(seed.encode("utf-8", "surrogatepass")))
    others = [
        piece for piece in pieces_of(script, caption) if not any(_overlap(piece, place) for place in cut)
    ]
    found: dict[frozenset[Piece], tuple[Piece, ...]] = {}
    for _ in range(_TRIES * n):
        control = _about(wanted, [others[at] for at in chance.permutation(len(others))])
        if control and n_words(control) >= _LEAST * wanted:
            found.setdefault(frozenset(control), control)
    return list(found.values())[:n]


def n_words(pieces: Sequence[Piece]) -> int:
    return sum(len(words_in(piece.text)) for piece in pieces)


def _about(wanted: int, pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """The pieces in turn that bring their number of words nearer to the one that is wanted; one at least."""
    taken, words = list[Piece](), 0
    for piece in pieces:
        more = n_words([piece])
        if abs(words + more - wanted) < abs(words - wanted):
            taken.append(piece)
            words += more
    if not taken and pieces:
        taken = [min(pieces, key=lambda piece: abs(n_words([piece]) - wanted))]
    return tuple(taken)


def _overlap(one: Piece, other: Piece) -> bool:
    same_text = (one.line is None) == (other.line is None)
    return same_text and one.begin < other.end and other.begin < one.end
