"""Training with early stopping: one model for all labels or one for each, resumable after every epoch, DDP-ready.

N rows, P pieces, B rows of a batch, L labels, M models whose probabilities are averaged. Binary cross-entropy on
logits, AdamW, a linear schedule with warm-up (Appendix C.1). All that is random follows from (seed, head, epoch, rank),
so that a State is all there is to resume.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from tikval.config import Fit
from tikval.finetune import optim
from tikval.finetune.batches import Data, Indices, Vectors, reading_batches, steps_per_epoch, training_batches
from tikval.finetune.model import VectorClassifier
from tikval.finetune.output_link import EACH_LABEL, Link
from tikval.stats.thresholds import positive_weights

_SEEDS_APART: Final = 1_000_000  # of a training's models; seeds of trainings are nearer to each other
Floats = NDArray[np.float32]
Score = Callable[[Floats, Floats], float]  # probabilities [n, L] and labels [n, L] -> larger is better


@dataclass(frozen=True)
class Task:
    data: Data  # N rows
    labels: Floats  # [N, L], 0 or 1
    train_rows: Indices
    choose_rows: Indices  # which choose the epoch
    test_rows: Indices  # may be the same
    make: Callable[[int], nn.Module]  # a new model with so many logits; draws from torch's generator
    seed: int = 0
    link: Link = EACH_LABEL


@dataclass(frozen=True)
class Epoch:
    """One epoch of one head, and how it did on the rows that choose."""

    head: int  # 0, or of per_label the label's index; further models count on
    epoch: int  # from 1
    train_loss: float  # mean over the rows that train, while the weights change
    loss: float  # over the rows that choose
    score: float
    best: bool  # better than all before it
    seconds: float  # of training; without the reading of other rows
    tokens_per_second: float  # of all workers


@dataclass(frozen=True)
class State:
    """All that a later process needs to go on after an epoch. Its tensors are live: save them before returning."""

    model: dict[str, Tensor]  # of the head in training
    optimizer: dict[str, Any]
    history: tuple[Epoch, ...]  # of all heads; the last entry shows where training stands
    probabilities: Floats  # [M, N, L] of the best epochs so far; NaN where none was read

    def save(self, file: IO[bytes]) -> None:
        plain = {
            "model": self.model,
            "optimizer": self.optimizer,
            "history": [asdict(epoch) for epoch in self.history],
            "probabilities": torch.from_numpy(self.probabilities),
        }
        torch.save(plain, file)

    @classmethod
    def load(cls, file: IO[bytes]) -> "State":
        """Read a file onto the CPU; nothing in it is run."""
        plain = torch.load(file, map_location="cpu", weights_only=True)
        history = tuple(Epoch(**epoch) for epoch in plain["history"])
        return cls(plain["model"], plain["optimizer"], history, plain["probabilities"].numpy())


@dataclass(frozen=True)
class Trained:
    """The best epochs' weights are what `on_epoch` saw last with `best`, one for each head."""

    # [N, L] of the choosing and the test rows by the best epochs, the models' mean; NaN at the others
    probabilities: Floats
    history: tuple[Epoch, ...]


