"""How often each value is endorsed and confronted in a study: by any column of its videos, raw and corrected.

The arithmetic is that of stats/prevalence.py and stats/circle.py; evaluate/annotated.py says what the annotated videos
can correct, and report/tables/prevalence.py prints it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import UserError
from tikval.evaluate.annotated import Drawing, drawing_of, sample_of_batches, warnings_of
from tikval.evaluate.corpus import SystemCorpus, read_system_corpus
from tikval.evaluate.video_groups import UNKNOWN, account_codes, codes_by, column_of
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.batch_rates import TOO_FEW_LABELLED, BatchSample
from tikval.stats.circle import MEASURES, REACH, Confusion, confusions, weights
from tikval.stats.decisions import Decisions
from tikval.stats.limits import NO_VARIANCE, few_accounts, why_no_interval
from tikval.stats.prevalence import (
    FEWEST,
    RateInterval,
    RateLine,
    RateSums,
    Target,
    corrected_rates,
    rate_sums,
    raw_rates,
    worth_by_group,
)
from tikval.store.runs import Study
from tikval.values import SLUGS

Weight = Literal["plays", "likes", "shares", "comments", "saves"]

RAW: Final = "not corrected for model error"
EVERY: Final = "all"
MIN_VIDEOS: Final = 5  # of a group that is shown by itself
SMALL_NAMED: Final = 50  # of the groups that are not shown by themselves
_CORRECTED: Final = "corrected: "
_COUNTED: Final = "every video is annotated, so what is in this corpus is counted and not estimated"
_TARGETS: Final = {
    "corpus": "corrected rates and their intervals speak of this corpus",
    "accounts": "intervals of corrected rates speak of accounts like these",
}


@dataclass(frozen=True)
class Prevalence:
    corpus: SystemCorpus
    by: str | None
    lines: list[RateLine]
    confusions: list[Confusion]  # empty without annotations, or with other values than Schwartz's
    notes: list[str]
    target: Target | None = None  # what the corrected rates speak of; None: there are none
    small: tuple[tuple[str, int], ...] = ()  # groups that are not shown by themselves, and their videos

    @property
    def header(self) -> str:
        return "human labels" if self.corpus.is_human else RAW


def prevalence_of(
    study: Study,
    system: str | None = None,
    by: str | None = None,
    annotator: str | None = None,
    *,
    min_videos: int = MIN_VIDEOS,
    target: Target | None = None,
    assume_random: bool = False,
    weight: Weight | None = None,
) -> Prevalence:
    """The rates of one system of a study. Raises UserError where it is unclear which, or nothing tells the groups.

    `weight`: what each video counts for, such as its plays; videos of which that is not known are left out.
    """
    if by is not None:
        column_of(by)  # raises for what is no column
    columns = [*([by] if by else []), *([weight] if weight else [])]
    corpus = read_system_corpus(study, system, annotator, columns)
    if weight:
        corpus = with_known_weights(corpus, weight)
    return prevalence_in(
        corpus, by, min_videos=min_videos, target=target, assume_random=assume_random, weight=weight
    )


def prevalence_in(
    corpus: SystemCorpus,
    by: str | None = None,
    *,
    min_videos: int = MIN_VIDEOS,
    target: Target | None = None,
    assume_random: bool = False,
    weight: Weight | None = None,
) -> Prevalence:
    """Rates of every label that is modelled, and on Schwartz's circle, in each group of videos.

    Raises UserError for a target that the drawing of the annotated videos does not allow.
    """
    n = corpus.videos.num_rows
    if n == 0:
        return _nothing(corpus, by)
    groups = _groups(corpus, by, min_videos)
    account_N, without = account_codes(corpus.videos)
    drawing = drawing_of(corpus, account_N, target, assume_random=assume_random)
    notes = [*warnings_of(corpus, drawing, account_N), *corpus.notes, *groups.notes]
    if without:
        notes.append(f"{without} of {n} videos have no account: each counts as an account of its own")
    cluster_N = np.arange(n, dtype=np.int32) if by == "account" else account_N
    if by == "account":
        notes.append("an account's interval takes its videos as independent")
    weight_N = (
        worth_by_group(corpus.videos[weight].to_numpy().astype(np.float64), groups.of) if weight else None
    )
    drawn = None
    if corpus.batches is not None and drawing.target is not None:
        modelled = np.flatnonzero(corpus.modelled).tolist()
        drawn = sample_of_batches(corpus, corpus.batches, modelled, groups.of, cluster_N)
    scores = corpus.known_scores if corpus.corrects_scores else None
    lines: list[RateLine] = []
    for name, at in zip(groups.names, _members(groups), strict=True):
        sums = _sums(corpus, corpus.predicted, drawing, cluster_N, at, weight_N)
        corrects = sums if scores is None else _sums(corpus, scores, drawing, cluster_N, at)
        here = drawn and drawn.inside(_mask(n, at))
        some = _lines(corpus, name, sums, corrects, drawing.target, here, of_videos=by == "account")
        lines += (replace(line, videos=n if at is None else len(at)) for line in some)
    notes += [] if weight else _notes_on_corrected(corpus, drawing)
    whole = len(corpus.labelled) and _on_circle(corpus) and not corpus.not_annotated
    found = _confusions(corpus, account_N[corpus.labelled]) if whole else []
    return Prevalence(corpus, by, lines, found, notes, drawing.target, groups.small)


@dataclass(frozen=True)
class _Groups:
    names: list[str]
    of: Ints  # [N] the place of each video's group in `names`
    small: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()


def _members(groups: _Groups) -> Iterator[Ints | None]:
    """The videos of each group, in their order; None: all of them."""
    if len(groups.names) == 1:
        yield None
        return
    order = np.argsort(groups.of, kind="stable").astype(np.int32)
    ends = np.cumsum(np.bincount(groups.of, minlength=len(groups.names)))
    yield from np.split(order, ends[:-1])


def _mask(n: int, at: Ints | None) -> Bools:
    inside = np.full(n, at is None)
    inside[slice(0) if at is None else at] = True
    return inside


def _sums(
    corpus: SystemCorpus,
    values: Floats | Decisions,
    drawing: Drawing,
    cluster_N: Ints,
    at: Ints | None,
    weight_N: Floats | None = None,
) -> RateSums:
    """Sums over the clusters of a group's videos, of a group at a time: those of all groups together are large."""
    used, weight = drawing.used, weight_N
    labelled = corpus.labelled[used]
    inside = np.arange(len(labelled))
    if at is not None:
        place = np.minimum(np.searchsorted(at, labelled), len(at) - 1)
        inside = np.flatnonzero(at[place] == labelled)
        labelled, cluster_N = place[inside], cluster_N[at]
        values = values.only(at) if isinstance(values, Decisions) else values[at]
        weight = None if weight_N is None else weight_N[at]
    cluster = _numbered(cluster_N)
    probability = None if drawing.probability is None else drawing.probability[inside]
    return rate_sums(values, cluster, labelled, corpus.truth[used][inside], probability, weight)


