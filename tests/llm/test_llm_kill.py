"""A paid run that is killed: nothing lost, nothing repeated, nothing paid twice. In full: benchmarks/gemini.py."""

import os
from pathlib import Path

import pytest

from tests.fixtures.llm_run import holds, run_and_kill

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def test_a_killed_run_pays_for_nothing_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("TIKVAL_KILL_SEED", "1"))
    limits = {"per_minute": 600, "tokens_per_minute": 10_000_000}
    outcome = run_and_kill(tmp_path, 50, kills=1, faults=0.1, latency=0.3, seed=seed, **limits)
    held = holds(outcome, 50, **limits)
    assert all(held.values()), (held, outcome)
    assert outcome.requests > 50, "faults were met"
