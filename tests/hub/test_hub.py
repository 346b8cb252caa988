"""Models by hub name, over real HTTP: one commit for all of a run, whatever happens to the name meanwhile."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.fixtures.checkpoints import Checkpoints, write_checkpoints
from tests.fixtures.hub import Hub, serving
from tikval.config import Engine, Vllm
from tikval.flow.vllm import engine_kwargs

LOADERS = {"from_pretrained", "from_config", "SentenceTransformer", "CrossEncoder", "LLM", "pipeline"}

# What runs do before they start actors, and in one. A process for several: the hub's address is read when its library
# is imported, which takes seconds.
SCRIPT = """
import json, sys
from tikval.config import EmbedConfig, UserError
from tikval.embed.encoders import load_encoders
from tikval.embed.plan import make_plan
from tikval.store.folder import Folder

def start(keys):
    config = EmbedConfig.model_validate(keys)
    folder = Folder(config.folder)
    commits = folder.commits()
    try:
        plan = make_plan(config, commits)
    except UserError as err:
        return str(err)
    folder.keep_commits(commits)
    return [plan.width, load_encoders(config, plan).served]

print(json.dumps([start(keys) for keys in json.loads(sys.argv[1])]))
"""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    return write_checkpoints(tmp_path_factory.mktemp("models"))


def start(hub: Hub, home: Path, *runs: dict[str, Any]) -> list[Any]:
    """What came of each run, started one after another in a new process: width and models, or the error's line."""
    usual = {"video": {"model": "lab/pictures"}, "sound": {"model": "lab/sound"}, "text": None}
    configs = [
        {**usual, "videos": {"out": run["out"], "videos": "videos"}, **run}  # "out" is every run's own
        for run in runs
    ]
    environ = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", SCRIPT, json.dumps(configs)]
    done = subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr[-600:]
    results: list[Any] = json.loads(done.stdout)
    return results


@pytest.mark.full  # 20 s of starting processes
def test_a_run_keeps_the_commits_that_it_began_with(checkpoints: Checkpoints, tmp_path: Path) -> None:
    hub = Hub({"lab/pictures": checkpoints.pictures, "lab/sound": checkpoints.sound})
    began = dict(hub.commits)
    home, outs = tmp_path / "home", [str(tmp_path / name) for name in ("a", "b", "c", "d", "e")]
    with serving(hub):
        [[width, served]] = start(hub, home, {"out": outs[0]})
        assert width == 64
        assert served == f"lab/pictures@{began['lab/pictures']} + lab/sound@{began['lab/sound']}"

        hub.commits["lab/pictures"] = "f" * 40  # the name now stands for another model
        asked = len(hub.asked)
        again, other, gone = start(
            hub,
            home,
            {"out": outs[0]},
            {"out": outs[1], "sound": None},
            {"out": outs[2], "video": {"model": "lab/gone"}},
        )
        assert again == [64, served]
        assert not any(
            "lab/sound" in path for path in hub.asked[asked:]
        )  # the only run of it since is `again`
        assert other == [32, f"lab/pictures@{'f' * 40}"]
        assert "lab/gone: the hub answers 404 for revision main" in gone

    # nobody answers: what is cached counts
    away, missing = start(
        hub, home, {"out": outs[3], "sound": None}, {"out": outs[4], "video": {"model": "lab/never"}}
    )
    assert away == [32, f"lab/pictures@{'f' * 40}"]
    assert "lab/never: the model hub is out of reach" in missing


def _loads(source: str) -> list[ast.Call]:
    """Calls that load a model, a tokenizer or a configuration by name."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).rpartition(".")[2] in LOADERS]


def test_no_model_brings_code_of_its_own() -> None:
    """Left out, transformers asks at a terminal whether it may run what the model's folder holds."""
    loads = {file: _loads(file.read_text()) for file in (ROOT / "tikval").rglob("*.py")}
    assert sum(map(len, loads.values())) >= 10
    for file, calls in loads.items():
        for call in calls:
            told = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert told.get("trust_remote_code") == "False", f"{file}:{call.lineno}"


def test_vllms_engine_runs_no_code_of_a_model() -> None:
    kwargs = engine_kwargs(Vllm(model="a/b"), Engine(), on_gpu=False)
    assert kwargs["trust_remote_code"] is False
