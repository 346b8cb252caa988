"""Videos that show the same, by the cosine of their vectors: groups of them, and the pairs that hold them together.

A model's vectors crowd around their mean, so that the cosine of any two is near 1. Each dimension is therefore
centred by its mean and scaled by its standard deviation over the corpus; a threshold then means the same for
every model. A video that is a good part of the corpus is part of the mean too: its new encodings, though not its
exact copies, then look less alike. Vectors come as a stream of batches, anew for each pass; none need fit in memory.

Of a group of n videos n - 1 pairs are kept, a spanning forest: enough to see why they are one group, and no
square of what was uploaded a thousand times.

Shape letters: N videos, D width of a vector, K width of a sketch, L lists of a video, C centres of lists,
B rows of a batch, M rows that are compared with each other, I and J blocks of them, S rows on disk, E pairs.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tikval.stats.arrays import Ints

Floats = NDArray[np.float32]
# Batches of a few thousand rows: the place of each video, [B] in 0..N-1, and its vector, [B, D].
Stream = Callable[[], Iterator[tuple[Ints, Floats]]]

LEAST_VECTORS: Final = 8  # fewer give no scale
EXACT_VECTORS: Final = 20_000  # up to here all are compared with all; beyond, those that share a list
BLOCK: Final = 1024  # rows compared at once: 4 MB of cosines
SEEDS: Final = 64
SKETCH_WIDTH: Final = 128
# Of 4 sqrt(N). Among a million made-up vectors of 768, 3 of 19,542 planted pairs above 0.95 were missed; on two
# cores it took 275 s and 1.7 GB, with reading and writing the files.
LISTS_PER_VIDEO: Final = 12
VECTORS_PER_CENTRE: Final = 40  # that k-means learns from
_ROUNDING: Final = 1e-6  # of float32 cosines, so that equal vectors reach a threshold of 1


class Pairs(NamedTuple):
    a: Ints  # [E] place of one video
    b: Ints  # [E] and of the other, which is greater
    cosine: NDArray[np.float64]  # [E]

    @classmethod
    def of(cls, found: "list[Pairs]") -> Self:
        none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        return cls(*(np.concatenate(columns) for columns in zip(none, *found, strict=True)))


class Groups:
    """Disjoint sets of 0..N-1, each named by the least number in it."""

    def __init__(self, n: int) -> None:
        self.parent_N = np.arange(n)

    def of(self, at: Ints) -> Ints:
        """The name of each one's group."""
        root = self.parent_N[at]
        while not np.array_equal(above := self.parent_N[root], root):
            root = above
        self.parent_N[at] = root
        return root

    def join(self, a_E: Ints, b_E: Ints) -> NDArray[np.bool_]:
        """Make one group of the two of each pair, in order; bool [E]: where they were two."""
        joined_E = np.zeros(len(a_E), bool)
        for e, (a, b) in enumerate(zip(self.of(a_E).tolist(), self.of(b_E).tolist(), strict=True)):
            while (above := int(self.parent_N[a])) != a:  # since an earlier one of these pairs
                a = above
            while (above := int(self.parent_N[b])) != b:
                b = above
            self.parent_N[max(a, b)] = min(a, b)
            joined_E[e] = a != b
        return joined_E


class Scale:
    """Mean and spread of each dimension over a corpus, in float64, batch by batch (Chan, Golub and LeVeque 1983)."""

    def __init__(self, vectors: Stream) -> None:
        self.n = 0
        mean_D = squares_D = np.zeros(1)
        for _, x_BD in vectors():
            if n := len(x_BD):
                batch_D = x_BD.mean(axis=0, dtype=np.float64)
                step_D, total = batch_D - mean_D, self.n + n
                squares_D = squares_D + np.square(x_BD - batch_D).sum(0) + step_D**2 * (self.n * n / total)
                mean_D = mean_D + step_D * (n / total)
                self.n = total
        assert np.isfinite(squares_D).all(), "a vector holds what is no number"
        spread_D = np.sqrt(squares_D / max(self.n, 1))
        varies_D = spread_D > 1e-6 * np.abs(mean_D)  # less is the rounding of float32
        self.mean_D = mean_D
        self.inverse_D = np.divide(1, spread_D, out=np.zeros_like(spread_D), where=varies_D)

    def unit(self, x_BD: Floats) -> Floats:
        """Centred, scaled and of length 1, [B, D]; zeros for what lies at the mean itself."""
        return _unit(((x_BD - self.mean_D) * self.inverse_D).astype(np.float32))


