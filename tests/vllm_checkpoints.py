"""Checkpoints with random weights that vLLM serves on cores: a Mistral for scripts, a Qwen3-VL for pictures.

Their tokenizers are byte-level BPE trained on the texts given, so that a prompt of some 30,000 characters stays a
few thousand tokens. Sizes are the smallest that vLLM's kernels for cores take: 32 numbers a head.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

VOCABULARY: Final = 4096
CONTEXT_TOKENS: Final = 16_384

# Mistral-Instruct's turns: the beginning once, the user's words in brackets, no system turn
_MISTRAL_TURNS: Final = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('a turn is the user or the assistant') }}{% endif %}"
    "{% endfor %}"
)
# Qwen-VL's: parts in the order given, one mark per picture, which the server widens to the picture's tokens
_QWEN_TURNS: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_QWEN_MARKS: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")


def write_mistral(folder: Path, texts: Iterable[str], *, context_tokens: int = CONTEXT_TOKENS) -> Path:
    """After mistralai/Mistral-7B-Instruct; a second and 5 MB. Its tokenizer puts a beginning before every text."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    _tokenizer(texts, ["<unk>", "<s>", "</s>"], begins=True).save_pretrained(folder)
    _set(folder / "tokenizer_config.json", {"chat_template": _MISTRAL_TURNS})
    torch.manual_seed(0)
    config = MistralConfig(
        **_sizes(context_tokens), head_dim=32, bos_token_id=1, eos_token_id=2, sliding_window=None
    )
    MistralForCausalLM(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    return folder


def write_qwen_vl(folder: Path, texts: Iterable[str], *, context_tokens: int = CONTEXT_TOKENS) -> Path:
    """After Qwen/Qwen3-VL-Instruct; two seconds and 5 MB. A picture is a token per 32 x 32 pixels."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    marks = [*_QWEN_MARKS, "<|image_pad|>", "<|video_pad|>"]
    _tokenizer(texts, marks, begins=False).save_pretrained(folder)
    _set(folder / "tokenizer_config.json", {"chat_template": _QWEN_TURNS})
    pictures = {
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "processor_class": "Qwen3VLProcessor",
    }
    pictures |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    sizes = {"size": {"shortest_edge": 32 * 32, "longest_edge": 512 * 512}}
    _set(
        folder / "preprocessor_config.json",
        pictures | sizes | {"image_processor_type": "Qwen2VLImageProcessor"},
    )
    _set(
        folder / "video_preprocessor_config.json",
        pictures | sizes | {"video_processor_type": "Qwen3VLVideoProcessor"},
    )
    torch.manual_seed(0)
    config = Qwen3VLConfig(
        text_config=_sizes(context_tokens)
        | {
            "head_dim": 32,
            "bos_token_id": 0,
            "eos_token_id": 2,
            # 16 = half of a head: time, height, width
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [6, 5, 5]},
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 2,
            "out_hidden_size": 128,
            "deepstack_visual_indexes": [0],
            "num_position_embeddings": 256,
            "initializer_range": 0.2,  # with the usual 0.02 a picture would hardly change a reply
        },
        vision_start_token_id=3,
        vision_end_token_id=4,
        image_token_id=5,
        video_token_id=6,
    )
    Qwen3VLForConditionalGeneration(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    return folder


def _sizes(context_tokens: int) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": context_tokens,
    }


def _tokenizer(texts: Iterable[str], special: list[str], *, begins: bool) -> Any:
    """`begins`: a text that is not a rendered chat gets the second special token before it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    if begins:
        bpe.post_processor = processors.TemplateProcessing(
            single=f"{special[1]} $A", special_tokens=[(special[1], 1)]
        )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe, bos_token=special[1] if begins else None, eos_token=special[2]
    )


def _set(path: Path, values: dict[str, Any]) -> None:
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | values, indent=2) + "\n")