def _numbered(cluster_N: Ints) -> Ints:
    """Clusters numbered without a gap, in their order. Where they are so, nothing is sorted."""
    most = int(cluster_N.max()) + 1
    if most <= len(cluster_N) and np.bincount(cluster_N, minlength=most).all():
        return cluster_N
    return np.unique(cluster_N, return_inverse=True)[1]


def with_known_weights(corpus: SystemCorpus, weight: Weight) -> SystemCorpus:
    """The videos of which a source tells how often they were played, liked ..., without annotations.

    A correction by annotated videos speaks of videos, and not of their plays. Raises UserError where none is known.
    """
    known_N = np.asarray(pc.greater(pc.fill_null(corpus.videos[weight], 0), 0).to_numpy(), bool)
    n_known = int(known_N.sum())
    if not n_known:
        raise UserError(
            f"--weight {weight}: no video has any; an export of the posts tells them (analyze EXPORT --media FOLDER)"
        )
    notes = [f"each video counts by its {weight}; nothing is corrected by annotated videos", *corpus.notes]
    if n_known < len(known_N):
        notes.append(
            f"{len(known_N) - n_known} of {len(known_N)} videos are left out: their {weight} are not known, or 0"
        )
    none = np.empty(0, np.int64)
    return replace(
        corpus,
        predicted=corpus.predicted.only(known_N),
        videos=corpus.videos.filter(pa.array(known_N)),
        labelled=none,
        truth=corpus.truth[:0],
        probability=corpus.probability[:0],
        batches=None,
        teacher=None,
        corrects_scores=False,
        notes=notes,
    )


