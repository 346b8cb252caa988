"""A study of before goes on with its recipe, wherever it is named; a new one has the recipe of today."""

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.stores import FakeStore
from tikval import files
from tikval.cli.profiles import Wanted, report_of_profiles
from tikval.config import (
    ExtractConfig,
    LlmExtractor,
    LlmWriter,
    PredictConfig,
    ReportConfig,
    ScriptConfig,
    TuneConfig,
    UserError,
)
from tikval.store.recipes import load_job

# folders' names as the commit before `instruction` made them
BEFORE = {
    "gemini": ("scripts-69d73ec6b921", "predictions-9c529c6e2e5d"),
    "mistral": ("scripts-11572d0120ba", "predictions-140e3006754a"),
}
REPORT_BEFORE = "report-728b71eed2d2"


def two_step(out: Path, *more: Any, profile: str = "gemini") -> ExtractConfig:
    name = {"gemini": "two_step", "mistral": "predictions"}[profile]
    sets = [f"out={out}", f"scripts.out={out}", f"scripts.videos.out={out}", *more]
    return load_job(ExtractConfig, f"configs/{profile}/{name}.yaml", sets)


def instructions(config: ExtractConfig) -> tuple[str, str]:
    """Of the scripts and of the values."""
    assert isinstance(config.extractor, LlmExtractor)
    assert isinstance(config.first_step.writer, LlmWriter)
    return config.first_step.writer.instruction, config.extractor.instruction


