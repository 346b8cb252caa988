"""Text encoders with random weights and a tokenizer trained on given texts: the hub's files, the real loading code."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    # wider than the usual 0.02: with narrow layers the words would hardly show in what comes out
    "initializer_range": 0.1,
}


def write_roberta(folder: Path, texts: Sequence[str], tokens: int = 64, **settings: Any) -> Path:
    """Byte-level BPE; its table of positions has two more rows than it takes tokens."""
    from transformers import RobertaConfig, RobertaForMaskedLM

    make: Any = RobertaForMaskedLM

    ids = _write_bytes_tokenizer(folder, texts)
    sizes = {**_SIZES, **ids, "max_position_embeddings": tokens + 2, "type_vocab_size": 1, **settings}
    return _save(folder, lambda: make(RobertaConfig(**sizes)))


def write_longformer(folder: Path, texts: Sequence[str], tokens: int = 64, **settings: Any) -> Path:
    """As RoBERTa; each token sees 8 to either side."""
    from transformers import LongformerConfig, LongformerForMaskedLM

    make: Any = LongformerForMaskedLM

    ids = _write_bytes_tokenizer(folder, texts)
    sizes = {**_SIZES, **ids, "max_position_embeddings": tokens + 2, "type_vocab_size": 1, **settings}
    sizes["attention_window"] = [16] * sizes["num_hidden_layers"]
    return _save(folder, lambda: make(LongformerConfig(**sizes)))


def write_deberta(folder: Path, texts: Sequence[str], *, half: bool = False, **settings: Any) -> Path:
    """After deberta-v2-xlarge: relative positions only, a convolution, and, with `half`, weights kept in float16."""
    from transformers import DebertaV2Config, DebertaV2ForMaskedLM

    make: Any = DebertaV2ForMaskedLM

    ids = _write_words_tokenizer(folder, texts, "DebertaV2Tokenizer")
    relative = {
        "relative_attention": True,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "conv_kernel_size": 3,
        "conv_act": "gelu",
        "type_vocab_size": 0,
        "max_position_embeddings": 64,
    }
    config = DebertaV2Config(**{**_SIZES, **ids, **relative, **settings})
    return _save(folder, lambda: make(config), half=half)


def write_bert(folder: Path, texts: Sequence[str], tokens: int = 64, **settings: Any) -> Path:
    """After MiniLM: saved as the bare model, pooler included."""
    from transformers import BertConfig, BertModel

    make: Any = BertModel

    ids = _write_words_tokenizer(folder, texts, "BertTokenizer")
    return _save(
        folder,
        lambda: make(BertConfig(**{**_SIZES, **ids, "max_position_embeddings": tokens, **settings})),
    )


WRITERS: dict[str, Callable[..., Path]] = {
    "roberta": write_roberta,
    "deberta": write_deberta,
    "longformer": write_longformer,
    "bert": write_bert,
}


def _save(folder: Path, make: Callable[[], Any], *, half: bool = False) -> Path:
    import torch

    torch.manual_seed(0)
    model = make()
    (model.half() if half else model).save_pretrained(folder)
    return folder


def _write_bytes_tokenizer(folder: Path, texts: Sequence[str]) -> dict[str, int]:
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.processors import RobertaProcessing
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(
        texts, vocab_size=600, min_frequency=1, special_tokens=special, show_progress=False
    )
    core = bpe._tokenizer
    core.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>"}
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(
        tokenizer_object=core,
        mask_token="<mask>",
        **{f"{name}_token": token for name, token in names.items()},
    )
    tokenizer.save_pretrained(folder)
    return {"vocab_size": len(tokenizer), "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def _write_words_tokenizer(folder: Path, texts: Sequence[str], kind: str) -> dict[str, int]:
    import transformers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = sorted({word for text in texts for word in text.lower().split()})
    if kind == "BertTokenizer":
        vocab: Any = {token: i for i, token in enumerate([*special, *words])}
    else:  # pieces of a unigram model, with what each costs; a word begins with its space
        vocab = [(token, 0.0) for token in special] + [(f"▁{word}", -1.0) for word in words]
    tokenizer = getattr(transformers, kind)(vocab=vocab)
    tokenizer.save_pretrained(folder)
    return {"vocab_size": len(tokenizer), "pad_token_id": 0}
