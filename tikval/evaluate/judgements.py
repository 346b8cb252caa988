"""What a system's rows say of listed videos, as arrays: read file by file and column by column, for millions.

Shape letters: R rows of predictions, V videos of the catalog, N of them with a result, L labels.
"""

from collections import Counter
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.stats.arrays import Bools, Floats, Floats32, Ints
from tikval.stats.decisions import Decisions
from tikval.store.folder import Folder
from tikval.store.row_keys import KeyPlaces, keys_of

MISSING: Final = "missing"  # listed, but the system has no row of it


class Judgements(NamedTuple):
    """What the rows of a system come to, each video once."""

    judged: Bools  # [V] the N videos that have a result
    predicted: Decisions  # [N, L]
    modelled: Bools  # [L]
    times: int  # that one video was judged, at most
    left_out: Counter[str]  # videos without a result, by reason


def judgements_of(
    folder: Folder, places: KeyPlaces, n_videos: int, codebook: Codebook, system: str
) -> Judgements:
    """Read a system's rows of the V videos whose row keys have these places.

    Raises UserError for a label that is modelled for some videos only.
    """
    n_labels = len(codebook.labels)
    judged = _Judged(n_videos, n_labels)
    modelled, always = np.zeros(n_labels, bool), np.ones(n_labels, bool)
    for rows in folder.tables(["row_key", "error", "decisions"]):
        at = places.find(keys_of(rows["row_key"]))
        rows, at = rows.filter(pa.array(at >= 0)), at[at >= 0]
        good = np.asarray(rows["error"].is_null().to_numpy(), bool)
        some, known = _decisions(rows["decisions"].filter(pa.array(good)), n_labels, folder.uri)
        modelled |= known.any(0)
        always &= known.all(0)
        judged.add(at[good], some)
        judged.add_failed(at[~good], rows["error"].drop_null())
    if partly := [codebook.labels[i] for i in np.flatnonzero(modelled & ~always)]:
        raise UserError(f"{system}: modelled for some videos only: {', '.join(partly)}")
    return judged.judgements(modelled)


class _Judged:
    """What the rows so far have said of V videos."""

    def __init__(self, n_videos: int, n_labels: int) -> None:
        self._times_V = np.zeros(n_videos, np.uint16)
        self._predicted = Decisions.none(n_videos, n_labels)
        self._sums: Floats32 | None = None  # [V, L], once a video has been judged twice
        self._why_V = np.full(n_videos, -1, np.int16)  # places in `_reasons`
        self._reasons: dict[str, int] = {}

    def add(self, at: Ints, decided: NDArray[np.uint8]) -> None:
        """Decisions [R, L] on the videos `at` [R]."""
        np.add.at(self._times_V, at, 1)
        if self._sums is None and len(at) and self._times_V[at].max() > 1:
            self._sums = self._predicted[np.arange(len(self._times_V))].astype(np.float32)
        if self._sums is None:
            self._predicted.held[at] = Decisions.of(decided).held
        else:
            np.add.at(self._sums, at, decided)

    def add_failed(self, at: Ints, errors: pa.ChunkedArray) -> None:
        """Failures [R], of which a video's first tells why it has no result."""
        encoded = errors.combine_chunks().dictionary_encode()
        code = [self._reasons.setdefault(why, len(self._reasons)) for why in encoded.dictionary.to_pylist()]
        first = np.unique(at, return_index=True)[1]
        first = first[self._why_V[at[first]] < 0]
        self._why_V[at[first]] = np.array(code, np.int16)[encoded.indices.to_numpy()[first]]

    def judgements(self, modelled: Bools) -> Judgements:
        judged_V, times = self._times_V > 0, int(self._times_V.max(initial=0))
        why = np.bincount(self._why_V[~judged_V] + 1, minlength=len(self._reasons) + 1)
        left_out = Counter({reason: int(why[k + 1]) for reason, k in self._reasons.items() if why[k + 1]})
        if why[0]:
            left_out[MISSING] = int(why[0])
        predicted = self._predicted.only(judged_V)
        if self._sums is not None:
            shares = self._sums[judged_V] / self._times_V[judged_V, None]
            predicted = Decisions(shares.astype(np.float32), predicted.labels)
        return Judgements(judged_V, predicted, modelled, max(times, 1), left_out)


def rows_of_listed(folder: Folder, listed: pa.Table, column: str) -> tuple[pa.Table, Ints]:
    """A system's rows of videos that are listed with their `row_key`, and the place [R] of each in them."""
    keys = keys_of(listed["row_key"])
    rows = folder.read_listed(np.sort(keys), ["row_key", "error", column])
    return rows, KeyPlaces(keys).find(keys_of(rows["row_key"]))


def scores_of_videos(folder: Folder, videos: pa.Table, n_labels: int) -> Floats:
    """[N, L] the mean over a system's rows of each video, which has its `row_key`; nan where it gives none."""
    places = KeyPlaces(keys_of(videos["row_key"]))
    means, times_N = np.zeros((videos.num_rows, n_labels)), np.zeros(videos.num_rows)
    for rows in folder.tables(["row_key", "scores"]):
        rows = rows.filter(rows["scores"].is_valid())
        at = places.find(keys_of(rows["row_key"]))
        given = rows["scores"].filter(pa.array(at >= 0)).combine_chunks()
        if len(given):
            flat = given.flatten().to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1, n_labels)
            np.add.at(means, at[at >= 0], flat)
            np.add.at(times_N, at[at >= 0], 1.0)
    means[times_N == 0] = np.nan
    means /= np.maximum(times_N, 1)[:, None]
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
