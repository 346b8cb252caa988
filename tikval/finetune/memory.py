"""What a training will need, told before any weights are read: parameters, positions, memory.

H width of the hidden states.
"""

from dataclasses import dataclass
from typing import Any

import torch

from tikval.config import Fit, TextEncoder
from tikval.finetune.model import check_encoder, check_length, positions, read_settings

_OPTIMISER_BYTES = 8  # of AdamW for each parameter: two averages in float32
_SPARSE = "longformer"
_EAGER = ("deberta", "deberta-v2")  # which write out the scores of every pair of tokens


@dataclass(frozen=True)
class Shape:
    """An encoder's sizes, and what each layer keeps of each token for the backward pass, in numbers."""

    parameters: int
    layers: int
    hidden: int
    kept: int  # inputs of products, normalisations and activations
    scores: int  # of all heads; 0 where attention is fused, which keeps none


@dataclass(frozen=True)
class Memory:
    """Bytes on each device of one worker."""

    weights: int
    gradients: int
    optimiser: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimiser + self.activations


def memory_bytes(config: TextEncoder, fit: Fit, shape: Shape, *, workers: int = 1) -> Memory:
    """An estimate of one worker's memory in training, with every text at max_tokens and in one piece.

    Weights, gradients and AdamW's two averages take 4 + 4 + 8 bytes a parameter in float32; autocast makes a copy of
    the weights in bfloat16 besides (2). Each layer keeps of each token its numbers (4 bytes, or 2 in bfloat16), a
    byte for each of 2 H dropped ones, and the scores twice in numbers and once in bytes; autocast keeps 6 H bytes
    more, around the normalisations that stay in float32. That is within a fifth of what autograd was seen to keep. With
    checkpointing only each layer's input stays (H in float32), and one layer at a time is computed again.
    """
    half = config.precision == "bfloat16"
    number = 2 if half else 4
    tokens = -(-fit.batch_rows // workers) * config.max_tokens
    dropped = (8 if half else 2) * shape.hidden
    layer = tokens * (number * shape.kept + dropped + (2 * number + 1) * shape.scores)
    checkpoints = tokens * 4 * shape.hidden * shape.layers
    return Memory(
        weights=shape.parameters * (6 if half else 4),
        gradients=shape.parameters * 4,
        optimiser=shape.parameters * _OPTIMISER_BYTES,
        activations=checkpoints + layer if config.gradient_checkpointing else layer * shape.layers,
    )


def shape_of(config: TextEncoder) -> tuple[Shape, int | None]:
    """An encoder's sizes and the most tokens it takes, from its configuration alone: no weights are read.

    Raises ValueError for a checkpoint that is no encoder of texts.
    """
    from transformers import AutoModel

    settings = read_settings(config)
    check_encoder(config.model, settings)
    with torch.device("meta"):
        encoder: Any = AutoModel.from_config(settings, trust_remote_code=False)  # type: ignore[no-untyped-call]
    parameters = sum(p.numel() for name, p in encoder.named_parameters() if not name.startswith("pooler."))
    width, heads = settings.hidden_size, settings.num_attention_heads
    kept = 10 * width + 2 * getattr(settings, "intermediate_size", 4 * width)
    scores = 0
    if settings.model_type in _EAGER:
        scores = 2 * heads * config.max_tokens  # of contents, and of positions
    elif settings.model_type == _SPARSE:  # counted in autograd's graph: windows are copied where they overlap
        kept += 11 * width
        scores = heads * max(settings.attention_window) * 5 // 3
    return Shape(parameters, settings.num_hidden_layers, width, kept, scores), positions(encoder)


def memory_needs(
    config: TextEncoder, fit: Fit, *, workers: int = 1, available: int | None = None
) -> dict[str, Any]:
    """What a dry run shows: parameters, positions, bytes; with `available` bytes of a device, whether it fits.

    Raises ValueError for a checkpoint that is no encoder, and for texts longer than its positions.
    """
    shape, limit = shape_of(config)
    check_length(config.model, config.max_tokens, limit)
    memory = memory_bytes(config, fit, shape, workers=workers)
    return {
        "model": config.model,
        "parameters": shape.parameters,
        "layers": shape.layers,
        "width": shape.hidden,
        "positions": limit,
        "max_tokens": config.max_tokens,
        "weight_bytes": memory.weights,
        "gradient_bytes": memory.gradients,
        "optimiser_bytes": memory.optimiser,
        "activation_bytes": memory.activations,
        "total_bytes": memory.total,
        "fits": None if available is None else memory.total <= available,
    }
