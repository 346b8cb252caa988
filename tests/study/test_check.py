"""What `tikval check` finds before the first video is opened."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.rows import prediction
from tikval.config import EvaluateConfig, ReportConfig, load_config, nested
from tikval.rows import PredictionRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.study.check import check_catalog, check_inputs


def scores_of(root: Path, profile: str = "gemini", **given: Any) -> EvaluateConfig:
    """What `tikval analyze` makes of a profile; `given`: keys of every configuration that has them."""
    file = f"configs/{profile}/report.yaml"
    given |= {"out": str(root / "out"), "videos": str(root / "videos")}
    sets: list[str | tuple[str, Any]] = []
    for place, job in nested(load_config(ReportConfig, file, [])):
        for key, value in given.items():
            upstream = key == "videos" and job.stage != "catalog"
            if key in type(job).model_fields and not upstream:
                sets.append((f"{place}.{key}" if place else key, value))
    return load_config(ReportConfig, file, sets).scores


def wrong(root: Path, profile: str = "gemini", **given: Any) -> dict[str, str]:
    return {line.what: line.found for line in check_inputs(scores_of(root, profile, **given)) if line.wrong}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"videos/{name}.mp4").write_bytes(b"x")
    return tmp_path


def test_everything_that_is_wrong_is_told_at_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "")
    (root / "labels.csv").write_text("video_id,annotator,face\na,ann,1\na,bob,0\n")
    (root / "accounts.csv").write_text("account,is_minor\nx,perhaps\n")
    tables = {"annotations": str(root / "labels.csv"), "accounts": str(root / "accounts.csv")}
    found = wrong(root, **tables)
    assert "2 annotators (ann, bob)" in found["annotations"]
    assert "--annotator" in found["annotations"]
    assert "'perhaps' is neither true nor false" in found["accounts"]
    assert "GEMINI_API_KEY is not set" in found["scripts"]
    assert "GEMINI_API_KEY is not set" in found["predictions: gemini_two_step"]
    assert not wrong(root, annotations=str(root / "labels.csv"), annotator="bob").keys() & {"annotations"}
    assert "no annotator eve" in wrong(root, **tables, annotator="eve")["annotations"]


def test_a_codebook_is_the_first_that_is_looked_at(root: Path) -> None:
    (root / "mine.yaml").write_text("name: mine\nversion: 1\nvalues: []\n")
    lines = list(check_inputs(scores_of(root, codebook=str(root / "mine.yaml"))))
    assert lines[0].what == "codebook"
    assert lines[0].wrong
    assert "source" in lines[0].found


def test_a_system_that_has_finished_needs_no_key(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "")
    scores = scores_of(root)
    catalog = write_catalog(scores.catalog)
    system, folder = scores.predictions[0], Folder(scores.predictions[0].folder)
    row = prediction("a", system=system.system)
    folder.write_part(pa.Table.from_pylist([row], schema=arrow_schema(PredictionRow)))
    folder.seal(system, {scores.catalog.folder: catalog.state}, 1.0)
    lines = {line.what: line for line in check_inputs(scores)}
    assert not lines["predictions: gemini_two_step"].wrong
    assert lines["scripts"].wrong


@pytest.mark.parametrize(("unknown", "stops"), [(None, True), ("withhold", False), ("send", False)])
def test_minors_are_asked_about_before_the_first_hour(root: Path, unknown: str | None, stops: bool) -> None:
    given: dict[str, Any] = {"api": {"minors_unknown": unknown}} if unknown else {}
    scores = scores_of(root, **given)
    write_catalog(scores.catalog)
    lines = list(check_catalog(scores, Folder(scores.catalog.folder)))
    assert lines[0].found == "2, no account known"
    assert {line.wrong for line in lines[1:]} == {stops}
    assert [line.what for line in lines] == ["videos", "minors: gemini-3.8-flash"]
    if unknown == "withhold":
        assert "2 videos are withheld" in lines[1].found


def test_gpus_that_are_not_there_are_missed_at_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tikval.study.check._GPUS", ())
    monkeypatch.setenv("PATH", str(root))
    found = wrong(root, "qwen")
    assert any("this machine has none" in text for text in found.values())
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert not any("this machine has none" in text for text in wrong(root, "qwen").values())


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("a,,Hello.\nb,,\n", "not needed: the list has every script"),
        ("a,,Hello.\nb,videos/b.mp4,\n", "tesseract is missing"),
    ],
)
def test_recognisers_are_asked_for_where_a_file_is_to_be_opened(
    root: Path, monkeypatch: pytest.MonkeyPatch, lines: str, found: str
) -> None:
    monkeypatch.setenv("PATH", str(root))
    (root / "list.csv").write_text(f"video_id,path,script\n{lines}")
    scores = scores_of(root, "local")
    catalog = scores.catalog.model_copy(update={"videos": str(root / "list.csv")})
    write_catalog(catalog)
    lines_found = {line.what: line for line in check_catalog(scores, Folder(catalog.folder))}
    assert found in lines_found["recognisers"].found
    assert lines_found["recognisers"].wrong is (found == "tesseract is missing")
