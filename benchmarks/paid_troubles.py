"""What a paid run costs, books and asks for when its server is in trouble: each figure before and after.

    python benchmarks/paid_troubles.py              every trouble; writes benchmarks/results/paid_troubles.json
    python benchmarks/paid_troubles.py --quick      two of them
    python benchmarks/paid_troubles.py --code DIR   the same by another checkout of tikval: its figures are the `before`

Direct extraction by its command (jobs.extract_values configs/gemini/direct.yaml) on a local Ray, against the tests'
server in a process of its own, which imports nothing from tikval, bills by the bytes that it receives and keeps its own
journal. Targets: booked is never below billed and, where the server states usage, at most 2 % above; a budget is never
passed; what was never served is booked as nothing; nobody is sent before a delay is over; a used-up quota meets no more
calls than were in flight; an outage meets those and at most one probe a second; a delay of ten hours ends the run.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow.parquet as pq

from tests.conftest import ROOT
from tests.fixtures.corpus import write_unlike
from tests.fixtures.llm_run import server
from tikval.machine import cores

RESULT: Final = Path(__file__).parent / "results" / "paid_troubles.json"
IN_FLIGHT: Final = 8


class Figures(NamedTuple):
    """What one scenario gave, by the server's journal, the account and the table."""

    billed_usd: float
    booked_usd: float
    served: int
    refused: int
    too_early: int  # calls before the delay of the first refusal was over
    rows: dict[str, int]  # by reason; "result" without one
    seconds: float
    message: str  # the last line of the command


@dataclass(frozen=True)
class Scenario:
    name: str
    switches: dict[str, Any]  # of the server
    holds: Callable[[Figures], bool]
    settings: tuple[str, ...] = ()
    n: int = 40
    then: dict[str, Any] | None = None  # switches before the same command runs again
    outage_ends_after: float | None = None  # seconds


def rules(name: str, seconds: float = 0.0, **where: Any) -> dict[str, Any]:
    return {"rules": [{"trouble": {"name": name, "seconds": seconds}, **where}]}


def exact(got: Figures) -> bool:
    return got.billed_usd - 1e-9 <= got.booked_usd <= 1.02 * got.billed_usd + 1e-9


def covered(got: Figures) -> bool:
    return got.booked_usd >= got.billed_usd - 1e-9


SCENARIOS: Final = (
    Scenario(
        "replies without usage, a budget of 0.25 USD",
        rules("no_usage"),
        lambda got: covered(got) and got.billed_usd <= 0.25,
        ("budget_usd=0.25",),
    ),
    Scenario("replies without a model's name", rules("no_version"), covered),
    Scenario("empty replies, billed", rules("empty_billed"), lambda got: exact(got) and got.served <= 2 * 40),
    Scenario("blocked replies, billed", rules("blocked_billed"), exact),
    Scenario("cut replies", rules("max_tokens"), exact),
    Scenario(
        "a mistyped key, then the right one, a budget of 1 USD",
        rules("unauthorized"),
        lambda got: exact(got) and got.rows == {"result": 40},
        ("budget_usd=1",),
        then={"rules": []},
    ),
    Scenario(
        "one 429 with a delay of 5 s",
        rules("rate_limited_info", 5.0, share=0.05, first=1),
        lambda got: got.too_early == 0 and got.rows == {"result": 60},
        n=60,
    ),
    Scenario(
        "a quota of the day after 20 calls",
        {"quota_of_day": 20},
        lambda got: got.refused <= IN_FLIGHT and got.rows.get("not_asked") == 20 and exact(got),
    ),
    Scenario(
        "a delay of ten hours",
        rules("rate_limited_info", 36_000.0),
        lambda got: got.refused <= IN_FLIGHT and "come again after" in got.message,
        n=10,
    ),
    Scenario(
        "an outage of 20 s",
        {"outage": 10**6},
        lambda got: got.refused <= IN_FLIGHT + 20 and got.rows == {"result": 40},
        outage_ends_after=20,
    ),
)


