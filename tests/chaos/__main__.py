"""`python -m tests.chaos SEED ...`: each seed in a namespace of its own; ends with 1 where one does not hold.

`--seconds`: of a SIGSTOP, of a full disk, of a store in trouble. `--keep FOLDER`: logs, journals and configurations.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.runs import TITLE, line_of, run_seeds


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    print(TITLE)
    held = True
    with tempfile.TemporaryDirectory(prefix="tikval-chaos-") as folder:
        for outcome in run_seeds(args.seeds, args.keep or Path(folder), args.seconds):
            print(line_of(outcome), flush=True)
            held = held and outcome["holds"]
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
