"""Texts are cut or windowed and counted; every row is computed once an epoch, however many workers share it."""

from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fixtures.tiny_encoders import WRITERS, write_bert
from tikval.config import TextEncoder
from tikval.finetune.batches import (
    Tokens,
    Vectors,
    cut,
    pack,
    reading_batches,
    steps_per_epoch,
    token_windows,
    training_batches,
)
from tikval.finetune.model import load_tokenizer

WORDS = [f"w{i}" for i in range(40)]
TEXTS = [" ".join(WORDS[:n]) for n in (0, 1, 6, 7, 20)]  # so many tokens each, to a tokenizer of words
CLS, SEP = 2, 3


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = write_bert(tmp_path_factory.mktemp("bert"), [" ".join(WORDS)])
    return load_tokenizer(TextEncoder(model=str(folder)))


def lengths(tokens: Tokens) -> list[int]:
    return [len(piece) for piece in tokens.pieces]


def test_what_is_cut_is_counted(words: object) -> None:
    tokens = cut(words, TEXTS, 8)
    assert lengths(tokens) == [2, 3, 8, 8, 8]
    assert tokens.lost.tolist() == [0, 0, 0, 1, 14]
    assert tokens.cut_rows == 2
    assert all(piece[0] == CLS and piece[-1] == SEP for piece in tokens.pieces)
    assert np.array_equal(tokens.pieces[4][1:-1], tokens.pieces[2][1:-1])  # the beginning is kept


@pytest.mark.parametrize("overlap", [0, 2, 5])
def test_windows_lose_nothing_and_overlap(words: object, overlap: int) -> None:
    tokens = token_windows(words, TEXTS, 8, overlap)
    whole = cut(words, TEXTS, 100)
    assert tokens.cut_rows == 0
    for row in range(len(TEXTS)):
        pieces = tokens.pieces[tokens.starts[row] : tokens.starts[row + 1]]
        assert all(piece[0] == CLS and piece[-1] == SEP and len(piece) <= 8 for piece in pieces)
        if len(pieces) == 1:
            assert np.array_equal(pieces[0], whole.pieces[row])
            continue
        assert {len(piece) for piece in pieces} == {8}
        order = {token: i for i, token in enumerate(whole.pieces[row][1:-1].tolist())}
        at = [order[int(piece[1])] for piece in pieces]
        assert at[0] == 0
        assert at[-1] + 6 == len(order)
        assert all(b - a <= 6 - overlap for a, b in pairwise(at))


def test_windows_that_cannot_move_on_are_refused(words: object) -> None:
    with pytest.raises(ValueError, match="6 tokens cannot overlap by 6"):
        token_windows(words, TEXTS, 8, 6)
    with pytest.raises(ValueError, match="no room"):
        cut(words, TEXTS, 2)


@pytest.mark.parametrize("name", WRITERS)
def test_a_piece_is_what_the_tokenizer_makes_of_a_text(name: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(TextEncoder(model=str(WRITERS[name](tmp_path, TEXTS))))
    for piece, text in zip(cut(tokenizer, TEXTS, 100).pieces, TEXTS, strict=True):
        assert piece.tolist() == tokenizer(text)["input_ids"]


def test_blocks_hold_all_texts_one_behind_the_other(words: object) -> None:
    blocks = pack(words, TEXTS, 8)
    inside = np.concatenate([piece[1:-1] for piece in blocks.pieces])
    bodies = [piece[1:-1] for piece in cut(words, TEXTS, 100).pieces if len(piece) > 2]
    expected = np.concatenate([part for body in bodies for part in (body, [SEP])])[:-1]
    assert np.array_equal(inside, expected)
    assert lengths(blocks)[:-1] == [8] * (len(blocks) - 1)
    with pytest.raises(ValueError, match="no text"):
        pack(words, ["", ""], 8)


@pytest.fixture
def many(words: object) -> Tokens:
    """53 texts of 1 to 40 tokens."""
    random = np.random.default_rng(0)
    return cut(words, [" ".join(WORDS[: random.integers(1, 41)]) for _ in range(53)], 64)


ROWS = np.arange(3, 53)  # 50 of them


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_every_row_is_seen_once_and_all_workers_take_the_same_steps(many: Tokens, world: int) -> None:
    seen: list[list[list[int]]] = []
    for rank in range(world):
        batches = training_batches(many, ROWS, 4, seed=1, epoch=2, rank=rank, world=world)
        seen.append([batch.rows[batch.weight.numpy() > 0].tolist() for batch in batches])
    assert {len(batches) for batches in seen} == {steps_per_epoch(50, 4)}
    together = [sorted(chain(*shares)) for shares in zip(*seen, strict=True)]
    assert sorted(chain(*together)) == ROWS.tolist()
    # the same batches, whoever computes them
    alone = [sorted(b.rows.tolist()) for b in training_batches(many, ROWS, 4, seed=1, epoch=2)]
    assert together == alone
    assert {len(rows) for rows in alone} == {3, 4}


def test_order_follows_from_seed_and_epoch(many: Tokens) -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return [batch.rows.tolist() for batch in training_batches(many, ROWS, 4, seed=seed, epoch=epoch)]

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)


def test_padding_is_small_and_masked(many: Tokens) -> None:
    real = padded = 0
    for batch in training_batches(many, ROWS, 4, seed=0, epoch=1):
        ids_PT, mask_PT = batch.inputs
        assert ids_PT.shape[1] == mask_PT.sum(1).max()
        assert (ids_PT[mask_PT == 0] == many.pad_id).all()
        assert mask_PT.sum(1).tolist() == [len(many.pieces[row]) for row in batch.rows]
        assert batch.tokens == mask_PT.sum()
        real, padded = real + batch.tokens, padded + mask_PT.numel()
    assert real > 0.75 * padded  # in random order it is 0.6


def test_reading_begins_with_the_longest(many: Tokens) -> None:
    batches = list(reading_batches(many, ROWS, 4))
    assert sorted(chain(*(batch.rows.tolist() for batch in batches))) == ROWS.tolist()
    longest = [batch.inputs[0].shape[1] for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_a_rows_windows_stay_together(words: object) -> None:
    tokens = token_windows(words, TEXTS, 8, 2)
    for batch in training_batches(tokens, np.arange(5), 2, seed=0, epoch=1):
        assert sum(batch.counts) == len(batch.inputs[0])
        assert batch.counts == [int(tokens.starts[row + 1] - tokens.starts[row]) for row in batch.rows]


def test_vectors_come_with_their_rows() -> None:
    data = Vectors(np.arange(20, dtype=np.float32).reshape(10, 2))
    for batch in training_batches(data, np.arange(10), 3, seed=0, epoch=1):
        assert torch.equal(batch.inputs[0], torch.from_numpy(data.matrix[batch.rows]))
