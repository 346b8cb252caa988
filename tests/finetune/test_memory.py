"""A dry run counts parameters, positions and bytes without reading weights."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.fixtures.tiny_encoders import write_deberta, write_longformer, write_roberta
from tikval.config import Fit, TextEncoder
from tikval.finetune.memory import memory_bytes, memory_needs, shape_of
from tikval.finetune.model import build

torch.set_num_threads(1)

GIGABYTE = 2**30


def encoder(folder: Path, **settings: object) -> TextEncoder:
    return TextEncoder.model_validate({"model": str(folder), "max_tokens": 64} | settings)


@pytest.mark.parametrize(
    ("settings", "millions", "limit"),
    [
        pytest.param(
            {
                "model_type": "roberta",
                "vocab_size": 50265,
                "hidden_size": 1024,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
                "intermediate_size": 4096,
                "max_position_embeddings": 514,
                "type_vocab_size": 1,
            },
            355,
            512,
            id="roberta-large",
        ),
        pytest.param(
            {
                "model_type": "deberta-v2",
                "vocab_size": 128100,
                "hidden_size": 1536,
                "num_hidden_layers": 24,
                "num_attention_heads": 24,
                "intermediate_size": 6144,
                "max_position_embeddings": 512,
                "type_vocab_size": 0,
                "relative_attention": True,
                "position_buckets": 256,
                "norm_rel_ebd": "layer_norm",
                "share_att_key": True,
                "pos_att_type": "p2c|c2p",
                "position_biased_input": False,
                "conv_kernel_size": 3,
                "conv_act": "gelu",
            },
            887,
            None,
            id="deberta-v2-xlarge",
        ),
        pytest.param(
            {
                "model_type": "longformer",
                "vocab_size": 50265,
                "max_position_embeddings": 4098,
                "type_vocab_size": 1,
                "attention_window": [512] * 12,
            },
            149,
            4096,
            id="longformer-base",
        ),
    ],
)
def test_a_dry_run_counts_without_weights(
    settings: dict[str, object], millions: float, limit: int | None, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    config = encoder(tmp_path, max_tokens=limit or 512)
    facts = memory_needs(config, Fit(), available=400 * GIGABYTE)
    assert facts["parameters"] == pytest.approx(millions * 1e6, rel=0.01)
    assert facts["positions"] == limit
    assert facts["total_bytes"] > 16 * facts["parameters"]
    assert facts["fits"] is True
    assert memory_needs(config, Fit(), available=GIGABYTE)["fits"] is False
    if limit:
        with pytest.raises(ValueError, match=f"at most {limit} tokens"):
            memory_needs(encoder(tmp_path, max_tokens=limit + 1), Fit())


def test_memory_follows_the_settings(tmp_path: Path) -> None:
    folder = write_roberta(tmp_path, ["a few words"])
    shape, _ = shape_of(encoder(folder))

    def activations(workers: int = 1, rows: int = 16, **settings: object) -> int:
        config, fit = encoder(folder, **settings), Fit(batch_rows=rows)
        return memory_bytes(config, fit, shape, workers=workers).activations

    assert activations(rows=32) == 2 * activations()
    assert activations(max_tokens=32) < activations()
    assert activations(precision="bfloat16") < activations()
    assert activations(gradient_checkpointing=True) < activations()
    assert activations(workers=2) == activations(rows=8)


def kept_bytes(model: nn.Module, ids_PT: Tensor) -> int:
    """What autograd keeps for the backward pass, the weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in weights:
            kept[place] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(ids_PT, torch.ones_like(ids_PT)).sum()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("write", [write_roberta, write_deberta, write_longformer])
def test_activations_are_estimated_as_autograd_keeps_them(
    write: Callable[..., Path], precision: str, tmp_path: Path
) -> None:
    measured, estimated = [], []
    for layers in 1, 3:
        sizes = {"hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 512}
        # attention on a CPU is fused only where nothing in it is dropped; on a GPU it is so in any case
        if write is write_roberta:
            sizes["attention_probs_dropout_prob"] = 0
        if write is not write_deberta:
            sizes["tokens"] = 512
        folder = write(
            tmp_path / str(layers), [" ".join(map(str, range(20)))], num_hidden_layers=layers, **sizes
        )
        if write is write_longformer:
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(config | {"attention_window": [128] * layers}))
        settings = encoder(folder, max_tokens=512, precision=precision)
        ids_PT = torch.randint(5, 20, (2, 512))
        measured.append(kept_bytes(build(settings, 2).train(), ids_PT))
        estimated.append(memory_bytes(settings, Fit(batch_rows=2), shape_of(settings)[0]).activations)
    assert estimated[1] - estimated[0] == pytest.approx(measured[1] - measured[0], rel=0.2)
