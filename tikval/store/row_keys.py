"""Row keys as 16-byte numbers in numpy: which rows a folder holds, and which of them count. No Python object a row.

And the number by which a row, or what else has a name, is drawn at random, so that the same are drawn again.
"""

import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import UserError
from tikval.rows import Reason

_DIGITS: Final = 32
_RETRYABLE: Final = [reason for reason in Reason if not reason.terminal]
KEY: Final = "S16"  # a row_key of 32 hexadecimal digits as 16 bytes


@dataclass(frozen=True)
class SeenKeys:
    """Keys already in a folder: `done` need no work; `retry` failed in a way that may pass, at `attempts`.

    An attempt at which nobody was asked is none: its reply may be on its way, and is looked for under its number.
    """

    done: np.ndarray  # S16 [K], sorted, unique
    retry: np.ndarray  # S16 [R], sorted, unique
    attempts: np.ndarray  # int64 [R], the last attempt of each


class KeyIndex:
    """The rows of some files by key: of one key's rows a result counts, else a final failure, else the last attempt.

    20 bytes a row are held, and some 25 more while they are sorted.
    """

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        """Tables with `row_key`, `attempt` and `error`, of which one at a time is held."""
        keys, ranks = [np.empty(0, KEY)], [np.empty(0, np.int32)]
        for table in tables:
            keys.append(keys_of(table["row_key"]))
            ranks.append(_ranks(table))
        self.sizes = [len(some) for some in ranks[1:]]
        self.keys, keys = np.concatenate(keys), []
        self.ranks, ranks = np.concatenate(ranks), []

    def the_one_that_counts(self) -> list[np.ndarray]:
        """bool [rows] of each table: one row of each key."""
        keep = np.zeros(len(self.keys), bool)
        keep[self._first()] = True
        return np.split(keep, np.cumsum(self.sizes)[:-1]) if self.sizes else []

    def seen(self) -> SeenKeys:
        first = self._first()  # in the order of the keys
        ranks = self.ranks[first]
        again = ranks & _RETRYABLE_BIT != 0
        attempts = _MOST_ATTEMPTS - (ranks[again] >> 1 & _MOST_ATTEMPTS) - (ranks[again] & 1)
        retry = self.keys[first[again]]
        done = self.keys[first[~again] if len(retry) else first]
        return SeenKeys(done, retry, attempts.astype(np.int64))

    def _first(self) -> np.ndarray:
        """Places of the rows that count, sorted by key. A terminal failure is done, so it beats a retryable one."""
        # by the first half of the key, and what is equal there by all
        half = np.frombuffer(self.keys, ">u8").reshape(-1, 2)
        start = _half(self.keys, 0)
        order = np.argsort(start)
        new = np.ones(len(order), bool)
        start.sort()  # in place, where start[order] would be one more array
        new[1:] = start[1:] != start[:-1]
        tied = np.flatnonzero(~new | np.append(~new[1:], False))
        if len(tied):
            rows = order[tied]
            rest = half[rows, 1].astype(np.uint64)
            by_all = np.lexsort((rows, self.ranks[rows], rest, start[tied]))
            order[tied], rest = rows[by_all], rest[by_all]
            # the start of each run of equal halves stays new; within one, a row is new where the other half changes
            changed = np.append(True, rest[1:] != rest[:-1])
            new[tied] |= changed
        return np.asarray(order[new])


_AT_ONCE: Final = 2**20  # keys
_MOST_ATTEMPTS: Final = 2**26 - 1
_RETRYABLE_BIT: Final = 2**28
_FAILED_BIT: Final = 2**29


def _ranks(table: pa.Table) -> np.ndarray:
    """int32 [N]: of rows of one key the lowest counts. Failed, retryable, the attempt backwards, nobody asked."""
    error = table["error"]
    attempts = np.asarray(table["attempt"].to_numpy(), np.int64)
    ranks = (_MOST_ATTEMPTS - np.clip(attempts, 0, _MOST_ATTEMPTS) << 1).astype(np.int32)
    if error.null_count < len(error):
        ranks += _FAILED_BIT * np.asarray(error.is_valid().to_numpy(), np.int32)
        ranks += _RETRYABLE_BIT * _is_one_of(error, _RETRYABLE)
        ranks += _is_one_of(error, [Reason.NOT_ASKED])
    return ranks


