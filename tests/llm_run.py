"""A paid job run by its command against a server that keeps a bill, killed at random moments and run again."""

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from jobs import catalog
from tests.conftest import ROOT
from tests.corpus import write_unlike
from tests.llm_server import LOST
from tikval.config import ExtractConfig, load_config
from tikval.flow.folder import Folder
from tikval.llm.gate import read_spent


@dataclass(frozen=True)
class Outcome:
    """What the server's journal and the finished table say, side by side."""

    rows: int
    results: int
    failed: dict[str, int]
    requests: int  # that the server took, refused ones too
    replies_paid: int  # replies that arrived, or were on their way to a driver that was killed
    replies_lost: int  # paid, and lost on the way by the server's own fault
    in_flight_at_kills: list[int]
    kept_at_kills: list[int]  # replies in the ledger when the driver died
    most_requests_a_minute: int
    most_tokens_a_minute: int
    wall_seconds: float
    least_seconds: float  # that the limits allow for so many requests
    billed_usd: float
    booked_usd: float
    unknown_usd: float


def run_and_kill(
    folder: Path,
    n: int,
    *,
    kills: int,
    faults: float,
    latency: float,
    per_minute: int,
    tokens_per_minute: int,
    seed: int,
) -> Outcome:
    """Direct extraction over `n` videos of different bytes; `faults`: share of them whose first call fails."""
    write_unlike(folder / "videos", n)
    chance, journal = random.Random(seed), folder / "journal.jsonl"
    with server(journal, faults, latency, seed) as url:
        sets = [
            f"out={folder}/out",
            f"videos.out={folder}/out",
            f"videos.videos={folder}/videos",
            f"api.base_url={url}",
            f"api.requests_per_minute={per_minute}",
            f"api.tokens_per_minute={tokens_per_minute}",
            "pool.actors=2",  # which share the limits
            "api.in_flight=16",
        ]
        config = load_config(ExtractConfig, "configs/gemini/direct.yaml", sets)
        catalog.run(config.catalog)
        ledger, calls = Path(f"{config.out}/ledger"), Path(f"{config.folder}/calls.json")
        begin, in_flight, kept = time.monotonic(), list[int](), list[int]()
        for k in range(kills):
            aim = int(n * (k + chance.uniform(0.2, 0.8)) / kills)  # replies kept when it dies
            with driver(sets) as process:
                while sum(1 for _ in ledger.rglob("*.json")) < aim:
                    assert process.poll() is None, "ended before it was killed"
                    time.sleep(0.1)
                process.kill()
                process.wait()
            time.sleep(latency + 0.5)  # what is in the air comes down
            in_flight.append(len(json.loads(calls.read_bytes())["open"]))
            kept.append(sum(1 for _ in ledger.rglob("*.json")))
        with driver(sets) as process:
            assert process.wait(timeout=1200) == 0, "the last run failed"
        wall = time.monotonic() - begin
    return _outcome(config, journal, in_flight, kept, wall)


def _outcome(
    config: ExtractConfig, journal: Path, in_flight: list[int], kept: list[int], wall: float
) -> Outcome:
    table = Folder(config.folder).read().to_pylist()
    ids = [row["video_id"] for row in table]
    assert len(set(ids)) == len(ids), "an id came out twice"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    asked = [line for line in lines if line["kind"] == "generate"]
    paid = [line for line in asked if line["billed_usd"] > 0]
    spent = read_spent(config.folder)
    assert spent is not None
    return Outcome(
        rows=len(table),
        results=sum(row["error"] is None for row in table),
        failed=dict(Counter(row["error"] for row in table if row["error"])),
        requests=len(asked),
        replies_paid=sum(line["outcome"] not in LOST for line in paid),
        replies_lost=sum(line["outcome"] in LOST for line in paid),
        in_flight_at_kills=in_flight,
        kept_at_kills=kept,
        most_requests_a_minute=_most([(line["time"], 1) for line in asked]),
        most_tokens_a_minute=_most([(line["time"], line["tokens_in"]) for line in asked]),
        wall_seconds=round(wall, 1),
        least_seconds=60.0
        * max(
            (len(asked) - 1) // config.api.requests_per_minute,
            (sum(line["tokens_in"] for line in asked) - 1) // config.api.tokens_per_minute,
        ),
        billed_usd=sum(line["billed_usd"] for line in asked),
        booked_usd=spent.settled_usd,
        unknown_usd=spent.unknown_usd,
    )


def _most(events: list[tuple[float, int]]) -> int:
    """The largest sum in any sixty seconds."""
    events = sorted(events)
    most = held = first = 0
    for when, weight in events:
        held += weight
        while events[first][0] <= when - 60:
            held -= events[first][1]
            first += 1
        most = max(most, held)
    return most


@contextmanager
def server(journal: Path, faults: float, latency: float, seed: int) -> Iterator[str]:
    """In a process of its own, so that it outlives the drivers. Gives its address."""
    words = [
        "--journal",
        str(journal),
        "--faults",
        str(faults),
        "--latency",
        str(latency),
        "--seed",
        str(seed),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.llm_server", "--model", "gemini-3.8-flash", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@contextmanager
def driver(sets: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """The command that a user types; whatever it started is ended behind it."""
    environment = {**os.environ, "GEMINI_API_KEY": "a-key"}
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.extract_values", "configs/gemini/direct.yaml", *sets],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    family: dict[int, psutil.Process] = {}
    kill = process.kill

    def remember_and_kill() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                family[child.pid] = child
        kill()

    process.kill = remember_and_kill  # type: ignore[method-assign]
    try:
        yield process
    finally:
        remember_and_kill()
        process.wait()
        for child in family.values():  # Ray's agents outlive a killed driver by a minute
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def holds(outcome: Outcome, n: int, per_minute: int, tokens_per_minute: int) -> dict[str, Any]:
    """Each thing that must hold, and whether it does."""
    return {
        "every id once": outcome.rows == n,
        "every row has a result": outcome.results == n,
        "paid replies <= rows + calls in flight at the kills": outcome.replies_paid
        <= n + sum(outcome.in_flight_at_kills),
        "no minute above the limit of requests": outcome.most_requests_a_minute <= per_minute,
        "no minute above the limit of tokens": outcome.most_tokens_a_minute <= tokens_per_minute,
        "booked >= billed": outcome.booked_usd >= outcome.billed_usd - 1e-9,
        "killed while work was done and left": all(0 < kept < n for kept in outcome.kept_at_kills),
    }
