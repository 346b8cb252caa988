"""The arithmetic of the local extractor: a codebook in an encoder's space, and windows of sentences shared out over it.

Shape letters: N windows, V values, L = 2V labels, E examples, B neutral sentences, D embedding width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tikval.codebook import Codebook, sentences
from tikval.config import LocalExtractor
from tikval.hub.sentences import Encoder
from tikval.stats.arrays import Bools
from tikval.stats.thresholds import sigmoid


def window_bounds(n_sentences: int, span: int) -> list[tuple[int, int]]:
    """First sentence, and the one after the last, of every run of 1 to `span` sentences; the shorter runs first."""
    return [(i, i + n) for n in range(1, span + 1) for i in range(n_sentences - n + 1)]


def sentence_windows(sentences: Sequence[str], span: int) -> list[str]:
    """The text of every window, in the order of window_bounds()."""
    return [" ".join(sentences[begin:end]) for begin, end in window_bounds(len(sentences), span)]


@dataclass(frozen=True)
class LabelVectors:
    """The codebook in the encoder's space."""

    labels: np.ndarray  # [L, D] in the order of codebook.labels
    examples: np.ndarray  # [E, D] of all labels
    neutral: np.ndarray  # [B, D]
    appeals: np.ndarray  # [A, D] of endorsed labels too
    appealed: np.ndarray  # [A] places of the values that these are of


def label_vectors(
    codebook: Codebook,
    encode: Encoder,
    config: LocalExtractor,
    neutral: Sequence[str],
    appeals: Mapping[str, Sequence[str]],
) -> LabelVectors:
    """The vectors of a codebook's labels, of the neutral sentences that are its background, and of appeals by slug."""
    of_labels = [
        (encode([description])[0], encode(examples)) for description, examples in sentences(codebook).values()
    ]
    rows = [label_vector(examples, description, config.example_weight) for description, examples in of_labels]
    none = np.zeros((0, len(rows[0])), np.float32)
    appealed = [place for place, value in enumerate(codebook.values) if value.slug in appeals]
    of_appeals = [
        label_vector(encode(appeals[codebook.values[place].slug]), of_labels[place][0], config.example_weight)
        for place in appealed
    ]
    return LabelVectors(
        unit(np.stack(rows)),
        np.vstack([examples for _, examples in of_labels]),
        encode(neutral) if neutral else none,
        unit(np.stack(of_appeals)) if of_appeals else none,
        np.array(appealed, np.intp),
    )


def label_vector(examples_ED: np.ndarray, description_D: np.ndarray, example_weight: float) -> np.ndarray:
    """A label's vector [D], of any length: between the centre of its E examples and its description."""
    centre_D = unit(examples_ED.mean(axis=0))
    return np.asarray(example_weight * centre_D + (1 - example_weight) * description_D)


def label_shares(windows_ND: np.ndarray, vectors: LabelVectors, config: LocalExtractor) -> np.ndarray:
    """Mean share of each label over the windows, as mean_share()."""
    return mean_share(window_shares(windows_ND, vectors, config), config)


def window_shares(windows_ND: np.ndarray, vectors: LabelVectors, config: LocalExtractor) -> np.ndarray:
    """What of each window belongs to each label [N, L], in [0, 1]; the rest of 1 is nobody's."""
    labels_NL = windows_ND @ vectors.labels.T
    if len(at := vectors.appealed):
        labels_NL[:, at] = np.maximum(labels_NL[:, at], windows_ND @ vectors.appeals.T)
    # the nearest neutral example stands for all: their number must not weigh
    background_N1 = (windows_ND @ vectors.neutral.T).max(axis=1, initial=-1, keepdims=True)
    share_NL = _softmax(np.hstack([labels_NL, background_N1]) / config.temperature)[:, :-1]
    return share_NL if config.gate is None else share_NL * _says_something(windows_ND, vectors, config.gate)


def _says_something(windows_ND: np.ndarray, vectors: LabelVectors, gate: float) -> np.ndarray:
    """How far each window is on the side of the examples, of whatever label, and not on that of neutral sentences.

    [N, 1] in (0, 1): a logistic curve along the line between the two centres, 1/2 midway, slope `gate` by its length.
    """
    if not len(vectors.neutral):
        return np.ones((len(windows_ND), 1))
    something_D, nothing_D = vectors.examples.mean(axis=0), vectors.neutral.mean(axis=0)
    between_D = something_D - nothing_D
    along_N = (windows_ND - (something_D + nothing_D) / 2) @ between_D / max(between_D @ between_D, 1e-12)
    return sigmoid(gate * along_N[:, None])


def mean_share(share_NL: np.ndarray, config: LocalExtractor) -> np.ndarray:
    """Mean share over the windows, float64 [L], in [0, 1]; of no window 0.

    `prior_windows` without any label count as well, so that a short text needs clearer words than a long one.
    """
    total_L = share_NL.sum(axis=0, dtype=np.float64)
    return np.asarray(total_L / max(len(share_NL) + config.prior_windows, 1e-12))


def decide_labels(scores_L: np.ndarray, threshold: float | np.ndarray) -> list[bool]:
    """Labels at or above the threshold, one for all or [L] above 0; of a value's two stances the one farther above."""
    relative_L = scores_L / threshold if np.ndim(threshold) else scores_L
    return [bool(predicted) for predicted in (scores_L >= threshold) & winners(relative_L)]


def winners(scores: np.ndarray) -> Bools:
    """Which labels of [..., L] are the stronger of their value's two stances; a tie is endorsed."""
    endorsed, confronted = np.split(scores, 2, axis=-1)
    return np.concatenate([endorsed >= confronted, confronted > endorsed], axis=-1)


def unit(x: np.ndarray) -> np.ndarray:
    """The same vectors with length 1."""
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12))


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))