def train(
    task: Task,
    fit: Fit,
    *,
    score: Score,
    on_epoch: Callable[[Epoch, State], None],
    device: torch.device | str = "cpu",
    rank: int = 0,
    world: int = 1,
    resume: State | None = None,
) -> Trained:
    """Train every head until its epochs are over or `patience` epochs brought nothing better.

    With a world of more than one worker, the process group exists already; each worker takes its share of every
    batch, worker 0 alone reads the rows that choose and test (a few hundred: seconds), and all call `on_epoch`.
    Raises FloatingPointError where the loss is no number any more, and whatever the model raises.
    """
    heads = task.labels.shape[1] if fit.heads == "per_label" else 1  # of a model
    history: tuple[Epoch, ...] = resume.history if resume else ()
    probabilities_MNL = np.full((fit.models, *task.labels.shape), np.nan, np.float32)
    if resume:
        probabilities_MNL[:] = resume.probabilities
    for head in range(fit.models * heads):
        model, label = divmod(head, heads)
        columns = slice(label, label + 1) if fit.heads == "per_label" else slice(None)
        if _is_over([epoch for epoch in history if epoch.head == head], fit):
            continue
        own = replace(task, seed=task.seed + _SEEDS_APART * model)
        worker = _Worker(own, fit, head, columns, torch.device(device), rank, world)
        if resume and resume.history[-1].head == head:
            worker.model.load_state_dict(resume.model)
            worker.optimizer.load_state_dict(resume.optimizer)
        while not _is_over(mine := [epoch for epoch in history if epoch.head == head], fit):
            epoch, read_NL = worker.epoch(mine, score)
            if epoch.best:
                probabilities_MNL[model][:, columns] = read_NL
            history = (*history, epoch)
            state = State(
                worker.model.state_dict(), worker.optimizer.state_dict(), history, probabilities_MNL.copy()
            )
            on_epoch(epoch, state)
    return Trained(probabilities_MNL.mean(0), history)


def _is_over(mine: list[Epoch], fit: Fit) -> bool:
    waited = len(mine) - max((epoch.epoch for epoch in mine if epoch.best), default=0)
    return len(mine) == fit.epochs or (bool(mine) and waited >= fit.patience)


class _Worker:
    """One worker's model of one head, and its share of an epoch."""

    def __init__(
        self, task: Task, fit: Fit, head: int, columns: slice, device: torch.device, rank: int, world: int
    ) -> None:
        self.task, self.fit, self.head, self.device = task, fit, head, device
        self.rank, self.world = rank, world
        self.labels_NL = torch.from_numpy(task.labels[:, columns].astype(np.float32))
        optim.seed_all(task.seed, head, 0, 0)  # all workers start from the same weights
        self.model = task.make(self.labels_NL.shape[1])
        if isinstance(self.model, VectorClassifier) and self.model.standardise:
            assert isinstance(task.data, Vectors)
            self.model.measure(task.data.matrix[task.train_rows])
        self.model.to(device)
        self.optimizer = optim.adamw(self.model, fit.learning_rate, fit.weight_decay)
        self.parallel = optim.parallel(self.model, device) if world > 1 else self.model
        self.steps = steps_per_epoch(len(task.train_rows), fit.batch_rows)
        self.positive_weight_L = None
        if fit.positive_weight is not None:
            weight_L = positive_weights(self.labels_NL.numpy()[task.train_rows] > 0.5, fit.positive_weight)
            self.positive_weight_L = torch.from_numpy(weight_L.astype(np.float32)).to(device)

    def epoch(self, mine: list[Epoch], score: Score) -> tuple[Epoch, Floats]:
        """The next epoch, and the probabilities [N, L] read where it is the best so far."""
        number = len(mine) + 1
        optim.seed_all(self.task.seed, self.head, number, self.rank)
        started = time.perf_counter()
        loss, tokens = self._train(number)
        if not np.isfinite(loss):
            raise FloatingPointError(f"the loss of epoch {number} is {loss}: lower the learning rate")
        seconds = time.perf_counter() - started
        result = self._read(mine, score) if self.rank == 0 else None
        choosing, score_now, best, read_NL = optim.shared(result, self.world, self.device)
        epoch = Epoch(self.head, number, loss, choosing, score_now, best, seconds, tokens / seconds)
        return epoch, read_NL

    def _train(self, number: int) -> tuple[float, int]:
        """Mean loss over all rows, and tokens, of all workers."""
        task, fit = self.task, self.fit
        place = {"seed": task.seed, "epoch": number, "rank": self.rank, "world": self.world}
        batches = training_batches(task.data, task.train_rows, fit.batch_rows, **place)
        planned = self.steps * fit.epochs
        self.parallel.train()
        # kept on the device: a number asked of it would wait for it at every step
        total = torch.zeros(2, dtype=torch.float64, device=self.device)  # loss and tokens
        for step, batch in enumerate(batches, start=self.steps * (number - 1)):
            optim.set_rate(
                self.optimizer, fit.learning_rate * optim.rate_share(step, planned, fit.warmup_share)
            )
            logits_BL = _of_rows(self.parallel(*_on(self.device, batch.inputs)), batch.counts)
            loss_B = self._loss(logits_BL, self.labels_NL[batch.rows].to(self.device))
            loss = (loss_B * batch.weight.to(self.device)).sum()
            # DDP averages gradients over the workers: their sum over all rows, divided by all rows, is wanted
            (loss * self.world / batch.of_rows).backward()  # type: ignore[no-untyped-call]
            optim.descend(self.model, self.optimizer, fit.gradient_norm)
            total[0] += loss.detach()
            total[1] += batch.tokens
        if self.world > 1:
            distributed.all_reduce(total)
        return float(total[0]) / len(task.train_rows), int(total[1])

    def _loss(self, logits_BL: Tensor, labels_BL: Tensor) -> Tensor:
        return self.task.link.loss(logits_BL, labels_BL, self.positive_weight_L)

    def _read(self, mine: list[Epoch], score: Score) -> tuple[float, float, bool, Floats]:
        task, size = self.task, self.fit.batch_rows
        logits_nL = _logits(self.model, task.data, task.choose_rows, size, self.device)
        labels_nL = self.labels_NL[task.choose_rows]
        choosing = float(self._loss(logits_nL.to(self.device), labels_nL.to(self.device)).mean())
        judged_nL = task.link.probabilities(logits_nL).numpy()
        score_now = float(score(judged_nL, labels_nL.numpy()))
        by_loss = self.fit.best_by == "loss"
        best = all(choosing < e.loss if by_loss else score_now > e.score for e in mine)
        read_NL = np.full(self.labels_NL.shape, np.nan, np.float32)
        if best:
            read_NL[task.choose_rows] = judged_nL
            rest = np.setdiff1d(task.test_rows, task.choose_rows)
            if len(rest):
                read_NL[rest] = predict_probabilities(
                    self.model, task.data, rest, size, self.device, task.link
                )
        return choosing, score_now, best, read_NL


