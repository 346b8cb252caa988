"""`tikval demo` and `tikval --version`, as somebody has them who installed tikval and has nothing else."""

from pathlib import Path

import pytest

import tikval as package
from tests.cli.test_cli import check_mistake, tikval
from tests.conftest import ROOT
from tikval.cli import demo
from tikval.cli.profiles import Wanted, report_of_profiles
from tikval.config import ExtractConfig, LocalWriter, shipped_folder
from tikval.media.reading import MissingTool


def test_the_version() -> None:
    done = tikval("--version")
    assert (done.returncode, done.stdout) == (0, f"tikval {package.__version__}\n")


def test_without_a_network_it_says_what_to_do(tmp_path: Path) -> None:
    """No index to be reached, no model here: one line, before anything is listed or read."""
    (tmp_path / "empty").mkdir()
    nothing = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "empty"), "PIP_EXTRA_INDEX_URL": ""}
    done = tikval("demo", cwd=tmp_path, TIKVAL_CACHE=str(tmp_path / "cache"), PYTHONPATH=str(ROOT), **nothing)
    check_mistake(
        done, "the text encoder", "could not be fetched", f"copy {tmp_path / 'cache'} from a machine"
    )
    assert not (tmp_path / "out").exists()


def test_where_tesseract_is_missing_it_runs_without_on_screen_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    samples = shipped_folder("examples")
    assert demo._settings_without_tesseract() == () or "apt-get" in capsys.readouterr().err

    def check_tools(want: object) -> None:
        raise MissingTool("tesseract", "apt-get install tesseract-ocr")

    monkeypatch.setattr(demo, "check_tools", check_tools)
    settings = demo._settings_without_tesseract()
    assert "on-screen text is not read: tesseract is missing: apt-get install" in capsys.readouterr().err
    wanted = Wanted(str(samples / "videos.csv"), str(tmp_path), overrides=settings)
    (system,) = report_of_profiles([demo.PROFILE], wanted).scores.predictions
    assert isinstance(system, ExtractConfig)
    assert system.scripts is not None
    writer = system.scripts.writer
    assert isinstance(writer, LocalWriter)
    assert writer.ocr.frames == 0
    assert writer.speech.engine == "every_language"  # and speech is heard as before


def test_models_are_fetched_once_and_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fetched = []
    monkeypatch.setenv("TIKVAL_CACHE", str(tmp_path))

    def fetch(model, progress):  # type: ignore[no-untyped-def]
        progress(model.n_bytes // 2)
        model.folder.mkdir()
        fetched.append(model.name)

    monkeypatch.setattr(demo, "fetch", fetch)
    demo.fetch_models()
    demo.fetch_models()
    assert fetched == ["all-MiniLM-L6-v2", "whisper-base"]
    assert "the speech recogniser Whisper base (133 MB), once" in " ".join(capsys.readouterr().err.split())
