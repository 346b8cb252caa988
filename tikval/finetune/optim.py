"""What every training here shares: AdamW's groups, the schedule, seeds, and workers that train together.

L labels, n rows.
"""

import random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

Floats = NDArray[np.float32]


def rate_share(step: int, steps: int, warmup_share: float) -> float:
    """Which share of the learning rate `step` (from 0) of `steps` takes: up in a line, then down to nearly 0."""
    warm = round(warmup_share * steps)
    return (step + 1) / warm if step < warm else (steps - step) / (steps - warm)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def adamw(model: nn.Module, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW; biases and the scales of normalisations do not decay (they have one dimension, weights have more)."""
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    # fused: on cores, too, an eighth of the time of one tensor after another
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def descend(model: nn.Module, optimizer: torch.optim.Optimizer, gradient_norm: float) -> None:
    """One step along the gradients, cut to a norm; then they are gone."""
    nn.utils.clip_grad_norm_(model.parameters(), gradient_norm)
    optimizer.step()
    optimizer.zero_grad()


def parallel(model: nn.Module, device: torch.device) -> nn.Module:
    return DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


def shared(value: Any, world: int, device: torch.device) -> Any:
    """What worker 0 has, for all."""
    if world == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0, device=device)
    return values[0]


def seed_all(*parts: int) -> None:
    """Seed python, numpy and torch from some numbers together."""
    seed = int(np.random.SeedSequence(parts).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)  # a model's code may draw from it
    torch.manual_seed(seed)
