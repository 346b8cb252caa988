"""docs/models.md names every configuration that names a model, and no file that is not there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/models.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([a-z0-9_]+(?:/[a-z0-9_]+)?\.yaml)`", PAGE))
PROFILES = sorted(
    folder.parent.name for folder in (ROOT / "configs").glob("*/*.yaml") if folder.parent.name != "sources"
)
WITHOUT_A_MODEL = {"catalog", "scores", "scores_all", "report", "report_all"}


def test_every_configuration_of_a_profile_is_on_the_page() -> None:
    there = {
        f"{profile}/{file.name}"
        for profile in PROFILES
        for file in (ROOT / "configs" / profile).glob("*.yaml")
        if file.stem not in WITHOUT_A_MODEL
    }
    assert there - NAMED == set()
    assert len(there) > 30


def test_every_file_on_the_page_is_there() -> None:
    assert {name for name in NAMED if not (ROOT / "configs" / name).exists()} == set()


def test_a_configurations_model_is_on_the_page() -> None:
    for profile in PROFILES:
        for file in (ROOT / "configs" / profile).glob("*.yaml"):
            for model in re.findall(r"model: ([A-Za-z0-9-]+/[\w.-]+|gemini[\w.-]+)", file.read_text()):
                short = model.split("/")[-1]
                assert short.casefold() in PAGE.casefold(), f"{file.name}: {model}"
