"""Ids of millions of videos in a few bytes each: which came before, and which id a path has in a finished study.

A name stands as its hash: of 16 bytes where an equal one makes a video fail, of 8 where what is found is looked at.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

_ID: Final = "S16"


class SeenIds:
    """How often each id came before: 16 bytes an id, in sorted arrays of which each is larger than all after it."""

    def __init__(self) -> None:
        self._sorted: list[np.ndarray] = []
        self._again: dict[bytes, int] = {}  # times of what came more than once

    def times_before(self, ids: Sequence[str]) -> list[int]:
        """How often each of the ids came before it, here or in an earlier call; they now came once more."""
        digests = [_digest(name, 16) for name in ids]
        block = np.array(digests, _ID)
        known = np.zeros(len(block), bool)
        for some in self._sorted:
            place = np.minimum(np.searchsorted(some, block), len(some) - 1)
            known |= some[place] == block
        here: dict[bytes, int] = {}
        times = []
        for digest, is_known in zip(digests, known.tolist(), strict=True):
            before = here.get(digest, self._again.get(digest, int(is_known)))
            here[digest] = before + 1
            times.append(before)
        self._again |= {digest: n for digest, n in here.items() if n > 1}
        self._add(np.unique(block[~known]))
        return times

    def _add(self, new: np.ndarray) -> None:
        while self._sorted and len(self._sorted[-1]) <= 2 * len(new):
            new = np.concatenate([self._sorted.pop(), new])
            new.sort()
        if len(new):
            self._sorted.append(new)


class IdsByPath:
    """The id of each file by its path, as a finished catalog has them: 16 bytes a file, and the ids' own letters."""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        """Tables with `path` and `video_id`; of two rows of one path the later one counts."""
        hashes, ids = [np.empty(0, np.uint64)], [pa.chunked_array([], pa.large_string())]
        for table in tables:
            hashes.append(_numbers(table["path"].to_pylist()))
            ids.append(table["video_id"].cast(pa.large_string()))
        every = np.concatenate(hashes)
        self._order = np.argsort(every, kind="stable")
        self._sorted = every[self._order]
        self._ids = pa.chunked_array(
            [chunk for some in ids for chunk in some.chunks], pa.large_string()
        ).combine_chunks()

    def __len__(self) -> int:
        return len(self._sorted)

    def get(self, path: str) -> str | None:
        """The id that a path had; None: it is a new one."""
        number = np.uint64(int.from_bytes(_digest(path, 8), "little"))
        at = int(np.searchsorted(self._sorted, number, "right")) - 1
        if at < 0 or self._sorted[at] != number:
            return None
        return str(self._ids[int(self._order[at])])


def _numbers(names: Sequence[str]) -> np.ndarray:
    """uint64 [N]"""
    return np.frombuffer(b"".join(_digest(name, 8) for name in names), "<u8")


def _digest(name: str, size: int) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=size).digest()