def run(scenario: Scenario, code: Path, videos: Path, folder: Path) -> Figures:
    journal, begin = folder / "journal.jsonl", time.monotonic()
    with server(journal, 0.0, 0.3, 1) as url:
        control(url, scenario.switches)
        command = [
            *(sys.executable, "-m", "jobs.extract_values", "configs/gemini/direct.yaml", f"out={folder}/out"),
            *(f"videos.out={folder}/out", f"videos.videos={videos}", f"api.base_url={url}"),
            *("api.minors_unknown=send", f"api.in_flight={IN_FLIGHT}", "api.requests_per_minute=6000"),
            *("api.tokens_per_minute=100000000", "max_failed_share=1", *scenario.settings),
        ]
        catalog = [sys.executable, "-m", "jobs.catalog", "configs/gemini/catalog.yaml"]
        call([*catalog, f"out={folder}/out", f"videos={videos}"], code)
        message = call(command, code, url, scenario)
        if scenario.then is not None:
            control(url, scenario.then)
            message = call(command, code)
    return figures(folder, journal, time.monotonic() - begin, message)


def call(command: list[str], code: Path, url: str = "", scenario: Scenario | None = None) -> str:
    """What the command printed last; an outage ends while it runs."""
    environment = {**os.environ, "GEMINI_API_KEY": "a-key", "PYTHONPATH": f"{code}"}
    process = subprocess.Popen(
        command, cwd=code, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if scenario and scenario.outage_ends_after is not None:
        while not counters(url)["requests"] and process.poll() is None:
            time.sleep(0.1)
        time.sleep(scenario.outage_ends_after)
        control(url, {"outage": 0})
    try:
        message, _ = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.communicate()
        return "did not end within 300 s"
    lines = [line for line in message.splitlines() if "come again" in line] or message.splitlines()
    return lines[-1] if lines else ""


def counters(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/control") as reply:
        got: dict[str, Any] = json.load(reply)
    return got


def control(url: str, switches: dict[str, Any]) -> None:
    request = urllib.request.Request(f"{url}/control", json.dumps(switches).encode())
    urllib.request.urlopen(request).close()


def figures(folder: Path, journal: Path, seconds: float, message: str) -> Figures:
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    asked = [line for line in lines if line["kind"] == "generate"]
    refused = [line for line in asked if not line["billed_usd"]]
    delays = [line for line in asked if line["outcome"] == "rate_limited_info"]
    early = 0
    if delays:
        first = delays[0]["time"]
        early = sum(first + 0.5 < line["time"] < first + 4.9 for line in asked)
    account = next(folder.glob("out/predictions*/calls.json"), None)
    rows: dict[str, tuple[int, str]] = {}
    for part in folder.glob("out/predictions*/*.parquet"):
        for row in pq.read_table(part, columns=["row_key", "attempt", "error"]).to_pylist():
            known = rows.get(row["row_key"], (0, ""))
            rows[row["row_key"]] = max(known, (row["attempt"], row["error"] or "result"))
    return Figures(
        billed_usd=round(sum(line["billed_usd"] for line in asked), 6),
        booked_usd=round(json.loads(account.read_bytes())["spent"]["settled_usd"], 6) if account else 0.0,
        served=len(asked) - len(refused),
        refused=len(refused),
        too_early=early,
        rows=dict(Counter(reason for _, reason in rows.values())),
        seconds=round(seconds, 1),
        message=message.replace(f"{folder}/", "")[-300:],
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--code", type=Path, default=ROOT)
    args = parser.parse_args()
    wanted = SCENARIOS[:2] if args.quick else SCENARIOS
    got: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="tikval-") as top:
        for scenario in wanted:
            folder = Path(top) / str(len(got))
            write_unlike(folder / "videos", scenario.n)
            got[scenario.name] = run(scenario, args.code.resolve(), folder / "videos", folder)
            print(f"{scenario.name}: {got[scenario.name]}", file=sys.stderr, flush=True)
    held = {scenario.name: scenario.holds(got[scenario.name]) for scenario in wanted}
    after = {name: figures._asdict() for name, figures in got.items()}
    report = {
        "machine": f"{cores()} cores, {platform.machine()}, no GPU",
        "command": "python benchmarks/paid_troubles.py",
        "before": json.loads(RESULT.read_bytes()).get("before", {}) if RESULT.exists() else {},
        "after": after,
        "holds": held,
        "met": all(held.values()),
    }
    if args.code.resolve() != ROOT:
        report |= {"before": after, "after": {}}
    if not args.quick:
        RESULT.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report))
    return 0 if report["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
