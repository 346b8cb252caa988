"""Checkpoints with random weights, the right architectures and the hub's files: real loading code works on them.

Tiny ones are for tests, full-size ones for benchmarks, where only the cost of a model counts. As on the hub,
VideoMAE's and Wav2Vec2's hold the model as it was pre-trained, heads included, of which a reader wants the encoder.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

# Narrow layers with the usual 0.02 hardly change what passes through them, so that mistakes would not show.
_TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.2,
}


@dataclass(frozen=True)
class Checkpoints:
    """Folders; vectors are [32], [32], [16] of the tiny ones and [768], [768], [384] of the full-size ones."""

    pictures: Path  # VideoMAE
    sound: Path  # Wav2Vec2
    text: Path  # SentenceTransformer


def write_checkpoints(folder: Path, *, full_size: bool = False) -> Checkpoints:
    """All three; full-size takes some seconds and 0.9 GB."""
    return Checkpoints(
        write_videomae(folder / "videomae", full_size=full_size),
        write_wav2vec2(folder / "wav2vec2", full_size=full_size),
        write_sentences(folder / "sentences", full_size=full_size),
    )


def write_videomae(folder: Path, *, full_size: bool = False) -> Path:
    """After MCG-NJU/videomae-base: 16 frames of 224 x 224, 1,568 patches."""
    import torch
    from transformers import VideoMAEConfig, VideoMAEForPreTraining

    decoder = {
        "decoder_hidden_size": 32,
        "decoder_num_hidden_layers": 1,
        "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 32,
    }
    torch.manual_seed(0)
    # not use_mean_pooling: the pre-trained checkpoints normalise the last layer, the fine-tuned ones do not
    config = VideoMAEConfig(use_mean_pooling=False, **({} if full_size else _TINY | decoder))
    VideoMAEForPreTraining(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    _write(
        folder / "preprocessor_config.json",
        {
            "crop_size": {"height": 224, "width": 224},
            "do_center_crop": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.485, 0.456, 0.406],
            "image_processor_type": "VideoMAEImageProcessor",
            "image_std": [0.229, 0.224, 0.225],
            "resample": 2,
            "rescale_factor": 1 / 255,
            "size": {"shortest_edge": 224},
        },
    )
    return folder


def write_wav2vec2(
    folder: Path, *, full_size: bool = False, norm: Literal["group", "layer"] = "group"
) -> Path:
    """After facebook/wav2vec2-base; one vector per 20 ms. `norm`: "layer" as in the large models trained after it."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

    sizes = _TINY | {
        "conv_dim": (16,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "num_codevectors_per_group": 8,
        "codevector_dim": 16,
        "proj_codevector_dim": 16,
    }
    torch.manual_seed(1)
    config = Wav2Vec2Config(
        feat_extract_norm=norm,
        conv_bias=norm == "layer",
        do_stable_layer_norm=norm == "layer",
        **({} if full_size else sizes),
    )
    Wav2Vec2ForPreTraining(config).save_pretrained(folder)
    _write(
        folder / "preprocessor_config.json",
        {
            "do_normalize": True,
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "feature_size": 1,
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": norm == "layer",
            "sampling_rate": 16000,
        },
    )
    return folder


def write_sentences(folder: Path, *, full_size: bool = False) -> Path:
    """After sentence-transformers/all-MiniLM-L6-v2: BERT, mean over the tokens, length 1. Its tokens are letters."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    BertTokenizer(vocab={token: i for i, token in enumerate(tokens)}, model_max_length=512).save_pretrained(
        folder
    )

    minilm = {
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
    }
    sizes = minilm if full_size else _TINY | {"hidden_size": 16, "vocab_size": len(tokens)}
    torch.manual_seed(2)
    config = BertConfig(**sizes)
    BertModel(config).save_pretrained(folder)  # type: ignore[no-untyped-call]

    names = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")
    _write(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
            for i, (name, path) in enumerate(names)
        ],
    )
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 256, "do_lower_case": False})
    pooling = {"word_embedding_dimension": config.hidden_size, "pooling_mode_mean_tokens": True}
    _write(folder / "1_Pooling" / "config.json", pooling)
    return folder


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
