"""python -m tests.simulation SEED          the history of a seed, and what of it must not be

python -m tests.simulation --seeds 3000   so many histories; the seeds of those that violate a property
"""

import argparse
import json
import sys
import time

from tests.simulation.driver import history_of
from tests.simulation.history import PROPERTIES, violations
from tests.simulation.scenario import draw


def show(seed: int) -> bool:
    """Print one history. False where a property is violated."""
    print(f"seed {seed}: {draw(seed)}")
    history = history_of(seed)
    for event in history:
        print(event)
    found = violations(history)
    for name, lines in found.items():
        for line in lines:
            print(f"VIOLATED {name}: {line}")
    return not found


def search(first: int, seeds: int) -> bool:
    """Run many, and print the command that replays each failing one. False where there is one."""
    begin, n_events, failing = time.process_time(), 0, 0
    for seed in range(first, first + seeds):
        history = history_of(seed)
        n_events += len(history)
        if found := violations(history):
            failing += 1
            print(
                f"python -m tests.simulation {seed}   # {'; '.join(f'{k}: {v[0]}' for k, v in found.items())}"
            )
    seconds = time.process_time() - begin
    print(
        json.dumps(
            {
                "seeds": seeds,
                "failing": failing,
                "properties": len(PROPERTIES),
                "events": n_events,
                "cpu_seconds": round(seconds, 1),
            }
        )
    )
    return not failing


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    args = parser.parse_args()
    fine = search(args.first, args.seeds) if args.seed is None else show(args.seed)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