def find_duplicates(vectors: Stream, groups: Groups, min_cosine: float, threads: int) -> Pairs:
    """Join the videos whose cosine is at least `min_cosine` (to 6 digits); return the pairs that joined two groups.

    Passes over the vectors: one to learn the scale, one for sketches if there are more than EXACT_VECTORS, one to
    copy those that may have a like to a scratch file, where they are compared exactly. Nothing is found among fewer
    than LEAST_VECTORS. Needs about 200 bytes of memory per video, however wide the vectors, and below TMPDIR 256
    bytes per video and 4 D for each that may have a like; raises OSError where that is full.
    """
    scale, n = Scale(vectors), len(groups.parent_N)
    if scale.n < LEAST_VECTORS:
        return Pairs.of([])
    few = scale.n <= EXACT_VECTORS
    near_N = np.zeros(n, np.int64) if few else _near(vectors, scale, n, min_cosine, threads)
    sizes = np.unique(near_N, return_counts=True)[1]
    rows_S = np.argsort(near_N, kind="stable")[np.repeat(sizes > 1, sizes)]
    if len(rows_S) == 0:
        return Pairs.of([])
    x_SD = _gather(vectors, scale, rows_S, n)
    found, end = [], 0
    for size in sizes[sizes > 1].tolist():
        begin, end = end, end + size
        found.append(link(x_SD[begin:end], rows_S[begin:end], groups, min_cosine - _ROUNDING))
    return Pairs.of(found)


def cosines(vectors: Stream, n: int, pairs: Pairs) -> NDArray[np.float64]:
    """Cosine of each pair of n videos, centred and scaled over these vectors, [E].

    nan where one of the two has no vector here, and everywhere if fewer than LEAST_VECTORS have one.
    """
    cosine_E = np.full(len(pairs.a), np.nan)
    if len(pairs.a) == 0 or (scale := Scale(vectors)).n < LEAST_VECTORS:
        return cosine_E
    rows_S = np.unique([pairs.a, pairs.b])
    x_SD = _gather(vectors, scale, rows_S, n)
    for block in _blocks(np.arange(len(cosine_E))):
        a_ED, b_ED = (x_SD[np.searchsorted(rows_S, ends[block])] for ends in pairs[:2])
        both_E = a_ED.any(axis=1) & b_ED.any(axis=1)
        cosine_E[block] = np.where(both_E, np.einsum("ed,ed->e", a_ED, b_ED), np.nan)
    return np.asarray(np.clip(cosine_E, -1, 1))


