"""The example of docs/collecting.md: its files are what its script makes, and its commands say what the page says."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tikval.hub.bundled import cached_folder
from tikval.sources.posts import read_posts
from tikval.store.runs import Study

EXAMPLE = ROOT / "examples" / "collecting"
PAGE = (ROOT / "docs" / "collecting.md").read_text(encoding="utf-8").partition("## An example")[2]


def commands() -> list[list[str]]:
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    return [shlex.split(line)[1:] for line in block.replace("\\\n", " ").splitlines()]


def typed(words: list[str], folder: Path, seconds: int) -> str:
    """What a command prints, as typed in a checkout, with what it writes in a folder of its own."""
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run(
        [sys.executable, "-m", "tikval.cli", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_its_files_are_what_its_script_makes(tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLE / "make_example.py"))["make"](tmp_path / "example")
    made = sorted(path.relative_to(tmp_path / "example") for path in (tmp_path / "example").rglob("*"))
    there = sorted(
        path.relative_to(EXAMPLE) for path in EXAMPLE.rglob("*") if path.suffix not in (".py", ".pyc")
    )
    assert [path for path in there if path.name != "__pycache__"] == made
    for path in made:
        if (EXAMPLE / path).is_file():
            assert (EXAMPLE / path).read_bytes() == (tmp_path / "example" / path).read_bytes()


def test_its_sample_is_the_one_on_the_page(tmp_path: Path) -> None:
    printed = typed(commands()[0], tmp_path, 100)
    (table,) = re.findall(r"takes 24:\n\n```\n(.*?)```", PAGE, re.DOTALL)
    assert table in printed


@pytest.mark.full
@pytest.mark.ray
@pytest.mark.local_models
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    cached_folder() is None, reason="the text encoder is not here: python -m tikval.hub.bundled"
)
def test_its_commands_end_in_a_report_that_adds_up(tmp_path: Path) -> None:
    printed = [typed(words, tmp_path, 800) for words in commands()]
    assert len(printed) == 3
    posts = read_posts(Study(str(tmp_path / "out" / "collecting")).catalog()).to_pylist()
    assert len(posts) == 24
    assert {row["account"] for row in posts if row["pinned"]} == {
        "crafty_mo", "nana_and_theo", "lake.lena", "pixel_pato"}  # fmt: skip
    (sentence,) = re.findall(r"```\n(Of 24 listed.*?)```", PAGE, re.DOTALL)
    assert " ".join(sentence.split()) in " ".join(printed[2].split())
    for line in re.findall(r"^(?:catalog|scripts|predictions): [\w ,()]+", PAGE, re.MULTILINE):
        assert line in printed[1]
