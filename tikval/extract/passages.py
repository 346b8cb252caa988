"""The sentences that carry a label which the local extractor decided, as passages of the post.

A window of sentences speaks for a label where its share of it is above their mean, the label's score. The strongest is
taken first; where one of its sentences has half of that share alone, this one is quoted without its neighbours. What
is said several times is one passage. A passage's weight is how far the score falls without all windows that hold it;
the others were read already, so that evidence costs no encoding. benchmarks/evidence.py measures this.

Shape letters: N windows, L labels, S sentences.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from tikval.config import LocalExtractor
from tikval.extract.similarity import mean_share, window_bounds
from tikval.rows import Passage
from tikval.script_text import Piece, find_quote

_MIN_WORDS: Final = 3  # a shorter piece ("Oh!", "Part 2") means nothing alone and joins its neighbour
_MOST: Final = 3  # passages of a label
_SUFFICES: Final = 0.5  # of a window's share
_LONGEST: Final = 1_000  # characters of a quote: speech without a full stop is as long as the video


class Sentence(NamedTuple):
    """What is read as one: a piece of the post, or several of which one is too short to mean anything alone."""

    text: str
    pieces: tuple[Piece, ...]

    @property
    def longest(self) -> Piece:
        return max(self.pieces, key=lambda piece: len(piece.text))


class Run(NamedTuple):
    """Sentences that follow each other and carry a label."""

    begin: int
    end: int  # the one after the last
    weight: float  # how far the label's score falls without them


def join_short(pieces: Iterable[Piece]) -> list[Sentence]:
    """The sentences that pieces make up: one of less than three words joins the one before or after it."""
    joined: list[Sentence] = []
    for piece in pieces:
        if joined and min(len(piece.text.split()), len(joined[-1].text.split())) < _MIN_WORDS:
            last = joined[-1]
            joined[-1] = Sentence(f"{last.text} {piece.text}", (*last.pieces, piece))
        else:
            joined.append(Sentence(piece.text, (piece,)))
    return joined


def passages_of(
    row: Any,
    sentences: Sequence[Sentence],
    share_NL: np.ndarray,
    decided: Mapping[str, int],
    config: LocalExtractor,
) -> list[Passage]:
    """Up to three passages of each decided label, the strongest first.

    `row`: the ScriptRow; `share_NL`: of each label in the windows of its sentences; `decided`: labels and their places
    among the L.
    """
    texts = [sentence.text for sentence in sentences]
    return [
        _passage(row, label, sentences[run.begin : run.end], run.weight)
        for label, place in decided.items()
        for run in strongest_runs(share_NL[:, place], texts, config)
    ]


def strongest_runs(share_N: np.ndarray, texts: Sequence[str], config: LocalExtractor) -> list[Run]:
    """One to three runs of the S sentences `texts` that carry a label with this share of their windows."""
    bounds = window_bounds(len(texts), config.span)
    begin_N, end_N = np.array(bounds).T
    score, used_S, found = float(mean_share(share_N, config)), np.zeros(len(texts), bool), list[Run]()
    for at in np.argsort(-share_N, kind="stable"):
        if len(found) == _MOST or (found and share_N[at] <= score):
            break
        begin, end = bounds[at]
        alone = begin + int(share_N[begin:end].argmax())  # the first S windows are the sentences themselves
        if share_N[alone] >= _SUFFICES * share_N[at]:
            begin, end = alone, alone + 1
        if used_S[begin:end].any():
            continue
        same_S = np.array([text in texts[begin:end] for text in texts])
        n_same = np.append(0, same_S.cumsum())
        weight = score - float(mean_share(share_N[n_same[begin_N] == n_same[end_N]], config))
        if weight > 0 or not found:
            used_S |= same_S
            found.append(Run(begin, end, weight))
    return sorted(found, key=lambda run: -run.weight)


def _passage(row: Any, label: str, sentences: Sequence[Sentence], weight: float) -> Passage:
    """The passage that sentences make up, and the times of their lines. Of what was said and shown as one sentence the
    longer part is quoted, of a run from the script into the caption too."""
    parts = [
        piece
        for sentence in sentences
        for piece in sentence.pieces
        if piece.source == sentence.longest.source
    ]
    longest = max(parts, key=lambda piece: len(piece.text))
    pieces = [piece for piece in parts if (piece.line is None) == (longest.line is None)]
    quote = _shorten(_joined(row["script"], pieces))
    if not find_quote(quote, row["script"], row["caption"]):
        quote, pieces = _shorten(longest.text), [longest]
    starts, ends = (_times(row[name], pieces) for name in ("line_starts", "line_ends"))
    return Passage(
        label=label,
        source=longest.source.value,
        quote=quote,
        start=min(starts, default=None),
        end=max(ends, default=None),
        weight=weight,
        in_script=True,
    )


def _joined(script: str, pieces: Sequence[Piece]) -> str:
    """The words of pieces, with an ellipsis where lines that were not read stand between them."""
    quote, lines = pieces[0].text, script.splitlines()
    for last, piece in pairwise(pieces):
        between = lines[last.line + 1 : piece.line] if last.line is not None else []
        quote += (" \u2026 " if any(line.strip() for line in between) else " ") + piece.text
    return quote


def _shorten(quote: str) -> str:
    return quote if len(quote) <= _LONGEST else quote[:_LONGEST].rsplit(maxsplit=1)[0]


def _times(seconds: Sequence[float | None] | None, pieces: Iterable[Piece]) -> list[float]:
    """The seconds that are known of the lines of pieces."""
    lines = {piece.line for piece in pieces}
    return [second for line, second in enumerate(seconds or []) if line in lines and second is not None]
