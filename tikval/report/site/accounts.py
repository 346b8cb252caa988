"""Whose videos these are, and which labels are most frequent among each account's."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow.compute as pc

from tikval.evaluate.corpus import SystemCorpus
from tikval.evaluate.video_groups import codes_by
from tikval.report.site.record import Account
from tikval.report.site.rows import CatalogRows
from tikval.stats.prevalence import sums_by_cluster

ACCOUNTS_LISTED: Final = 500
LABELS_OF_AN_ACCOUNT: Final = 3


def count_accounts(listed: CatalogRows) -> tuple[Account, ...]:
    """The accounts with the most videos, videos without an account last; nothing where no account is known.

    Without their labels: what is listed need not stay in memory beside what systems say.
    """
    names = [*listed.account.dictionary.to_pylist(), ""]
    code_N = pc.fill_null(listed.account.indices, len(names) - 1).to_numpy(zero_copy_only=False)
    counted = ~listed.twice
    videos, failed, annotated = (
        np.bincount(code_N[counted & some], minlength=len(names))
        for some in (True, listed.failed, listed.annotated)
    )
    last = np.full(len(names), -1)
    last[code_N] = np.arange(len(code_N))
    there = [i for i in range(len(names)) if last[i] >= 0]
    if not any(names[i] for i in there):
        return ()
    order = sorted(there, key=lambda i: (not names[i], -videos[i], names[i]))[:ACCOUNTS_LISTED]
    return tuple(
        Account(
            names[i] or None,
            listed.genre[int(last[i])].as_py() if names[i] else None,  # of its last video
            int(videos[i]),
            int(failed[i]),
            int(annotated[i]),
            {},
        )
        for i in order
    )


def with_labels(accounts: Sequence[Account], corpora: Sequence[SystemCorpus]) -> tuple[Account, ...]:
    """Accounts with the most frequent labels of each system and of annotators."""
    names = [account.name or "" for account in accounts]
    most = {one.system: _most(one, names) for one in corpora if names}
    return tuple(
        replace(account, most={system: of[name] for system, of in most.items() if name in of})
        for account, name in zip(accounts, names, strict=True)
    )


def _most(corpus: SystemCorpus, accounts: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
    """The most frequent labels of each account, with their shares of its videos that have a result."""
    nobody = corpus.videos["account"].null_count == corpus.videos.num_rows
    code_N, names = (
        (np.full(corpus.videos.num_rows, -1), []) if nobody else codes_by(corpus.videos, "account")
    )
    place = {name: i for i, name in enumerate(accounts)}
    listed = np.array([place.get(name, -1) for name in [*names, ""]])[
        code_N
    ]  # the last is of nobody that is known
    at, one = np.flatnonzero(listed >= 0), listed[listed >= 0]
    sizes = np.bincount(one, minlength=len(accounts))
    shares = sums_by_cluster(corpus.predicted.only(at), one, len(accounts)) / np.maximum(sizes, 1)[:, None]
    found = {}
    for i in np.flatnonzero(sizes).tolist():
        best = np.argsort(-shares[i], kind="stable")[:LABELS_OF_AN_ACCOUNT]
        labels = corpus.codebook.labels
        found[accounts[i]] = [(labels[at], float(shares[i, at])) for at in best.tolist() if shares[i, at] > 0]
    return found
