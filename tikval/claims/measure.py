"""Every claim in every way: corrected and raw by each system, and by the annotators alone."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from tikval.claims.measured import (
    FEWEST_ACCOUNTS_OF_GROUP,
    FEWEST_POSITIVES_OF_GROUP,
    MeasuredClaim,
    Way,
)
from tikval.claims.population import NO_LABEL, ClaimView, LabelWeights, Population
from tikval.claims.sides import Sides
from tikval.config.claims import Claim, ClaimsConfig
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.claims import (
    AccountMeans,
    MeanTest,
    account_means,
    contrast_test,
    labels_for_error,
    mean_test,
)
from tikval.stats.limits import NO_VARIANCE
from tikval.stats.student import t_critical, t_two_sided

_MOST_SHARED: Final = 0.5  # of the accounts of both groups: from here on a contrast is one within accounts


class LabelValues(NamedTuple):
    """What one way of measuring gives for one label."""

    value: Floats  # [N]
    variance: Floats | None  # [N] over draws of labels
    weight: Floats | None  # [N] of each video in its account's mean; None: one each
    used: Bools  # [N] videos that are measured


class _Asked(NamedTuple):
    """One claim in one way."""

    name: str
    claim: Claim
    label: int
    way: Way
    view: ClaimView


def measure_claims(config: ClaimsConfig, population: Population) -> list[MeasuredClaim]:
    """Every claim in every way; the corrected one of the system that decides stands first of each claim's."""
    found = list[MeasuredClaim]()
    for n, view in enumerate(population.views):
        for label_name in dict.fromkeys(claim.label for claim in config.claims.values()):
            label = population.labels.index(label_name)
            ways = list(_ways(view, label, with_annotated=n == 0))
            for name, claim in config.claims.items():
                if claim.label == label_name:
                    found += [
                        _measured(_Asked(name, claim, label, way, view), values, why)
                        for way, values, why in ways
                    ]
    return found


def _ways(
    view: ClaimView, label: int, *, with_annotated: bool
) -> Iterator[tuple[Way, LabelValues | None, str | None]]:
    """What each way gives for a label, or why it gives nothing."""
    everywhere = np.ones(len(view.account), bool)
    looked = label not in view.corpus.not_annotated
    labels = view.labels
    why = view.why_raw if labels is None else None if looked else "the annotators did not look for it"
    corrected = None
    if labels is not None and looked:
        corrected = LabelValues(*_phi(view, labels, label), None, everywhere)
    yield "corrected", corrected, why
    if view.corpus.modelled[label]:
        yield (
            "raw",
            LabelValues(view.corpus.predicted[:, label].astype(np.float64), None, None, everywhere),
            None,
        )
    else:
        yield "raw", None, "the system does not model it"
    if with_annotated:
        alone = _alone(view, labels, label) if labels is not None and looked else None
        yield "annotated", alone, why


def _phi(view: ClaimView, labels: LabelWeights, label: int) -> tuple[Floats, Floats]:
    """[N] φ of each video, and what drawing labels adds to its variance."""
    value, variance = view.expected(label), np.zeros(len(view.account))
    rest_n = labels.truth[:, label] - value[labels.labelled]
    value[labels.labelled] += labels.weight * rest_n
    variance[labels.labelled] = labels.factor * rest_n**2
    return value, variance


def _alone(view: ClaimView, labels: LabelWeights, label: int) -> LabelValues:
    """The labels by themselves, each for as many videos as it stands for."""
    value, weight, used = np.zeros((3, len(view.account)))
    value[labels.labelled], weight[labels.labelled] = labels.truth[:, label], labels.weight
    used[labels.labelled] = 1
    return LabelValues(value, None, weight, used > 0)


def _measured(asked: _Asked, values: LabelValues | None, why: str | None) -> MeasuredClaim:
    sides, view = asked.view.sides[asked.name], asked.view
    labels = view.labels
    if values is None:
        return _row(asked, sides, None, why_none=why, too_few="labels" if why == NO_LABEL else None)
    means_a = _means(view, values, sides.a)
    means_b = None if sides.b is None else _means(view, values, sides.b)
    if len(means_a.mean) == 0 or (means_b is not None and len(means_b.mean) == 0):
        return _row(asked, sides, None, means=(means_a, means_b), why_none="no account has such a video")
    shared = (
        np.intersect1d(means_a.account, means_b.account) if means_b is not None else np.empty(0, np.int64)
    )
    if means_b is None:
        test = mean_test(means_a.mean, _number(asked.claim), asked.claim.direction)
    elif sides.within or len(shared) >= _MOST_SHARED * len(np.union1d(means_a.account, means_b.account)):
        means_a, means_b = _both(means_a, shared), _both(means_b, shared)
        if len(shared) == 0:
            return _row(
                asked, sides, None, means=(means_a, means_b), why_none="no account has videos on both sides"
            )
        test = mean_test(means_a.mean - means_b.mean, 0.0, asked.claim.direction)
    elif len(shared):
        why = (
            f"{len(shared)} accounts are in both groups and most are not: neither a contrast between accounts nor "
            "one within them"
        )
        return _row(asked, sides, None, means=(means_a, means_b), why_none=why)
    else:
        test = contrast_test(means_a.mean, means_b.mean, asked.claim.direction)
    is_within = bool(len(shared))
    too_few, why = _too_few(asked, sides, means_a, None if is_within else means_b, labels)
    return _row(asked, sides, test, means=(means_a, means_b), within=is_within, why_none=why, too_few=too_few)


