"""885 videos by way of Batch with a tenth of faults and five kill -9s: what was paid, and what was booked.

    python benchmarks/batch.py            885 videos, writes benchmarks/results/batch.json
    python benchmarks/batch.py --quick    60 videos

Direct extraction by its command (jobs.extract_values configs/gemini/direct.yaml api.route=batch) against a server of
our own over real HTTP. The driver is killed while it uploads, while a job is made, while it waits, while it reads and
while it asks online for what its jobs left out. Results come shuffled and doubled, a tenth of the rows comes to an
error, and a tenth of the calls online. Targets: every id once and with a result; by the server's journal no row is
billed twice but for the calls in the air at the last kill; booked never below billed, and at most 2 % above it and what
nobody can know; never above the budget.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.fixtures.corpus import write_unlike
from tests.fixtures.llm_run import driver
from tests.fixtures.llm_server import Ask, LlmServer, Rule, Trouble, retryable_faults, serving
from tikval.config import ExtractConfig, load_config
from tikval.llm.gate import read_spent
from tikval.machine import cores
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder

MODEL = "gemini-3.8-flash"
BUDGET_USD = 60.0
KILLS = [("batch", 2), ("batch_get", 2), ("download", 1), ("generate", 4)]  # the nth of a kind in its run
MOST_ABOVE = 1.02


class Killer(Rule):
    """No trouble for the server: the driver dies when the nth request of a kind comes in."""

    def __init__(self) -> None:
        super().__init__(Trouble("slow"))
        self.__dict__.update(process=None, at=("", 0), seen=Counter())

    def aim(self, process: "subprocess.Popen[bytes]", kind: str, nth: int) -> None:
        self.__dict__.update(process=process, at=(kind, nth), seen=Counter())

    def applies(self, ask: Ask) -> bool:
        if ask.route == "online":
            self.__dict__["seen"][ask.kind] += 1
            kind, nth = self.__dict__["at"]
            if kind == ask.kind and self.__dict__["seen"][kind] == nth:
                self.__dict__["process"].kill()
        return False


def run(folder: Path, n: int, seed: int) -> dict[str, Any]:
    write_unlike(folder / "videos", n)
    killer = Killer()
    results = [
        Rule(Trouble(name, share=0.1), kind="batch") for name in ("shuffled", "duplicated", "unknown_keys")
    ]
    errors = Rule(Trouble("error_13"), share=0.1, route="batch", seed=seed)
    rules = [killer, *results, errors, *retryable_faults(0.1, seed)]
    in_flight = list[int]()
    with serving(LlmServer(rules=rules, batch_seconds=3.0, model=MODEL)) as fake:
        sets = [
            f"out={folder}/out",
            f"videos.out={folder}/out",
            f"videos.videos={folder}/videos",
            f"api.base_url={fake.url}",
            f"api.batch.rows={-(-n // 4)}",
            f"budget_usd={BUDGET_USD}",
            *("api.minors_unknown=send", "api.route=batch", "api.batch.poll_seconds=0.5"),
            *("pool.actors=2", "api.in_flight=16", "api.requests_per_minute=100000"),
        ]
        config = load_config(ExtractConfig, "configs/gemini/direct.yaml", sets)
        write_catalog(config.catalog)
        begin = time.monotonic()
        for kind, nth in (
            ("upload", n // 3),
            ("batch", 2),
            ("batch_get", 2),
            ("download", 1),
            ("generate", 4),
        ):
            with driver(sets) as process:
                killer.aim(process, kind, nth)
                process.wait(timeout=1200)
                assert process.returncode < 0, f"ended before it was killed at {kind} {nth}"
            in_flight.append(len(json.loads(Path(f"{config.folder}/calls.json").read_bytes())["open"]))
        with driver(sets) as process:
            killer.aim(process, "", 0)
            assert process.wait(timeout=1200) == 0, "the last run failed"
        wall = time.monotonic() - begin
    return figures_of(config, fake, n, in_flight, wall)


def figures_of(
    config: ExtractConfig, fake: LlmServer, n: int, in_flight: list[int], wall: float
) -> dict[str, Any]:
    table, spent = Folder(config.folder).read().to_pylist(), read_spent(config.folder)
    assert spent is not None
    paid = [call for call in fake.of("generate") if call.billed_usd]
    times = Counter(call.key for call in paid)
    billed, booked = fake.billed_usd(), spent.settled_usd
    holds = {
        "every id once": len(table) == len({row["video_id"] for row in table}) == n,
        "every row has a result": not any(row["error"] for row in table),
        "no row by batch twice": max(Counter(call.key for call in paid if call.route == "batch").values())
        == 1,
        "twice only what was in the air": sum(times.values()) - len(times) <= sum(in_flight),
        "booked >= billed": booked >= billed - 1e-9,
        "booked <= 1.02 billed + unknown": booked <= MOST_ABOVE * billed + spent.unknown_usd,
        "within the budget": booked <= BUDGET_USD and billed <= BUDGET_USD,
        "nothing left on the server": not fake.files,
    }
    return {
        "rows": len(table),
        "by_batch": sum(call.route == "batch" for call in paid),
        "online": sum(call.route == "online" for call in paid),
        "rows_billed_twice": sum(count > 1 for count in times.values()),
        "jobs": len(fake.of("batch")),
        "left_on_the_server": sorted(fake.files),
        "in_flight_at_kills": in_flight,
        "billed_usd": round(billed, 4),
        "booked_usd": round(booked, 4),
        "unknown_usd": round(spent.unknown_usd, 4),
        "wall_seconds": round(wall, 1),
        "holds": holds,
        "met": all(holds.values()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tikval-") as folder:
        found = run(Path(folder), 60 if args.quick else 885, args.seed)
    figures = {
        "machine": f"{cores()} cores, {platform.machine()}, no GPU",
        "command": f"python benchmarks/batch.py{' --quick' if args.quick else ''}",
        **found,
    }
    if not args.quick:
        place = Path(__file__).with_name("results") / "batch.json"
        place.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))
    return 0 if figures["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
