"""Which rows a stage has to do: those listed that no run before has done, with the attempt that now begins."""

import hashlib
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa

from tikval.config import JobConfig, UserError
from tikval.store.folder import Folder
from tikval.store.folder_run import OVER_SOME
from tikval.store.row_keys import SeenKeys, contains, keys_of


def listed_keys(catalog: JobConfig, only: np.ndarray | None) -> np.ndarray:
    """Row keys of the videos to judge, sorted."""
    listed = Folder(catalog.folder).sorted_keys()
    if (listed[1:] == listed[:-1]).any():
        listed = np.unique(listed)
    return listed if only is None else np.intersect1d(listed, only)


def of_some(only: np.ndarray | None) -> dict[str, str]:
    """What sets a run over some videos apart from one over all, and over others."""
    return {} if only is None else {OVER_SOME: hashlib.sha256(np.unique(only).tobytes()).hexdigest()}


def keys_to_do(listed: np.ndarray, seen: SeenKeys) -> np.ndarray:
    """The listed keys that are not done; the array itself where none is, as it is large."""
    return listed[~contains(seen.done, listed)] if len(seen.done) else listed


def check_written(folder: Folder, todo: np.ndarray) -> None:
    """Raises UserError where rows are missing.

    Rows that another node wrote to a disk of its own must not be missed in silence.
    """
    seen = folder.seen()
    if not (contains(seen.done, todo) | contains(seen.retry, todo)).all():
        raise UserError(
            f"{folder.uri}: rows are missing; on a cluster `out` must lie where all nodes write (where it does, its "
            "store shows old lists: run the same command again)"
        )


class Todo(NamedTuple):
    keys: np.ndarray  # S16 [K] sorted
    retried: np.ndarray  # S16 [R] sorted, those of `keys` that failed before
    attempts: np.ndarray  # int64 [R] the last attempt of each

    @classmethod
    def begin(cls, todo: np.ndarray, seen: SeenKeys) -> Self:
        again = todo[contains(seen.retry, todo)]
        return cls(todo, again, seen.attempts[np.searchsorted(seen.retry, again)])

    def of(self, table: pa.Table) -> pa.Table:
        """Rows whose key is to do, with `attempt` set to the one that now begins."""
        table = table.filter(pa.array(contains(self.keys, keys_of(table["row_key"]))))
        keys = keys_of(table["row_key"])
        attempt = np.ones(len(keys), np.int64)
        again = contains(self.retried, keys)
        attempt[again] += self.attempts[np.searchsorted(self.retried, keys[again])]
        if "attempt" in table.column_names:
            table = table.drop_columns(["attempt"])
        return table.append_column("attempt", pa.array(attempt))
