"""Models by hub name, over real HTTP: one commit for all of a run, whatever happens to the name meanwhile."""

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

# what a run does before it starts actors, and in one; the hub's address is read when its library is imported
SCRIPT = """
import json, sys
from tikval.config import EmbedConfig, UserError
from tikval.embed.encoders import load_encoders
from tikval.embed.plan import make_plan
from tikval.store.folder import Folder

config = EmbedConfig.model_validate(json.loads(sys.argv[1]))
folder = Folder(config.folder)
commits = folder.commits()
try:
    plan = make_plan(config, commits)
except UserError as err:
    sys.exit(str(err))
folder.keep_commits(commits)
print(json.dumps([plan.width, load_encoders(config, plan).served]))
"""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    return write_checkpoints(tmp_path_factory.mktemp("models"))


def start(hub: Hub, home: Path, out: Path, **changes: Any) -> subprocess.CompletedProcess[str]:
    config: dict[str, Any] = {
        "out": str(out),
        "videos": {"out": str(out), "videos": "videos"},
        "video": {"model": "lab/pictures"},
        "sound": {"model": "lab/sound"},
        "text": None,
    }
    environ = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", SCRIPT, json.dumps(config | changes)]
    return subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200
    )


def test_a_run_keeps_the_commits_that_it_began_with(checkpoints: Checkpoints, tmp_path: Path) -> None:
    hub = Hub({"lab/pictures": checkpoints.pictures, "lab/sound": checkpoints.sound})
    began = dict(hub.commits)
    with serving(hub):
        first = start(hub, tmp_path / "home", tmp_path / "out")
        assert first.returncode == 0, first.stderr
        width, served = json.loads(first.stdout)
        assert width == 64
        assert served == f"lab/pictures@{began['lab/pictures']} + lab/sound@{began['lab/sound']}"

        hub.commits["lab/pictures"] = "f" * 40  # the name now stands for another model
        asked = len(hub.asked)
        again = start(hub, tmp_path / "home", tmp_path / "out")
        assert json.loads(again.stdout) == [64, served], again.stderr
        assert not any("lab/" in path for path in hub.asked[asked:])

        other = start(hub, tmp_path / "home", tmp_path / "other", sound=None)
        assert json.loads(other.stdout) == [32, f"lab/pictures@{'f' * 40}"], other.stderr

        gone = start(hub, tmp_path / "home", tmp_path / "third", video={"model": "lab/gone"})
        assert "lab/gone: the hub answers 404 for revision main" in gone.stderr

    away = start(
        hub, tmp_path / "home", tmp_path / "fourth", sound=None
    )  # nobody answers: what is cached counts
    assert away.returncode == 0, away.stderr[-600:]
    assert json.loads(away.stdout) == [32, f"lab/pictures@{'f' * 40}"]
    missing = start(hub, tmp_path / "home", tmp_path / "fifth", video={"model": "lab/never"})
    assert "lab/never: the model hub is out of reach" in missing.stderr
