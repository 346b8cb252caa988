"""What a training will need, told before any weights are read: parameters, positions, memory.

H width of the hidden states, F of the layers between, A heads, T tokens of a piece, B pieces computed at once.
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
    """An encoder's sizes; `attended`: the tokens that a token's kept scores reach, 0 of fused attention."""

    parameters: int
    hidden: int
    between: int
    layers: int
    heads: int
    attended: int


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

    Weights, gradients and AdamW's two averages take 4 + 4 + 8 bytes a parameter in float32; autocast keeps a copy of
    the weights in bfloat16 besides (2). For its backward pass a layer keeps, of each token, about 10 numbers of H
    and 2 of F (inputs of its products, of its normalisations and of the activation), one byte for each dropped
    number of two H, and, where attention is not fused, the scores of A heads over the tokens attended to, twice
    in numbers and once in bytes. With checkpointing only each layer's input stays (H in float32), and one layer at a
    time is computed again.
    """
    half = config.precision == "bfloat16"
    number = 2 if half else 4
    pieces = -(-fit.batch_rows // workers)
    numbers = 10 * shape.hidden + 2 * shape.between
    scores = shape.heads * shape.attended
    layer = pieces * config.max_tokens * (number * numbers + 2 * shape.hidden + (2 * number + 1) * scores)
    inputs = pieces * config.max_tokens * 4 * shape.hidden * shape.layers
    activations = inputs + layer if config.gradient_checkpointing else layer * shape.layers
    return Memory(
        weights=shape.parameters * (6 if half else 4),
        gradients=shape.parameters * 4,
        optimiser=shape.parameters * _OPTIMISER_BYTES,
        activations=activations,
    )


def shape_of(config: TextEncoder) -> tuple[Shape, int | None]:
    """An encoder's sizes and the most tokens it takes, from its configuration alone: no weights are read.

    Raises ValueError for a checkpoint that is no encoder of texts.
    """
    from transformers import AutoModel

    settings = read_settings(config)
    check_encoder(config.model, settings)
    with torch.device("meta"):
        encoder: Any = AutoModel.from_config(settings)  # type: ignore[no-untyped-call]
    parameters = sum(p.numel() for name, p in encoder.named_parameters() if not name.startswith("pooler."))
    attended = 0
    if settings.model_type in _EAGER:
        attended = 2 * config.max_tokens  # of contents, and of positions
    elif settings.model_type == _SPARSE:
        attended = 2 * (max(settings.attention_window) + 2)  # in pieces that overlap by half
    shape = Shape(
        parameters,
        settings.hidden_size,
        getattr(settings, "intermediate_size", 4 * settings.hidden_size),
        settings.num_hidden_layers,
        settings.num_attention_heads,
        attended,
    )
    return shape, positions(encoder)


def describe(
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
