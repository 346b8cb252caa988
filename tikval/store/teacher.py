"""Distillation's labels: which videos a strong system, the teacher, answers, and what a small one learns from that.

The sample is simple random: the videos whose number, a hash of the row key, is smallest. So a larger
sample holds the smaller one, a new video displaces few, and what was paid for is used again. Nothing is stored of it:
size and keys of the videos tell it.

Shape letters: N videos, n of them drawn, m of these with an answer, L labels.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from tikval.config import JobConfig
from tikval.store.folder import Folder
from tikval.store.row_keys import contains, draw_number, keys_of

_COLUMNS: Final = ["row_key", "error", "decisions", "scores", "votes", "cost_usd"]
_SEED: Final = 0  # one for all: heads and encoders learn from the same answers, which are paid for once
NOT_ASKED_YET: Final = "not asked yet"  # in the place of a reason


class TeacherAnswers(NamedTuple):
    """What the teacher says of the videos of the sample that it could judge, by key."""

    keys: np.ndarray  # S16 [m] sorted
    # [m, L] in [0, 1]: shares of several replies, else decisions; nan: it does not model the label
    targets: NDArray[np.float64]
    decisions: NDArray[np.bool_]  # [m, L]
    failed: dict[str, int]  # drawn and without an answer, by reason: of these nothing is learnt
    usd: float | None  # paid for the sample; None: nothing has a price


def sample_keys(keys: np.ndarray, n: int) -> np.ndarray:
    """The row keys of a simple random sample, S16 [min(n, N)] sorted, of `keys` S16 [N]; whatever their order."""
    keys = np.unique(keys)
    if n >= len(keys):
        return keys
    raw = keys.tobytes()  # an element alone would lose the zeros at its end
    numbers = [draw_number(_SEED, raw[at : at + 16].hex()) for at in range(0, len(raw), 16)]
    return np.sort(keys[np.argsort(numbers, kind="stable")[:n]])


def usable_keys(source: Folder, catalog: Folder) -> np.ndarray:
    """Row keys of the listed videos that have something to judge, S16 sorted: what is drawn from."""
    table = source.read(["row_key", "error"])
    keys = keys_of(table.filter(pc.is_null(table["error"]))["row_key"])
    return np.sort(keys[contains(catalog.sorted_keys(), keys)])


def folder_in_study(folder: Folder, config: JobConfig) -> Folder:
    """The folder of another stage: beside this one, wherever the study was moved, else where it was computed."""
    here = Folder(f"{folder.uri.rpartition('/')[0]}/{Folder(config.folder).name}")
    return here if here.run() else Folder(config.folder)


def teacher_answers(folder: Folder, sample: np.ndarray) -> TeacherAnswers:
    """The teacher's answers to the sample, S16 [n] sorted."""
    table = folder.read_listed(sample, _COLUMNS).sort_by("row_key")
    good = table.filter(pc.is_null(table["error"]))
    rows: list[Any] = good.to_pylist()
    failed = Counter(table["error"].drop_null().to_pylist())
    failed[NOT_ASKED_YET] = len(sample) - table.num_rows
    usd = pc.sum(table["cost_usd"]).as_py()
    decisions = _matrix([row["decisions"] for row in rows])
    # the shares of several replies; other scores are no probabilities
    soft = [row["decisions"] if row["votes"] is None else row["scores"] for row in rows]
    return TeacherAnswers(keys_of(good["row_key"]), _matrix(soft), decisions == 1, dict(+failed), usd)


def _matrix(lists: Sequence[Sequence[float | None]]) -> NDArray[np.float64]:
    """[m, L]; nan for None."""
    matrix: NDArray[np.float64] = np.array(lists, np.float64).reshape(len(lists), -1 if lists else 0)
    return matrix
