"""A command loads its own modules alone, and the table of modules names every command."""

import subprocess
import sys

import pytest
from typer.main import get_command

from tikval.cli.app import MODULES
from tikval.cli.commands import app

# what no command needs before it has read its arguments
SLOW = {"ray", "torch", "transformers", "sentence_transformers", "matplotlib", "pandas", "scipy", "av"}


def loaded_by(words: str) -> set[str]:
    code = "import sys; from tikval.cli.app import load_commands; load_commands(sys.argv[1:]); print(*sys.modules)"
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


def test_without_a_command_all_are_listed_and_nothing_slow_is_loaded() -> None:
    modules = loaded_by("--help")
    assert {f"tikval.cli.{module}" for names in MODULES.values() for module in names} <= modules
    assert not SLOW & modules
