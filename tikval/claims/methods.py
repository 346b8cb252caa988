"""How a family was tested, as a paragraph for a paper, with its numbers filled in."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import numpy as np

import tikval
from tikval.claims.declaration import Declaration
from tikval.claims.looks import LabelLook
from tikval.claims.population import Population
from tikval.claims.verdict import Verdict
from tikval.codebook import Codebook
from tikval.config.claims import ClaimsConfig
from tikval.rows import ClaimRow, ClaimWayRow
from tikval.stats.limits import counted

_SPENDING: Final = {
    "equal": "the same at each look",
    "obrien_fleming": "by the O'Brien-Fleming spending function of Lan and DeMets (1983) over the share of the planned "
    "labels",
    "open": "6/(π²k²) of it at look k, for any number of looks",
}
_DRAWN: Final = {
    "random": "drawn at random",
    "accounts": "whole accounts drawn at random",
    "teacher": "drawn at random for distillation",
}
_ESTIMATOR: Final = (
    "The share of an account's videos that have the label is the mean of p + w(Y - p): p the probability that the "
    "system's score or answer lets expect, recalibrated on other labelled videos; Y the label; w how many videos the "
    "label stands for, by the probability that it was drawn with, and 0 without a label (Robins, Rotnitzky and Zhao "
    "1994; Zrnic and Candès 2024, arXiv:2403.03208). Accounts, not videos, are the units: groups without a shared "
    "account are compared by Welch's t, a group with a number by t over its accounts, groups that share accounts and "
    "stretches of time by t over the differences within accounts."
)


def methods_of(
    config: ClaimsConfig,
    codebook: Codebook,
    declared: Declaration | None,
    looks: Sequence[LabelLook],
    claims: Sequence[ClaimRow],
    ways: Sequence[ClaimWayRow],
    sample: str,
    answers: str,
) -> str:
    """The paragraph.

    `sample`: how many videos there are and how the labelled ones were drawn, in sentences; `answers`: the digest of
    the deciding system's predictions now.
    """
    return " ".join(
        (
            _declared(config, declared),
            sample,
            _system(config, codebook, declared, answers),
            _ESTIMATOR,
            _error(config, declared, looks),
            *(_result(row) for row in claims),
            _others(ways),
            f"Computed with tikval {tikval.__version__}.",
        )
    )


def sample_of(population: Population) -> str:
    """How many videos there are, and how the labelled ones were drawn, in sentences."""
    view = population.views[0]
    accounts = counted(len(np.unique(view.account)), "account")
    there = f"There are {counted(view.corpus.videos.num_rows, 'video')} of {accounts} that {view.system} has judged."
    if view.labels is None or not len(view.labels.labelled):
        return f"{there} No label counts: {view.why_raw or 'none is there'}."
    low, high = 1 / view.labels.weight.max(), 1 / view.labels.weight.min()
    how = (
        "drawn in batches"
        if view.corpus.batches is not None
        else _DRAWN.get(view.corpus.annotated_by, "drawn")
    )
    each = f"{low:.3g}" if high < 1.001 * low else f"{low:.3g} to {high:.3g}"
    some = f"{there} Of these {len(view.labels.labelled):,} are labelled, {how}, each with a probability of {each}."
    teacher = view.corpus.teacher
    if teacher is None:
        return some
    return (
        f"{some} The labels are the answers of the system {teacher}, and no person's: what is claimed is claimed of "
        f"what {teacher} would say."
    )


def _declared(config: ClaimsConfig, declared: Declaration | None) -> str:
    n = counted(len(config.claims), "claim")
    if declared is None:
        return f"{n} (family {config.name}), looked at without having been declared: this is exploratory."
    explored = f" (after {counted(declared.explored, 'exploratory look')})" if declared.explored else ""
    n_known = counted(len(declared.labelled), "video")
    known = (
        f"{n_known} whose labels were known then are left out; these labels only recalibrate scores."
        if declared.labelled
        else "No label was known then."
    )
    when = f"declared on {_day(declared)}{explored}, SHA-256 {declared.sha256[:16]}"
    return f"{n} (family {config.name}): {when}. {known}"


def _day(declared: Declaration) -> str:
    day: date = declared.at.date()
    return f"{day.day} {day:%B %Y}"


def _system(config: ClaimsConfig, codebook: Codebook, declared: Declaration | None, answers: str) -> str:
    rates = f"Rates are those of the system {config.system} over the codebook {codebook.mark}, corrected by the labels"
    if declared is None:
        return f"{rates}."
    if any(one.system == config.system and one.answers == answers for one in declared.systems):
        return (
            f"{rates}; its predictions were there when the claims were declared, and may have suggested them."
        )
    return f"{rates}; its predictions were made anew, or added to, after the claims were declared."


def _error(config: ClaimsConfig, declared: Declaration | None, looks: Sequence[LabelLook]) -> str:
    if declared is None:
        n = counted(len(config.claims), "claim")
        return f"No error rate is guaranteed; p are corrected by Holm (1979) over {n}."
    if not looks:
        return f"The family-wise error is at most {config.alpha:g}; nothing of it is spent yet."
    now = looks[-1]
    of = "" if config.spending == "open" else f" of {config.looks}"
    look = f"look {now.number}{of}, with {counted(now.labelled, 'label')}, spends {now.alpha:.3g}"
    return (
        f"The family-wise error is at most {config.alpha:g} over all looks, spent {_SPENDING[config.spending]}: {look} "
        f"with Holm's correction (1979) over {counted(len(config.claims), 'claim')}; what a look has shown stays shown."
    )


def _result(row: ClaimRow) -> str:
    parts, p = [], row["p_holm"]
    if row["estimate"] is not None:
        parts.append(f"{100 * row['estimate']:+.1f} points")
    if row["lower"] is not None and row["upper"] is not None:
        parts.append(f"95 % interval {100 * row['lower']:+.1f} to {100 * row['upper']:+.1f}")
    if p is not None:
        parts.append(f"p {'< 0.001' if p < 0.001 else f'= {p:.3f}'} after Holm's correction")
    accounts = " and ".join(str(n) for n in (row["accounts_a"], row["accounts_b"]) if n is not None)
    found = "; ".join([*parts, f"{accounts} accounts", f"verdict: {row['verdict']}"])
    return f"{row['sentence']} {found[0].upper()}{found[1:]}."


def _others(ways: Sequence[ClaimWayRow]) -> str:
    kinds = {(way["way"], way["system"], way["prompt_sha"], way["sample"], way["seed"]) for way in ways}
    return (
        f"Each claim was measured in {counted(len(kinds), 'way')} (by the systems, prompts, samples and seeds that are "
        f'there, raw and corrected, and by labels alone); "{Verdict.HOLDS.value}" means that all point the same way.'
    )
