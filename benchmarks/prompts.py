"""How much the best of several prompts is flattered by the videos it was chosen on, and whether the check sees it.

    python benchmarks/prompts.py           # 1,000 studies: a minute on one core
    python benchmarks/prompts.py --quick   # 60 studies

Studies and systems are those of coverage.py: 91 accounts, hits 0.6, false alarms 0.12, errors that differ by account.
All prompts are equally good and share four fifths of their decisions, so what the best one has over the others is
chance. `flattered` is its micro F1 on the development sample, less that on the held-out accounts, by the number of
prompts. `over_tuned` is the share of studies in which the check says so: of one prompt that nobody chose (each of the
two metrics may do so in 2.5 % of studies), of the best of 15, and of one that knows the sample's labels (hits 0.9, no
false alarm).
The last line is one JSON object; exit code 1 where a target is missed.
"""

import argparse
import json
import math
import platform
import sys
import time
from typing import Any, Final

import numpy as np

from benchmarks.coverage import World, made_world, predictions
from tikval.evaluate.answers import Truth
from tikval.evaluate.prompt_comparison import HeldOutCheck, check_held_out
from tikval.machine import cores
from tikval.stats.arrays import Bools

SAMPLES: Final = (2, 6, 15)  # accounts of 9 or 10 videos
PROMPTS: Final = (1, 2, 4, 7, 15)
SHARED: Final = 0.8  # of the decisions
KNOWN_HITS: Final = 0.9
FALSE_ALARMS, SEEN = (
    0.08,
    0.9,
)  # of an unchosen prompt at most; of one that knows the labels, with 15 accounts


def truth_of_world(world: World) -> Truth:
    n_videos, n_labels = world.true.shape
    every = np.ones(n_labels, bool)
    return Truth(
        ids=tuple(f"v{n}" for n in range(n_videos)),
        labels=tuple(f"label{i}" for i in range(n_labels)),
        label_set="made",
        true=world.true,
        accounts=tuple(map(str, world.account)),
        group=world.account,
        frequent=every,
        enough=every,
    )


def micro_f1(true_NL: Bools, predicted_NL: Bools) -> float:
    return 2 * int((true_NL & predicted_NL).sum()) / int(true_NL.sum() + predicted_NL.sum())


def checked(truth: Truth, predicted_NL: Bools, here_N: Bools) -> HeldOutCheck:
    rows: list[dict[str, Any]] = [
        {"video_id": name, "error": None, "decisions": decisions, "scores": None}
        for name, decisions in zip(truth.ids, predicted_NL.tolist(), strict=True)
    ]
    return check_held_out("a", rows, truth, set(np.array(truth.ids)[here_N].tolist()))


def is_over(found: HeldOutCheck) -> bool:
    return found.verdict.startswith("over-tuned")


def one_study(rng: np.random.Generator, world: World, truth: Truth, accounts: int) -> dict[str, float]:
    """What one study has: the flattery by the number of prompts, and what the check says."""
    here_N = np.isin(world.account, rng.choice(int(world.account.max()) + 1, accounts, replace=False))
    base = predictions(rng, world.true, world.account)
    tried = []
    for _ in range(max(PROMPTS)):
        own = predictions(rng, world.true, world.account)
        tried.append(np.where(rng.random(base.shape) < SHARED, base, own))
    on_sample = [micro_f1(world.true[here_N], one[here_N]) for one in tried]
    held_out = [micro_f1(world.true[~here_N], one[~here_N]) for one in tried]
    found: dict[str, float] = {}
    for k in PROMPTS:
        best = int(np.argmax(on_sample[:k]))
        found[f"flattered {k}"] = on_sample[best] - held_out[best]
    known = world.true & (rng.random(base.shape) < KNOWN_HITS)
    knows = np.where(here_N[:, None], known, base)
    best = int(np.argmax(on_sample))
    for name, predicted_NL in {"unchosen": tried[0], "best of 15": tried[best], "knows": knows}.items():
        found[f"over_tuned {name}"] = float(is_over(checked(truth, predicted_NL, here_N)))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    studies, begin = 60 if parser.parse_args().quick else 1_000, time.process_time()
    world = made_world()
    truth, rng, means = truth_of_world(world), np.random.default_rng(0), dict[str, dict[str, float]]()
    for accounts in SAMPLES:
        runs = [one_study(rng, world, truth, accounts) for _ in range(studies)]
        means[str(accounts)] = {
            name: round(float(np.mean([run[name] for run in runs])), 3) for name in runs[0]
        }
        print(f"{accounts} accounts: {means[str(accounts)]}")
    room = 2 * math.sqrt(FALSE_ALARMS / studies)  # of chance
    missed = [n for n, line in means.items() if line["over_tuned unchosen"] > FALSE_ALARMS + room]
    missed += ["15: knows"] if means["15"]["over_tuned knows"] < SEEN else []
    result = {
        "machine": f"{cores()} cores, {platform.machine()}",
        "command": "python benchmarks/prompts.py",
        "studies": studies,
        "cpu_seconds": round(time.process_time() - begin, 1),
        "by_accounts": means,
        "missed": missed,
    }
    print(json.dumps(result))
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