def _notes_on_corrected(corpus: SystemCorpus, drawing: Drawing) -> list[str]:
    n, labelled = corpus.videos.num_rows, len(corpus.labelled)
    if corpus.is_human:
        return []
    if not labelled:
        return ["no label that could correct it: nothing is corrected"]
    notes = [f"{labelled} of {n} videos are annotated; {drawing.how}"]
    if corpus.teacher:
        notes = [
            f"{labelled} of {n} videos were answered by {corpus.teacher}, {drawing.how}: corrected rates are what "
            f"{corpus.teacher} would say of all videos, right or wrong, and not the truth's"
        ]
    if drawing.target is not None:
        notes.append(_TARGETS[drawing.target])
        notes.append(f"a rate that fewer than {FEWEST} annotated videos have, or lack, is not corrected")
    return notes


def _nothing(corpus: SystemCorpus, by: str | None) -> Prevalence:
    """What is known of a system without any result: no number of any label."""
    what = [*corpus.codebook.labels, *(MEASURES if _on_circle(corpus) else ())]
    lines = [RateLine(EVERY, name, 0, 0, 0, *[None] * 6) for name in what]  # type: ignore[arg-type]
    return Prevalence(corpus, by, lines, [], [*corpus.notes, "no video has a result"])


def _lines(
    corpus: SystemCorpus,
    group: str,
    sums: RateSums,
    corrects: RateSums,
    target: Target | None,
    drawn: BatchSample | None,
    *,
    of_videos: bool,
) -> Iterator[RateLine]:
    """Labels first, then the circle's groups and axes where all their labels are modelled."""
    at, labels = np.flatnonzero(corpus.modelled), corpus.codebook.labels
    some, mends = (each if len(at) == len(labels) else each.only(at) for each in (sums, corrects))
    parts: list[tuple[list[str], RateSums, RateSums, Floats | None]] = [
        ([labels[i] for i in at.tolist()], some, mends, None)
    ]
    if _on_circle(corpus):
        weights_LM = weights()
        whole = [m for m in range(len(MEASURES)) if not weights_LM[~corpus.modelled, m].any()]
        of_circle, mends = (each.times(weights_LM[:, whole]) for each in (sums, corrects))
        parts.append(([MEASURES[m] for m in whole], of_circle, mends, REACH[whole]))
    why, why_corrected = (why_no_interval(sizes) for sizes in (sums.videos, sums.labelled))
    if of_videos:
        why = why and why.replace("account", "video")
        why_corrected = why_corrected and why_corrected.replace("account", "video")
    if target == "corpus" and len(sums.sample.cluster) == sums.videos.sum():
        why_corrected = why_corrected or _COUNTED
    if drawn is not None:
        why_corrected = why_corrected or TOO_FEW_LABELLED
    silent = [np.isin(at, corpus.not_annotated)]  # of these nothing can be corrected
    if len(parts) > 1:
        silent.append(np.asarray(weights_LM[list(corpus.not_annotated)][:, whole].any(0)))
    for (names, part, mends, reach), silent_K in zip(parts, silent, strict=True):
        predicted = raw_rates(part, reach)
        mended = corrected_rates(mends, target, reach) if target and drawn is None else None
        if drawn is not None and reach is None:
            mended = drawn.rates(of_accounts=target == "accounts")
        elif drawn is not None and reach is not None:
            mended = drawn.measures(weights_LM[at][:, whole], reach, of_accounts=target == "accounts")
        for k, what in enumerate(names):
            raw, corrected = _numbers(predicted, k), _numbers(None if silent_K[k] else mended, k)
            yield RateLine(
                group,
                what,
                int(part.videos.sum()),
                len(part.videos),
                0 if silent_K[k] else len(part.sample.cluster),
                *raw,  # type: ignore[arg-type]
                *corrected,
                _why(raw, why),
                _why(corrected, why_corrected),
            )


