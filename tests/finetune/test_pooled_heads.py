"""Heads that pool an encoder's tokens: each label by its own words, started from the codebook, at their own rate."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fixtures.tiny_encoders import write_bert
from tikval.codebook import load_codebook
from tikval.config import FinetuneConfig, Fit, TextEncoder, find_file
from tikval.finetune.batches import cut
from tikval.finetune.inputs import descriptions_of
from tikval.finetune.loop import Task, predict_probabilities, train
from tikval.finetune.model import TextClassifier, build, load_tokenizer
from tikval.finetune.optim import adamw, set_rate
from tikval.finetune.pooled_heads import LabelAttention, MeanHead, description_vectors

torch.set_num_threads(1)

WORDS = "the cat sat on a mat and saw dog run far away over hill by river under moon".split()
MEANT = {"help": "we help the poor", "thrill": "a jump for the thrill"}
TEXTS = [" ".join(WORDS), *MEANT.values()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("encoder"), TEXTS)


def model_of(folder: Path, **settings: object) -> tuple[TextClassifier, TextEncoder]:
    config = TextEncoder.model_validate(
        {"model": str(folder), "max_tokens": 64, "dropout": 0.0, "pooling": "labels"} | settings
    )
    torch.manual_seed(0)
    model = build(config, 2)
    assert isinstance(model, TextClassifier)
    return model, config


def test_with_queries_of_zero_a_label_reads_the_plain_mean() -> None:
    torch.manual_seed(0)
    mean, attention = MeanHead(8, 3, 0.0), LabelAttention(8, 3, 0.0)
    with torch.no_grad():
        attention.query.zero_()
        attention.weight.copy_(mean.weight)
    states_PTD = torch.randn(2, 5, 8)
    mask_PT = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    assert torch.allclose(attention(states_PTD, mask_PT), mean(states_PTD, mask_PT), atol=1e-6)


def test_a_label_reads_the_tokens_that_its_query_looks_for() -> None:
    head = LabelAttention(4, 2, 0.0)
    with torch.no_grad():
        head.query.copy_(100 * torch.eye(4)[:2])
        head.weight.fill_(1)
    states_PTD = torch.diag(torch.tensor([1.0, 2.0, 9.0, 9.0]))[None]
    mask_PT = torch.ones(1, 4, dtype=torch.long)
    assert head(states_PTD, mask_PT).tolist() == [[pytest.approx(1), pytest.approx(2)]]
    hidden_PT = torch.tensor([[0, 1, 0, 0]])
    assert head(states_PTD, hidden_PT).tolist() == [[pytest.approx(2), pytest.approx(2)]]  # all that is real


def test_label_attention_learns_two_words_at_once(folder: Path) -> None:
    random = np.random.default_rng(0)
    labels_NL = np.array([[i % 2, i // 2 % 2] for i in range(40)], np.float32)
    texts = []
    for marks in labels_NL:
        words = [*random.choice(WORDS, 12), *(word for word, yes in zip(MEANT, marks, strict=True) if yes)]
        texts.append(" ".join(random.permutation(words)))
    _, config = model_of(folder)
    data, every = cut(load_tokenizer(config), texts, 64), np.arange(40)
    kept: list[Any] = []

    def make(n_labels: int) -> Any:
        kept.append(build(config, n_labels))
        return kept[-1]

    fit = Fit(epochs=16, patience=16, learning_rate=3e-3, head_rate=3, batch_rows=8, best_by="loss")
    task = Task(data, labels_NL, every, every, every, make)
    trained = train(task, fit, score=lambda p, y: float(((p > 0.5) == y).mean()), on_epoch=lambda e, s: None)
    assert ((trained.probabilities > 0.5) == labels_NL).mean() >= 0.95

    # what each label learnt is its own word: without it that label falls, and not the other
    without = [text.replace("help", "cat") for text in texts]
    fallen = predict_probabilities(kept[0], data, every, 8) - predict_probabilities(
        kept[0], cut(load_tokenizer(config), without, 64), every, 8
    )
    both = labels_NL.sum(1) == 2
    assert fallen[both, 0].mean() > 0.3
    assert abs(fallen[both, 1].mean()) < 0.2


@pytest.mark.parametrize("pooling", ["mean", "labels"])
def test_definitions_are_where_the_head_starts(pooling: str, folder: Path) -> None:
    model, config = model_of(folder, pooling=pooling, definitions=True)
    tokenizer = load_tokenizer(config)
    model.start_from(tokenizer, [(text,) for text in MEANT.values()])
    data = cut(tokenizer, [*MEANT.values()], 64)
    read_NL = predict_probabilities(model, data, np.arange(2), 2)
    assert read_NL.argmax(1).tolist() == [0, 1]
    assert (read_NL[[0, 1], [0, 1]] - read_NL[[0, 1], [1, 0]] > 0.3).all()

    model.start_from(tokenizer, [(text,) for text in reversed(MEANT.values())])
    assert predict_probabilities(model, data, np.arange(2), 2).argmax(1).tolist() == [1, 0]


def test_a_description_counts_as_much_as_all_examples_together() -> None:
    at = {"a": [1.0, 0, 0, 0], "b": [0, 1.0, 0, 0], "c": [0, 0, 1.0, 0], "d": [0, 0, 0, 1.0]}

    def tokenizer(sentences: list[str], **_: Any) -> dict[str, list[list[int]]]:
        return {
            "input_ids": [[ord(sentence)] for sentence in sentences],
            "attention_mask": [[1]] * len(sentences),
        }

    def encode(ids_ST: torch.Tensor, mask_ST: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[at[chr(int(i))] for i in row] for row in ids_ST])

    first, second = description_vectors(encode, tokenizer, [("a", "b", "c"), ("d",)])
    wanted = torch.tensor([0.5, 0.25, 0.25, -1.0])
    assert torch.allclose(first, wanted / wanted.norm())
    assert torch.allclose(second, -first)
    with pytest.raises(ValueError, match="does not describe every label"):
        description_vectors(encode, tokenizer, [("a",), ()])


def test_a_label_is_described_by_its_own_side_of_the_value() -> None:
    codebook = load_codebook(find_file("prompts/codebook.yaml"))
    face = next(value for value in codebook.values if value.slug == "face")
    plus, minus = descriptions_of(codebook, ["face+", "face-"])
    assert plus == (face.definition, *face.endorsing)
    assert minus == (face.opposed, *face.confronting)


def test_the_head_has_its_own_rate(folder: Path) -> None:
    for pooling in ("mean", "labels", "head"):
        model, _ = model_of(folder, pooling=pooling)
        optimizer = adamw(model, 0.1, 0.5, head_rate=10)
        set_rate(optimizer, 0.01)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        found = {name: rates[id(p)] for name, p in model.named_parameters()}
        of_head = {name for name in found if name.startswith("head.") or ".classifier." in name}
        assert of_head
        assert [found[name] for name in of_head] == pytest.approx([0.1] * len(of_head))
        assert {found[name] for name in found.keys() - of_head} == {0.01}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model": {"kind": "text", "definitions": True}}, "needs pooling: mean or labels"),
        (
            {
                "model": {"kind": "text", "pooling": "mean", "definitions": True},
                "fit": {"heads": "per_label"},
            },
            "one model for all labels",
        ),
        ({"model": {"kind": "vectors"}, "fit": {"head_rate": 2}}, "is for text encoders"),
    ],
)
def test_what_does_not_go_together_is_refused(keys: dict[str, Any], message: str) -> None:
    source = {"texts": {"table": "a.csv", "annotations": "b.csv"}}
    with pytest.raises(ValueError, match=message):
        FinetuneConfig.model_validate({**source, "out": "out", "system": "a", **keys})
