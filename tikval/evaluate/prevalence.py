"""How often each value is endorsed and confronted in a study: by account, genre or month, raw and corrected.

The arithmetic is that of stats/prevalence.py and stats/circle.py; report/tables/prevalence.py prints it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import UserError
from tikval.evaluate.corpus import SystemCorpus, read_system_corpus
from tikval.stats.arrays import Ints
from tikval.stats.circle import MEASURES, Confusion, confusions, weights
from tikval.stats.prevalence import (
    FEWEST,
    RateInterval,
    RateLine,
    RateSums,
    corrected_rates,
    rate_sums,
    raw_rates,
)
from tikval.store.runs import Study
from tikval.values import SLUGS

BY: Final = ("account", "genre", "month")
RAW: Final = "not corrected for model error"
EVERY: Final = "all"
UNKNOWN: Final = "not given"
MIN_VIDEOS: Final = 5  # of a group that is shown by itself
RANDOM: Final = "the corrected rates hold only if the annotated videos are a random part of the corpus"


@dataclass(frozen=True)
class Prevalence:
    corpus: SystemCorpus
    by: str | None
    lines: list[RateLine]
    confusions: list[Confusion]  # empty without annotations, or with other values than Schwartz's
    notes: list[str]

    @property
    def header(self) -> str:
        return "human labels" if self.corpus.is_human else RAW


def prevalence_of(
    study: Study, system: str | None = None, by: str | None = None, annotator: str | None = None
) -> Prevalence:
    """The rates of one system of a study. Raises UserError where it is unclear which, or nothing tells the groups."""
    if by is not None and by not in BY:
        raise UserError(f"--by {by}: not one of {', '.join(BY)}")
    return prevalence_in(read_system_corpus(study, system, annotator), by)


def prevalence_in(corpus: SystemCorpus, by: str | None = None, min_videos: int = MIN_VIDEOS) -> Prevalence:
    """Rates of every label that is modelled, and on Schwartz's circle, in each group of videos."""
    n = corpus.videos.num_rows
    if n == 0:
        return _nothing(corpus, by)
    names, group_N, notes = _groups(corpus, by, min_videos)
    account_N, without = _accounts(corpus)
    notes = [*corpus.notes, *notes]
    if without:
        notes.append(f"{without} of {n} videos have no account: each counts as an account of its own")
    cluster_N = np.arange(n) if by == "account" else account_N
    if by == "account":
        notes.append("an account's interval takes its videos as independent")
    many = int(cluster_N.max()) + 1
    cells, cell_N = np.unique(group_N * many + cluster_N, return_inverse=True)  # an account within a group
    sums = rate_sums(corpus.predicted, cell_N, corpus.labelled, corpus.truth)
    ends = np.searchsorted(cells // many, np.arange(len(names) + 1))
    lines: list[RateLine] = []
    for name, begin, end in zip(names, ends[:-1], ends[1:], strict=True):
        lines += _lines(corpus, name, int(end - begin), sums.part(slice(begin, end)))
    labelled = len(corpus.labelled)
    if labelled:
        notes.append(f"{labelled} of {n} videos are annotated; {RANDOM}")
        notes.append(f"a rate that fewer than {FEWEST} annotated videos have, or lack, is not corrected")
    else:
        notes += [] if corpus.is_human else ["no annotated video: nothing can be corrected"]
    found = _confusions(corpus, account_N[corpus.labelled]) if labelled and _on_circle(corpus) else []
    return Prevalence(corpus, by, lines, found, notes)


def _nothing(corpus: SystemCorpus, by: str | None) -> Prevalence:
    """What is known of a system without any result: no number of any label."""
    what = [*corpus.codebook.labels, *(MEASURES if _on_circle(corpus) else ())]
    lines = [RateLine(EVERY, name, 0, 0, 0, *[None] * 6) for name in what]  # type: ignore[arg-type]
    return Prevalence(corpus, by, lines, [], [*corpus.notes, "no video has a result"])


def _lines(corpus: SystemCorpus, group: str, clusters: int, sums: RateSums) -> Iterator[RateLine]:
    """Labels first, then the circle's groups and axes where all their labels are modelled."""
    at, labels = np.flatnonzero(corpus.modelled), corpus.codebook.labels
    some = sums if len(at) == len(labels) else sums.only(at)
    parts = [([labels[i] for i in at.tolist()], some, True)]
    if _on_circle(corpus):
        weights_LM = weights()
        whole = [m for m in range(len(MEASURES)) if not weights_LM[~corpus.modelled, m].any()]
        parts.append(([MEASURES[m] for m in whole], sums.times(weights_LM[:, whole]), False))
    for names, part, shares in parts:
        predicted, mended = raw_rates(part, shares=shares), corrected_rates(part, shares=shares)
        for k, what in enumerate(names):
            yield RateLine(
                group,
                what,
                int(part.videos.sum()),
                clusters,
                int(part.labelled.sum()),
                *_numbers(predicted, k),  # type: ignore[arg-type]
                *_numbers(mended, k),
            )


def _numbers(interval: RateInterval, k: int) -> list[float | None]:
    return [None if np.isnan(end[k]) else float(end[k]) for end in interval]


def _on_circle(corpus: SystemCorpus) -> bool:
    return corpus.codebook.slugs == SLUGS


def _confusions(corpus: SystemCorpus, account_n: Ints) -> list[Confusion]:
    """Where on the circle a system errs; a label counts that at least half of its judgements of a video have."""
    predicted = corpus.predicted[corpus.labelled] >= 0.5
    return confusions(corpus.truth, predicted, np.unique(account_n, return_inverse=True)[1])


def _accounts(corpus: SystemCorpus) -> tuple[Ints, int]:
    """Numbers of accounts [N], those without one each by itself; and how many have none."""
    code, names = _codes(corpus.videos["account"])
    none = code < 0
    code[none] = len(names) + np.arange(none.sum())
    return code, int(none.sum())


def _groups(corpus: SystemCorpus, by: str | None, min_videos: int) -> tuple[list[str], Ints, list[str]]:
    """Names of groups, the group of each video [N], and notes about them."""
    if by is None:
        return [EVERY], np.zeros(corpus.videos.num_rows, np.int64), []
    code, names = _codes(_months(corpus.videos) if by == "month" else corpus.videos[by])
    if not names:
        column = "posted_at" if by == "month" else by
        raise UserError(f"no video has a {by}; give a manifest with the column {column}")
    sizes = np.bincount(code[code >= 0], minlength=len(names))
    shown = sorted((g for g in range(len(names)) if sizes[g] >= min_videos), key=names.__getitem__)
    few = len(names) - len(shown)
    groups, notes = [names[g] for g in shown], list[str]()
    place = np.full(len(names) + 1, len(groups))  # by code; the last is that of -1
    place[shown] = np.arange(len(shown))
    if few:
        groups.append(f"other (fewer than {min_videos} videos each)")
        notes.append(
            f"each {by} with fewer than {min_videos} videos ({few} of {len(names)}) is shown in one group"
        )
    if (code < 0).any():
        place[-1] = len(groups)
        groups.append(UNKNOWN)
    return groups, place[code], notes


def _codes(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """Numbers [N], -1 where there is none, and the names they stand for."""
    encoded = column.combine_chunks().dictionary_encode()
    code = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return code, encoded.dictionary.to_pylist()


def _months(videos: pa.Table) -> pa.ChunkedArray:
    """2026-03 in UTC."""
    when = videos["posted_at"].cast(pa.timestamp("us")).combine_chunks().to_numpy(zero_copy_only=False)
    months = np.datetime_as_string(when.astype("datetime64[M]")).astype(object)
    return pa.chunked_array([pa.array(np.where(np.isnat(when), None, months), pa.string())])
