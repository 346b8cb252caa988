"""The commands of the documents are run, page by page, in a folder where placeholders have stand-ins.

Which ones: docs/commands.yaml names those that another test runs, or nobody.
"""

import csv
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMMANDS = runpy.run_path(str(ROOT / "docs" / "commands.py"))
STAND_INS: dict[str, str] = yaml.safe_load((ROOT / "docs/commands.yaml").read_text())["stand_ins"]
RULES = COMMANDS["rules"]()
MINE = [command for command in COMMANDS["commands"]() if COMMANDS["rule_of"](command, RULES) is None]
EXAMPLE = ROOT / "examples" / "collecting"
LINKED = ("benchmarks", "configs", "docs", "jobs", "prompts", "tikval")  # read, and written by no command

pytestmark = [pytest.mark.full, pytest.mark.ray, pytest.mark.local_models, pytest.mark.timeout(540)]


def write_labels(file: Path, ids: list[str], annotators: list[str], *, name_them: bool = True) -> None:
    """A table of annotations; each annotator differs from the others in some cells."""
    with file.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow(["video_id", *(["annotator"] if name_them else []), "hedonism", "achievement", "face"])
        for place, annotator in enumerate(annotators):
            for n, video in enumerate(ids):
                stances = [n % 2, (n // 2) % 2, -1 if n % 5 == place else 0]
                table.writerow([video, *([annotator] if name_them else []), *stances])


def write_stand_ins(folder: Path) -> None:
    """What the documents call my_videos/, labels.csv and so on."""
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "examples", folder / "examples")
    for name in ("my_videos", "media", "clips"):
        shutil.copytree(EXAMPLE / "media", folder / name)
    shutil.copy(EXAMPLE / "export.ndjson", folder)
    shutil.copy(EXAMPLE / "accounts.csv", folder)
    shutil.copy(ROOT / "configs" / "claims.yaml", folder)
    shutil.copy(ROOT / "prompts" / "moral_foundations.yaml", folder)
    ids = sorted(file.stem for file in (EXAMPLE / "media").rglob("*.mp4"))
    write_labels(folder / "labels.csv", ids, ["ann", "bob"])
    for annotator in ("ann", "bob", "eve"):
        write_labels(folder / f"{annotator}.csv", ids, [annotator], name_them=False)
    (folder / "gone.txt").write_text(f"{ids[-1]}\n")


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    text = command
    for word, instead in STAND_INS.items():
        text = re.sub(rf"(?<![\w.]){re.escape(word)}(?!\w)", instead, text)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all stand-ins and a finished study in `study`."""
    folder = tmp_path_factory.mktemp("documents")
    write_stand_ins(folder)
    done = run(
        "tikval posts export.ndjson --out list.csv && tikval analyze list.csv --media media --accounts accounts.csv "
        "--annotations labels.csv --annotator ann --annotated-by random --profile demo --out study",
        folder,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("page", list(dict.fromkeys(command.page for command in MINE)))
def test_the_commands_of_a_page(page: str, made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    shutil.copytree(made, folder, symlinks=True)
    shutil.copytree(folder / "study", folder / "out")
    (folder / "study").rename(folder / "out" / "study")
    failed: list[Any] = []
    for command in (one for one in MINE if one.page == page):
        done = run(command.text, folder)
        if done.returncode != 0:
            failed.append((command.text, done.returncode, (done.stdout + done.stderr)[-800:]))
    assert failed == []
