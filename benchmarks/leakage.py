"""What an account's name alone is worth under each protocol, and how even the folds are.

    python benchmarks/leakage.py ../shared/data/tiktok_annotations.csv     # a second; --quick is the same

The classifier sees no video: it predicts each label as often as the account's training rows have it, drawn towards the
rate of all training rows by one row; of an account that is not among them it knows that rate only. One threshold has
the best macro F1 on the training rows, in `honest_held_out` on the validation rows. Scores are over the labels in at
least 5.1 % of the videos (the paper's 18), of the test rows of all folds together, the mean over partitions. Beside
them: the predict-all baseline.

`worst_share` is how far, at worst, a label's positives in a test fold are from one fold's fair share, over the labels
in at least 5 % of the videos (19); `group_k_fold` is scikit-learn's, which balances sizes only. The last line is one
JSON object.

N videos, L labels, A accounts.
"""

import argparse
import json
import time
from dataclasses import replace
from typing import Final

import numpy as np
from sklearn.model_selection import GroupKFold

from tikval.config import Protocol
from tikval.evaluate.baselines import account_only
from tikval.sources.labels import read_labels
from tikval.stats.folds import Fold, balance, groups_of, make_folds
from tikval.stats.thresholds import f1_macro, f1_weighted
from tikval.values import SLUGS, binary

PROTOCOLS: Final = {
    "honest": Protocol(),
    "paper": Protocol(name="paper", partitions=1, threshold=0.5),
}


def without_validation(fold: Fold) -> Fold:
    """Its validation rows train, and the threshold is chosen on rows that trained."""
    return replace(fold, train=fold.train + fold.validation, validation=())


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
            of = partitions if held_out else [[without_validation(f) for f in part] for part in partitions]
            predicted = [account_only(part, ids, accounts, eighteen_NL) for part in of]
            scores[name + "_held_out" * held_out] = [
                float(np.mean([f1(eighteen_NL, s) for s in predicted])) for f1 in (f1_macro, f1_weighted)
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
