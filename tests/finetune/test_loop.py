"""Training: resumable to the bit, the same with two workers, and stopped early."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import start_processes

from tests.fixtures.tiny_encoders import write_bert
from tikval.config import Fit, TextEncoder, VectorHead
from tikval.finetune.batches import Data, Vectors, cut, token_windows
from tikval.finetune.loop import Epoch, Score, State, Task, Trained, predict_probabilities, train
from tikval.finetune.model import build, load_tokenizer
from tikval.finetune.optim import adamw, rate_share

torch.set_num_threads(1)

TRAIN, CHOOSE, TEST = np.arange(24), np.arange(24, 32), np.arange(32, 40)
TEXTS = [" ".join(f"w{(7 * i + j) % 19}" for j in range(3 + i % 9)) for i in range(40)]
LABELS = np.random.default_rng(1).integers(0, 2, (40, 3)).astype(np.float32)


def accuracy(probabilities_NL: np.ndarray, labels_NL: np.ndarray) -> float:
    return float(((probabilities_NL > 0.5) == labels_NL).mean())


def vectors() -> Vectors:
    x_ND = np.random.default_rng(2).normal(size=(40, 6)).astype(np.float32)
    x_ND[32:] += 100  # what no row of training shows
    return Vectors(x_ND)


def mlp(n_labels: int, dropout: float = 0.3) -> nn.Module:
    return build(VectorHead(hidden=(8,), dropout=dropout), n_labels, 6)


def vector_task(seed: int = 0, dropout: float = 0.3) -> Task:
    return Task(vectors(), LABELS, TRAIN, CHOOSE, TEST, partial(mlp, dropout=dropout), seed)


def fit_of(**settings: object) -> Fit:
    return Fit.model_validate({"batch_rows": 8, "learning_rate": 0.01, "epochs": 4, "patience": 4} | settings)


def nothing(epoch: Epoch, state: State) -> None:
    pass


def run(
    task: Task, fit: Fit, score: Score = accuracy, resume: State | None = None
) -> tuple[Trained, list[bytes]]:
    """What comes out, and the saved state after each epoch."""
    states: list[bytes] = []

    def keep(epoch: Epoch, state: State) -> None:
        file = io.BytesIO()
        state.save(file)
        states.append(file.getvalue())

    return train(task, fit, score=score, on_epoch=keep, resume=resume), states


def told(trained: Trained) -> list[tuple[float | int, ...]]:
    """The history without what a clock measures."""
    return [(e.head, e.epoch, e.train_loss, e.loss, e.score, e.best) for e in trained.history]


def equal(one: State, other: State) -> bool:
    return all(torch.equal(tensor, other.model[name]) for name, tensor in one.model.items())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("bert"), TEXTS)


def text_task(folder: Path) -> Task:
    config = TextEncoder(model=str(folder), max_tokens=32)
    data = cut(load_tokenizer(config), TEXTS, 32)
    return Task(data, LABELS, TRAIN, CHOOSE, TEST, partial(build, config))


@pytest.mark.parametrize("kind", ["text", "vectors", "per_label", "models"])
def test_resumed_after_any_epoch_it_ends_the_same_to_the_bit(kind: str, folder: Path) -> None:
    task = text_task(folder) if kind == "text" else vector_task()
    heads = "per_label" if kind == "per_label" else "multilabel"
    fit = fit_of(heads=heads, models=2 if kind == "models" else 1, epochs=3, positive_weight=4)
    whole, states = run(task, fit)
    assert len(states) == {"per_label": 9, "models": 6}.get(kind, 3)
    for done, saved in enumerate(states, start=1):
        torch.rand(5)  # whatever happened before in the other process
        rest, later = run(task, fit, resume=State.load(io.BytesIO(saved)))
        assert told(rest) == told(whole)
        assert np.array_equal(rest.probabilities, whole.probabilities, equal_nan=True)
        assert len(later) == len(states) - done
        if later:
            assert equal(State.load(io.BytesIO(later[-1])), State.load(io.BytesIO(states[-1])))


def test_a_seed_decides_all_and_another_seed_otherwise() -> None:
    same, other = run(vector_task(1), fit_of())[0], run(vector_task(2), fit_of())[0]
    assert told(run(vector_task(1), fit_of())[0]) == told(same)
    assert told(other) != told(same)


def test_rows_in_training_are_not_predicted() -> None:
    probabilities_NL = run(vector_task(), fit_of())[0].probabilities
    assert np.isnan(probabilities_NL[TRAIN]).all()
    assert ((probabilities_NL[24:] >= 0) & (probabilities_NL[24:] <= 1)).all()


def test_scale_is_measured_on_the_training_rows_alone() -> None:
    _, states = run(vector_task(), fit_of(epochs=1))
    state = State.load(io.BytesIO(states[0]))
    x_ND = vectors().matrix
    assert np.allclose(state.model["mean"], x_ND[TRAIN].mean(0), atol=1e-6)
    assert np.allclose(state.model["deviation"], x_ND[TRAIN].std(0), atol=1e-6)


def scripted(scores: list[float]) -> Callable[[np.ndarray, np.ndarray], float]:
    """A score that returns these numbers one after another."""
    rest = iter(scores)
    return lambda probabilities_NL, labels_NL: next(rest)


@pytest.mark.parametrize(
    ("scores", "patience", "best"),
    [
        ([0.1, 0.3, 0.2, 0.3], 2, [True, True, False, False]),  # as good is not better
        ([0.1, 0.3, 0.2, 0.4, 0.1], 2, [True, True, False, True, False]),
        ([0.0, 0.0], 1, [True, False]),
    ],
)
def test_training_stops_when_nothing_better_comes(
    scores: list[float], patience: int, best: list[bool]
) -> None:
    trained, _ = run(vector_task(), fit_of(epochs=5, patience=patience), scripted(scores))
    assert [epoch.best for epoch in trained.history] == best
    assert [epoch.score for epoch in trained.history] == scores


def test_probabilities_are_the_best_epochs() -> None:
    kept: list[nn.Module] = []

    def make(n_labels: int) -> nn.Module:
        kept.append(mlp(n_labels))
        return kept[-1]

    task = Task(vectors(), LABELS, TRAIN, CHOOSE, TEST, make)
    trained, states = run(task, fit_of(), scripted([0.1, 0.9, 0.2, 0.3]))
    kept[0].load_state_dict(State.load(io.BytesIO(states[1])).model)
    assert np.array_equal(predict_probabilities(kept[0], task.data, TEST, 8), trained.probabilities[TEST])


def test_by_loss_the_smallest_is_best() -> None:
    trained, _ = run(vector_task(), fit_of(best_by="loss", learning_rate=0.1, epochs=6, patience=6))
    losses = [epoch.loss for epoch in trained.history]
    assert max(epoch.epoch for epoch in trained.history if epoch.best) == 1 + int(np.argmin(losses))


def test_one_model_for_each_label_has_one_logit_each() -> None:
    trained, _ = run(vector_task(), fit_of(heads="per_label", epochs=2))
    assert [epoch.head for epoch in trained.history] == [0, 0, 1, 1, 2, 2]
    assert not np.isnan(trained.probabilities[24:]).any()


@pytest.mark.parametrize("heads", ["multilabel", "per_label"])
def test_models_of_a_training_differ_and_their_mean_is_what_comes_out(heads: str) -> None:
    alone, _ = run(vector_task(), fit_of(heads=heads))
    both, states = run(vector_task(), fit_of(heads=heads, models=2))
    one, other = State.load(io.BytesIO(states[-1])).probabilities
    assert np.array_equal(one, alone.probabilities, equal_nan=True), "the first is what it is without others"
    assert not np.isclose(one[24:], other[24:]).any(), "another start and another order of rows"
    assert np.allclose(both.probabilities, (one + other) / 2, equal_nan=True)


def test_the_rate_goes_up_and_then_down() -> None:
    shares = [rate_share(step, 20, 0.1) for step in range(20)]
    assert shares[:3] == [0.5, 1.0, 1.0]
    assert shares[2:] == sorted(shares[2:], reverse=True)
    assert shares[-1] == pytest.approx(1 / 18)
    assert rate_share(0, 3, 0) == 1.0


def test_biases_and_normalisations_do_not_decay() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Embedding(3, 4))
    decays = {id(p): g["weight_decay"] for g in adamw(model, 0.1, 0.5).param_groups for p in g["params"]}
    found = {name: decays[id(p)] for name, p in model.named_parameters()}
    assert found == {"0.weight": 0.5, "0.bias": 0, "1.weight": 0, "1.bias": 0, "2.weight": 0.5}


def test_a_loss_that_explodes_is_named() -> None:
    task = vector_task()
    task.data.matrix[3] = np.nan  # type: ignore[union-attr]
    with pytest.raises(FloatingPointError, match="epoch 1 is nan"):
        run(task, fit_of())


def test_windows_see_the_end_of_a_long_text(folder: Path) -> None:
    # alike in their first 14 tokens, and in all windows but the last
    texts = ["w0 w1 w2 " * 12 + ("w18 " if i % 2 else "w17 ") * 4 for i in range(40)]
    labels = np.array([[i % 2] for i in range(40)], np.float32)
    config = TextEncoder(model=str(folder), max_tokens=16, dropout=0)
    tokenizer = load_tokenizer(config)
    fit = fit_of(epochs=8, patience=8, learning_rate=3e-3, best_by="loss")
    reached = {}
    both: dict[str, Data] = {
        "cut": cut(tokenizer, texts, 16),
        "windows": token_windows(tokenizer, texts, 16, 4),
    }
    for name, data in both.items():
        task = Task(data, labels, np.arange(32), CHOOSE, TEST, partial(build, config))
        reached[name] = accuracy(run(task, fit)[0].probabilities[TEST], labels[TEST])
    assert reached == {"cut": 0.5, "windows": 1.0}


def _one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    trained = train(_uneven(), fit_of(), score=accuracy, on_epoch=nothing, rank=rank, world=2)
    np.save(Path(folder) / f"{rank}.npy", trained.probabilities)
    np.save(Path(folder) / f"loss{rank}.npy", [(e.train_loss, e.loss, e.score) for e in trained.history])
    distributed.destroy_process_group()


def _uneven() -> Task:
    """21 rows in batches of 7: one worker has four of each, the other three."""
    task = vector_task(dropout=0)
    return Task(task.data, LABELS, np.arange(21), CHOOSE, TEST, task.make)


@pytest.mark.full  # 40 s of starting processes; that two workers train at all is shown on Ray
def test_two_workers_learn_what_one_does(tmp_path: Path) -> None:
    start_processes(_one_of_two, (str(tmp_path),), nprocs=2, start_method="spawn")  # type: ignore[no-untyped-call]
    alone, _ = run(_uneven(), fit_of())
    losses = [(e.train_loss, e.loss, e.score) for e in alone.history]
    for rank in range(2):
        assert np.allclose(np.load(tmp_path / f"loss{rank}.npy"), losses, atol=1e-5)
        probabilities_NL = np.load(tmp_path / f"{rank}.npy")
        assert np.allclose(probabilities_NL, alone.probabilities, atol=1e-4, equal_nan=True)


def test_rare_positives_weigh_more() -> None:
    weighted, plain = run(vector_task(), fit_of(positive_weight=3))[0], run(vector_task(), fit_of())[0]
    assert weighted.probabilities[TEST].mean() > plain.probabilities[TEST].mean()
