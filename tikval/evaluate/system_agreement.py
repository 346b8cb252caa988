"""How often systems agree with each other, where nothing says which of them is right.

N videos that both judged, L labels that both model.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from tikval.evaluate.corpus import SystemCorpus
from tikval.stats.agreement import agreement_of
from tikval.stats.arrays import Bools


class SystemAgreement(NamedTuple):
    """Two systems, by the numbers of stats/agreement.py, as binary codes; nan where no video was judged by both."""

    system_a: str
    system_b: str
    n_videos: int
    n_labels: int
    observed: float  # share of decisions, each of one label in one video, that are the same
    ac1: float  # the same beyond chance, which agrees on what is absent nearly always
    positive: float  # of the labels that one gives, how many the other gives too: the F1 of either against the other


def system_agreements(corpora: Sequence[SystemCorpus]) -> list[SystemAgreement]:
    """The agreement of each pair of systems over one codebook, whose videos have their ids."""
    return [_of_pair(a, b) for a, b in itertools.combinations(corpora, 2)]


def _of_pair(a: SystemCorpus, b: SystemCorpus) -> SystemAgreement:
    both_L = a.modelled & b.modelled
    place = pc.index_in(a.videos["video_id"], b.videos["video_id"].combine_chunks())
    here_A = np.asarray(place.is_valid().to_numpy(), bool)
    at_N = np.asarray(place.drop_null().to_numpy(), np.int64)
    n_videos, n_labels = int(here_A.sum()), int(both_L.sum())
    nothing = (float("nan"),) * 3
    if not n_videos or not n_labels:
        return SystemAgreement(a.system, b.system, n_videos, n_labels, *nothing)
    codes = np.stack([_decided(a, both_L)[here_A], _decided(b, both_L)[at_N]]).astype(np.int8)
    pool, clusters = np.ones((1, n_labels), bool), np.arange(n_videos)
    (line,) = agreement_of(codes, 2, 0, pool, clusters)
    numbers = (line.coefficients[name].value for name in ("observed", "ac1", "positive"))
    return SystemAgreement(a.system, b.system, n_videos, n_labels, *numbers)


def _decided(corpus: SystemCorpus, labels: Bools) -> Bools:
    """[N, L'] of several judgements of a video, the majority's."""
    return np.stack([corpus.predicted[:, k] >= 0.5 for k in np.flatnonzero(labels).tolist()], axis=1)