_Numbers = tuple[float | None, float | None, float | None]  # estimate, low, high


def _numbers(interval: RateInterval | None, k: int) -> _Numbers:
    if interval is None:
        return None, None, None
    estimate, low, high = (None if np.isnan(end[k]) else float(end[k]) for end in interval)
    return estimate, low, high


def _why(numbers: _Numbers, too_few: str | None) -> str | None:
    """Why a number has no interval; None where there is one, and where there is no number."""
    estimate, low, _ = numbers
    return None if estimate is None or low is not None else too_few or NO_VARIANCE


def why_no_ends(lines: Sequence[RateLine], *, of_accounts: bool = True) -> list[str]:
    """Why rates of one group have no interval, each reason once; or that few accounts decide those that there are."""
    reasons: dict[str, list[str]] = {}
    for line in lines:
        for which, why in (("", line.why_none), (_CORRECTED, line.why_none_corrected)):
            if why:
                reasons.setdefault(f"{which}{why}", []).append(line.what.replace("_", " "))
    found = [
        f"{', '.join(of)}: {why}" if why.endswith(NO_VARIANCE) else why
        for why, of in reasons.items()
        if not (why.startswith(_CORRECTED) and why.removeprefix(_CORRECTED) in reasons)
    ]
    if (
        of_accounts
        and any(line.low is not None for line in lines)
        and (few := few_accounts(lines[0].clusters))
    ):
        found.append(few)
    return found


def small_groups(small: Sequence[tuple[str, int]]) -> str:
    """The groups that are not shown by themselves, and how many videos each has."""
    named = ", ".join(f"{name} ({videos:,})" for name, videos in small[:SMALL_NAMED])
    more = len(small) - SMALL_NAMED
    return f"in other, with fewer videos: {named}{f' and {more:,} more' if more > 0 else ''}"


def _on_circle(corpus: SystemCorpus) -> bool:
    return corpus.codebook.slugs == SLUGS


def _confusions(corpus: SystemCorpus, account_n: Ints) -> list[Confusion]:
    """Where on the circle a system errs; a label counts that at least half of its judgements of a video have."""
    predicted = corpus.predicted[corpus.labelled] >= 0.5
    return confusions(corpus.truth, predicted, np.unique(account_n, return_inverse=True)[1])


def _groups(corpus: SystemCorpus, by: str | None, min_videos: int) -> _Groups:
    """The groups that are shown; what has too few videos is one group."""
    if by is None:
        return _Groups([EVERY], np.zeros(corpus.videos.num_rows, np.int32))
    code, names = codes_by(corpus.videos, by)
    sizes = np.bincount(code[code >= 0], minlength=len(names))
    shown = [g for g in range(len(names)) if sizes[g] >= min_videos]
    few = sorted((g for g in range(len(names)) if sizes[g] < min_videos), key=lambda g: -sizes[g])
    groups = [names[g] for g in shown]
    place = np.full(len(names) + 1, len(groups), np.int32)  # by code; the last is that of -1
    place[shown] = np.arange(len(shown))
    if few:
        groups.append(f"other (fewer than {min_videos} videos each)")
    if (code < 0).any():
        place[-1] = len(groups)
        groups.append(UNKNOWN)
    notes = (
        (f"each {by} with fewer than {min_videos} videos ({len(few)} of {len(names)}) is shown in one group",)
        if few
        else ()
    )
    return _Groups(groups, place[code], tuple((names[g], int(sizes[g])) for g in few), notes)
