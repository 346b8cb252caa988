"""What is shipped: locks, the members of wheel and archive, the Dockerfile, one version, the workflows."""

import importlib.util
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tikval
from tests.conftest import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {path.stem: path.read_text() for path in (ROOT / ".ci/locks").glob("*.txt")}
MB = 10**6


def locked(text: str) -> dict[str, str]:
    """Version by name; of a package with several, by platform, the last."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\\n]+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def of_extra(name: str) -> list[str]:
    """An extra's requirements; one that names tikval itself stands for those of its extras."""
    lines: list[str] = PROJECT["optional-dependencies"][name]
    own = [extra for line in lines if line.startswith("tikval[") for extra in Requirement(line).extras]
    return [line for line in lines if not line.startswith("tikval[")] + [
        more for one in own for more in of_extra(one)
    ]


@pytest.mark.parametrize(
    ("name", "extras"), [("run", ["local", "gemini"]), ("dev", ["local", "gemini", "dev"])]
)
def test_every_requirement_is_locked_within_its_range(name: str, extras: list[str]) -> None:
    """Where this fails after a change of pyproject.toml: .ci/lock"""
    versions = locked(LOCKS[name]) | locked(LOCKS["torch"])
    wanted = PROJECT["dependencies"] + [line for extra in extras for line in of_extra(extra)]
    for requirement in map(Requirement, wanted):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in .ci/locks/{name}.txt: run .ci/lock"
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}: run .ci/lock"


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_a_lock_names_no_index_and_has_a_hash_for_everything_but_torch(name: str) -> None:
    text = LOCKS[name]
    assert not re.search(r"https?:|file:|--(extra-)?index|find-links|/(opt|home|root|tmp)/", text)
    blocks = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    without = [block for block in blocks if "--hash=sha256:" not in block]
    assert without == ([f"torch=={locked(text)['torch']}"] if name == "torch" else [])
    assert name == "torch" or not locked(text).keys() & {"torch", "triton", "nvidia-cublas", "cuda-toolkit"}


def test_what_runs_is_what_was_tested() -> None:
    tested = locked(LOCKS["dev"])
    assert {
        name: version for name, version in locked(LOCKS["run"]).items() if tested.get(name) != version
    } == {}


def test_the_version_is_one() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == tikval.__version__ == citation["version"]
    assert citation["license"] == PROJECT["license"]


def test_what_others_made_is_named() -> None:
    notice = (ROOT / "NOTICE").read_text()
    assets = {path.name for path in ROOT.glob("tikval/**/*.min.js")}
    assert assets == {"echarts.min.js"}
    for words in (*assets, "Apache Software Foundation", "all-MiniLM-L6-v2", "Whisper base"):
        assert words in notice


# the Dockerfile


def steps() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dockerfile_steps", ROOT / ".ci/dockerfile_steps.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_image_runs_as_a_user_and_is_made_of_what_its_context_has() -> None:
    build, image = steps().read_dockerfile(ROOT / "Dockerfile", {})
    assert (image.user, json.loads(image.entrypoint)) == ("tikval", ["tikval"])
    assert image.env["PATH"].startswith("/opt/tikval/bin:")
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {word for step in build.steps if step.kind == "COPY" for word in step.words[:-1]}
    assert copied == let_through
    assert all((ROOT / place).exists() for place in copied)
    assert [step.source for step in image.steps if step.kind == "COPY"] == ["build"]


def test_steps_of_a_dockerfile(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(
        "ARG BASE=a\nFROM ${BASE} AS one\nARG COLOUR=red\n# a note\nENV PATH=/x:$PATH A=1\n"
        "RUN first \\\n    && second $COLOUR\nWORKDIR /w\nCOPY a b here/\nFROM ${BASE}\nCOPY --from=one /x /y\nUSER u\n"
    )
    one, two = steps().read_dockerfile(file, {"COLOUR": "blue"})
    run, copy = one.steps
    assert (run.words, run.folder, run.env["COLOUR"]) == (("first && second $COLOUR",), "/", "blue")
    assert run.env["A"] == "1"
    assert (copy.words, copy.folder, copy.source) == (("a", "b", "here/"), "/w", None)
    assert (two.steps[0].source, two.user, "A" in two.env) == ("one", "u", False)
    file.write_text("FROM a\nADD x y\n")
    with pytest.raises(ValueError, match="ADD"):
        steps().read_dockerfile(file, {})


# the workflows


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.name
)
def test_a_workflow_may_little_and_names_commits(path: Path) -> None:
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert "NOT RUN" in text
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert "timeout-minutes" in job, name
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", step["uses"]), step
            for target in re.findall(r"\bmake ([\w-]+)", step.get("run", "")):
                assert f"\n{target}:" in (ROOT / "Makefile").read_text()
    writes = {
        name: job["permissions"]
        for name, job in workflow["jobs"].items()
        if "write" in job["permissions"].values()
    }
    assert writes == (
        {} if path.name == "ci.yml" else {"pypi": {"id-token": "write"}, "github": {"contents": "write"}}
    )


# the longer ones


@pytest.mark.full
def test_the_files_of_a_release(tmp_path: Path) -> None:
    """Needs the package index. The wheel has what `tikval demo` reads; neither has what is of this checkout alone."""
    subprocess.run([ROOT / ".ci/dist"], check=True, cwd=ROOT)
    (wheel,), (archive,) = (ROOT / "dist").glob("*.whl"), (ROOT / "dist").glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < 20 * MB  # the index takes 100 MB a file
    assert archive.stat().st_size < 20 * MB
    for place in (
        "configs/local/report.yaml",
        "prompts/codebook.yaml",
        "examples/videos.csv",
        "examples/labels.csv",
    ):
        assert f"tikval/share/{place}" in names
    clips = [name for name in names if name.startswith("tikval/share/examples/clips/")]
    assert len(clips) == 17
    assert {"LICENSE", "NOTICE"} <= {name.rpartition("/")[2] for name in names if ".dist-info/" in name}
    assert not [name for name in names if not re.match(r"tikval(/|-[\d.]+\.dist-info/)", name)]
    with tarfile.open(archive) as members:
        top = {name.split("/")[1] for name in members.getnames() if "/" in name}
    assert not top & {".venv", "out", "shared", ".cache", ".git", "dist"}
    assert {"pyproject.toml", "tikval", "tests", "NOTICE", "CITATION.cff", "Dockerfile"} <= top
    parts = json.loads((ROOT / "dist/tikval.cdx.json").read_text())["components"]
    bought = {canonicalize_name(part["name"]): part["version"] for part in parts}
    assert bought == locked(LOCKS["run"]) | locked(LOCKS["torch"])


@pytest.mark.full
def test_the_workflows_and_the_citation_pass_their_linters() -> None:
    """Needs the package index."""
    subprocess.run([ROOT / ".ci/lint-workflows"], check=True, cwd=ROOT)
