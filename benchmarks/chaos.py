"""Faults from a seed on three Ray nodes: whether the same command ends in the undisturbed tables, and what was paid.

    python -m benchmarks.chaos             seeds 1 to 20, a minute each fault; writes benchmarks/results/chaos.json
    python -m benchmarks.chaos --quick     two seeds, faults of 10 seconds
    python -m benchmarks.chaos --seeds 5   seeds 1 to 5
    python -m benchmarks.chaos --only 7 11 these seeds, whose lines in the result it writes anew

One seed: python -m tests.chaos SEED. Each has three Ray nodes in a namespace of its own, a study of 30 videos (scripts
by Tesseract, then a paid system against the tests' server that bills) and two faults that come when so many rows are
done. Targets, for every seed: both faults came while rows were there and others left; after the same command the tables
of catalog, scripts and predictions equal the undisturbed run's in every row and column but the number of tries, the
key of the reply and its price; calls that were billed are at most the rows and, for each fault, the calls that were
under way while it lasted (no more than can be at once); where the command ended by itself it said why in one line.
"""

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.chaos.runs import TITLE, line_of, run_seeds
from tikval.machine import cores

RESULT: Final = Path(__file__).parent / "results" / "chaos.json"
SEEDS, QUICK_SEEDS = 20, 2
SECONDS, QUICK_SECONDS = 60.0, 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, help="how many, from 1")
    parser.add_argument("--only", type=int, nargs="+", help="these seeds, with faults of a minute")
    parser.add_argument("--at-once", type=int, default=2, help="seeds side by side; they mostly wait")
    parser.add_argument("--keep", type=Path, help="a new folder for logs, journals and configurations")
    args = parser.parse_args()
    n = args.seeds or (QUICK_SEEDS if args.quick else SEEDS)
    whole = n == SEEDS and not args.quick
    seconds = QUICK_SECONDS if args.quick else SECONDS
    print(TITLE, file=sys.stderr)
    before = json.loads(RESULT.read_text())["outcomes"] if args.only else []
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="tikval-chaos-") as temporary:
        folder = args.keep or Path(temporary)
        for outcome in run_seeds(args.only or range(1, n + 1), folder, seconds, args.at_once):
            print(line_of(outcome), file=sys.stderr, flush=True)
            outcomes.append(outcome)
    anew = {outcome["seed"] for outcome in outcomes}
    outcomes = sorted(
        [*outcomes, *(one for one in before if one["seed"] not in anew)], key=lambda one: int(one["seed"])
    )
    figures = {
        "machine": f"{cores()} cores, {platform.machine()}, no GPU, other work beside it",
        "run_anew": args.only or [],
        "command": f"python -m benchmarks.chaos{'' if whole else f' --seeds {n}'}{' --quick' if args.quick else ''}",
        "at_once": args.at_once,
        "fault_seconds": seconds,
        "outcomes": outcomes,
        "met": all(outcome["holds"] for outcome in outcomes),
    }
    if whole:
        RESULT.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))
    return 0 if figures["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
