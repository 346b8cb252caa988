"""What an account's name alone is worth under each protocol, and how even the folds are.

    python benchmarks/leakage.py ../shared/data/tiktok_annotations.csv     # a second; --quick is the same

The classifier sees no video: it says each label as often as the account's training rows have it, drawn towards the
rate of all training rows by one row; of an account that is not among them it knows that rate only. One threshold has
the best macro F1 on the training rows, in `honest_held_out` on the validation rows. Scores are over the labels in at
least 5.1 % of the videos (the paper's 18), of the test rows of all folds together, the mean over partitions. Beside
them: saying every label of every video.

`worst_share` is how far, at worst, a label's positives in a test fold are from one fold's fair share, over the labels
in at least 5 % of the videos (19); `group_k_fold` is scikit-learn's, which balances sizes only. The last line is one
JSON object.

N videos, L labels, A accounts.
"""

import argparse
import json
import time
from collections.abc import Sequence
from typing import Final

import numpy as np
from sklearn.model_selection import GroupKFold

from tikval.config import Protocol
from tikval.finetune.choose import Bools, best_threshold, f1_macro, f1_weighted
from tikval.finetune.folds import Fold, balance, groups_of, make_folds
from tikval.labels import read_labels
from tikval.values import SLUGS, binary

PROTOCOLS: Final = {
    "honest": Protocol(),
    "paper": Protocol(name="paper", partitions=1, threshold=0.5),
}


def account_only(
    folds: Sequence[Fold],
    ids: Sequence[str],
    accounts: Sequence[str],
    labels_NL: Bools,
    held_out: bool = False,
) -> Bools:
    """[N, L] what the classifier says of the test rows of one partition's folds.

    `held_out`: the threshold is the best for the validation rows, and the rates are of the training rows alone.
    """
    row_of = {name: i for i, name in enumerate(ids)}
    names, account_N = np.unique(np.asarray(accounts), return_inverse=True)
    said_NL = np.zeros_like(labels_NL)
    for fold in folds:
        train = np.array([row_of[name] for name in fold.train + (() if held_out else fold.validation)])
        chooses = np.array([row_of[name] for name in fold.validation]) if held_out else train
        test = np.array([row_of[name] for name in fold.test])
        rate_L = labels_NL[train].mean(0)
        positives_AL = np.zeros((len(names), labels_NL.shape[1]))
        np.add.at(positives_AL, account_N[train], labels_NL[train])
        rows_A = np.bincount(account_N[train], minlength=len(names))
        rate_AL = (positives_AL + rate_L) / (rows_A + 1)[:, None]
        threshold_L = best_threshold(rate_AL[account_N[chooses]], labels_NL[chooses], "global")
        said_NL[test] = rate_AL[account_N[test]] >= threshold_L
    return said_NL


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", help="the published table")
    parser.add_argument("--quick", action="store_true", help="changes nothing: it takes a second")
    rows = read_labels(parser.parse_args().annotations, SLUGS, "schwartz")

    ids = [row["video_id"] for row in rows]
    accounts = [row["account"] or row["video_id"] for row in rows]
    groups_N = groups_of(accounts, [None] * len(ids), ids)
    all_NL = np.array([binary(row["stances"]) for row in rows])
    eighteen_NL, nineteen_NL = (all_NL[:, all_NL.mean(0) >= share] for share in (0.051, 0.05))
    everything = np.ones_like(eighteen_NL)
    scores = {"predict_everything": [f1_macro(eighteen_NL, everything), f1_weighted(eighteen_NL, everything)]}
    worst, seconds = {}, {}
    for name, protocol in PROTOCOLS.items():
        start = time.perf_counter()
        folds = make_folds(ids, groups_N, nineteen_NL, protocol)
        seconds[name] = time.perf_counter() - start
        worst[name] = balance(folds, ids, nineteen_NL)
        partitions = [[f for f in folds if f.partition == p] for p in range(protocol.partitions)]
        for held_out in (False, True)[: 1 + bool(folds[0].validation)]:
            said = [account_only(part, ids, accounts, eighteen_NL, held_out) for part in partitions]
            scores[name + "_held_out" * held_out] = [
                float(np.mean([f1(eighteen_NL, s) for s in said])) for f1 in (f1_macro, f1_weighted)
            ]
    plain = [
        Fold(0, k, tuple(ids[i] for i in train), (), tuple(ids[i] for i in test))
        for k, (train, test) in enumerate(GroupKFold(3).split(all_NL, groups=groups_N))
    ]
    worst["group_k_fold"] = balance(plain, ids, nineteen_NL)
    print(
        json.dumps(
            {
                "videos": len(ids),
                "accounts": int(groups_N.max()) + 1,
                "macro_weighted_f1": {name: [round(x, 3) for x in pair] for name, pair in scores.items()},
                "worst_share": {name: round(x, 3) for name, x in worst.items()},
                "fold_seconds": {name: round(x, 3) for name, x in seconds.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