def keys_of(column: pa.ChunkedArray) -> np.ndarray:
    """Hexadecimal row keys -> S16 [N], without a Python object per row. Raises UserError for other texts."""
    array = pc.cast(column.combine_chunks(), pa.large_string())
    if len(array) == 0:
        return np.empty(0, KEY)
    _, offsets, data = array.buffers()
    where = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    try:
        if array.null_count or (np.diff(where) != _DIGITS).any():
            raise ValueError
        return np.frombuffer(binascii.unhexlify(memoryview(data)[where[0] : where[-1]]), KEY)
    except ValueError as err:
        raise UserError(
            f"a row key is not {_DIGITS} hexadecimal digits: the table was not written by tikval"
        ) from err


class KeyPlaces:
    """Where keys stand in a list of N: 16 bytes a key are held, and nothing more while they are sorted.

    The first half of a key is held to as many bits as its place in the list leaves of 64, the second whole. Keys are
    hashes: that two of 10 million are taken for one is less likely than 2^-58.
    """

    def __init__(self, keys: np.ndarray | None = None) -> None:
        """`keys`: S16 [N], of which equal ones stand where the first does; None: they are added later."""
        self._halves = bytearray(), bytearray()
        if keys is not None:
            self.add(keys)
            self.sort()

    def add(self, keys: np.ndarray) -> None:
        """More of the list, before it is sorted."""
        for which, half in enumerate(self._halves):
            half += _half(keys, which).tobytes()

    def sort(self) -> None:
        """Make places findable; nothing is added after it."""
        self._sorted, self._second = (np.frombuffer(half, np.uint64) for half in self._halves)
        n = len(self._second)
        self._place = np.uint64(2 ** n.bit_length() - 1)  # the bits that are a place
        for start in range(0, n, _AT_ONCE):
            some = self._sorted[start : start + _AT_ONCE]
            some &= ~self._place
            some |= np.arange(start, start + len(some), dtype=np.uint64)
        self._sorted.sort()

    def find(self, keys: np.ndarray) -> np.ndarray:
        """int64 [K]: the place of each of `keys` [K], -1 where it is not among them."""
        n, first, second = len(self._second), _half(keys, 0) & ~self._place, _half(keys, 1)
        found = np.full(len(keys), -1)
        at, left = np.searchsorted(self._sorted, first), np.arange(len(keys))
        while len(left := left[at[left] < n]):
            entry = self._sorted[at[left]]
            alike = entry & ~self._place == first[left]
            left, place = left[alike], (entry[alike] & self._place).astype(np.int64)
            same = self._second[place] == second[left]
            found[left[same]] = place[same]
            left = left[~same]  # another key begins with the same half
            at[left] += 1
        return found


def _half(keys: np.ndarray, which: int) -> np.ndarray:
    """uint64 [N]: the first or the second half of each key. Numbers sort ten times as fast as texts."""
    return np.frombuffer(keys, ">u8")[which::2].astype(np.uint64)


def contains(sorted_keys: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """bool [N]: which of `keys` [N] stand in `sorted_keys` [K]."""
    found = np.zeros(len(keys), bool)
    for start in range(0, len(keys) if len(sorted_keys) else 0, _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        place = np.minimum(np.searchsorted(sorted_keys, some), len(sorted_keys) - 1)
        found[start : start + _AT_ONCE] = sorted_keys[place] == some
    return found


def draw_number(seed: int, name: str) -> int:
    """A number of 52 bits, as evenly spread as a hash is, and the same on every machine."""
    text = f"{seed}\0{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 12


def _is_one_of(errors: pa.ChunkedArray, reasons: list[Reason]) -> np.ndarray:
    """int32 [N], 0 or 1"""
    found = pc.is_in(errors, pa.array([reason.value for reason in reasons]))
    return np.asarray(pc.fill_null(found, False).to_numpy(), np.int32)
