"""The house: imports run one way, Ray stays in its room, and what must return immediately loads nothing heavy."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A module may import its own room and the lines above; rooms of one line are strangers.
LAYERS = """
values
rows machine handles spreadsheet terminal errors
config
files codebook privacy study_key script_text
prompt_text
stats store
sources
media llm hub
ask
script embed extract finetune
evaluate
collect annotate claims
report
study
flow
cli
jobs
"""
RANK = {name: rank for rank, line in enumerate(LAYERS.splitlines()) for name in line.split()}
LIGHT = {
    *("values", "rows", "machine", "config", "codebook", "handles", "privacy", "study_key", "files"),
    *("errors", "spreadsheet", "terminal", "script_text", "prompt_text", "stats", "store", "sources"),
    *("media", "evaluate", "annotate", "claims", "report", "study"),
}
HEAVY = {"torch", "torchaudio", "transformers", "sentence_transformers", "vllm"}
MODULES = sorted([*(ROOT / "tikval").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")])
MAX_FLOW_LINES, MAX_JOB_LINES, MAX_FUNCTION_LINES = 2_970, 80, 60


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(source: str) -> set[str]:
    """Dotted names of all that a source imports, at the top or inside a function; `from a import b` is a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return names


def imports_at_top(source: str) -> set[str]:
    """Of these, what runs when the module is imported."""
    body: list[ast.stmt] = [
        node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    return imports(ast.unparse(ast.Module(body, [])))


def layer(module: str) -> str | None:
    """The room of a dotted name: `tikval.media.wire` -> media; None for other packages and tikval itself."""
    root, *rest = module.split(".")
    if root == "jobs":
        return "jobs"
    return rest[0] if root == "tikval" and rest and rest[0] != "__version__" else None


def wrong_imports(mine: str, source: str) -> list[str]:
    """What a module of the room `mine` imports and may not."""
    wrong = []
    for name in sorted(imports(source)):
        root, other = name.split(".")[0], layer(name)
        upwards = other is not None and other != mine and RANK[other] >= RANK[mine]
        ray_inside = root == "ray" and mine != "flow"
        heavy = root in HEAVY and mine in LIGHT
        if name.startswith(".") or upwards or ray_inside or heavy:
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    if path.name == "__init__.py":
        package = name_of(path).removesuffix(".__init__")
        assert all(name.startswith(f"{package}.") for name in imports(source)), "more than names of its own"
        return
    mine = layer(name_of(path))
    assert mine in RANK, f"{path} has no place among the layers"
    assert not wrong_imports(mine, source)


@pytest.mark.parametrize(
    ("mine", "source"),
    [
        ("values", "import tikval.rows"),
        ("values", "from tikval import rows"),
        ("stats", "from tikval.evaluate.answers import Truth"),
        ("store", "from tikval.sources import catalog"),
        ("media", "def late():\n    from tikval.script.local import want_of_writer"),
        ("media", "from tikval.llm import client"),
        ("embed", "from tikval.extract.local import LocalValues"),
        ("report", "from tikval.study.erasure import erase_videos"),
        ("flow", "from jobs import catalog"),
        ("flow", "import tikval.cli"),
        ("config", "from . import values"),
        ("extract", "import ray.data"),
        ("cli", "from ray import data"),
        ("jobs", "import ray"),
        ("evaluate", "if True:\n    import torch.nn as nn"),
        ("report", "import transformers"),
    ],
)
def test_a_wrong_import_is_seen(mine: str, source: str) -> None:
    assert len(wrong_imports(mine, source)) == 1


@pytest.mark.parametrize(
    ("mine", "source"),
    [
        (
            "flow",
            "import ray\nimport tikval\nfrom tikval import __version__\nfrom tikval.store import folder",
        ),
        ("jobs", "from tikval.cli.job import run_job"),
        ("extract", "import torch\nfrom tikval.codebook import Codebook"),
        ("report", "import numpy\nfrom tikval.evaluate.scores import coverage"),
    ],
)
def test_a_right_import_is_not(mine: str, source: str) -> None:
    assert not wrong_imports(mine, source)


def test_no_module_imports_itself_in_a_circle() -> None:
    known = {name_of(path) for path in MODULES}
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        names = imports_at_top(path.read_text(encoding="utf-8"))
        graph[name_of(path)] = {
            part for name in names for part in (name, name.rpartition(".")[0]) if part in known
        } - {name_of(path)}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as err:
        pytest.fail(f"imports run in a circle: {' -> '.join(err.args[1])}")


def test_statistics_need_numpy_alone() -> None:
    outside = {
        f"{path.name}: {root}"
        for path in (ROOT / "tikval" / "stats").glob("*.py")
        for root in {name.split(".")[0] for name in imports(path.read_text(encoding="utf-8"))}
        if root not in {*sys.stdlib_module_names, "numpy", "tikval"}
    }
    assert not outside


# flow: the edge to Ray, and only that


def flow_modules() -> dict[str, set[str]]:
    """Each module of flow/ and what it imports."""
    return {
        name_of(path): imports(path.read_text(encoding="utf-8"))
        for path in MODULES
        if path.parent == ROOT / "tikval" / "flow" and path.name != "__init__.py"
    }


def test_flow_is_rays_alone() -> None:
    """Each of its modules imports Ray, builds on one that does, or serves only such modules."""
    modules = flow_modules()
    needs = {
        mine: {other for other in modules if any(f"{name}.".startswith(f"{other}.") for name in names)}
        for mine, names in modules.items()
    }
    on_ray = {mine for mine, names in modules.items() if any(name.split(".")[0] == "ray" for name in names)}
    while True:
        more = {mine for mine in modules if needs[mine] & on_ray} - on_ray
        if not more:
            break
        on_ray |= more
    users: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        for name in imports(path.read_text(encoding="utf-8")):
            for mine in modules:
                if f"{name}.".startswith(f"{mine}."):
                    users[mine].add(name_of(path))
    strangers = [mine for mine in modules.keys() - on_ray if not users[mine] or users[mine] - on_ray]
    assert not strangers, f"these have nothing to do with Ray: {strangers}"


def test_flow_says_what_of_ray_each_module_serves() -> None:
    for module in flow_modules():
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
        assert "Ray" in first, f"{path}: its first sentence does not say what of Ray it serves"


def test_flow_stays_small() -> None:
    lines = {
        name: len((ROOT.joinpath(*name.split(".")).with_suffix(".py")).read_text().splitlines())
        for name in flow_modules()
    }
    assert sum(lines.values()) <= MAX_FLOW_LINES, sorted(lines.items(), key=lambda item: -item[1])


# sizes and names


def test_a_job_is_an_entry_point() -> None:
    long = {
        path.name: lines
        for path in (ROOT / "jobs").iterdir()
        if path.is_file() and (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_JOB_LINES
    }
    assert not long


def definitions(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[tuple[Path, ast.AST]]:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield path, node


def test_no_function_is_long() -> None:
    long = []
    for path, node in definitions((ast.FunctionDef, ast.AsyncFunctionDef)):
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        assert node.end_lineno is not None
        if (lines := node.end_lineno - node.lineno + 1) > MAX_FUNCTION_LINES:
            long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines} lines")
    assert not long


def test_no_class_has_the_name_of_another() -> None:
    places = defaultdict(list)
    for path, node in definitions(ast.ClassDef):
        assert isinstance(node, ast.ClassDef)
        places[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_no_public_function_has_the_name_of_another() -> None:
    """Apart from main, which every program has, and from the commands that the command line is named by."""
    places = defaultdict(list)
    for path in MODULES:
        if path.parent.name == "cli":
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.name != "main":
                places[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: where for name, where in places.items() if len(where) > 1}


@pytest.mark.parametrize("module", ["tikval.cli.commands", "tikval.store.folder", "tikval.cli.job"])
def test_what_returns_immediately_loads_no_models_and_no_ray(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"tikval", "pyarrow"} <= loaded
    assert not loaded & (HEAVY | {"ray"})


def test_the_picture_of_the_rooms_is_that_of_the_imports() -> None:
    """Apart from the numbers of lines, which it need not follow."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.path.insert(0, 'docs'); import rooms; print(rooms.drawing(), end='')",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    there = (ROOT / "docs" / "rooms.svg").read_text(encoding="utf-8")
    assert re.sub(r"· [\d,]+", "", done.stdout) == re.sub(r"· [\d,]+", "", there), "run python docs/rooms.py"
