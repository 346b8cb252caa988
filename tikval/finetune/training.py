"""One training from what it is given to what it predicts: a worker's part that knows nothing of Ray.

Shape letters: N rows, L trained labels, n test rows.
"""

import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch

from tikval.config import Fit, TextEncoder, VectorHead
from tikval.finetune.batches import Data, Vectors, cut, token_windows
from tikval.finetune.examples import Examples
from tikval.finetune.loop import Epoch, State, Task, Trained, train
from tikval.finetune.model import build, load_tokenizer
from tikval.finetune.output_link import link_of
from tikval.stats.folds import Fold
from tikval.stats.thresholds import best_threshold, f1_macro, f1_weighted


@dataclass(frozen=True)
class Training:
    """One fold with one seed."""

    fold: Fold
    seed: int
    model: TextEncoder | VectorHead
    fit: Fit

    @property
    def name(self) -> str:
        return f"{self.fold.name}-s{self.seed}"


@dataclass(frozen=True)
class TrainedModel:
    """What one training predicts for its test rows, and how it went."""

    ids: tuple[str, ...]  # [n]
    probabilities: np.ndarray  # float32 [n, L]
    thresholds: np.ndarray  # float64 [L]
    history: tuple[Epoch, ...]
    cut_rows: int  # texts that were longer than the encoder takes
    lost_tokens: int  # of them, that were left out


def data_of(examples: Examples, model: TextEncoder | VectorHead) -> Data:
    if isinstance(model, VectorHead):
        assert examples.vectors is not None
        return Vectors(examples.vectors)
    assert examples.texts is not None
    tokenizer = load_tokenizer(model)
    if model.long_texts == "windows":
        return token_windows(tokenizer, examples.texts, model.max_tokens, model.overlap_tokens)
    return cut(tokenizer, examples.texts, model.max_tokens)


def train_model(
    examples: Examples,
    training: Training,
    threshold: float | Literal["global", "per_label"],
    *,
    on_epoch: Callable[[Epoch, State], None],
    resume: State | None = None,
    device: str = "cpu",
    rank: int = 0,
    world: int = 1,
) -> TrainedModel:
    """Train, and judge the test rows with the best epoch.

    The validation rows choose the epoch, and the threshold unless it is a number; a fold without them (`paper`) has
    its test rows choose.
    """
    task, fit = _task(examples, training), training.fit
    f1 = f1_weighted if fit.best_by == "weighted_f1" else f1_macro

    def thresholds_of(p_nL: np.ndarray, y_nL: np.ndarray) -> np.ndarray:
        if isinstance(threshold, str):
            return best_threshold(p_nL, y_nL, threshold)
        return np.full(y_nL.shape[1], threshold)

    trained: Trained = train(
        task,
        fit,
        # an epoch is judged as its scores will be used: many a model predicts no label at 0.5 and some below it
        score=lambda p_nL, y_nL: f1(y_nL > 0.5, p_nL >= thresholds_of(p_nL, y_nL > 0.5)),
        on_epoch=on_epoch,
        device=device,
        rank=rank,
        world=world,
        resume=resume,
    )
    chosen_on = task.choose_rows
    thresholds = thresholds_of(trained.probabilities[chosen_on], examples.truth[chosen_on])
    lost = task.data.lost if not isinstance(task.data, Vectors) else np.zeros(1, np.int64)
    return TrainedModel(
        training.fold.test,
        trained.probabilities[task.test_rows],
        thresholds,
        trained.history,
        int((lost > 0).sum()),
        int(lost.sum()),
    )


def _task(examples: Examples, training: Training) -> Task:
    """What the training loop needs of one fold."""
    fold, model = training.fold, training.model
    place = {video_id: n for n, video_id in enumerate(examples.ids)}

    def rows(ids: tuple[str, ...]) -> np.ndarray:
        return np.array([place[video_id] for video_id in ids], np.int64)

    width = None if examples.vectors is None else examples.vectors.shape[1]
    return Task(
        data=data_of(examples, model),
        labels=examples.learnt,
        train_rows=rows(fold.train),
        choose_rows=rows(fold.validation or fold.test),
        test_rows=rows(fold.test),
        make=lambda n_labels: build(model, n_labels, width),
        seed=1000 * training.seed + 100 * fold.partition + fold.fold,
        link=link_of(training.fit.heads, examples.labels),
    )


def save_weights(weights: dict[int, dict[str, Any]]) -> bytes:
    """The best epoch's weights of each head, as torch.load(weights_only=True) reads them."""
    out = io.BytesIO()
    torch.save(weights, out)
    return out.getvalue()


def model_facts(examples: Examples, training: Training, learnt: TrainedModel) -> str:
    """model.json beside the weights: all that is needed to use them."""
    facts = {
        "model": training.model.model_dump(mode="json"),
        "heads": training.fit.heads,
        "models": training.fit.models,
        "labels": examples.labels,
        "all_labels": examples.all_labels,
        "thresholds": learnt.thresholds.tolist(),
        "width": None if examples.vectors is None else int(examples.vectors.shape[1]),
        "training": training.name,
        "history": [asdict(epoch) for epoch in learnt.history],
    }
    return json.dumps(facts, indent=2)
