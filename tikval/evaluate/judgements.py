"""What a system's rows say of listed videos, as arrays: read column by column, for millions.

Shape letters: R rows of predictions, N videos with a result, L labels.
"""

from collections import Counter
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.store.folder import Folder
from tikval.store.row_keys import keys_of

MISSING: Final = "missing"  # listed, but the system has no row of it


class Judgements(NamedTuple):
    """What the rows of a system come to, each video once."""

    place: Ints  # [N] in the catalog
    predicted: NDArray[Any]  # [N, L] as in SystemCorpus
    modelled: Bools  # [L]
    times: int  # that one video was judged, at most
    left_out: Counter[str]  # videos without a result, by reason


def judgements_of(folder: Folder, listed: pa.Table, codebook: Codebook, system: str) -> Judgements:
    """Read a system's rows of listed videos. Raises UserError for a label that is modelled for some videos only."""
    n_labels = len(codebook.labels)
    keys = keys_of(listed["row_key"])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    modelled, always = np.zeros(n_labels, bool), np.ones(n_labels, bool)
    predicted, at_good = [np.empty((0, n_labels), np.uint8)], [np.empty(0, np.int64)]
    reasons, at_failed = list[str](), [np.empty(0, np.int64)]
    for rows in folder.iter_listed(keys, ["row_key", "error", "decisions"]):
        at = order[np.searchsorted(keys, keys_of(rows["row_key"]))]
        good = np.asarray(rows["error"].is_null().to_numpy(), bool)
        some, known = _decisions(rows["decisions"].filter(pa.array(good)), n_labels, folder.uri)
        modelled |= known.any(0)
        always &= known.all(0)
        predicted.append(some)
        at_good.append(at[good])
        at_failed.append(at[~good])
        reasons += rows["error"].drop_null().to_pylist()
    if partly := [codebook.labels[i] for i in np.flatnonzero(modelled & ~always)]:
        raise UserError(f"{system}: modelled for some videos only: {', '.join(partly)}")
    at_R, at_f = np.concatenate(at_good), np.concatenate(at_failed)
    left_out = _errors(reasons, at_f, at_R)
    if never := listed.num_rows - int(
        np.bincount(np.concatenate([at_R, at_f]), minlength=1).astype(bool).sum()
    ):
        left_out[MISSING] = never
    predicted_RL, predicted = np.concatenate(predicted), []
    place_N, predicted_NL, times = _per_video(predicted_RL, at_R)
    return Judgements(place_N, predicted_NL, modelled, times, left_out)


def rows_of_listed(folder: Folder, listed: pa.Table, column: str) -> tuple[pa.Table, Ints]:
    """A system's rows of videos that are listed, and the place [R] of each in the catalog."""
    keys = keys_of(listed["row_key"])
    order = np.argsort(keys, kind="stable")
    rows = folder.read_listed(keys[order], ["row_key", "error", column])
    return rows, order[np.searchsorted(keys[order], keys_of(rows["row_key"]))]


def scores_of_videos(folder: Folder, videos: pa.Table, n_labels: int) -> Floats:
    """[N, L] the mean over a system's rows of each video; nan where it gives none."""
    rows, at_R = rows_of_listed(folder, videos, "scores")
    there_R = np.asarray(rows["scores"].is_valid().to_numpy(), bool)
    given = rows["scores"].filter(pa.array(there_R)).combine_chunks()
    sums, times = np.zeros((2, videos.num_rows, n_labels))
    if len(given):
        flat = given.flatten().to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1, n_labels)
        np.add.at(sums, at_R[there_R], flat)
        np.add.at(times, at_R[there_R], 1.0)
    means: Floats = np.divide(sums, times, out=np.full_like(sums, np.nan), where=times > 0)
    return means


def _decisions(column: pa.ChunkedArray, n_labels: int, where: str) -> tuple[NDArray[np.uint8], Bools]:
    """uint8 [R, L] predicted, bool [R, L] modelled, without a Python object per row."""
    array = column.combine_chunks()
    if len(array) == 0:
        return np.empty((0, n_labels), np.uint8), np.empty((0, n_labels), bool)
    lengths = pc.list_value_length(array)
    if array.null_count or pc.min(lengths).as_py() != n_labels or pc.max(lengths).as_py() != n_labels:
        raise UserError(f"{where}: a result does not have {n_labels} decisions")
    flat = array.flatten()
    predicted = pc.fill_null(flat, False).to_numpy(zero_copy_only=False).reshape(-1, n_labels)
    known = flat.is_valid().to_numpy(zero_copy_only=False).reshape(-1, n_labels)
    return predicted.astype(np.uint8), known


def _errors(reasons: list[str], at_f: Ints, at_good: Ints) -> Counter[str]:
    """Videos without any result, by the reason of one of their rows."""
    at, first = np.unique(at_f, return_index=True)
    without = first[~np.isin(at, at_good)]
    return Counter(reasons[place] for place in without)


def _per_video(predicted_RL: NDArray[np.uint8], at_R: Ints) -> tuple[Ints, NDArray[Any], int]:
    """Places in the catalog [N], what was predicted for each [N, L], and how often one was judged at most."""
    if np.bincount(at_R, minlength=1).max() <= 1:
        return at_R, predicted_RL, 1
    place, video_R, times = np.unique(at_R, return_inverse=True, return_counts=True)
    predicted = np.stack(
        [np.bincount(video_R, column, len(place)) / times for column in predicted_RL.T], axis=1
    )
    return place, predicted.astype(np.float32), int(times.max())
