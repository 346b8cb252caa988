"""ScriptRow -> PredictionRow by sentence embeddings against the codebook: no GPU, no network, no training.

A label's vector lies between the centre of its examples and its description. The script is read in windows:
each sentence alone, and with the one after it, because what a sentence means often stands in its neighbour.
Each window is shared out over all labels, and over the codebook's neutral examples, by a softmax of its
similarities (similarity.py), an endorsed label being near where its appeals are (appeals.py); a window that is on the
side of the neutral examples hardly counts. A label is predicted where its mean share reaches a threshold.
benchmarks/local_threshold.py measures this and sets the numbers for Schwartz's codebook; the threshold of any other is
set from that codebook, or each label's from stated rates and the scripts (calibration.py).

Shape letters: N windows, L labels, D embedding width.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import numpy as np

from tikval.codebook import Codebook
from tikval.config import ExtractConfig, JobConfig, LocalExtractor, UserError
from tikval.extract.calibration import (
    calibrate,
    calibrate_rates,
    codebook_vectors,
    keep_calibration,
    kept_calibration,
)
from tikval.extract.passages import Sentence, join_short, passages_of
from tikval.extract.similarity import (
    decide_labels,
    mean_share,
    sentence_windows,
    window_shares,
)
from tikval.hub.sentences import Encoder, load_encoder
from tikval.rows import PredictionRow, Reason
from tikval.script_text import pieces_of
from tikval.store.folder import Folder
from tikval.store.row_keys import keys_of

Load = Callable[[str, str | None], tuple[Encoder, str]]
_SAMPLE: Final = 2_000  # scripts that thresholds by rates are set from


def sentences_of(script: str, caption: str | None = None, only_english: bool = False) -> list[str]:
    """What is spoken and shown in a script, as sentences: dialogue, [CAPTIONS], action lines and the post's caption.

    `only_english`: without what a recogniser heard in other languages; its own English of it stays.
    """
    return [sentence.text for sentence in join_short(pieces_of(script, caption, only_english))]


def set_threshold(config: JobConfig, extractor: LocalExtractor, codebook: Codebook, load: Load) -> None:
    """Set thresholds from rates or the codebook where that is asked for, once in the life of the folder."""
    if kept_calibration(config.folder) is not None:
        return
    if extractor.rates is not None and isinstance(config, ExtractConfig):
        values = LocalValues(config.system, codebook, extractor.model_copy(update={"rates": None}), load)
        rows = [row for row in sample_of_scripts(config) if row["error"] is None]
        scores = [found.scores for row in rows if (found := values.read(row))]
        scores_NL = np.array(scores, np.float64).reshape(-1, len(codebook.labels))
        keep_calibration(config.folder, calibrate_rates(scores_NL, extractor.rates))
    elif extractor.threshold == "codebook":
        encode, _ = load(extractor.encoder, extractor.revision)
        keep_calibration(config.folder, calibrate(codebook, encode, extractor))


def sample_of_scripts(config: ExtractConfig) -> list[Any]:
    """ScriptRows of up to 2,000 of the catalog's videos, always the same ones, whichever are judged first."""
    keys = keys_of(Folder(config.catalog.folder).read(["row_key"])["row_key"])
    # by a hash: the order of the keys may say something of the videos
    drawn = sorted(np.unique(keys).tolist(), key=lambda key: hashlib.sha256(key).digest())[:_SAMPLE]
    scripts = Folder(config.source.folder).read_listed(np.sort(np.array(drawn, keys.dtype)))
    return list(scripts.to_pylist())


class Reading(NamedTuple):
    """What the encoder makes of one script."""

    sentences: list[Sentence]
    windows: np.ndarray  # [N, D] vectors
    shares: np.ndarray  # [N, L]
    scores: np.ndarray  # [L] mean share of the windows


class LocalValues:
    """ScriptRow -> PredictionRow, in batches of rows: holds the encoder and the codebook's vectors."""

    def __init__(
        self,
        system: str,
        codebook: Codebook,
        config: LocalExtractor,
        load: Load = load_encoder,
        folder: str | None = None,
    ) -> None:
        """`folder`: of the predictions, which keeps thresholds that were set.

        Raises UserError where there are rates, and none was set by them yet.
        """
        self.system, self.codebook, self.config = system, codebook, config
        self.encode, self.served = load(config.encoder, config.revision)
        self.vectors = codebook_vectors(codebook, self.encode, config)
        self.threshold = self._threshold(folder)
        self.codebook_sha = hashlib.sha256(codebook.model_dump_json().encode()).hexdigest()

    def _threshold(self, folder: str | None) -> float | np.ndarray:
        if self.config.threshold != "codebook" and self.config.rates is None:
            return self.config.threshold
        kept = kept_calibration(folder) if folder else None
        if kept is None and self.config.rates is not None:
            raise UserError(f"{self.system}: extractor.rates need a study's scripts; run jobs.extract_values")
        return (kept or calibrate(self.codebook, self.encode, self.config)).decides

    def __call__(self, rows: list[Any]) -> list[PredictionRow]:
        return [self._predict(row) for row in rows]

    def _predict(self, row: Any) -> PredictionRow:
        if row["error"] is not None:
            return self.failure(row, Reason(row["error"]), row["detail"])
        found = self.read(row)
        if found is None:
            return self.failure(
                row, Reason.NO_TEXT, "nothing was recognised as said, shown as text or written"
            )
        decided = self.decide(row, found)
        places = {label: n for n, label in enumerate(self.codebook.labels) if decided["decisions"][n]}
        return self._row(
            row,
            abstained=not places,
            has_sound=row["has_sound"],
            language=row["language"],
            translated=row["translated"],
            evidence=passages_of(row, found.sentences, found.shares, places, self.config),
            model_served=self.served,
            **decided,
        )

    def read(self, row: Any) -> "Reading | None":
        """The vectors and shares of what a script says; None: it says nothing."""
        sentences = join_short(pieces_of(row["script"], row["caption"], only_english=True))
        if not sentences:
            return None
        texts = [sentence.text for sentence in sentences]
        windows_ND = self.encode(sentence_windows(texts, self.config.span))
        share_NL = window_shares(windows_ND, self.vectors, self.config)
        return Reading(sentences, windows_ND, share_NL, mean_share(share_NL, self.config))

    def decide(self, row: Any, found: "Reading") -> dict[str, Any]:
        """Decisions and scores of a PredictionRow."""
        decisions = decide_labels(found.scores, self.threshold)
        return {"decisions": decisions, "scores": [float(score) for score in found.scores]}

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
