"""Kept trainings -> what they predict for new rows, alone or averaged; and how a training is kept.

The encoder is built from its configuration, and its weights are those that were trained: what it began with may be
gone.

Shape letters: N rows, L trained labels, C texts of a row with something cut out.
"""

import hashlib
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from torch import nn

from tikval.config import PredictConfig, TextEncoder, UserError, VectorHead
from tikval.files import fetch_folder, read_bytes, write_bytes
from tikval.finetune.batches import Data, Vectors, cut, token_windows
from tikval.finetune.combine import ensemble
from tikval.finetune.examples import text_of_post
from tikval.finetune.loop import predict_probabilities
from tikval.finetune.model import build, load_tokenizer, read_settings
from tikval.finetune.model_files import EnsembleFacts, read_kept
from tikval.finetune.occlusion import cuts_of, passages_by_drop, without_cut
from tikval.finetune.output_link import EACH_LABEL, link_of
from tikval.finetune.prediction_rows import prediction_columns
from tikval.rows import Passage, PredictionRow, Reason
from tikval.stats.arrays import Floats

_AT_ONCE: Final = 16  # rows that a model reads at once


def keep(place: str, model: TextEncoder | VectorHead, weights: bytes, description: str) -> None:
    """Write one training's folder; `description` is the JSON of training.model_facts."""
    write_bytes(f"{place}/weights.pt", weights)
    if isinstance(model, TextEncoder):
        with tempfile.TemporaryDirectory() as form:
            read_settings(model).save_pretrained(form)
            load_tokenizer(model).save_pretrained(form)
            for file in sorted(Path(form).iterdir()):
                write_bytes(f"{place}/encoder/{file.name}", file.read_bytes())
    facts = {**json.loads(description), "weights_sha256": hashlib.sha256(weights).hexdigest()}
    write_bytes(f"{place}/model.json", json.dumps(facts, indent=2).encode())


class TrainedMember:
    """One kept training, loaded: its models, each whole or one for each label, and its way of cutting texts."""

    def __init__(self, place: str, weights_sha256: str, device: str = "cpu") -> None:
        """Raises UserError where weights are missing, or are others than those of the hash."""
        self.kept, self.device = read_kept(place), device
        data = read_bytes(f"{place}/weights.pt")
        if data is None or hashlib.sha256(data).hexdigest() != weights_sha256:
            raise UserError(
                f"{place}: its weights are missing or changed; run jobs.finetune to its end first"
            )
        weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        self.form = self.kept.model
        self.tokenizer: Any = None
        if isinstance(self.form, TextEncoder):
            own = {"model": fetch_folder(f"{place}/encoder"), "revision": None}
            self.form = self.form.model_copy(update=own)
            self.tokenizer = load_tokenizer(self.form)
        self.models = []
        for _, tensors in sorted(weights.items()):
            model = self._shell(1 if self.kept.heads == "per_label" else len(self.kept.labels))
            model.load_state_dict(tensors)
            self.models.append(model.to(device).eval())

    def __call__(self, rows: Sequence[Any]) -> Floats:
        """Probabilities [N, L] of ScriptRows or EmbeddingRows that have a result."""
        data, every = self._data(rows), np.arange(len(rows))
        link = EACH_LABEL if self.kept.heads == "per_label" else link_of(self.kept.heads, self.kept.labels)
        read = [
            predict_probabilities(model, data, every, _AT_ONCE, self.device, link) for model in self.models
        ]
        heads = len(read) // self.kept.models
        firsts = range(0, len(read), heads)
        return ensemble([np.concatenate(read[first : first + heads], axis=1) for first in firsts])

    def _data(self, rows: Sequence[Any]) -> Data:
        if isinstance(self.form, VectorHead):
            for row in rows:
                if len(row["vector"]) != self.kept.width:
                    raise UserError(
                        f"{row['video_id']}: its vector has {len(row['vector'])} numbers, and the system was trained "
                        f"on {self.kept.width}; embed as it was embedded for training"
                    )
            return Vectors(np.array([row["vector"] for row in rows], np.float32))
        texts = [text_of_post(row) for row in rows]
        if self.form.long_texts == "windows":
            return token_windows(self.tokenizer, texts, self.form.max_tokens, self.form.overlap_tokens)
        return cut(self.tokenizer, texts, self.form.max_tokens)

    def _shell(self, n_outputs: int) -> nn.Module:
        """The model that was trained, with weights that are about to be replaced."""
        return build(self.form, n_outputs, self.kept.width, pretrained=False)


