"""Which rows train, choose and test: folds that can be made again, stored and checked.

Rows of one account, or that show the same, are one group. `honest` folds keep groups whole and their labels in
proportion: groups go one after another, the largest and those with rare labels first, to the part that is furthest
below its share of what they bring; many orders are tried and the best partition is kept. Of each training part, a
share is set aside in the same way as validation rows.

Nothing depends on the order of the input: rows are taken by id, and draws come from generators whose streams do
not change between versions.

Shape letters: N rows, L labels, G groups, K parts (folds, or training and validation), R orders tried,
C = L + 1 counts of a group (positives of each label, then rows).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tikval.config import Protocol

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PARTS: Final = ("train", "validation", "test")
ORDERS: Final = 200  # tried for one partition; benchmarks/leakage.py measures what they give
_MOST_STEPS: Final = 100_000  # placements of one partition: fewer orders are tried of many groups
_SPREAD: Final = 0.5  # of the logarithm of a group's weight, between orders
_BUDGET: Final = 20  # sets of orders drawn before a partition counts as impossible


@dataclass(frozen=True)
class Fold:
    """Ids, sorted. Without validation rows (`paper`) the test rows choose the epoch."""

    partition: int
    fold: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


