"""Logits -> probabilities and a loss: each label for itself, or a value's labels against its absence."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tikval.config import Fit, VectorHead
from tikval.finetune.batches import Vectors
from tikval.finetune.loop import Epoch, State, Task, train
from tikval.finetune.model import build
from tikval.finetune.output_link import EACH_LABEL, EachValue, Link, link_of

torch.set_num_threads(1)

# `face` has both labels, which do not lie together; the others one each
LABELS = ("face+", "humility+", "face-", "hedonism-")
PAIRED, SINGLE = [0, 2], [1, 3]
ENDORSED, ABSENT, CONFRONTED = [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]


def logits(rows: int = 6, scale: float = 3) -> Tensor:
    return scale * torch.randn(rows, len(LABELS), generator=torch.Generator().manual_seed(0))


def truth() -> Tensor:
    """[6, 4]: every stance of `face` beside every answer of the single labels."""
    face = torch.tensor([ENDORSED, ABSENT, CONFRONTED] * 2)
    single = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    return torch.stack([face[:, 0], single[:, 0], face[:, 1], single[:, 1]], 1)


def three_ways(logits_BL: Tensor) -> Tensor:
    """[B, 3] logits of `face` endorsed, confronted and absent."""
    return torch.cat([logits_BL[:, PAIRED], torch.zeros(len(logits_BL), 1)], 1)


def test_a_values_two_labels_and_its_absence_sum_to_one() -> None:
    found_BL = EachValue(LABELS).probabilities(logits())
    assert torch.allclose(found_BL[:, PAIRED], three_ways(logits()).softmax(1)[:, :2])
    assert (found_BL[:, PAIRED].sum(1) < 1).all()
    assert (EACH_LABEL.probabilities(logits())[:, PAIRED].sum(1) > 1).any(), "else this shows nothing"


@pytest.mark.parametrize("weighted", [False, True])
def test_a_value_of_one_label_is_what_it_is_for_itself(weighted: bool) -> None:
    labels = [LABELS[i] for i in SINGLE]
    weight_L = torch.tensor([2.0, 5.0]) if weighted else None
    value = EachValue(labels)
    x_BL, y_BL = logits()[:, SINGLE], truth()[:, SINGLE]
    assert torch.allclose(value.probabilities(x_BL), EACH_LABEL.probabilities(x_BL))
    assert torch.allclose(value.loss(x_BL, y_BL, weight_L), EACH_LABEL.loss(x_BL, y_BL, weight_L))
    # nor does a paired value beside it change it
    together = EachValue(LABELS).probabilities(logits())[:, SINGLE]
    assert torch.allclose(together, EACH_LABEL.probabilities(x_BL))


def test_loss_is_the_mean_cross_entropy_over_the_values() -> None:
    x_BL, y_BL = logits(), truth()
    class_B = torch.tensor([0, 2, 1] * 2)  # as three_ways orders them
    face_B = cross_entropy(three_ways(x_BL), class_B, reduction="none")
    single_B = EACH_LABEL.loss(x_BL[:, SINGLE], y_BL[:, SINGLE], None)  # the mean of two
    assert torch.allclose(EachValue(LABELS).loss(x_BL, y_BL, None), (face_B + 2 * single_B) / 3)


def test_weights_count_for_positives_only() -> None:
    labels = [LABELS[i] for i in PAIRED]
    link, weight_L = EachValue(labels), torch.tensor([3.0, 7.0])
    x_BL, y_BL = logits()[:, PAIRED], truth()[:, PAIRED]
    plain_B, weighted_B = link.loss(x_BL, y_BL, None), link.loss(x_BL, y_BL, weight_L)
    assert torch.allclose(weighted_B / plain_B, torch.tensor([3.0, 1.0, 7.0] * 2))


@pytest.mark.parametrize("link", [EACH_LABEL, EachValue(LABELS)], ids=["each label", "each value"])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_large_logits_have_finite_losses_and_gradients(link: Link, size: float) -> None:
    x_BL = torch.full((6, len(LABELS)), size)
    x_BL[:, 2] *= -1
    x_BL.requires_grad_()
    loss_B = link.loss(x_BL, truth(), torch.full((len(LABELS),), 10.0))
    loss_B.sum().backward()  # type: ignore[no-untyped-call]
    assert x_BL.grad is not None
    assert loss_B.isfinite().all()
    assert x_BL.grad.isfinite().all()
    probabilities_BL = link.probabilities(x_BL)
    assert ((probabilities_BL >= 0) & (probabilities_BL <= 1)).all()


def test_only_three_way_heads_set_labels_against_each_other() -> None:
    assert link_of("multilabel", LABELS) is link_of("per_label", LABELS) is EACH_LABEL
    assert isinstance(link_of("three_way", LABELS), EachValue)


def test_three_way_heads_learn() -> None:
    """Stances that follow from a vector's direction are found again in rows that did not train."""
    random = np.random.default_rng(0)
    stance_N = np.arange(90) % 3  # endorsed, absent, confronted
    x_ND = (np.eye(3)[stance_N] @ random.normal(size=(3, 4)) + 0.1 * random.normal(size=(90, 4))).astype(
        np.float32
    )
    y_NL = np.array([ENDORSED, ABSENT, CONFRONTED], np.float32)[stance_N]
    test = np.arange(60, 90)
    task = Task(
        data=Vectors(x_ND),
        labels=y_NL,
        train_rows=np.arange(60),
        choose_rows=test,
        test_rows=test,
        make=lambda n_labels: build(VectorHead(hidden=(8,), dropout=0), n_labels, 4),
        link=link_of("three_way", ("face+", "face-")),
    )
    states: list[State] = []

    def keep(epoch: Epoch, state: State) -> None:
        states.append(state)

    fit = Fit(heads="three_way", batch_rows=8, learning_rate=0.03, epochs=8, patience=8, best_by="loss")
    trained = train(task, fit, score=lambda p_nL, y_nL: float(-((p_nL - y_nL) ** 2).mean()), on_epoch=keep)
    found_nL = trained.probabilities[test]
    assert {len(state.model["head.bias"]) for state in states} == {2}, "one head of one logit a label"
    assert ((found_nL > 0.5) == (y_NL[test] > 0.5)).mean() > 0.95
    assert (found_nL.sum(1) <= 1 + 1e-6).all()
    assert trained.history[-1].loss < 0.5 * trained.history[0].loss
