"""What annotated videos can correct: how they were drawn, whom a corrected rate then speaks of, and what looks odd.

Shape letters: N videos with a result, n of them annotated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tikval.config import UserError
from tikval.evaluate.batches import BatchLabels
from tikval.evaluate.corpus import SystemCorpus
from tikval.evaluate.video_groups import are_whole, codes_by
from tikval.stats.adaptive import FOLDS, recalibrated
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.batch_rates import BatchSample
from tikval.stats.limits import counted
from tikval.stats.prevalence import Target, rate_sums
from tikval.stats.selection import SURE, chosen_by_group, selection_gaps

NOT_KNOWN: Final = (
    "how they were chosen is not known, so no rate is corrected: if they were drawn at random, say so "
    "(tikval analyze ... --annotated-by random, or accounts for whole accounts; annotated_by in the catalog's "
    "configuration), or try it with tikval prevalence OUT --assume-random"
)
_NO_WEIGHTS: Final = (
    "annotated_by is weights, but the annotations have no column probability: no rate is corrected"
)
_HOW: Final = {
    "random": "drawn at random, as the catalog says",
    "accounts": "whole accounts drawn at random, as the catalog says",
    "weights": "each weighed by the probability with which it was drawn",
    "teacher": "a simple random sample, drawn for that",
}
_ASSUMED: Final = (
    "assumed to be drawn at random (--assume-random), which nothing shows: else the corrected rates are wrong"
)
_NOT_BACK: Final = (
    "no batch of tikval annotate next has come back with its labels, so no rate is corrected yet"
)
_IN_BATCHES: Final = "each weighed by the probabilities that tikval annotate next has on record, of"
_NO_RECORDS: Final = (
    "their probabilities are those of several lists: those of tikval annotate next are right only with its records "
    "(the folder next of the analysis), which are not here; no rate is corrected"
)
_SEVERAL: Final = 1.5  # times the videos of the frame
_MOST_GROUPS: Final = 100  # that scores are recalibrated within


@dataclass(frozen=True)
class Drawing:
    """How the annotated videos of a corpus were drawn, as far as that is known."""

    how: str  # in words
    used: Bools  # [n] those that correct; all where nothing is corrected
    probability: Floats | None = None  # of those used; None: the same for all
    target: Target | None = None  # what corrected rates speak of; None: nothing is corrected
    of_accounts: bool = False  # whole accounts were drawn


def drawing_of(
    corpus: SystemCorpus, account_N: Ints, target: Target | None = None, *, assume_random: bool = False
) -> Drawing:
    """How the annotated videos were drawn. A corrected rate is of this corpus, where videos were drawn.

    Where whole accounts were drawn it is of accounts like these: raises UserError for the target `corpus` then.
    """
    none = Drawing(NOT_KNOWN, np.ones(len(corpus.labelled), bool))
    if corpus.is_human or not len(corpus.labelled):
        return none
    if corpus.batches is not None:
        return _of_batches(corpus, corpus.batches, target)
    known, by = ~np.isnan(corpus.probability), corpus.annotated_by
    how, probability = _HOW.get(by, ""), None
    used = np.ones(len(known), bool)
    if known.any():
        used, probability, how = known, corpus.probability[known], _HOW["weights"]
        if not known.all():
            how += f"; the {int((~known).sum())} without a probability correct nothing"
        if _are_of_several_lists(corpus, probability, account_N, corpus.labelled[used]):
            return Drawing(_NO_RECORDS, none.used)
    elif by == "weights":
        return Drawing(_NO_WEIGHTS, none.used)
    elif by == "unknown":
        if not assume_random:
            return none
        how = _ASSUMED
    of_accounts = by == "accounts" or (
        probability is not None and are_whole(account_N, corpus.labelled[used])
    )
    if of_accounts and target == "corpus":
        raise UserError(
            "--target corpus: whole accounts were drawn, so corrected rates can speak of accounts only"
        )
    return Drawing(how, used, probability, target or ("accounts" if of_accounts else "corpus"), of_accounts)


def _are_of_several_lists(
    corpus: SystemCorpus, probability_n: Floats, account_N: Ints, labelled: Ints
) -> bool:
    """Whether the weights come to far more videos than there are: those of one list sum to its frame."""
    frame = corpus.videos.num_rows + sum(corpus.left_out.values())
    return bool((1 / probability_n).sum() > _SEVERAL * frame) and not are_whole(account_N, labelled)


def _of_batches(corpus: SystemCorpus, batches: BatchLabels, target: Target | None) -> Drawing:
    if not batches.is_usable:
        return Drawing(_NOT_BACK, np.ones(len(corpus.labelled), bool))
    weight_n = batches.weights.weight[corpus.labelled]
    used = weight_n > 0
    parts = [counted(len(batches.counts), "draw"), *batches.notes]
    if not used.all():
        others = int((~used).sum())
        parts.append(
            f"{counted(others, 'label')} that no batch drew or knew correct{'s' * (others == 1)} nothing"
        )
    return Drawing(f"{_IN_BATCHES} {'; '.join(parts)}", used, 1 / weight_n[used], target or "corpus")


def sample_of_batches(
    corpus: SystemCorpus, batches: BatchLabels, at: Sequence[int], group_N: Ints, account_N: Ints
) -> BatchSample:
    """What batches have drawn, of the labels at places `at`, with scores recalibrated within groups of videos."""
    labelled, used_n = corpus.labelled, batches.weights.weight[corpus.labelled] > 0
    truth = corpus.truth[:, at]
    fold_N = np.arange(corpus.videos.num_rows) % FOLDS
    fold_N[labelled] = np.arange(len(labelled)) % FOLDS
    if int(group_N.max()) >= _MOST_GROUPS:
        group_N = np.zeros_like(group_N)
    p = [
        recalibrated(scores_of_label(corpus, k), group_N, fold_N, labelled, truth[:, place])
        for place, k in enumerate(at)
    ]
    cluster_N = np.unique(account_N, return_inverse=True)[1]
    return BatchSample(np.stack(p, axis=1), labelled[used_n], truth[used_n], batches.weights, cluster_N)


def scores_of_label(corpus: SystemCorpus, k: int) -> Floats:
    """[N] the system's scores of one label; where it gives none, what it decided."""
    if corpus.scores is not None and not np.isnan(corpus.scores[:, k]).any():
        return corpus.scores[:, k]
    return np.asarray(corpus.predicted[:, k], np.float64)


