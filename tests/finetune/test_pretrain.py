"""Guessing masked tokens: what is drawn, what is learned, and whose head a checkpoint brings."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.fixtures.tiny_encoders import WRITERS, write_bert, write_deberta, write_roberta
from tikval.config import TextEncoder
from tikval.finetune.model import build, load_tokenizer
from tikval.finetune.pretrain import Progress, load_masked_model, masked, pretrain

torch.set_num_threads(1)

TEXTS = [" ".join(f"w{(7 * i + j) % 19}" for j in range(3 + i % 9)) for i in range(40)]


def test_masking_follows_its_shares() -> None:
    generator = torch.Generator().manual_seed(0)
    ids_PT = torch.full((400, 500), 7)
    special_PT = torch.zeros_like(ids_PT).bool()
    special_PT[:, 0] = True
    inputs_PT, labels_PT = masked(ids_PT, special_PT, 1000, 4, generator)
    drawn_PT = labels_PT != -100
    assert not drawn_PT[:, 0].any()
    assert torch.equal(inputs_PT[~drawn_PT], ids_PT[~drawn_PT])
    assert (labels_PT[drawn_PT] == 7).all()
    drawn = drawn_PT.sum().item()
    assert drawn / (400 * 499) == pytest.approx(0.15, abs=0.005)
    assert (inputs_PT[drawn_PT] == 4).sum().item() / drawn == pytest.approx(0.8, abs=0.01)
    assert (inputs_PT[drawn_PT] == 7).sum().item() / drawn == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("name", ["roberta", "deberta", "longformer"])
def test_pretraining_learns_the_texts_and_saves_an_encoder(name: str, tmp_path: Path) -> None:
    texts = ["red car green tree blue sky old man"] * 60
    config = TextEncoder(model=str(WRITERS[name](tmp_path / "before", texts)), max_tokens=18)
    states: list[bytes] = []

    def keep(progress: Progress) -> None:
        file = io.BytesIO()
        progress.save(file)
        states.append(file.getvalue())

    def go(folder: Path, resume: Progress | None = None) -> tuple[float, ...]:
        return pretrain(
            config,
            texts,
            folder,
            epochs=6,
            learning_rate=5e-3,
            batch_rows=4,
            resume=resume,
            on_epoch=keep,
        ).losses

    losses = go(tmp_path / "after")
    assert losses[-1] < 0.6 * losses[0]

    after = TextEncoder(model=str(tmp_path / "after"), max_tokens=18)
    model: Any = build(after, 2)
    assert load_tokenizer(after)("red car")["input_ids"] == load_tokenizer(config)("red car")["input_ids"]
    trained = Progress.load(io.BytesIO(states[5])).model
    words = next(value for key, value in trained.items() if key.endswith("word_embeddings.weight"))
    assert torch.equal(model.encoder.base_model.embeddings.word_embeddings.weight, words)

    assert go(tmp_path / "resumed", Progress.load(io.BytesIO(states[2]))) == losses


def test_debertas_own_head_is_read_and_a_missing_head_is_told(tmp_path: Path) -> None:
    def config(folder: Path) -> TextEncoder:
        return TextEncoder(model=str(folder), max_tokens=16)

    folder = write_deberta(tmp_path / "own", TEXTS)
    ids_PT = torch.arange(5, 15)[None]
    expected, _ = load_masked_model(config(folder))
    weights = load_file(folder / "model.safetensors")
    renamed = {
        re.sub(r"cls\.predictions\.(transform\.)?", "lm_predictions.lm_head.", name): weight
        for name, weight in weights.items()
    }
    assert renamed.keys() != weights.keys()
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})
    model, had_head = load_masked_model(config(folder))
    assert had_head
    assert torch.equal(model.eval()(ids_PT).logits, expected.eval()(ids_PT).logits)
    assert load_masked_model(config(write_roberta(tmp_path / "roberta", TEXTS)))[1]
    assert not load_masked_model(config(write_bert(tmp_path / "bert", TEXTS)))[1]
