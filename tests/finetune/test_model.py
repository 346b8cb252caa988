"""Encoders of every architecture learn a word, and what does not suit is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.fixtures.tiny_encoders import WRITERS, write_bert, write_deberta, write_longformer, write_roberta
from tikval.config import Fit, TextEncoder, VectorHead
from tikval.finetune.batches import cut
from tikval.finetune.loop import Task, predict_probabilities, train
from tikval.finetune.model import TextClassifier, VectorClassifier, build, load_tokenizer

torch.set_num_threads(1)

WORDS = "the cat sat on a mat and saw dog run far away over hill by river under moon".split()
KIND = "kindness"
ALL = np.arange(40)


def accuracy(probabilities_NL: np.ndarray, labels_NL: np.ndarray) -> float:
    return float(((probabilities_NL > 0.5) == labels_NL).mean())


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """40 texts of 4 to 19 words; every other one has the word."""
    random = np.random.default_rng(0)
    made = []
    for i in range(40):
        words = list(random.choice(WORDS, random.integers(4, 20)))
        if i % 2:
            words[random.integers(len(words))] = KIND
        made.append(" ".join(words))
    return made


LABELS = np.array([[i % 2] for i in range(40)], np.float32)


@pytest.fixture(scope="module")
def folders(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("encoders")
    return {name: write(place / name, texts) for name, write in WRITERS.items()}


def encoder(folder: Path, **settings: object) -> TextEncoder:
    return TextEncoder.model_validate({"model": str(folder), "max_tokens": 64, "dropout": 0.0} | settings)


@pytest.mark.parametrize("name", WRITERS)
def test_each_architecture_learns_a_word(name: str, folders: dict[str, Path], texts: list[str]) -> None:
    config = encoder(folders[name])
    data = cut(load_tokenizer(config), texts, config.max_tokens)
    fit = Fit(epochs=16, patience=16, learning_rate=3e-3, batch_rows=8, best_by="loss")
    kept: list[nn.Module] = []

    def make(n_labels: int) -> nn.Module:
        kept.append(build(config, n_labels))
        return kept[-1]

    task = Task(data, LABELS, ALL, ALL, ALL, make)
    trained = train(task, fit, score=accuracy, on_epoch=lambda epoch, state: None)
    assert accuracy(trained.probabilities, LABELS) >= 0.95

    # what it learned is the word: without it, those texts are taken for the others
    without = cut(load_tokenizer(config), [text.replace(KIND, "cat") for text in texts], config.max_tokens)
    fallen = predict_probabilities(kept[0], data, ALL, 8) - predict_probabilities(kept[0], without, ALL, 8)
    assert fallen[1::2].mean() > 0.3
    assert np.array_equal(fallen[::2], np.zeros((20, 1), np.float32))


@pytest.mark.parametrize("name", WRITERS)
def test_every_parameter_gets_a_gradient_also_by_checkpointing(name: str, folders: dict[str, Path]) -> None:
    ids_PT = torch.randint(5, 20, (3, 24), generator=torch.Generator().manual_seed(0))
    mask_PT = (torch.arange(24) < torch.tensor([24, 9, 16])[:, None]).long()
    gradients: list[torch.Tensor] = []
    for checkpointing in False, True:
        torch.manual_seed(0)
        model = build(encoder(folders[name], gradient_checkpointing=checkpointing), 2)
        model.train()
        torch.manual_seed(1)  # of dropout
        model(ids_PT, mask_PT).sum().backward()
        assert [key for key, p in model.named_parameters() if p.grad is None] == []
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("pooling", ["head", "mean"])
def test_padding_changes_no_logit(name: str, pooling: str, folders: dict[str, Path]) -> None:
    torch.manual_seed(0)
    model = build(encoder(folders[name], pooling=pooling), 2).eval()
    ids_PT = torch.tensor([[2, 7, 8, 9, 10, 3]])
    pad = 0 if name in ("deberta", "bert") else 1
    longer_PT = torch.nn.functional.pad(ids_PT, (0, 10), value=pad)
    mask_PT = torch.nn.functional.pad(torch.ones_like(ids_PT), (0, 10))
    assert torch.allclose(model(ids_PT, torch.ones_like(ids_PT)), model(longer_PT, mask_PT), atol=1e-5)


def test_longformer_looks_at_the_whole_text_from_its_first_token(texts: list[str], tmp_path: Path) -> None:
    folder = write_longformer(tmp_path, texts, num_hidden_layers=1)
    torch.manual_seed(0)
    model = build(encoder(folder), 2).eval()
    ids_PT = torch.full((1, 48), 20)
    changed_PT = ids_PT.clone()
    changed_PT[0, 40] = 30  # 32 beyond the window of a layer
    mask_PT = torch.ones_like(ids_PT)
    assert not torch.equal(model(ids_PT, mask_PT), model(changed_PT, mask_PT))
    assert isinstance(model, TextClassifier)
    nowhere = {"attention_mask": mask_PT, "global_attention_mask": torch.zeros_like(mask_PT)}
    near, changed = (model.encoder(input_ids=each, **nowhere).logits for each in (ids_PT, changed_PT))
    assert torch.equal(near, changed)


def test_half_precision_is_of_the_forward_pass_alone(folders: dict[str, Path], texts: list[str]) -> None:
    ids_PT = torch.randint(5, 20, (2, 16))
    whole, half = (
        (torch.manual_seed(0), build(encoder(folders["roberta"], precision=precision), 2).eval())[1]
        for precision in ("float32", "bfloat16")
    )
    logits_PL = half(ids_PT, torch.ones_like(ids_PT))
    assert logits_PL.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in half.parameters())
    exact_PL = whole(ids_PT, torch.ones_like(ids_PT))
    assert not torch.equal(logits_PL, exact_PL)
    assert torch.allclose(logits_PL, exact_PL, atol=0.05)


def test_a_checkpoint_in_half_precision_trains_in_float32(texts: list[str], tmp_path: Path) -> None:
    model = build(encoder(write_deberta(tmp_path, texts, half=True)), 2)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_what_does_not_suit_is_refused_in_one_line(texts: list[str], tmp_path: Path) -> None:
    roberta = write_roberta(tmp_path / "roberta", texts, tokens=32)
    with pytest.raises(ValueError, match="at most 32 tokens, and max_tokens is 33"):
        build(encoder(roberta, max_tokens=33), 2)
    build(encoder(roberta, max_tokens=32), 2)
    decoder = tmp_path / "decoder"
    decoder.mkdir()
    (decoder / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_layer": 1}))
    with pytest.raises(ValueError, match="gpt2 is no masked-language encoder"):
        build(encoder(decoder), 2)
    with pytest.raises(ValueError, match="width"):
        build(VectorHead(), 2)


def test_a_checkpoint_that_lacks_a_layer_is_not_filled_up_at_random(texts: list[str], tmp_path: Path) -> None:
    folder = write_bert(tmp_path, texts)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ValueError, match=r"lack encoder\.layer\.2"):
        build(encoder(folder), 2)


def test_a_tokenizer_without_padding_pads_with_the_end(texts: list[str], tmp_path: Path) -> None:
    folder = write_roberta(tmp_path, texts)
    file = folder / "tokenizer_config.json"
    keys = json.loads(file.read_text())
    del keys["pad_token"]
    file.write_text(json.dumps(keys))
    assert load_tokenizer(encoder(folder)).pad_token == "</s>"
    del keys["eos_token"]
    file.write_text(json.dumps(keys))
    with pytest.raises(ValueError, match="no token to pad with"):
        load_tokenizer(encoder(folder))


def test_vectors_are_standardised_and_that_is_saved() -> None:
    x_ND = np.random.default_rng(0).normal(5, 3, (50, 4)).astype(np.float32)
    x_ND[:, 3] = 7  # never varies
    config = VectorHead(hidden=(8,), dropout=0)
    torch.manual_seed(0)
    model, other = build(config, 2, 4).eval(), build(config, 2, 4).eval()
    assert isinstance(model, VectorClassifier)
    model.measure(x_ND)
    other.load_state_dict(model.state_dict())
    x = torch.from_numpy(x_ND)
    assert torch.equal(model(x), other(x))
    scaled = (x - model.mean) / model.deviation
    assert torch.allclose(scaled.mean(0), torch.zeros(4), atol=1e-5)
    assert torch.allclose(scaled.std(0, correction=0), torch.tensor([1.0, 1, 1, 0]), atol=1e-5)
