"""A codebook of one's own through every job: its threshold is set once, is what decides, and is what the page shows."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.fixtures.corpus import TEXTS, write_captioned
from tests.flow.test_jobs import SCRIPTS, SYSTEM, run_all, study, to_do
from tikval.extract.calibration import kept_calibration
from tikval.extract.similarity import decide_labels
from tikval.store.folder import Folder
from tikval.study.codebook_check import template_text

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


@pytest.mark.parametrize("examples", [5, 2])
def test_its_threshold_is_set_once_decides_and_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], examples: int
) -> None:
    book = yaml.safe_load(template_text())
    for value in book["values"]:
        value["endorsing"], value["confronting"] = (value[s][:examples] for s in ("endorsing", "confronting"))
    (tmp_path / "book.yaml").write_text(yaml.safe_dump(book))
    (tmp_path / "videos").mkdir()
    write_captioned(tmp_path / "videos" / "v0.mp4", TEXTS[0])
    own = str(tmp_path / "book.yaml")
    sets = (
        (f"{SYSTEM}codebook", own),
        (f"{SCRIPTS}videos.codebook", own),
        (f"{SYSTEM}extractor.threshold", "codebook"),
    )
    config = study(tmp_path, *sets)
    run_all(config)
    system = config.scores.extracted[0]
    kept = kept_calibration(system.folder)
    assert kept is not None
    assert (kept.why_not is None) == (examples == 5)
    message = capsys.readouterr().err
    assert ("tikval: local: not calibrated for my-values: it takes 3 examples" in message) == (examples == 2)
    [row] = Folder(system.folder).read().to_pylist()
    assert row["decisions"] == decide_labels(np.array(row["scores"]), kept.threshold)
    overview = (Path(config.folder) / "index.html").read_text()
    assert ("Not calibrated: what local predicts" in overview) == (examples == 2)
    written = (Path(system.folder) / "calibration.json").stat().st_mtime_ns
    run_all(study(tmp_path, *sets))
    assert to_do(capsys.readouterr().err) == {}
    assert (Path(system.folder) / "calibration.json").stat().st_mtime_ns == written