class Judge:
    """ScriptRow or EmbeddingRow -> PredictionRow, in batches of rows: the members' mean, and its thresholds."""

    def __init__(self, config: PredictConfig, facts: EnsembleFacts, names: Sequence[str]) -> None:
        """`names`: the members that are averaged. Raises UserError as TrainedMember."""
        if not config.pool.gpus:
            torch.set_num_threads(max(1, int(config.pool.cpus)))
        self.config, self.facts = config, facts
        device = "cuda" if config.pool.gpus else "cpu"
        places = {name: f"{config.trained.folder}/models/{name}" for name in names}
        self.members = [
            TrainedMember(place, facts.members[name].weights_sha256, device) for name, place in places.items()
        ]
        alone = self.members[0].kept.thresholds if len(self.members) == 1 else None
        self.thresholds_L = np.array(alone or facts.thresholds)
        self.places = [facts.all_labels.index(label) for label in facts.labels]
        self.model = getattr(config.trained.model, "model", "mlp")
        self.served = f"finetune-{config.trained.fingerprint}@{facts.state_of(names)}: {' '.join(names)}"

    def __call__(self, rows: list[Any]) -> list[PredictionRow]:
        good = [row for row in rows if row["error"] is None]
        means_NL = self._means(good)
        evidence = self._evidence(good, means_NL) if self.config.evidence else [None] * len(good)
        judged = zip(means_NL, evidence, strict=True)
        return [
            self._judged(row, *next(judged))
            if row["error"] is None
            else self.failure(row, Reason(row["error"]), row["detail"])
            for row in rows
        ]

    def _means(self, rows: Sequence[Any]) -> Floats:
        """Mean probabilities [N, L] over the members."""
        empty = np.empty((0, len(self.thresholds_L)))
        return ensemble([member(rows) for member in self.members]) if rows else empty

    def _evidence(self, rows: Sequence[Any], means_NL: Floats) -> list[list[Passage]]:
        """The sentences that each row's decided labels fall without; the cut texts are judged together."""
        decided = [np.flatnonzero(scores_L >= self.thresholds_L) for scores_L in means_NL]
        cuts = [cuts_of(row) if len(labels) else [] for row, labels in zip(rows, decided, strict=True)]
        cut = [without_cut(row, pieces) for row, some in zip(rows, cuts, strict=True) for pieces in some]
        parts = np.split(self._means(cut), np.cumsum([len(some) for some in cuts])[:-1])
        return [
            passages_by_drop(row, some, (mean_L - part_CL)[:, at], [self.facts.labels[i] for i in at])
            for row, some, mean_L, part_CL, at in zip(rows, cuts, means_NL, parts, decided, strict=True)
        ]

    def _judged(self, row: Any, scores_L: Floats, evidence: list[Passage] | None) -> PredictionRow:
        columns = prediction_columns(
            len(self.facts.all_labels), self.places, scores_L, scores_L >= self.thresholds_L
        )
        return self._row(row, model_served=self.served, evidence=evidence, **columns)

    def failure(self, row: Any, reason: Reason, detail: str | None) -> PredictionRow:
        """A row with the identity of `row`, the reason and nothing that could be read as a stance."""
        return self._row(row, error=reason.value, detail=detail)

    def _row(self, row: Any, **result: Any) -> PredictionRow:
        empty: dict[str, Any] = dict.fromkeys(PredictionRow.__annotations__)
        known = {
            "video_id": row["video_id"],
            "row_key": row["row_key"],
            "attempt": row["attempt"],
            "system": self.config.system,
            "label_set": self.facts.label_set,
            "model": self.model,
        }
        return cast(PredictionRow, {**empty, **known, **result})
