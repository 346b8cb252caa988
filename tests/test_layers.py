"""Imports run one way, Ray stays at the edge, and what must answer at once loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A module may import its own package and the lines above; modules of one line are strangers.
LAYERS = """
values
rows
config
files codebook privacy
labels catalog
media llm hub
ask
script embed extract finetune
evaluate
report
flow
jobs
cli
"""
RANK = {name: rank for rank, line in enumerate(LAYERS.splitlines()) for name in line.split()}
LIGHT = {
    *("values", "rows", "config", "codebook", "privacy", "files", "labels", "catalog"),
    *("media", "evaluate", "report"),
}
HEAVY = {"torch", "torchaudio", "transformers", "sentence_transformers", "vllm"}
MODULES = sorted([*(ROOT / "tikval").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")])


def imports(source: str) -> set[str]:
    """Dotted names of all that a source imports, at the top or inside a function; `from a import b` is a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return names


def layer(module: str) -> str | None:
    """The layer of a dotted name: `tikval.media.wire` -> media; None for other packages and tikval itself."""
    root, *rest = module.split(".")
    if root == "jobs":
        return "jobs"
    return rest[0] if root == "tikval" and rest and rest[0] != "__version__" else None


def wrong_imports(mine: str, source: str) -> list[str]:
    """What a module of the layer `mine` imports and may not."""
    wrong = []
    for name in sorted(imports(source)):
        root, other = name.split(".")[0], layer(name)
        upwards = other is not None and other != mine and RANK[other] >= RANK[mine]
        ray_inside = root == "ray" and mine not in ("flow", "jobs")
        heavy = root in HEAVY and mine in LIGHT
        if name.startswith(".") or upwards or ray_inside or heavy:
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    source = path.read_text(encoding="utf-8")
    if path.name == "__init__.py":
        package = module.removesuffix(".__init__")
        assert all(name.startswith(f"{package}.") for name in imports(source)), "more than names of its own"
        return
    mine = layer(module)
    assert mine in RANK, f"{path} has no place among the layers"
    assert not wrong_imports(mine, source)


@pytest.mark.parametrize(
    ("mine", "source"),
    [
        ("values", "import tikval.rows"),
        ("values", "from tikval import rows"),
        ("media", "def late():\n    from tikval.script.local import want_of"),
        ("media", "from tikval.llm import client"),
        ("embed", "from tikval.extract.local import LocalValues"),
        ("flow", "from jobs import catalog"),
        ("flow", "import tikval.cli"),
        ("config", "from . import values"),
        ("extract", "import ray.data"),
        ("cli", "from ray import data"),
        ("evaluate", "if True:\n    import torch.nn as nn"),
        ("report", "import transformers"),
    ],
)
def test_a_wrong_import_is_seen(mine: str, source: str) -> None:
    assert len(wrong_imports(mine, source)) == 1


@pytest.mark.parametrize(
    ("mine", "source"),
    [
        ("flow", "import ray\nimport tikval\nfrom tikval import __version__\nfrom tikval.flow import folder"),
        ("jobs", "import ray\nfrom jobs import catalog\nfrom tikval.flow.data import run_stage"),
        ("extract", "import torch\nfrom tikval.codebook import Codebook"),
        ("report", "import numpy\nfrom tikval.evaluate.scores import coverage"),
    ],
)
def test_a_right_import_is_not(mine: str, source: str) -> None:
    assert not wrong_imports(mine, source)


@pytest.mark.parametrize("module", ["tikval.cli", "tikval.store.folder", "jobs.catalog"])
def test_what_answers_at_once_loads_no_models_and_no_ray(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"tikval", "pyarrow"} <= loaded
    assert not loaded & (HEAVY | {"ray"})