def _number(claim: Claim) -> float:
    assert isinstance(claim.against, float)
    return claim.against


def _means(view: ClaimView, values: LabelValues, side_N: Bools) -> AccountMeans:
    return account_means(values.value, view.account, side_N & values.used, values.variance, values.weight)


def _both(means: AccountMeans, shared: Ints) -> AccountMeans:
    """Those of the accounts that have both sides."""
    at = np.isin(means.account, shared)
    n_before, n = len(means.account), max(1, int(at.sum()))
    # of fewer accounts the mean's variance is larger, about
    variance = means.label_variance * n_before / n
    return AccountMeans(means.account[at], means.mean[at], means.videos[at], variance)


def _too_few(
    asked: _Asked, sides: Sides, a: AccountMeans, b: AccountMeans | None, labels: LabelWeights | None
) -> tuple[str | None, str | None]:
    """What there is too little of for a p, and the words for it."""
    accounts = [len(a.account), *([len(b.account)] if b is not None else [])]
    if min(accounts) < FEWEST_ACCOUNTS_OF_GROUP:
        here = " and ".join(map(str, accounts))
        return (
            "accounts",
            f"{here} accounts: fewer than {FEWEST_ACCOUNTS_OF_GROUP} in a group are too few for a test",
        )
    if asked.way == "raw" or labels is None:
        return None, None
    positives = [_positives(labels, asked.label, side) for side in sides[:2] if side is not None]
    if min(positives) >= FEWEST_POSITIVES_OF_GROUP:
        return None, None
    here = " and ".join(map(str, positives))
    why = f"{here} labelled videos have it: fewer than {FEWEST_POSITIVES_OF_GROUP} in a group are too few for a test"
    return "labels", f"{why}; {_until_enough(labels, asked.label, sides)}"


def _until_enough(labels: LabelWeights, label: int, sides: Sides) -> str:
    """How many labels more would bring enough videos that have it, drawn as evenly as before."""
    needed, left = 0.0, 0
    for side in sides[:2]:
        if side is not None:
            inside = side[labels.labelled]
            positives = int(labels.truth[inside, label].sum())
            rate = (positives + 0.5) / (int(inside.sum()) + 1) * inside.sum() / max(1, len(inside))
            needed = max(needed, (FEWEST_POSITIVES_OF_GROUP - positives) / max(rate, 1e-9))
            left = max(left, len(side) - len(labels.labelled))
    if needed > left:
        return "labels of all videos would bring no more, about"
    return f"some {int(np.ceil(needed)):,} more labels would bring as many, about"


def _positives(labels: LabelWeights, label: int, side: Bools) -> int:
    return int(labels.truth[side[labels.labelled], label].sum())


def _row(
    asked: _Asked,
    sides: Sides,
    test: MeanTest | None,
    *,
    means: tuple[AccountMeans, AccountMeans | None] | None = None,
    within: bool = False,
    why_none: str | None = None,
    too_few: str | None = None,
) -> MeasuredClaim:
    view, (a, b) = asked.view, means or (None, None)
    labels = view.labels if asked.way != "raw" else None
    shown = test is not None and too_few is None
    if shown and np.isnan(test.p):  # type: ignore[union-attr]
        shown, why_none = False, NO_VARIANCE

    def n_labelled(side: Bools | None) -> int | None:
        return None if side is None else 0 if labels is None else int(side[labels.labelled].sum())

    def n_positives(side: Bools | None) -> int | None:
        return None if side is None else 0 if labels is None else _positives(labels, asked.label, side)

    return MeasuredClaim(
        claim=asked.name,
        way=asked.way,
        system=None if asked.way == "annotated" else view.system,
        estimate=None if test is None else test.estimate,
        error=test.error if test is not None and shown else None,
        degrees=test.degrees if test is not None and shown else None,
        p=test.p if test is not None and shown else None,
        lower=test.lower if test is not None and shown else None,
        upper=test.upper if test is not None and shown else None,
        accounts_a=0 if a is None else len(a.account),
        accounts_b=None if b is None or within else len(b.account),
        videos_a=int(sides.a.sum()),
        videos_b=None if sides.b is None else int(sides.b.sum()),
        labelled_a=n_labelled(sides.a) or 0,
        labelled_b=n_labelled(sides.b),
        positives_a=n_positives(sides.a) or 0,
        positives_b=n_positives(sides.b),
        label_variance=None if a is None else a.label_variance + (b.label_variance if b is not None else 0.0),
        why_none=why_none,
        too_few=too_few,  # type: ignore[arg-type]
        sample=view.sample,
        seed=view.seed,
        prompt_sha=None if asked.way == "annotated" else view.prompt_sha,
    )


def more_labels(one: MeasuredClaim, alpha: float) -> int | None:
    """How many more labels would show a difference as large as the estimate at `alpha`, about.

    None: labels of all videos would not, as accounts differ too much; and where nothing points there.
    """
    if one.p is None or one.estimate is None or not one.error or one.degrees is None or one.p > 0.5:
        return None
    two_sided = t_two_sided(abs(one.estimate) / one.error, one.degrees)
    t = t_critical(one.degrees, alpha if one.p > 0.75 * two_sided else 2 * alpha)
    labelled, videos = one.labelled_a + (one.labelled_b or 0), one.videos_a + (one.videos_b or 0)
    return labels_for_error(
        one.error**2, one.label_variance or 0.0, (one.estimate / t) ** 2, labelled, videos
    )
