"""One epoch by our loop, and as one writes it with PyTorch and transformers: the contenders of benchmarks/finetune.py.

L labels.
"""

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tikval.config import Fit
from tikval.finetune.batches import Tokens, epoch_rows
from tikval.finetune.loop import Epoch, State, Task, train
from tikval.finetune.model import TextClassifier
from tikval.values import SLUGS


def task_of(data: Tokens, make: Callable[[int], nn.Module]) -> Task:
    """All rows train; the shortest chooses, which takes no time."""
    labels_NL = (np.random.default_rng(1).random((len(data), len(SLUGS))) < 0.2).astype(np.float32)
    shortest = np.array([data.sizes.argmin()])
    return Task(data, labels_NL, np.arange(len(data)), shortest, shortest, make)


def ours(task: Task, fit: Fit, device: str = "cpu") -> float:
    """Real tokens per second of one epoch, and of reading one short row; making the model is left out."""
    marks: list[float] = []

    def make(n_labels: int) -> nn.Module:
        model = task.make(n_labels)
        marks.append(_clock(device))
        return model

    def score(p_nL: np.ndarray, y_nL: np.ndarray) -> float:
        marks.append(_clock(device))
        return 0.0

    train(replace(task, make=make), fit, score=score, on_epoch=_nothing, device=device)
    return real_tokens(task) / (marks[1] - marks[0])


def plain(task: Task, fit: Fit, device: str = "cpu") -> float:
    """The same epoch as one writes it with PyTorch and transformers, each batch padded to its longest text."""
    from torch.nn.utils.rnn import pad_sequence
    from torch.utils.data import DataLoader
    from transformers import get_linear_schedule_with_warmup as schedule_of

    data, classifier = task.data, task.make(task.labels.shape[1])
    assert isinstance(data, Tokens)
    assert isinstance(classifier, TextClassifier)
    model: Any = classifier.encoder.to(device).train()  # transformers' own, for sequence classification
    rows: Any = []
    for piece, labels_L in zip(data.pieces, task.labels, strict=True):
        row = {"input_ids": torch.from_numpy(piece).long(), "attention_mask": torch.ones(len(piece)).long()}
        if classifier.model_type == "longformer":
            row["global_attention_mask"] = (torch.arange(len(piece)) == 0).long()
        rows.append(row | {"labels": torch.from_numpy(labels_L)})

    def collate(batch: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        pads = {key: data.pad_id if key == "input_ids" else 0 for key in batch[0]}
        return {key: pad_sequence([row[key] for row in batch], True, pad) for key, pad in pads.items()}

    batches = epoch_rows(data.sizes, task.train_rows, fit.batch_rows, seed=task.seed, epoch=1)
    loader = DataLoader(rows, batch_sampler=[each.tolist() for each in batches], collate_fn=collate)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": fit.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=fit.learning_rate, fused=device == "cuda")
    warm = round(fit.warmup_share * len(batches))
    schedule = schedule_of(optimizer, warm, len(batches))  # type: ignore[no-untyped-call]
    total = torch.zeros((), device=device)
    begin = _clock(device)
    for batch in loader:
        inputs = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
        with torch.autocast(device, dtype=torch.bfloat16, enabled=classifier.in_bfloat16):
            loss = model(**inputs).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), fit.gradient_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        total += loss.detach()
    seconds = _clock(device) - begin
    assert torch.isfinite(total)
    return real_tokens(task) / seconds


def _nothing(epoch: Epoch, state: State) -> None:
    pass


def _clock(device: str) -> float:
    """Seconds; on cores, those that this process worked."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def real_tokens(task: Task) -> int:
    assert isinstance(task.data, Tokens)
    return sum(map(len, task.data.pieces))


def in_turns(contenders: Mapping[str, Callable[[], float]], turns: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns):
        for name in list(contenders)[:: -1 if turn % 2 else 1]:
            rates[name].append(contenders[name]())
        print({name: round(each[-1], 1) for name, each in rates.items()}, file=sys.stderr)
    return rates


def medians(rates: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: round(statistics.median(each), 1) for name, each in rates.items()}


def ratio(rates: Mapping[str, list[float]], one: str, other: str) -> float:
    return statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True))
