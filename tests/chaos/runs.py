"""Seeds one after another, each in a namespace of its own, against one undisturbed run."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.chaos.outcome import Outcome
from tests.chaos.plan import draw
from tests.chaos.study import write_videos
from tests.fixtures.namespace import Namespace

TITLE: Final = "seed  place  faults (rows before)  starts  seconds  equal  paid/bound"
_QUICK: Final = {
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10"
}  # that a driver waits for a head that is gone
_MOST_SECONDS: Final = 900.0


def run_seeds(
    seeds: Iterable[int], folder: Path, seconds: float, at_once: int = 1
) -> Iterator[dict[str, Any]]:
    """The outcome of each seed, the undisturbed run's first (seed 0), with the videos and logs in `folder`.

    `at_once`: seeds that run beside each other, each on a cluster of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_videos(folder)
    yield _run_seed(0, folder, seconds)
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(lambda seed: _run_seed(seed, folder, seconds), seeds)


def _run_seed(seed: int, folder: Path, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.chaos.inside", str(seed), str(folder), str(seconds)]
    with Namespace() as inside:
        output = ""
        try:
            _, output = inside.run(command, env=_QUICK, seconds=_MOST_SECONDS + 2 * seconds)
            outcome: dict[str, Any] = json.loads(output.splitlines()[-1])
        except (subprocess.TimeoutExpired, ValueError, IndexError) as err:  # the next seed runs all the same
            why = f"{err} {output[-1000:]}"
            outcome = asdict(Outcome(seed, draw(seed).place, error=why)) | {"holds": False}
    with (folder / "outcomes.jsonl").open("a") as file:
        file.write(json.dumps(outcome) + "\n")
    return outcome


def line_of(outcome: dict[str, Any]) -> str:
    """One line of the table."""
    faults = "; ".join(f"{met['fault']} ({met['rows_before']})" for met in outcome["faults"]) or "none"
    ended = [
        f"{name}: {outcome[name]}" for name in ("error", "different", "missed", "unclear") if outcome[name]
    ]
    equal = "yes" if not outcome["different"] and not outcome["error"] else "NO"
    counts = f"{outcome['paid']}/{outcome['bound']}"
    words = [outcome["seed"], outcome["place"], faults, outcome["starts"], outcome["seconds"], equal, counts]
    return "  ".join([*map(str, words), *ended])