def link(x_MD: Floats, at_M: Ints, groups: Groups, min_cosine: float) -> Pairs:
    """Join those of M unit vectors, of the videos `at_M`, that are as near; return the pairs that joined two groups.

    Rows of one group are not compared, and all meet a few seeds first: so a video that was uploaded a hundred
    thousand times costs some passes and no square.
    """
    found: list[Pairs] = []
    order_M = np.arange(len(x_MD))

    def meet(rows_I: Ints, rows_J: Ints) -> None:
        if len(np.unique(groups.of(at_M[np.concatenate([rows_I, rows_J])]))) > 1:
            cosine_IJ = x_MD[rows_I] @ x_MD[rows_J].T
            if rows_I is rows_J:
                np.fill_diagonal(cosine_IJ, -1)
            found.extend(_meet(cosine_IJ, at_M[rows_I], at_M[rows_J], groups, min_cosine))

    if len(x_MD) > BLOCK:
        for rows_J in _blocks(order_M):
            meet(order_M[:: len(x_MD) // SEEDS], rows_J)
        order_M = np.argsort(groups.of(at_M), kind="stable")
    blocks = _blocks(order_M)
    for i, rows_I in enumerate(blocks):
        for rows_J in blocks[i:]:
            meet(rows_I, rows_J)
    return Pairs.of(found)


def _meet(cosine_IJ: Floats, at_I: Ints, at_J: Ints, groups: Groups, min_cosine: float) -> Iterator[Pairs]:
    """Rounds, in each of which every row that is near to another group joins the nearest."""
    near_IJ = cosine_IJ >= min_cosine
    while near_IJ.any():
        some_I, some_J = near_IJ.any(axis=1), near_IJ.any(axis=0)
        at_I, at_J = at_I[some_I], at_J[some_J]
        some = np.ix_(some_I, some_J)
        cosine_IJ = cosine_IJ[some]
        near_IJ = near_IJ[some] & (groups.of(at_I)[:, None] != groups.of(at_J))
        best_IJ = np.where(near_IJ, cosine_IJ, -1)
        i_E = np.concatenate([np.arange(len(at_I)), best_IJ.argmax(axis=0)])
        j_E = np.concatenate([best_IJ.argmax(axis=1), np.arange(len(at_J))])
        cosine_E = best_IJ[i_E, j_E].astype(np.float64)
        nearest_first = np.argsort(-cosine_E, kind="stable")[: (cosine_E > -1).sum()]
        a_E, b_E = np.sort([at_I[i_E], at_J[j_E]], axis=0)[:, nearest_first]
        new_E = groups.join(a_E, b_E)
        yield Pairs(a_E[new_E], b_E[new_E], np.minimum(cosine_E[nearest_first][new_E], 1))


def _near(vectors: Stream, scale: Scale, n: int, min_cosine: float, threads: int) -> Ints:
    """Names of groups, [N], in each of which lies all that may be as near: the groups that are sought, or larger ones.

    Each video joins the lists of the centres that its sketch, a random projection, is nearest to. Those that share
    a list are compared by their sketches.
    """
    import faiss  # 0.2 seconds that only a large corpus needs

    faiss.omp_set_num_threads(threads)
    rng, width = np.random.default_rng(0), len(scale.mean_D)
    k = min(SKETCH_WIDTH, width)
    project_DK = np.linalg.qr(rng.standard_normal((width, k)))[0].astype(np.float32)
    sketch_NK, has_N = _scratch(n, k, np.float16), np.zeros(n, bool)
    for at_B, x_BD in vectors():
        sketch_NK[at_B] = _unit(scale.unit(x_BD) @ project_DK)
        has_N[at_B] = True
    rows_R = np.flatnonzero(has_N)
    # a cosine r by k of D dimensions errs as a correlation of k samples does, by (1 - r^2) sqrt(1/k - 1/D) and less
    # as k nears D; five times that, and what float16 rounds off
    limit = min_cosine - 5 * (1 - min_cosine**2) * (1 / k - 1 / width) ** 0.5 - 1e-3
    centres = faiss.IndexFlatIP(k)
    centres.add(_centres(sketch_NK, rows_R, limit, rng))
    lists_RL = np.empty((len(rows_R), min(LISTS_PER_VIDEO, centres.ntotal)), np.int32)
    for block in _blocks(np.arange(len(rows_R))):
        lists_RL[block] = centres.search(sketch_NK[rows_R[block]].astype(np.float32), lists_RL.shape[1])[1]
    by_list = np.argsort(lists_RL, axis=None, kind="stable")
    by_list //= lists_RL.shape[1]
    near = Groups(n)
    for members in np.split(by_list, np.cumsum(np.bincount(lists_RL.ravel()))[:-1]):
        rows_M = rows_R[members]
        link(sketch_NK[rows_M].astype(np.float32), rows_M, near, limit)
    return near.of(np.arange(n))


def _centres(sketch_NK: NDArray[Any], rows_R: Ints, limit: float, rng: np.random.Generator) -> Floats:
    """Directions around which the sketches lie, [C, K], no two of them so near that two videos would be compared.

    k-means gives a popular video many centres: its copies would share them out, and some would never meet.
    """
    import faiss

    n = int(4 * len(rows_R) ** 0.5)
    sample = rng.choice(rows_R, min(len(rows_R), n * VECTORS_PER_CENTRE), replace=False)
    means = faiss.Kmeans(sketch_NK.shape[1], n, niter=4, spherical=True, min_points_per_centroid=1)
    means.train(sketch_NK[sample].astype(np.float32))
    kept_CK, c = np.empty((n, sketch_NK.shape[1]), np.float32), 0
    for centre_K in np.asarray(means.centroids):
        if (kept_CK[:c] @ centre_K).max(initial=-1) < limit:
            kept_CK[c] = centre_K
            c += 1
    return kept_CK[:c]


def _gather(vectors: Stream, scale: Scale, rows_S: Ints, n: int) -> Floats:
    """Unit vectors of some of n videos in a scratch file, [S, D]; zeros where a video has none."""
    place_N = np.full(n, -1)
    place_N[rows_S] = np.arange(len(rows_S))
    x_SD = _scratch(len(rows_S), len(scale.mean_D), np.float32)
    for at_B, x_BD in vectors():
        wanted_B = place_N[at_B] >= 0
        x_SD[place_N[at_B[wanted_B]]] = scale.unit(x_BD[wanted_B])
    return x_SD


def _scratch(rows: int, width: int, kind: type) -> NDArray[Any]:
    """Zeros on disk, in a file without a name that is gone with the process, however that ends."""
    with tempfile.TemporaryFile() as file:
        if hasattr(os, "posix_fallocate"):  # without it a full disk is a bus error, later
            os.posix_fallocate(file.fileno(), 0, rows * width * np.dtype(kind).itemsize)
        return np.memmap(file, kind, "w+", shape=(rows, width))


def _blocks(rows: Ints) -> list[Ints]:
    return [rows[at : at + BLOCK] for at in range(0, len(rows), BLOCK)]


def _unit(x: Floats) -> Floats:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12))
