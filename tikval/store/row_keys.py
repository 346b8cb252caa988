"""Row keys as 16-byte numbers in numpy: which rows a folder holds, and which of them count. No Python object a row.

And the number by which a row, or what else has a name, is drawn at random, so that the same are drawn again.
"""

import binascii
import hashlib
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
    """The rows of some files by key: of one key's rows a result counts, else a final failure, else the last attempt."""

    def __init__(self, tables: list[pa.Table]) -> None:
        """Tables with `row_key`, `attempt` and `error`."""
        self.sizes = [table.num_rows for table in tables]
        self.keys = np.concatenate([np.empty(0, KEY), *(keys_of(table["row_key"]) for table in tables)])
        self.attempts = np.concatenate(
            [np.empty(0, np.int64), *(table["attempt"].to_numpy() for table in tables)]
        )
        self.failed = np.concatenate([np.empty(0, bool), *(_is_set(table["error"]) for table in tables)])
        self.not_asked = np.concatenate(
            [np.empty(0, bool), *(_is_one_of(table["error"], [Reason.NOT_ASKED]) for table in tables)]
        )
        self.retryable = np.concatenate(
            [np.empty(0, bool), *(_is_one_of(table["error"], _RETRYABLE) for table in tables)]
        )

    def the_one_that_counts(self) -> list[np.ndarray]:
        """bool [rows] of each table: one row of each key."""
        keep = np.zeros(len(self.keys), bool)
        keep[self._first()] = True
        return np.split(keep, np.cumsum(self.sizes)[:-1]) if self.sizes else []

    def seen(self) -> SeenKeys:
        first = self._first()  # in the order of the keys
        again = self.retryable[first]
        attempts = self.attempts[first][again] - self.not_asked[first][again]
        return SeenKeys(self.keys[first][~again], self.keys[first][again], attempts)

    def _first(self) -> np.ndarray:
        """Places of the rows that count, sorted by key. A terminal failure is done, so it beats a retryable one."""
        order = np.lexsort((self.not_asked, -self.attempts, self.retryable, self.failed, self.keys))
        first = np.ones(len(order), bool)
        first[1:] = self.keys[order][1:] != self.keys[order][:-1]
        return order[first]


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


def contains(sorted_keys: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """bool [N]: which of `keys` [N] stand in `sorted_keys` [K]."""
    if len(sorted_keys) == 0:
        return np.zeros(len(keys), bool)
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.asarray(sorted_keys[place] == keys)


def draw_number(seed: int, name: str) -> int:
    """A number of 52 bits, as evenly spread as a hash is, and the same on every machine."""
    text = f"{seed}\0{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 12


def _is_set(errors: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(errors.is_valid().to_numpy(), bool)


def _is_one_of(errors: pa.ChunkedArray, reasons: list[Reason]) -> np.ndarray:
    found = pc.is_in(errors, pa.array([reason.value for reason in reasons]))
    return np.asarray(pc.fill_null(found, False).to_numpy(), bool)
