"""The paper's three encoders on a GPU: rates against a plain loop's, memory against its estimate.

It is a part of benchmarks/finetune.py, which states what is measured. Weights are random, sizes the real ones.
"""

import gc
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import yaml
from torch import nn

from benchmarks.training_loops import in_turns, medians, ours, plain, ratio, task_of
from tikval.config import FinetuneConfig, Fit, TextEncoder, load_config
from tikval.finetune.batches import Tokens
from tikval.finetune.memory import memory_bytes, shape_of
from tikval.finetune.model import TextClassifier

OF_PLAIN, OF_NEED = 0.95, 0.8  # targets
GPU_BYTES: Final = 40 * 10**9
# the hub's config.json, as far as transformers' defaults are others; by the name in configs/paper
ENCODERS: Final[dict[str, dict[str, Any]]] = yaml.safe_load("""
roberta: {model_type: roberta, vocab_size: 50265, hidden_size: 1024, num_hidden_layers: 24, num_attention_heads: 16,
  intermediate_size: 4096, max_position_embeddings: 514, type_vocab_size: 1}
deberta: {model_type: deberta-v2, vocab_size: 128100, hidden_size: 1536, num_hidden_layers: 24, conv_kernel_size: 3,
  num_attention_heads: 24, intermediate_size: 6144, max_position_embeddings: 512, type_vocab_size: 0, conv_act: gelu,
  relative_attention: true, position_buckets: 256, norm_rel_ebd: layer_norm, share_att_key: true,
  pos_att_type: p2c|c2p, position_biased_input: false}
longformer: {model_type: longformer, vocab_size: 50265, max_position_embeddings: 4098, type_vocab_size: 1,
  attention_window: [512, 512, 512, 512, 512, 512, 512, 512, 512, 512, 512, 512]}
""")


def gpu_part(quick: bool, work: Path) -> tuple[dict[str, Any], dict[str, tuple[float, float]]]:
    if not torch.cuda.is_available():
        return {"not run": "no GPU"}, {}
    figures, reached = {}, {}
    for name, sizes in ENCODERS.items():
        config = load_config(FinetuneConfig, f"configs/paper/{name}.yaml", [])
        assert isinstance(config.model, TextEncoder)
        model = config.model.model_copy(update={"model": str(work / name)})
        figures[name] = facts = encoder(model, config.fit, sizes, 2 if quick else 6, "cuda")
        reached[f"gpu: {name} within 40 GB"] = (float(facts["within_40_gb"]), 1.0)
        reached[f"gpu: {name}, estimated over needed"] = (facts["estimated_gb"] / facts["needed_gb"], OF_NEED)
        reached[f"gpu: {name}, ours over plain"] = (facts["ours over plain"], OF_PLAIN)
    return {"gpu": torch.cuda.get_device_name(), **figures}, reached


def encoder(model: TextEncoder, fit: Fit, sizes: dict[str, Any], batches: int, device: str) -> dict[str, Any]:
    """One encoder's rates and memory; its first epoch within 40 GB of the GPU, if it can."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    settings: Any = AutoConfig.for_model(**sizes)
    settings.save_pretrained(model.model)  # what the estimate reads
    estimated = memory_bytes(model, fit, shape_of(model)[0]).total
    random, once = np.random.default_rng(0), fit.model_copy(update={"epochs": 1})

    def make(n_labels: int) -> nn.Module:
        gc.collect()  # the model before, which its own references keep
        settings.num_labels, settings.problem_type = n_labels, "multi_label_classification"
        with torch.device(device):
            inside: Any = AutoModelForSequenceClassification.from_config(settings)  # type: ignore[no-untyped-call]
        if model.gradient_checkpointing:
            inside.gradient_checkpointing_enable({"use_reentrant": False})
        return TextClassifier(inside, None, bfloat16=model.precision == "bfloat16")

    rows = batches * fit.batch_rows
    pieces = list(random.integers(5, settings.vocab_size, (rows, model.max_tokens)).astype(np.int32))
    data = Tokens(pieces, np.arange(rows + 1), np.zeros(rows, np.int64), 1, model.max_tokens)
    task, needed = task_of(data, make), list[int]()

    def with_memory() -> float:
        torch.cuda.reset_peak_memory_stats()
        rate = ours(task, once, device)
        needed.append(torch.cuda.max_memory_allocated())
        return rate

    within = True
    share = GPU_BYTES / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, share))
    try:
        with_memory()
    except torch.OutOfMemoryError:
        within = False
    torch.cuda.set_per_process_memory_fraction(1.0)
    rates = in_turns({"plain": lambda: plain(task, once, device), "ours": with_memory}, 3)
    return {
        "max_tokens": model.max_tokens,
        "batch_rows": fit.batch_rows,
        "precision": model.precision,
        "gradient_checkpointing": model.gradient_checkpointing,
        "tokens_per_second": medians(rates),
        "ours over plain": round(ratio(rates, "ours", "plain"), 3),
        "needed_gb": round(max(needed) / 1e9, 2),
        "estimated_gb": round(estimated / 1e9, 2),
        "within_40_gb": within,
    }
