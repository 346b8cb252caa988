"""Attention in half precision on a CPU, in tiles.

PyTorch's own kernel there leaves a processor's bfloat16 units idle, and attention was more than half of what
VideoMAE-Base costs. Plain matrix products of one head and some rows at a time use these units, and their scores stay
in the core's cache (`attention_ms` in benchmarks/embed.py has the times of both).

N clips, H heads, P patches, C channels of a head.
"""

from typing import Any, Final

import torch

NAME: Final = "tikval_tiled"
_ROWS: Final = 392  # a quarter of VideoMAE's patches; of 128 to 1,568 rows 392 and 784 were the fastest


def use_tiles(model: Any) -> None:
    """Give a model of transformers this attention; one that cannot take another one keeps its own."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, tiled_attention)
    if model._supports_attention_backend:
        model.set_attn_implementation(NAME)


def tiled_attention(
    module: torch.nn.Module,
    query_NHPC: torch.Tensor,
    key_NHPC: torch.Tensor,
    value_NHPC: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """softmax(scaling * query key') value, as [N, P, H, C]. Every patch sees every other."""
    if attention_mask is not None:
        raise ValueError("a mask is not provided for")
    n, heads, patches, channels = query_NHPC.shape
    query_NHPC = query_NHPC * (channels**-0.5 if scaling is None else scaling)
    out_NPHC = query_NHPC.new_empty(n, patches, heads, channels)
    for clip in range(n):
        for head in range(heads):
            key_CP, value_PC = key_NHPC[clip, head].T, value_NHPC[clip, head]
            for row in range(0, patches, _ROWS):
                score_RP = query_NHPC[clip, head, row : row + _ROWS] @ key_CP
                out_NPHC[clip, row : row + _ROWS, head] = score_RP.softmax(-1) @ value_PC
    return out_NPHC, None