def predict_probabilities(
    model: nn.Module,
    data: Data,
    rows: Indices,
    batch_rows: int,
    device: torch.device | str = "cpu",
    link: Link = EACH_LABEL,
) -> Floats:
    """Probabilities [n, L] of some rows, in their order.

    A row of several windows has the mean of their logits, not of their probabilities: that mean is what training
    lowered the loss of, so that its probability is the one that the model was fitted to.
    """
    logits_nL = _logits(model, data, rows, batch_rows, torch.device(device))
    probabilities_nL: Floats = link.probabilities(logits_nL).numpy()
    return probabilities_nL


@torch.inference_mode()
def _logits(model: nn.Module, data: Data, rows: Indices, batch_rows: int, device: torch.device) -> Tensor:
    """Logits [n, L] of some rows, in their order; on the CPU."""
    model.eval()
    found: dict[int, Tensor] = {}
    for batch in reading_batches(data, rows, batch_rows):
        logits_BL = _of_rows(model(*_on(device, batch.inputs)), batch.counts).float().cpu()
        found.update(zip(batch.rows.tolist(), logits_BL, strict=True))
    return torch.stack([found[row] for row in rows.tolist()])


def _of_rows(logits_PL: Tensor, counts: list[int]) -> Tensor:
    """The mean over each row's pieces, [B, L]."""
    if len(counts) == len(logits_PL):
        return logits_PL
    return torch.stack([part.mean(0) for part in torch.split(logits_PL, counts)])


def _on(device: torch.device, inputs: Iterable[Tensor]) -> list[Tensor]:
    return [each.to(device, non_blocking=True) for each in inputs]
