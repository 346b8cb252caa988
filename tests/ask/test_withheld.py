"""Whether somebody is a minor is settled before the first call, and the page says how; what is finished stays so."""

from pathlib import Path

import pyarrow as pa
import pytest

from tests.fixtures.rows import prediction
from tikval.codebook import load_codebook
from tikval.config import ExtractConfig, ReportConfig, UserError, find_file, load_config
from tikval.flow.extract_values import extract_values
from tikval.report.site.facts import report_facts
from tikval.rows import PredictionRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder


def direct(root: Path, *more: str) -> ExtractConfig:
    (root / "videos").mkdir(exist_ok=True)
    (root / "videos" / "a.mp4").write_bytes(b"x")
    sets = [f"out={root}/out", f"videos.out={root}/out", f"videos.videos={root}/videos", *more]
    return load_config(ExtractConfig, "configs/gemini/direct.yaml", sets)


def test_an_outside_model_is_asked_nothing_until_it_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = direct(tmp_path)
    write_catalog(config.catalog)

    def started() -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr("tikval.flow.data.start_ray", started)
    with pytest.raises(UserError, match=r"api\.minors_unknown=withhold or =send"):
        extract_values(config)
    with pytest.raises(AssertionError, match="Ray was started"):
        extract_values(direct(tmp_path, "api.minors_unknown=withhold"))


def test_what_was_finished_before_needs_no_answer(tmp_path: Path) -> None:
    config = direct(tmp_path)
    catalog = write_catalog(config.catalog)
    (video,) = Folder(config.catalog.folder).read().to_pylist()
    row = prediction("a", row_key=video["row_key"], system=config.system)
    folder = Folder(config.folder)
    folder.write_part(pa.Table.from_pylist([row], schema=arrow_schema(PredictionRow)))
    done = folder.seal(config, {config.catalog.folder: catalog.state}, 1.0)
    assert extract_values(config).files == done.files


def test_the_page_says_what_was_settled(tmp_path: Path) -> None:
    def facts(*more: str) -> dict[str, str]:
        sets = [f"out={tmp_path}/out", f"scores.predictions.0.videos.videos={tmp_path}/videos", *more]
        sets += [
            f"scores.predictions.0.videos.out={tmp_path}/out",
            f"scores.predictions.0.out={tmp_path}/out",
        ]
        config = load_config(
            ReportConfig,
            "configs/gemini/report.yaml",
            [("scores.predictions", ["configs/gemini/direct.yaml"]), *sets],
        )
        codebook = load_codebook(find_file("prompts/codebook.yaml"))
        return dict(report_facts(config, codebook, Folder(config.scores.catalog.folder)))

    write_catalog(direct(tmp_path).catalog)
    name = next(name for name in facts() if name.startswith("Minors"))
    assert facts()[name] == "videos of minors: withheld; 1 of which nothing says so or not: withheld"
    sent = facts("scores.predictions.0.api.minors_unknown=send")[name]
    assert sent == "videos of minors: withheld; 1 of which nothing says so or not: sent"
