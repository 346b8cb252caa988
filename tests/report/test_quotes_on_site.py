"""Every quote of a whole site stands in the script of its video, and what a system invented is nowhere in its bytes."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.fixtures.trained import BROKEN, IDS, Study, stances
from tests.report.test_evidence_page import INVENTED, passage
from tikval.config import EvaluateConfig, ReportConfig
from tikval.evaluate.score_systems import score_systems
from tikval.report.site.write import write_report
from tikval.rows import PredictionRow
from tikval.script_text import find_quote
from tikval.store.folder import Folder


class Quotes(HTMLParser):
    """The quotes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.inside = tag == "q"
        if self.inside:
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "q"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[-1] += data


def quotes_that_stand(scripts: Folder, site: Path) -> int:
    """How many quotes the videos' pages have. Every one of them stands in its video's script or caption."""
    n = 0
    for row in scripts.read().to_pylist():
        html = (site / "videos" / f"{row['row_key']}.html").read_text(encoding="utf-8")
        for quote in Quotes(html).found:
            assert find_quote(quote, row["script"], row["caption"]), (row["video_id"], quote)
            n += 1
    return n


def test_every_quote_of_a_site_stands_in_its_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tikval.report.figures.gather.SUFFIXES", ("svg",))
    study = Study(tmp_path)
    system = study.asked("gemini", lambda name: stances(1, 0))

    def evidence(name: str, n: int) -> list[object]:
        other = f"This is {IDS[n - 1]}."  # of another video
        quotes = (f"this is {name}", INVENTED, other)
        return [passage(quote, label="face+", in_script=True) for quote in quotes]

    rows = Folder(system.folder).read().to_pylist()
    given = [
        {**row, "evidence": evidence(row["video_id"], n)} for n, row in enumerate(rows) if not row["error"]
    ]
    study._write(system, PredictionRow, [*given, *(row for row in rows if row["error"])])
    scores = EvaluateConfig(predictions=(system,), out=study.out, permutations=100)
    score_systems(scores)
    config = ReportConfig(scores=scores, out=study.out, show_videos=True)
    write_report(config)
    site = Path(config.folder)
    assert quotes_that_stand(Folder(study.scripts.folder), site) == len(IDS) - len(BROKEN)
    pages = [path.read_bytes() for path in site.rglob("*") if path.suffix in (".html", ".js")]
    assert not any(b"nobody ever uttered" in page for page in pages)
    page = (site / "videos" / f"{study.keys[IDS[0]]}.html").read_text(encoding="utf-8")
    assert "2 quotes left out: not found in the post" in page
    assert f'src="../../../{IDS[0]}.mp4"' in page, "the file that lies beside the study"


@pytest.mark.full
@pytest.mark.ray
@pytest.mark.local_models
@pytest.mark.timeout(1800)
def test_every_quote_of_the_sample_site_stands_in_its_script(tmp_path: Path) -> None:
    """What `make demo` makes."""
    run = [sys.executable, "-P", "-m", "tikval.cli", "demo", "--out", "."]
    subprocess.run(run, cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    (site,), (scripts,) = (list(tmp_path.glob(f"{stage}-*")) for stage in ("report", "scripts"))
    assert quotes_that_stand(Folder(str(scripts)), site) >= 17
    assert any(re.search(r"<mark ", page.read_text()) for page in (site / "videos").iterdir())
