"""ScriptRow -> PredictionRow by sentence embeddings against the codebook: no GPU, no network, no training.

A label's vector lies between the centre of its examples and its description. The script is read in windows:
each sentence alone, and with the one after it, because what a sentence means often stands in its neighbour.
Each window is shared out over all labels, and over the codebook's neutral examples, by a softmax of its
similarities; a label is predicted where its mean share reaches a threshold, not one that nothing is near to.
benchmarks/local_threshold.py measures this and sets the numbers.

Shape letters: N windows, V values, L = 2V labels, B neutral examples, D embedding width.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from itertools import dropwhile
from typing import Any, Final, cast

import numpy as np

from tikval.codebook import Codebook, sentences
from tikval.config import LocalExtractor
from tikval.hub.sentences import Encoder, load_encoder
from tikval.rows import PredictionRow, Reason

Load = Callable[[str, str | None], tuple[Encoder, str]]
# the lines at a script's head, which are neither spoken nor shown as text
_HEADER: Final = re.compile(r"(genre|sound|picture)\s*:", re.IGNORECASE)
_SPEECH: Final = re.compile(r'[^a-z"]{1,60}:\s*"?(?P<text>.*?)"?\s*')
_CAPTION: Final = re.compile(r"\[(?P<text>.+)\]\s*")
_END: Final = re.compile(r"(?<=[.!?])\s+")
_MIN_WORDS: Final = 3  # a shorter piece ("Oh!", "Part 2") means nothing alone and joins its neighbour


def sentences_of(script: str, caption: str | None = None) -> list[str]:
    """What is spoken and shown in a script, as sentences: dialogue, [CAPTIONS], action lines and the post's caption."""
    lines = [line.strip() for line in script.splitlines()]
    body = dropwhile(lambda line: not line or _HEADER.match(line), lines)
    texts = [_text_of(line) for line in body] + (caption or "").splitlines()
    pieces = [piece.strip() for text in texts for piece in _END.split(text) if re.search(r"\w", piece)]
    joined: list[str] = []
    for piece in pieces:
        if joined and (len(piece.split()) < _MIN_WORDS or len(joined[-1].split()) < _MIN_WORDS):
            joined[-1] = f"{joined[-1]} {piece}"
        else:
            joined.append(piece)
    return joined


def _text_of(line: str) -> str:
    spoken, shown = _SPEECH.fullmatch(line), _CAPTION.fullmatch(line)
    return spoken["text"] if spoken else shown["text"] if shown else line


def sentence_windows(sentences: Sequence[str], span: int) -> list[str]:
    """Every run of 1 to `span` sentences that follow each other, joined; the shorter runs first."""
    starts = ((n, i) for n in range(1, span + 1) for i in range(len(sentences) - n + 1))
    return [" ".join(sentences[i : i + n]) for n, i in starts]


class LabelVectors:
    """The codebook in the encoder's space."""

    def __init__(self, codebook: Codebook, encode: Encoder, example_weight: float) -> None:
        rows = []
        for description, examples in sentences(codebook).values():  # in the order of codebook.labels
            centre_D = _unit(encode(examples).mean(axis=0))
            rows.append(example_weight * centre_D + (1 - example_weight) * encode([description])[0])
        self.labels_LD = _unit(np.stack(rows))
        self.neutral_BD = (
            encode(codebook.neutral) if codebook.neutral else np.zeros((0, len(rows[0])), np.float32)
        )


def label_shares(windows_ND: np.ndarray, vectors: LabelVectors, config: LocalExtractor) -> np.ndarray:
    """Mean share of each label over the windows, float64 [L], in [0, 1].

    `prior_windows` without any label count as well, so that a short text needs clearer words than a long one.
    """
    labels_NL = windows_ND @ vectors.labels_LD.T
    # the nearest neutral example stands for all: their number must not weigh
    background_N1 = (windows_ND @ vectors.neutral_BD.T).max(axis=1, initial=-1, keepdims=True)
    share_NL = _softmax(np.hstack([labels_NL, background_N1]) / config.temperature)[:, :-1]
    total_L = share_NL.sum(axis=0, dtype=np.float64)
    return np.asarray(total_L / (len(share_NL) + config.prior_windows))


def decide_labels(scores_L: np.ndarray, threshold: float) -> list[bool]:
    """Labels at or above the threshold; of a value's two stances only the stronger one."""
    half = len(scores_L) // 2
    rival_L = np.concatenate([scores_L[half:], scores_L[:half]])
    wins_L = np.concatenate([scores_L[:half] >= rival_L[:half], scores_L[half:] > rival_L[half:]])
    return [bool(predicted) for predicted in (scores_L >= threshold) & wins_L]


class LocalValues:
    """ScriptRow -> PredictionRow, in batches of rows: holds the encoder and the codebook's vectors."""

    def __init__(
        self, system: str, codebook: Codebook, config: LocalExtractor, load: Load = load_encoder
    ) -> None:
        self.system, self.codebook, self.config = system, codebook, config
        self.encode, self.served = load(config.encoder, config.revision)
        self.vectors = LabelVectors(codebook, self.encode, config.example_weight)
        self.codebook_sha = hashlib.sha256(codebook.model_dump_json().encode()).hexdigest()

    def __call__(self, rows: list[Any]) -> list[PredictionRow]:
        return [self._predict(row) for row in rows]

    def _predict(self, row: Any) -> PredictionRow:
        if row["error"] is not None:
            return self.failure(row, Reason(row["error"]), row["detail"])
        sentences = sentences_of(row["script"], row["caption"])
        if not sentences:
            return self.failure(
                row, Reason.NO_TEXT, "nothing was recognised as said, shown as text or written"
            )
        windows_ND = self.encode(sentence_windows(sentences, self.config.span))
        scores_L = label_shares(windows_ND, self.vectors, self.config)
        decisions = decide_labels(scores_L, self.config.threshold)
        return self._row(
            row,
            decisions=decisions,
            scores=[float(score) for score in scores_L],
            abstained=not any(decisions),
            has_sound=row["has_sound"],
            model_served=self.served,
        )

    def failure(self, row: Any, reason: Reason, detail: str | None) -> PredictionRow:
        """A row with the identity of `row`, the reason and nothing that could be read as a stance."""
        return self._row(row, error=reason.value, detail=detail)

    def _row(self, row: Any, **result: Any) -> PredictionRow:
        empty: dict[str, Any] = dict.fromkeys(PredictionRow.__annotations__)
        return cast(
            PredictionRow,
            empty
            | {
                "video_id": row["video_id"],
                "row_key": row["row_key"],
                "attempt": row["attempt"],
                "system": self.system,
                "label_set": self.codebook.label_set,
                "model": self.config.encoder,
                "prompt_sha": self.codebook_sha,
            }
            | result,
        )


def _unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12))


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))
