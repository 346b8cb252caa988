"""A driver of batch jobs is killed where it hurts, and the next one goes on: no row is asked twice, by the journal."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.fixtures.batch_run import FOLDER
from tests.fixtures.llm_server import Ask, LlmServer, Rule, Trouble, serving
from tikval.llm.batch_jobs import JobFiles
from tikval.llm.gate import read_spent

N = 12  # rows, in jobs of 4: the last of them comes to errors, and goes online


@dataclass
class Driver:
    """The run that is going on, and the request in the middle of which it dies."""

    out: Path
    url: str = ""
    kill_at: str | None = None  # a kind of request
    nth: int = 1  # of its kind in this run
    process: "subprocess.Popen[str] | None" = None
    seen: Counter[str] = field(default_factory=Counter)

    def run(self, kill_at: str | None = None, nth: int = 1) -> list[Any]:
        """The rows that came out; none of a run that was killed."""
        self.kill_at, self.nth, self.seen = kill_at, nth, Counter()
        settings = json.dumps({"poll_seconds": 0.1, "rows": 4})
        command = [
            sys.executable,
            "-m",
            "tests.fixtures.batch_run",
            str(self.out),
            self.url,
            str(N),
            settings,
        ]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        printed, _ = self.process.communicate(timeout=120)
        if kill_at:
            assert self.process.returncode == -signal.SIGKILL, "it was over before it could be killed"
            return []
        assert self.process.returncode == 0
        rows: list[Any] = json.loads(printed)
        return rows

    def comes(self, kind: str) -> None:
        """A request came in: in the server, before anything is done about it."""
        self.seen[kind] += 1
        if kind == self.kill_at and self.seen[kind] == self.nth:
            assert self.process is not None
            os.kill(self.process.pid, signal.SIGKILL)


class Spy(Rule):
    """No trouble, but for the driver."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(Trouble("slow"))
        object.__setattr__(self, "driver", driver)

    driver: Driver

    def applies(self, ask: Ask) -> bool:
        if ask.route == "online":
            self.driver.comes(ask.kind)
        return False


def killed_at(kills: Sequence[tuple[str, int]], out: Path) -> None:
    """Run, kill at each of these requests, which the server acts upon all the same, and run again: then all must be
    there once."""
    driver = Driver(out)
    errors = Rule(Trouble("error_13"), share=0.3, route="batch")
    fake = LlmServer(rules=[Spy(driver), errors], batch_seconds=0.3)
    with serving(fake):
        driver.url = fake.url
        for kind, nth in kills:
            driver.run(kind, nth)
        rows = driver.run()
    assert sorted(row[0] for row in rows) == sorted(f"v{i}" for i in range(N))
    assert not any(error for _, error, _ in rows)
    billed = Counter(call.key for call in fake.of("generate") if call.billed_usd)
    assert len(billed) == N
    assert set(billed.values()) == {1}, "a row was paid for twice"
    refused = {call.key for call in fake.of("generate") if call.outcome == "error_13"}
    assert refused == {call.key for call in fake.of("generate") if call.route == "online"}, "and no other"
    assert refused
    spent = read_spent(f"{out}/{FOLDER}")
    assert spent is not None
    assert spent.settled_usd == pytest.approx(fake.billed_usd())
    assert sum(cost for _, _, cost in rows) == pytest.approx(fake.billed_usd())
    assert not fake.files
    assert not list(JobFiles(str(out)).all())


@pytest.mark.timeout(180)
def test_killed_in_the_middle_of_create_of_polling_and_of_reading(tmp_path: Path) -> None:
    killed_at([("batch", 2), ("batch_get", 2), ("download", 1)], tmp_path)


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "kills",
    [
        [("upload", 1), ("upload", 1)],
        [("batch", 1), ("batch", 2), ("batches", 1)],
        [("batch_get", 1), ("batch_get", 1), ("batch_get", 3)],
        [("download", 1), ("download", 1), ("download", 2)],
        [("delete", 1), ("delete", 2), ("delete", 3)],
        [("start", 2), ("batch", 1), ("batch_get", 1), ("download", 1), ("delete", 1)],
    ],
)
def test_killed_anywhere(kills: list[tuple[str, int]], tmp_path: Path) -> None:
    killed_at(kills, tmp_path)
