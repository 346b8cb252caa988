"""A command loads its own modules alone, and the table of modules names every command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from tikval.cli.app import MODULES
from tikval.cli.commands import app

# what no command needs before it has read its arguments
SLOW = {"ray", "torch", "transformers", "sentence_transformers", "matplotlib", "pandas", "scipy", "av"}


def loaded_by(words: str) -> set[str]:
    code = "import sys; from tikval.cli.app import load_commands; load_commands(sys.argv[1:2]); print(*sys.modules)"
    made = subprocess.run(
        [sys.executable, "-c", code, *words.split()], capture_output=True, text=True, check=True
    )
    return set(made.stdout.split())


def test_the_table_names_every_command_and_no_other() -> None:
    group = get_command(app)
    assert set(group.list_commands(None)) == set(MODULES)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", ["status", "verify", "annotate"])
def test_a_command_loads_its_own_modules_alone(command: str) -> None:
    modules = loaded_by(command)
    assert {f"tikval.cli.{module}" for module in MODULES[command]} <= modules
    assert "tikval.cli.prompt" not in modules
    assert not SLOW & modules


def test_without_a_command_all_are_listed_as_their_modules_would_list_them() -> None:
    code = "import sys; from tikval.cli.app import main; main()"
    with_modules = "import sys; from tikval.cli.commands import app; app()"
    env = {**os.environ, "COLUMNS": "100"}
    listed, full = (
        subprocess.run(
            [sys.executable, "-c", each, "--help"], capture_output=True, text=True, env=env, check=True
        )
        for each in (code, with_modules)
    )
    assert sorted(listed.stdout.splitlines()[1:]) == sorted(full.stdout.splitlines()[1:])
    assert "plan" in listed.stdout


@pytest.mark.parametrize("words", ["", "--help", "--version", "no-such-command"])
def test_the_list_of_commands_loads_none_of_them(words: str) -> None:
    code = "import sys; sys.argv[1:] = WORDS; from tikval.cli.app import main"
    code += "\ntry: main()\nfinally: print(*sys.modules)"
    made = subprocess.run(
        [sys.executable, "-c", code.replace("WORDS", repr(words.split()))],
        capture_output=True,
        text=True,
        check=False,
    )
    modules = set(made.stdout.splitlines()[-1].split())
    assert {"tikval.cli.app", "tikval.errors"} <= modules
    assert not {"pyarrow", "numpy", "tikval.config", "tikval.cli.analyze", *SLOW} & modules
    assert made.returncode == (0 if words.startswith("--") else 2)


def test_a_command_runs_also_behind_two_dashes(tmp_path: Path) -> None:
    code = "import sys; sys.argv[1:] = ['--', 'doctor']; from tikval.cli.app import main; main()"
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "python" in made.stdout.lower(), made.stderr
