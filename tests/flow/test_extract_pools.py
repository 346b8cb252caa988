"""How many actors judge: as many as there are cores where they compute, one where they wait for a model."""

from pathlib import Path
from typing import Any

import pytest

from tikval.config import ExtractConfig, load_config
from tikval.flow import extract_values as module


@pytest.mark.parametrize(
    ("file", "given", "actors"),
    [
        ("configs/local/predictions.yaml", [], None),
        ("configs/local/predictions.yaml", ["pool.actors=1"], 1),
        ("configs/gemini/direct.yaml", [], 1),
        ("configs/gemini/direct.yaml", ["pool.actors=3"], 3),
    ],
)
def test_who_computes_has_every_core_and_who_waits_one_actor(
    file: str, given: list[str], actors: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: list[Any] = []
    monkeypatch.setattr(module, "run_stage", lambda _config, steps, **_: pools.append(steps[0].pool))
    monkeypatch.setattr(module, "_by_model", lambda config, *_: pools.append(config.pool))
    monkeypatch.setattr(module, "why_not_calibrated", lambda _config: None)
    module.extract_values(load_config(ExtractConfig, file, [f"out={tmp_path}", *given]))
    assert [pool.actors for pool in pools] == [actors]
