"""One study of one thing: label sets side by side, what was given stays known, and what shows it says the same."""

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.offline import OWN, own_codebook, tikval, without_ray
from tikval.config import UserError
from tikval.store.runs import Study
from tikval.values import SLUGS

SCHWARTZ = "schwartz-19"
NAMES = tuple(f"v{n}" for n in range(6))


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    without_ray(monkeypatch)


class Place:
    """Six videos of three accounts, and a folder for all that comes out."""

    def __init__(self, root: Path) -> None:
        self.root, self.out, self.videos = root, str(root / "out"), root / "videos.csv"
        self.listed(NAMES)
        self.book = str(own_codebook(root / "moral.yaml"))

    def listed(self, names: tuple[str, ...]) -> None:
        for name in names:
            (self.root / f"{name}.mp4").write_bytes(b"x")
        lines = [f"{name}.mp4,account{n % 3}" for n, name in enumerate(names)]
        self.videos.write_text("\n".join(["path,account", *lines]))

    def labels(self, file: str, *columns: str, annotators: tuple[str, ...] = ("ann",), turn: int = 0) -> str:
        """Annotations of the first five videos by each annotator."""
        lines = [",".join(["video_id", "annotator", *columns])]
        for a, annotator in enumerate(annotators):
            for n, name in enumerate(NAMES[:5]):
                cells = [str(int((n + v + a + turn) % 3 == 0)) for v in range(len(columns))]
                lines.append(",".join([name, annotator, *cells]))
        (self.root / file).write_text("\n".join(lines))
        return str(self.root / file)

    def analyze(self, *words: str) -> str:
        """Run it; returns what it printed."""
        return tikval("analyze", str(self.videos), "--out", self.out, "--profile", "local", *words).output

    def exported(self, *words: str) -> list[dict[str, Any]]:
        tikval("export", self.out, str(self.root / "values.csv"), *words)
        with (self.root / "values.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_two_codebooks_in_one_folder_stand_side_by_side(folder: Place) -> None:
    folder.analyze()
    folder.analyze("--codebook", folder.book)
    study = Study(folder.out)
    assert [(one.system, one.label_set) for one in study.current()] == [("local", OWN), ("local", SCHWARTZ)]
    assert study.label_set == OWN, "the one that was asked for last"
    assert Study(folder.out, codebook=SCHWARTZ).systems()["local"][0].uri != study.systems()["local"][0].uri
    assert "care" in folder.exported()[0]
    assert folder.exported()[0].keys().isdisjoint(SLUGS)
    assert set(SLUGS) <= folder.exported("--codebook", SCHWARTZ)[0].keys()
    assert set(SLUGS) <= folder.exported("--codebook", "prompts/codebook.yaml")[0].keys()
    assert {"care", "fairness"} <= folder.exported("--codebook", folder.book)[0].keys()


@pytest.mark.parametrize(
    "command",
    [
        ["export", "OUT", "TO.csv"],
        ["prevalence", "OUT"],
        ["figures", "OUT", "TO"],
        ["tables", "OUT"],
        ["agreement", "LABELS", "--systems", "OUT"],
    ],
    ids=lambda command: command[0],
)
def test_what_is_not_picked_is_mentioned(command: list[str], folder: Place) -> None:
    moral = folder.labels("moral.csv", "care", "loyalty")
    ours = folder.labels("ours.csv", "face", "humility")
    folder.analyze("--annotations", moral, "--codebook", folder.book)
    folder.analyze("--annotations", ours)
    places = {"OUT": folder.out, "TO": str(folder.root / "to"), "TO.csv": str(folder.root / "to.csv")}
    for codebook, other, labels in ((SCHWARTZ, OWN, ours), (OWN, SCHWARTZ, moral)):
        words = [labels if word == "LABELS" else places.get(word, word) for word in command]
        shown = tikval(*words, "--codebook", codebook).output
        assert f"also in this folder: 1 system and 5 annotations over {other}" in shown
        assert f"--codebook {other} shows them" in shown
    missing = tikval(*words, "--codebook", "emotions", code=1)
    assert isinstance(missing.exception, UserError)
    assert "nothing over a codebook emotions; there are" in str(missing.exception)
