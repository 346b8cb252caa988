"""Answers against the truth as counts of accounts, which every score and its interval are made of."""

from collections.abc import Iterator

import numpy as np

from tikval.evaluate.answers import Answers, SystemRun, Truth
from tikval.stats.arrays import Bools, Floats
from tikval.stats.intervals import AccountCounts, account_counts


def known_parts(answers: Answers, where_N: Bools | None = None) -> Iterator[tuple[SystemRun, Bools]]:
    """What is scored by itself, with its [N] videos that have a result (`where_N`: among these)."""
    for run, part_N in answers.parts():
        yield run, part_N & run.known if where_N is None else part_N & run.known & where_N


def count_answers(run: SystemRun, at_N: Bools, truth: Truth) -> AccountCounts:
    """The counts over some videos."""
    return account_counts(run.true[at_N], run.predicted[at_N], truth.group[at_N], truth.n_groups)


def account_sizes(at_N: Bools, truth: Truth) -> Floats:
    """[G] how many of some videos each account has."""
    return np.bincount(truth.group[at_N], minlength=truth.n_groups).astype(np.float64)


def videos_with_result(answers: Answers) -> Bools:
    """[N] in any part."""
    some_N: Bools = np.logical_or.reduce([at_N for _, at_N in known_parts(answers)])
    return some_N
