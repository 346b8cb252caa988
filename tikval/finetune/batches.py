"""Rows -> the batches that a model takes: token ids cut or windowed, texts of like length together.

N rows, P pieces (a row's whole text, or its windows), T tokens, B rows of a batch, D width.
A batch's rows follow from seed and epoch; workers share them out, so that their number changes no batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Indices = NDArray[np.int64]

_CHUNK = 8  # batches whose rows are sorted by length together: little padding, and still a random order


@dataclass(frozen=True)
class Tokens:
    """N texts as P pieces of token ids with the model's special tokens, not padded.

    The pieces of a row lie together: those of row n are starts[n] to starts[n + 1].
    """

    pieces: list[NDArray[np.int32]]
    starts: Indices  # [N + 1]
    lost: Indices  # tokens of each row that were left out
    pad_id: int
    max_tokens: int

    def __len__(self) -> int:
        return len(self.lost)

    @property
    def sizes(self) -> Indices:
        """What a row costs: its pieces times the longest of them."""
        spans = zip(self.starts[:-1], self.starts[1:], strict=True)
        return np.array([(b - a) * max(map(len, self.pieces[a:b])) for a, b in spans], np.int64)

    @property
    def cut_rows(self) -> int:
        """How many rows lost tokens."""
        return int((self.lost > 0).sum())

    def gather(self, rows: Indices) -> tuple[tuple[Tensor, ...], list[int], int]:
        """Ids and mask [P, T] of some rows, how many pieces each has, and their real tokens."""
        spans = [(int(self.starts[row]), int(self.starts[row + 1])) for row in rows]
        pieces = [piece for a, b in spans for piece in self.pieces[a:b]]
        longest = max(map(len, pieces))
        ids_PT = np.full((len(pieces), longest), self.pad_id, np.int64)
        mask_PT = np.zeros((len(pieces), longest), np.int64)
        for ids_T, mask_T, piece in zip(ids_PT, mask_PT, pieces, strict=True):
            ids_T[: len(piece)] = piece
            mask_T[: len(piece)] = 1
        inputs = torch.from_numpy(ids_PT), torch.from_numpy(mask_PT)
        return inputs, [b - a for a, b in spans], sum(map(len, pieces))


@dataclass(frozen=True)
class Vectors:
    """N vectors; a vector counts as one token."""

    matrix: NDArray[np.float32]  # [N, D]

    def __len__(self) -> int:
        return len(self.matrix)

    @property
    def sizes(self) -> Indices:
        return np.ones(len(self), np.int64)

    def gather(self, rows: Indices) -> tuple[tuple[Tensor, ...], list[int], int]:
        """Vectors [B, D] of some rows, a one for each, and how many they are."""
        return (torch.from_numpy(self.matrix[rows].astype(np.float32)),), [1] * len(rows), len(rows)


Data = Tokens | Vectors


@dataclass(frozen=True)
class Batch:
    """What one worker computes of a batch."""

    inputs: tuple[Tensor, ...]  # what the model takes: ids and mask [P, T], or vectors [B, D]
    rows: Indices
    counts: list[int]  # of each row, in the order of the inputs
    weight: Tensor  # float32; 0: a row that another worker has, here only to have something to compute
    of_rows: int  # in the batch over all workers
    tokens: int  # real ones


def cut(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> Tokens:
    """The beginning of each text, at most `max_tokens` with the special tokens; what is lost is counted.

    Raises ValueError where the special tokens leave no room.
    """
    bodies, before, after = _tokenized(tokenizer, texts)
    room = _room(max_tokens, before, after)
    pieces = [_piece(before, body[:room], after, tokenizer.pad_token_id) for body in bodies]
    lost = [max(0, len(body) - room) for body in bodies]
    return Tokens(
        pieces, np.arange(len(pieces) + 1), np.array(lost, np.int64), tokenizer.pad_token_id, max_tokens
    )


def token_windows(tokenizer: Any, texts: Sequence[str], max_tokens: int, overlap_tokens: int) -> Tokens:
    """Each text as windows of at most `max_tokens` with the special tokens in each; nothing is lost.

    As few windows as overlap by at least `overlap_tokens`, evenly spread: all windows of a long text are full.
    Raises ValueError where the overlap leaves no room to move on.
    """
    bodies, before, after = _tokenized(tokenizer, texts)
    room = _room(max_tokens, before, after)
    if overlap_tokens >= room:
        raise ValueError(f"windows of {room} tokens cannot overlap by {overlap_tokens}")
    pieces, starts = [], [0]
    for body in bodies:
        count = max(1, ceil((len(body) - overlap_tokens) / (room - overlap_tokens)))
        last = max(0, len(body) - room)
        for i in range(count):
            begin = last * i // max(1, count - 1)
            pieces.append(_piece(before, body[begin : begin + room], after, tokenizer.pad_token_id))
        starts.append(len(pieces))
    none_lost = np.zeros(len(bodies), np.int64)
    return Tokens(pieces, np.array(starts, np.int64), none_lost, tokenizer.pad_token_id, max_tokens)


def pack(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> Tokens:
    """The texts one behind the other, parted by the separator, in blocks of at most `max_tokens`: rows are blocks.

    Raises ValueError where the special tokens leave no room, or no text has a token.
    """
    bodies, before, after = _tokenized(tokenizer, texts)
    room = _room(max_tokens, before, after)
    between = [] if tokenizer.sep_token_id is None else [tokenizer.sep_token_id]
    stream = [token for body in bodies if body for token in (*body, *between)]
    if not stream:
        raise ValueError("no text has a token")
    if between:
        stream.pop()  # the last text's end is the block's
    pad_id = tokenizer.pad_token_id
    pieces = [
        _piece(before, stream[first : first + room], after, pad_id) for first in range(0, len(stream), room)
    ]
    none_lost = np.zeros(len(pieces), np.int64)
    return Tokens(pieces, np.arange(len(pieces) + 1), none_lost, pad_id, max_tokens)


def _tokenized(tokenizer: Any, texts: Sequence[str]) -> tuple[list[list[int]], list[int], list[int]]:
    """Ids of each text without special tokens, and the special tokens that stand before and after a text."""
    word = "a"
    bare: list[int] = tokenizer(word, add_special_tokens=False)["input_ids"]
    full: list[int] = tokenizer(word)["input_ids"]
    at = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    # not verbose: a text longer than the model is no surprise here
    bodies = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"] if texts else []
    return bodies, full[:at], full[at + len(bare) :]


def _room(max_tokens: int, before: list[int], after: list[int]) -> int:
    room = max_tokens - len(before) - len(after)
    if room < 1:
        raise ValueError(f"max_tokens {max_tokens} leaves no room beside the special tokens")
    return room


def _piece(before: list[int], body: list[int], after: list[int], pad_id: int) -> NDArray[np.int32]:
    # an empty text of a tokenizer without special tokens must still be something
    return np.array([*before, *body, *after] or [pad_id], np.int32)


def steps_per_epoch(n_rows: int, batch_rows: int) -> int:
    """Batches of one epoch."""
    return ceil(n_rows / batch_rows)


def epoch_rows(sizes: Indices, rows: Indices, batch_rows: int, *, seed: int, epoch: int) -> list[Indices]:
    """Which rows each batch of an epoch holds: every row once, rows of like size together, in random order.

    Sizes of batches differ by one row at most, so that no last batch of two rows makes a full step.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(rows)
    parts: list[Indices] = np.array_split(order, steps_per_epoch(len(rows), batch_rows))
    batches: list[Indices] = []
    for first in range(0, len(parts), _CHUNK):
        lengths = [len(part) for part in parts[first : first + _CHUNK]]
        chunk = np.concatenate(parts[first : first + _CHUNK])
        chunk = chunk[np.argsort(sizes[chunk], kind="stable")]
        batches += np.split(chunk, np.cumsum(lengths)[:-1])
    return [batches[i] for i in random.permutation(len(batches))]


def training_batches(
    data: Data, rows: Indices, batch_rows: int, *, seed: int, epoch: int, rank: int = 0, world: int = 1
) -> Iterator[Batch]:
    """One epoch's batches, of each the share of worker `rank` of `world`; all workers take the same steps."""
    for whole in epoch_rows(data.sizes, rows, batch_rows, seed=seed, epoch=epoch):
        mine = whole[rank::world]
        # a worker without a row must still take part in the step: it computes one that counts nothing
        weight = torch.ones(len(mine)) if len(mine) else torch.zeros(1)
        mine = mine if len(mine) else whole[:1]
        inputs, counts, tokens = data.gather(mine)
        yield Batch(inputs, mine, counts, weight, len(whole), tokens if weight.any() else 0)


def reading_batches(data: Data, rows: Indices, batch_rows: int) -> Iterator[Batch]:
    """Each row once, the largest first: what does not fit into memory fails at once."""
    order = rows[np.argsort(-data.sizes[rows], kind="stable")]
    for first in range(0, len(order), batch_rows):
        some = order[first : first + batch_rows]
        inputs, counts, tokens = data.gather(some)
        yield Batch(inputs, some, counts, torch.ones(len(some)), len(some), tokens)
