"""Rows of a finished table by their key, for a stage that needs another stage's row of the same video."""

import functools
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tikval.store.folder import Folder
from tikval.store.row_keys import KEY, keys_of

# Rows of two stages of a study come in much the same order: the file of one look-up is nearly always that of the next.
_FILES: Final = 2


class KeyedRows:
    """Some columns of a finished table: 32 bytes a row, and the files that were asked for last, stay in memory."""

    def __init__(self, folder: Folder, columns: list[str]) -> None:
        self.folder, self.columns = folder, columns
        self.names = folder.finished().files
        keys = [keys_of(folder.table(name, ["row_key"])["row_key"]) for name in self.names]
        every = np.concatenate([np.empty(0, KEY), *keys])
        order = np.argsort(every)
        sizes = [len(some) for some in keys]
        self.keys = every[order]
        self.file = np.repeat(np.arange(len(sizes)), sizes)[order]
        self.place = np.concatenate([np.empty(0, np.int64), *map(np.arange, sizes)]).astype(np.int64)[order]
        self._table = functools.lru_cache(_FILES)(self._read)

    def get(self, row_key: str) -> dict[str, Any] | None:
        """The columns of one row; None: the table has none of that key."""
        key = np.array([bytes.fromhex(row_key)], KEY)
        [at] = np.searchsorted(self.keys, key)
        if at == len(self.keys) or self.keys[at] != key[0]:
            return None
        found: dict[str, Any] = self._table(int(self.file[at])).slice(self.place[at], 1).to_pylist()[0]
        return found

    def _read(self, file: int) -> pa.Table:
        return self.folder.table(self.names[file], self.columns)
