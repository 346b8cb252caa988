"""Which rows train, choose and test: folds that can be made again, stored and checked.

Rows of one account, or that show the same, are one group. `honest` folds keep groups whole and labels in proportion:
many partitions are tried and the best is kept (partitions.py). Of each training part, a share is set aside for
validation in the same way. Nothing depends on the order of the rows: they are taken by id.

Shape letters: N rows, L labels, G groups, K folds.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from tikval.config import Protocol
from tikval.stats.arrays import Bools, Ints
from tikval.stats.partitions import place, renumbered

PARTS: Final = ("train", "validation", "test")


@dataclass(frozen=True)
class Fold:
    """Ids, sorted. Without validation rows (`paper`) the test rows choose the epoch."""

    partition: int  # from 0
    fold: int  # from 0
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"p{self.partition}-f{self.fold}"


def groups_of(
    accounts: Sequence[str | None], near_duplicates: Sequence[int | None], ids: Sequence[str]
) -> Ints:
    """[N] number of each row's group: rows that share an account or near-duplicates, over any chain, are one group.

    A row with neither is a group of its own. Groups are numbered by their smallest ids. Raises ValueError for
    sequences of different lengths and for an id that comes twice.
    """
    _check_ids(ids, accounts, near_duplicates)
    parent = list(range(len(ids)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str | int, int] = {}
    for i, names in enumerate(zip(accounts, near_duplicates, strict=True)):
        for name in names:
            if name is not None:  # accounts are texts, near-duplicates numbers: they never collide
                parent[root(i)] = root(first.setdefault(name, i))
    by_id = _by_id(ids)
    groups_N = np.empty(len(ids), dtype=np.int64)
    groups_N[by_id] = renumbered([root(i) for i in by_id])
    return groups_N


def make_folds(
    ids: Sequence[str],
    groups_N: Ints,
    labels_NL: Bools,
    protocol: Protocol,
    split: Sequence[str] | None = None,
    names: Sequence[str] = (),
) -> list[Fold]:
    """Folds of every partition under a protocol; `split` is the column of `given`, `names` the labels' in messages.

    paper: shuffled rows, folds that differ by one row at most. honest: whole groups, balanced, no partition twice,
    about `validation_share` of the training rows set aside. given: one Fold; where the split names no validation
    rows, whole groups of the training rows are set aside.

    Raises ValueError, in one line, for ids that come twice, too few rows or groups, an empty part, an unknown word
    in `split`, a further partition that does not exist, and a label without a positive row in a training part.
    """
    _check_ids(ids, groups_N, labels_NL, *([] if split is None else [split]))
    by_id = _by_id(ids)
    ids = [ids[i] for i in by_id]
    groups_N = renumbered(groups_N[by_id].tolist())
    labels_NL = np.asarray(labels_NL, dtype=bool)[by_id]
    if protocol.name == "given":
        if split is None:
            raise ValueError("protocol given: there is no split column")
        parts = _given(groups_N, labels_NL, [split[i] for i in by_id], protocol)
    elif protocol.name == "paper":
        parts = _paper(len(ids), protocol)
    else:
        parts = _honest(groups_N, labels_NL, protocol)

    folds = []
    lacking_L = labels_NL.sum(0) == 0
    for number, (train, validation, test) in enumerate(parts):
        partition, fold = divmod(number, protocol.folds)
        where = f"partition {partition}, fold {fold}"
        if not (len(train) and len(test)):
            raise ValueError(f"{where}: no rows to {'test on' if len(train) else 'train on'}")
        lacking_L |= labels_NL[train].sum(0) == 0
        chosen = (tuple(ids[i] for i in np.sort(part)) for part in (train, validation, test))
        folds.append(Fold(partition, fold, *chosen))
    if lacking_L.any():
        raise ValueError(f"labels without a positive in some training part: {_named(lacking_L, names)}")
    return folds


def check_folds(
    folds: Sequence[Fold], ids: Sequence[str], groups_N: Ints, labels_NL: Bools, names: Sequence[str]
) -> list[str]:
    """Human-readable warnings: a group larger than a fold, groups on both sides, labels that a part lacks."""
    row_of = {name: i for i, name in enumerate(ids)}
    warnings = []
    size_G = np.bincount(renumbered(groups_N.tolist()))
    fold_share = max(len(fold.test) for fold in folds) / len(ids)
    largest = size_G.max() / len(ids)
    if largest > 1 / _n_folds(folds):
        warnings.append(
            f"one group has {largest:.0%} of the rows, so folds cannot be of one size "
            f"(the largest test part has {fold_share:.0%})"
        )
    for fold in folds:
        where = f"partition {fold.partition}, fold {fold.fold}"
        rows = {part: np.array([row_of[i] for i in getattr(fold, part)], dtype=np.int64) for part in PARTS}
        trained = np.concatenate([rows["train"], rows["validation"]])
        test_groups = np.unique(groups_N[rows["test"]])
        if shared := int(np.isin(test_groups, groups_N[trained]).sum()):
            warnings.append(
                f"{where}: {shared} of {len(test_groups)} groups in the test rows are in the training rows too"
            )
        for part in PARTS:
            lacking = labels_NL[rows[part]].sum(0) == 0
            if len(rows[part]) and lacking.any():
                warnings.append(f"{where}: no positives among the {part} rows: {_named(lacking, names)}")
    return warnings


def balance(folds: Sequence[Fold], ids: Sequence[str], labels_NL: Bools) -> float:
    """Worst |positives in a test part / fair share - 1| of a label; nan where no label has a positive.

    The fair share is one K-th of a label's positives; of a single given split, the test rows' share of all rows.
    """
    row_of = {name: i for i, name in enumerate(ids)}
    n_folds = _n_folds(folds)
    total_L = labels_NL.sum(0)
    worst = []
    for fold in folds:
        share = 1 / n_folds if n_folds > 1 else len(fold.test) / len(ids)
        count_L = labels_NL[[row_of[i] for i in fold.test]].sum(0)
        worst += np.abs(count_L[total_L > 0] / (share * total_L[total_L > 0]) - 1).tolist()
    return max(worst, default=float("nan"))


def folds_hash(folds: Iterable[Fold]) -> str:
    """16 hex digits of all ids in their places."""
    text = json.dumps([asdict(fold) for fold in folds], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_json(folds: Sequence[Fold]) -> str:
    return json.dumps({"hash": folds_hash(folds), "folds": [asdict(fold) for fold in folds]})


def from_json(text: str) -> list[Fold]:
    """Raises ValueError for what `to_json` did not write, or what was changed since."""
    try:
        data = json.loads(text)
        folds = [
            Fold(fold["partition"], fold["fold"], *(tuple(fold[part]) for part in PARTS))
            for fold in data["folds"]
        ]
        stored = data["hash"]
    except (ValueError, RecursionError, KeyError, TypeError) as err:
        raise ValueError(f"not a file of folds: {err}") from err
    if (found := folds_hash(folds)) != stored:
        raise ValueError(f"the folds were changed: their hash is {found}, the stored one {stored}")
    return folds


Parts = tuple[Ints, Ints, Ints]  # rows that train, choose and test


def _paper(n_rows: int, protocol: Protocol) -> Iterable[Parts]:
    if n_rows < protocol.folds:
        raise ValueError(f"{n_rows} rows are too few for {protocol.folds} folds")
    for partition in range(protocol.partitions):
        shuffled = np.random.RandomState(partition).permutation(n_rows)
        for test in np.array_split(shuffled, protocol.folds):
            yield np.setdiff1d(shuffled, test), np.empty(0, np.int64), test


def _honest(groups_N: Ints, labels_NL: Bools, protocol: Protocol) -> Iterable[Parts]:
    seen: set[bytes] = set()
    shares_K = np.full(protocol.folds, 1 / protocol.folds)
    for partition in range(protocol.partitions):
        fold_N = place(groups_N, labels_NL, shares_K, seed=partition, seen=seen)
        for fold in range(protocol.folds):
            yield (
                *_set_aside(np.flatnonzero(fold_N != fold), groups_N, labels_NL, protocol, seed=partition),
                np.flatnonzero(fold_N == fold),
            )


def _given(groups_N: Ints, labels_NL: Bools, split: Sequence[str], protocol: Protocol) -> Iterable[Parts]:
    if unknown := sorted({str(word) for word in split} - set(PARTS)):
        words = ", ".join(repr(word) for word in unknown[:5])
        raise ValueError(f"split: {words}; known are {', '.join(PARTS)}")
    words_N = np.array(split)
    train, validation, test = (np.flatnonzero(words_N == part) for part in PARTS)
    if len(train) and not len(validation):
        train, validation = _set_aside(train, groups_N, labels_NL, protocol, seed=0)
    yield train, validation, test


def _set_aside(
    rows: Ints, groups_N: Ints, labels_NL: Bools, protocol: Protocol, seed: int
) -> tuple[Ints, Ints]:
    """Rows -> those that train, and the validation rows."""
    own_N = renumbered(groups_N[rows].tolist())
    if not own_N.any():
        raise ValueError(
            "the training rows are one group (account, near-duplicates): none is left to choose on"
        )
    shares = np.array([1 - protocol.validation_share, protocol.validation_share])
    part_N = place(own_N, labels_NL[rows], shares, seed)
    return rows[part_N == 0], rows[part_N == 1]


def _by_id(ids: Sequence[str]) -> Ints:
    return np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)


def _n_folds(folds: Sequence[Fold]) -> int:
    return 1 + max(fold.fold for fold in folds)


def _check_ids(ids: Sequence[str], *columns: Any) -> None:
    if not len(ids):
        raise ValueError("there are no rows to make folds of")
    if any(len(column) != len(ids) for column in columns):
        raise ValueError(f"{len(ids)} ids, but columns of {', '.join(str(len(c)) for c in columns)} rows")
    if len(set(ids)) < len(ids):
        twice = next(a for a, b in pairwise(sorted(ids)) if a == b)
        raise ValueError(f"{twice}: an id that comes more than once")


def _named(which_L: Bools, names: Sequence[str]) -> str:
    return ", ".join(names[i] if len(names) else f"label {i}" for i in np.flatnonzero(which_L).tolist())
