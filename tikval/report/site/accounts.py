"""Whose videos these are, and which labels are most frequent among each account's."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.evaluate.corpus import SystemCorpus
from tikval.evaluate.video_groups import codes_by
from tikval.report.site.record import Account
from tikval.report.site.rows import StageRows, is_duplicate
from tikval.rows import LabelRow
from tikval.stats.prevalence import sums_by_cluster
from tikval.store.row_keys import contains, keys_of

ACCOUNTS_LISTED: Final = 500
LABELS_OF_AN_ACCOUNT: Final = 3


def account_rows(
    listed: pa.Table,
    stages: dict[str, StageRows],
    labels: dict[str, LabelRow],
    corpora: Sequence[SystemCorpus],
) -> tuple[Account, ...]:
    """The accounts with the most videos, videos without an account last; nothing where no account is known."""
    counted = ~is_duplicate(listed)
    encoded = pc.fill_null(listed["account"], "").combine_chunks().dictionary_encode()
    names, code_N = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    if not any(names):
        return ()
    videos = np.bincount(code_N[counted], minlength=len(names))
    keys_N = keys_of(listed["row_key"])
    lost = np.unique(np.concatenate([keys_of(stage.failed["row_key"]) for stage in stages.values()]))
    failed = np.bincount(code_N[counted & contains(lost, keys_N)], minlength=len(names))
    is_annotated = pc.is_in(listed["video_id"], pa.array(sorted(labels), pa.string())).to_numpy()
    annotated = np.bincount(code_N[counted & is_annotated], minlength=len(names))
    genres = dict(
        zip(code_N.tolist(), listed["genre"].to_pylist(), strict=True)
    )  # of an account's last video
    order = sorted(range(len(names)), key=lambda i: (not names[i], -videos[i], names[i]))[:ACCOUNTS_LISTED]
    most = {one.system: _most(one, [names[i] for i in order]) for one in corpora}
    return tuple(
        Account(
            names[i] or None,
            genres[i] if names[i] else None,
            int(videos[i]),
            int(failed[i]),
            int(annotated[i]),
            {system: labels_of[names[i]] for system, labels_of in most.items() if names[i] in labels_of},
        )
        for i in order
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
