"""Whisper's real loading code on a tiny checkpoint that the test makes: random weights, the right architecture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.clips import tone
from tikval.media.reading import SAMPLE_RATE

LANGUAGES = ("en", "de", "he")


def save_tiny_whisper(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{name}|>" for name in LANGUAGES)]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    special += ["<|notimestamps|>", *(f"<|{step * 0.02:.2f}|>" for step in range(1501))]
    core = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = WhisperTokenizer(
        vocab={letter: i for i, letter in enumerate(letters)}, merges=[], unk_token="<|endoftext|>"
    )
    tokenizer.add_tokens(special, special_tokens=True)
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in special}
    features = WhisperFeatureExtractor(feature_size=80)  # type: ignore[no-untyped-call]
    processor = WhisperProcessor(feature_extractor=features, tokenizer=tokenizer)  # type: ignore[no-untyped-call]
    processor.save_pretrained(folder)

    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
    }
    heads: dict[str, Any] = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    ends: dict[str, Any] = {"eos_token_id": ids["<|endoftext|>"], "bos_token_id": ids["<|endoftext|>"]}
    ends |= {"pad_token_id": ids["<|endoftext|>"], "decoder_start_token_id": ids["<|startoftranscript|>"]}
    config = WhisperConfig(vocab_size=len(tokenizer), **sizes, **heads, **ends)
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        **ends,
        max_length=448,
        is_multilingual=True,
        lang_to_id={f"<|{name}|>": ids[f"<|{name}|>"] for name in LANGUAGES},
        task_to_id={task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    model.save_pretrained(folder)


@pytest.mark.timeout(180)
def test_a_checkpoint_is_loaded_and_tells_times_and_language(tmp_path: Path) -> None:
    from tikval.ask.whisper import Whisper

    save_tiny_whisper(tmp_path)
    whisper = Whisper(str(tmp_path))
    sound = np.concatenate([tone(20, SAMPLE_RATE), tone(14, SAMPLE_RATE, hertz=200)])  # two windows of 30 s
    segments, language = whisper.transcribe(sound)
    assert language in LANGUAGES
    assert whisper.served == str(tmp_path)
    for segment in segments:
        assert segment.text == segment.text.strip() != ""
        assert 0 <= segment.start_seconds <= 34.01
    assert whisper.transcribe(sound) == (segments, language)  # greedy: the same again
