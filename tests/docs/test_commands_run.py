"""The commands of the documents are run, page by page, in a folder where placeholders have stand-ins.

In this process, and without Ray: scripts are made up, answers follow from a system's name (tests/fixtures/offline.py).
docs/commands.yaml names the commands that another test runs over the real stages, or nobody.
"""

import csv
import json
import re
import runpy
import shlex
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from tests.fixtures.offline import tikval, without_ray
from tikval.store.status import FINISHED, Status, driver_name, now

ROOT = Path(__file__).parents[2]
COMMANDS = runpy.run_path(str(ROOT / "docs" / "commands.py"))
STAND_INS: dict[str, str] = yaml.safe_load((ROOT / "docs/commands.yaml").read_text())["stand_ins"]
RULES = COMMANDS["rules"]()
MINE = [command for command in COMMANDS["commands"]() if COMMANDS["rule_of"](command, RULES) is None]
EXAMPLE = ROOT / "examples" / "collecting"
VALUES = ("hedonism", "achievement", "face")
pytestmark = [pytest.mark.full, pytest.mark.timeout(540)]
CLAIMS = """\
name: mine
claims:
  more: {label: hedonism+, group: {}, against: 0.2}
"""


def write_labels(file: Path, ids: list[str], annotators: list[str], *, name_them: bool = True) -> None:
    """A table of annotations; each annotator differs from the others in some cells."""
    with file.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow(["video_id", *(["annotator"] if name_them else []), *VALUES])
        for place, annotator in enumerate(annotators):
            for n, video in enumerate(ids):
                stances = [n % 2, (n // 2) % 2, -1 if n % 5 == place else 0]
                table.writerow([video, *([annotator] if name_them else []), *stances])


def write_stand_ins(folder: Path) -> None:
    """What the documents call my_videos/, labels.csv and so on."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    for name in ("my_videos", "media"):
        shutil.copytree(EXAMPLE / "media", folder / name)
    for name in ("export.ndjson", "accounts.csv"):
        shutil.copy(EXAMPLE / name, folder)
    ids = sorted(file.stem for file in (EXAMPLE / "media").rglob("*.mp4"))
    write_labels(folder / "labels.csv", ids, ["ann"])
    write_labels(folder / "both.csv", ids, ["ann", "bob"])
    for annotator in ("ann", "bob", "eve"):
        write_labels(folder / f"{annotator}.csv", ids, [annotator], name_them=False)
    (folder / "gone.txt").write_text(f"{ids[-1]}\n")
    (folder / "claims.yaml").write_text(CLAIMS)


def write_status(out: Path) -> None:
    """What the driver of the scripts' stage left, which the made-up stage does not write."""
    (folder,) = out.glob("scripts-*")
    status = Status(folder.name, FINISHED, 17, 17, 0, {}, 2.0, None, now(), now(), driver_name())
    (folder / "status.json").write_text(json.dumps(asdict(status)))


def run(command: str) -> None:
    text = command
    for word, instead in STAND_INS.items():
        text = re.sub(rf"(?<![\w.]){re.escape(word)}(?![\w.])", instead, text)
    words = shlex.split(text)
    assert words[0] == "tikval", f"nothing runs {command}: name who does in docs/commands.yaml"
    if words[1] == "sample":  # several on one page are ways to choose from, and none replaces a list
        Path(words[words.index("--to") + 1]).unlink(missing_ok=True)
    tikval(*words[1:])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all stand-ins and a finished study in `out`, and once more in `study`."""
    folder = tmp_path_factory.mktemp("documents")
    write_stand_ins(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        without_ray(patch)
        run("tikval posts export.ndjson --out list.csv")
        annotations = "--annotations ann.csv --annotated-by random --accounts accounts.csv"
        run(f"tikval analyze list.csv --media media {annotations} --out out")
    write_status(folder / "out")
    shutil.copytree(folder / "out", folder / "study")
    (folder / "list.csv").unlink()
    return folder


@pytest.mark.parametrize("page", list(dict.fromkeys(command.page for command in MINE)))
def test_the_commands_of_a_page(
    page: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    without_ray(monkeypatch)
    failed = []
    for command in (one for one in MINE if one.page == page):
        try:
            run(command.text)
        except AssertionError as err:
            failed.append((command.text, str(err)[-500:], repr(err.__cause__)[-500:]))
    assert failed == []