@pytest.mark.parametrize("profile", BEFORE)
def test_a_study_of_before_keeps_its_folders(
    profile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in BEFORE[profile]:
        (tmp_path / name).mkdir()
    config = two_step(tmp_path, profile=profile)
    assert (Path(config.first_step.folder).name, Path(config.folder).name) == BEFORE[profile]
    two_step(tmp_path, profile=profile)
    lines = capsys.readouterr().err.splitlines()
    message = "goes on with its recipe of before: the codebook in the user's turn"
    assert [message in line for line in lines] == [True, True], "once for each stage"


def test_a_local_study_of_before_goes_on_with_english_speech(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _local(tmp_path).writer.speech.engine == "every_language"
    assert not capsys.readouterr().err
    (tmp_path / "scripts-e1398bc753d3").mkdir()  # as the commit before made it
    assert Path(_local(tmp_path).folder).name == "scripts-e1398bc753d3"
    assert "goes on with its recipe of before: English speech" in capsys.readouterr().err
    asked = _local(tmp_path, "writer.speech.engine=every_language", "writer.ocr.when=changes")
    assert (asked.writer.speech.engine, asked.writer.ocr.when) == ("every_language", "changes")


@pytest.mark.parametrize(
    "setting", ["ocr.frames=3", "ocr.languages=deu", "speech.engine=none", "max_lost_share=0.2"]
)
def test_a_local_study_of_before_keeps_its_own_settings_too(setting: str, tmp_path: Path) -> None:
    before = [
        *("writer.speech.engine=moonshine", "writer.ocr.when=even", "writer.ocr.languages=eng"),
        f"writer.{setting}",
    ]
    folder = _local(tmp_path, *before).folder
    assert _local(tmp_path, f"writer.{setting}").folder != folder
    Path(folder).mkdir()
    assert _local(tmp_path, f"writer.{setting}").folder == folder


@pytest.mark.parametrize("setting", [[], ["extractor.threshold=0.08"], ["extractor.span=1"]])
def test_local_values_of_before_go_on_without_gate_and_appeals(
    setting: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def values(*more: str) -> ExtractConfig:
        sets = [
            f"out={tmp_path}",
            f"scripts.out={tmp_path}",
            f"scripts.videos.out={tmp_path}",
            *setting,
            *more,
        ]
        return load_job(ExtractConfig, "configs/local/predictions.yaml", sets)

    before = values("extractor.recipe=1")
    if not setting:
        assert Path(before.folder).name == "predictions-82a2c89ea090"  # as the commit before made it
    assert values().folder != before.folder
    Path(before.folder).mkdir()
    assert values().folder == before.folder
    assert "goes on with its recipe of before: values without gate and appeals" in capsys.readouterr().err
    assert values("extractor.recipe=2").extractor.recipe == 2  # type: ignore[union-attr]


def test_heads_of_before_go_on_over_scores_of_before(tmp_path: Path) -> None:
    def tuned(*more: str) -> TuneConfig:
        sets = [f"out={tmp_path}", f"scripts.out={tmp_path}", f"scripts.videos.out={tmp_path}", *more]
        return load_job(TuneConfig, "configs/local/tune.yaml", sets)

    before = tuned("base.recipe=1")
    assert Path(before.folder).name == "tuned-cae35a11d2a4"  # as the commit before made it
    assert tuned().folder != before.folder
    Path(before.folder).mkdir()
    assert tuned().folder == before.folder


def _local(out: Path, *more: Any) -> Any:
    return load_job(ScriptConfig, "configs/local/scripts.yaml", [f"out={out}", f"videos.out={out}", *more])


def test_a_new_study_has_the_system_instruction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert instructions(two_step(tmp_path)) == ("system", "system")
    assert not capsys.readouterr().err


def test_values_that_are_new_over_scripts_of_before(tmp_path: Path) -> None:
    (tmp_path / BEFORE["gemini"][0]).mkdir()
    assert instructions(two_step(tmp_path)) == ("user", "system")


def test_what_was_begun_with_a_system_instruction_goes_on_with_it(tmp_path: Path) -> None:
    now = two_step(tmp_path)
    for name in (*BEFORE["gemini"], now.first_step.folder):
        (tmp_path / name).mkdir()
    assert instructions(two_step(tmp_path)) == ("system", "system")


def test_who_names_an_instruction_gets_it(tmp_path: Path) -> None:
    for name in BEFORE["gemini"]:
        (tmp_path / name).mkdir()
    asked = two_step(tmp_path, "scripts.writer.instruction=system", ("extractor.instruction", "system"))
    assert instructions(asked) == ("system", "system")


def test_a_profiles_report_is_the_one_of_before(tmp_path: Path) -> None:
    """Also where only another folder than the profile's own holds the study."""
    for name in BEFORE["gemini"]:
        (tmp_path / name).mkdir()
    report = report_of_profiles(["gemini"], Wanted("videos", str(tmp_path)))
    assert [Path(system.folder).name for system in report.scores.predictions] == [BEFORE["gemini"][1]]
    assert Path(report.folder).name == REPORT_BEFORE
    assert (
        Path(report_of_profiles(["gemini"], Wanted("videos", str(tmp_path / "new"))).folder).name
        != REPORT_BEFORE
    )


def test_a_study_of_before_on_an_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is there where an object is; of a store that does not answer the first job tells."""
    store = FakeStore({f"bucket/study/{name}/calls.json": b"{}" for name in BEFORE["gemini"]})
    monkeypatch.setattr(files, "filesystem", store.filesystem)
    out: Any = "s3://bucket/study"
    assert instructions(two_step(out)) == ("user", "user")
    store.fault = OSError("no answer")
    assert instructions(two_step(out)) == ("system", "system")


def test_what_was_trained_on_scripts_of_before_is_found(tmp_path: Path) -> None:
    (tmp_path / BEFORE["gemini"][0]).mkdir()
    own = [f"out={tmp_path}", f"trained.out={tmp_path}", f"scripts.out={tmp_path}"]
    sets = ["trained.scripts=configs/gemini/scripts.yaml", "scripts=configs/gemini/scripts.yaml", *own]
    config = load_job(
        PredictConfig,
        "configs/paper/roberta_predict.yaml",
        [*sets[:2], *own, f"trained.scripts.out={tmp_path}"],
    )
    assert config.trained.scripts is not None
    assert Path(config.trained.scripts.folder).name == BEFORE["gemini"][0]


def test_a_folder_that_cannot_be_asked_for_is_told_by_the_job(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert instructions(two_step(tmp_path / "file")) == ("system", "system")
    with pytest.raises(UserError, match="is not opened"):
        load_job(ReportConfig, "configs/gemini/report.yaml", [("scores.predictions.0.out", "ftp://a/b")])