def warnings_of(corpus: SystemCorpus, drawing: Drawing, account_N: Ints) -> Iterator[str]:
    """What shows that the annotated videos were not drawn as it is said; nothing proves that they were."""
    if drawing.target is None:
        return
    labelled, truth = corpus.labelled[drawing.used], corpus.truth[drawing.used]
    sums = rate_sums(corpus.predicted, account_N, labelled, truth, drawing.probability)
    at = np.flatnonzero(corpus.modelled)
    gaps = selection_gaps(sums if len(at) == len(corpus.modelled) else sums.only(at))
    found = [k for k in range(len(at)) if gaps.p[k] < SURE / len(at)]
    if found:
        labels = corpus.codebook.labels
        worst = sorted(found, key=lambda k: -abs(gaps.annotated[k] - gaps.others[k]))[:3]
        shares = "; ".join(
            f"{labels[at[k]]} in {gaps.annotated[k]:.1%} of them and {gaps.others[k]:.1%} of the others"
            for k in worst
        )
        yield (
            f"warning: the annotated videos do not look drawn at random: {corpus.system} predicts {shares}"
            f"{f' ({len(found)} labels in all)' if len(found) > 1 else ''}; corrected rates may be wrong"
        )
    p = _by_genre(corpus, drawing, account_N, labelled)
    if p is not None and p < SURE:
        what = "accounts" if drawing.of_accounts else "videos"
        yield (
            f"warning: the annotated {what} do not look drawn at random: their genres are not those of all "
            f"{what} (p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}); corrected rates may be wrong"
        )


def _by_genre(corpus: SystemCorpus, drawing: Drawing, account_N: Ints, labelled: Ints) -> float | None:
    """p that genres are drawn alike: of videos, or of accounts where those were drawn; None where nothing tells."""
    genres = corpus.videos["genre"]
    if genres.null_count == len(genres) or drawing.probability is not None:
        return None
    code, names = codes_by(corpus.videos, "genre")
    chosen = np.zeros(len(code), bool)
    chosen[labelled] = True
    if drawing.of_accounts:
        _, first, account = np.unique(account_N, return_index=True, return_inverse=True)
        code, chosen = code[first], np.bincount(account, chosen) > 0
    sizes = np.bincount(code + 1, minlength=len(names) + 1).astype(np.float64)
    return chosen_by_group(np.bincount(code[chosen] + 1, minlength=len(sizes)).astype(np.float64), sizes)
