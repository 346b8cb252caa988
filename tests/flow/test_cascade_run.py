"""`tikval analyze --profile cascade` as people type it, killed in the strong run; a server of ours keeps the bill."""

import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import IO

import psutil
import pytest
import yaml

from tests.conftest import ROOT
from tests.fixtures.cascade import config_of, list_videos, prepare, strong_says
from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tikval.llm.gate import read_spent
from tikval.store.folder import Folder
from tikval.store.runs import Study

pytestmark = [pytest.mark.ray, pytest.mark.full, pytest.mark.timeout(400)]
N, SAMPLE = 300, 120


def command(folder: Path, server: LlmServer) -> list[str]:
    config = config_of(folder, server)
    at = "scores.predictions.0."
    assert config.strong.scripts is not None
    sets = {
        "sample": SAMPLE,
        "recall": 0.7,
        "precision": 0.7,
        "strong.scripts": config.strong.scripts.model_dump(mode="json"),
        "strong.api.base_url": server.url,
        "strong.api.in_flight": 4,
    }
    words = ["analyze", str(folder / "videos" / "manifest.csv"), "--profile", "cascade", "--out", config.out]
    words += ["--budget", "20", "--minors-unknown", "send", "--no-evidence"]
    for key, value in sets.items():
        words += [
            "--set",
            f"{at}{key}={yaml.safe_dump(value, default_flow_style=True, width=10**6).split(chr(10))[0]}",
        ]
    return [sys.executable, "-m", "tikval.cli", *words]


def begin(words: list[str], told: IO[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(words, cwd=ROOT, stdout=told, stderr=subprocess.STDOUT, start_new_session=True)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a driver, and its Ray with it."""
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    for child in family:
        child.kill()


def paid(server: LlmServer) -> int:
    return sum(call.billed_usd > 0 for call in server.of("generate"))


def wait_for(what: str, file: Path, process: "subprocess.Popen[bytes]") -> None:
    while what not in file.read_text():
        assert process.poll() is None, file.read_text()
        time.sleep(0.02)


def test_a_kill_in_the_strong_run_costs_nothing_twice_and_the_promise_is_shown(tmp_path: Path) -> None:
    list_videos(tmp_path / "videos", N)
    faults = [Rule(Trouble("unavailable"), share=0.05, first=1)]
    with serving(LlmServer(answer=strong_says, rules=faults, latency=0.05)) as server:
        config = config_of(tmp_path, server)
        prepare(config)
        words, first = command(tmp_path, server), tmp_path / "first.txt"
        with first.open("w") as told:
            process = begin(words, told)
            wait_for("left to ask", first, process)
            assert paid(server) == SAMPLE, "the plan is printed before the rest is asked"
            while paid(server) < SAMPLE + 10:
                assert process.poll() is None, first.read_text()
                time.sleep(0.02)
            end(process)
        time.sleep(1)
        plan = (Path(config.folder) / "plan.json").read_bytes()
        second = tmp_path / "second.txt"
        with second.open("w") as told:
            assert begin(words, told).wait(timeout=300) == 0, second.read_text()
        assert (Path(config.folder) / "plan.json").read_bytes() == plan

        rows = Folder(config.folder).read().to_pylist()
        assert len({row["video_id"] for row in rows}) == len(rows) == N
        by = Counter(row["answered_by"] for row in rows)
        assert by["strong"] + by["cheap"] == N
        keys = [row["ledger_key"] for row in rows if row["answered_by"] == "strong"]
        assert len(set(keys)) == by["strong"]
        assert by["strong"] <= paid(server) <= by["strong"] + 4, "but for calls in the air when it was killed"
        spent = read_spent(config.strong.folder)
        assert spent is not None
        billed = server.billed_usd()
        assert billed - 1e-6 <= spent.settled_usd <= 1.02 * billed + spent.unknown_usd

        page = next(Path(config.out).glob("report-*/systems.html")).read_text()
        assert "cascade: what it promises" in page
        assert re.search(r"The promise, on \d+ held-out videos: (kept|not shown)", page)
        study = Study(config.out)
        assert set(study.systems()) == {"cascade", "local"}, (
            "the strong one, asked about some videos, is none"
        )
        before = len(server.calls)
        with second.open("w") as told:
            assert begin(words, told).wait(timeout=300) == 0
        assert len(server.calls) == before
