"""A study whose stances were read again by a critic: its report, and what the terminal says of it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.offline import tikval
from tests.fixtures.rows import prediction
from tests.fixtures.site import Page
from tests.fixtures.trained import BROKEN, IDS, Study, stances
from tests.study.test_bundle import checked, unpacked
from tikval.config import CriticExtractor, EvaluateConfig, ExtractConfig, Gemini, ReportConfig
from tikval.evaluate.score_systems import score_systems
from tikval.report.site.write import write_report
from tikval.rows import PredictionRow, arrow_schema
from tikval.store.folder import Folder
from tikval.store.runs import Study as Folders
from tikval.study.bundle import write_bundle
from tikval.values import LABELS

WHY = "Dropped on a second reading: humility-: nobody speaks of it"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr("tikval.report.figures.gather.SUFFIXES", ("svg",))
    return Study(tmp_path)


def critic_of(study: Study, first: ExtractConfig) -> ExtractConfig:
    """A critic that drops every humility- of another system."""
    extractor = CriticExtractor(llm=Gemini(model="critic-of-a-test"))
    config = ExtractConfig(
        scripts=study.scripts, predictions=first, out=study.out, system="critic", extractor=extractor
    )
    rows = []
    for row in Folder(first.folder).read().to_pylist():
        has = [label for label, yes in zip(LABELS, row["decisions"] or (), strict=False) if yes]
        kept = [label for label in has if label != "humility-"]
        changes = {"error": row["error"]} if row["error"] else {"notes": WHY if kept != has else None}
        paid = {"cost_usd": 0.01, "ledger_key": row["row_key"]} if has else {}
        rows.append(
            prediction(row["video_id"], *kept, row_key=row["row_key"], system="critic", **changes, **paid)
        )
    folder = Folder(config.folder)
    folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow)))
    folder.seal(config, {first.folder: Folder(first.folder).finished().state}, 1.0)
    return config


def test_report_and_terminal_show_a_critic_and_what_it_read(study: Study, tmp_path: Path) -> None:
    first = study.asked("gemini", lambda name: stances(int(study.truth[name][0]), -1))
    critic = critic_of(study, first)
    scores = EvaluateConfig(predictions=(first, critic), out=study.out)
    score_systems(scores)
    config = ReportConfig(scores=scores, out=study.out)
    write_report(config)
    site = Path(config.folder)

    systems = Page((site / "systems.html").read_text()).words
    assert "critic" in systems
    dropped = next(name for name in IDS if name not in BROKEN)
    video = Page((site / "videos" / f"{study.keys[dropped]}.html").read_text()).words
    assert "nobody speaks of it" in video
    for page in map(Page, (file.read_text() for file in site.rglob("*.html"))):
        assert page.open == page.crossed == []

    compared = " ".join(tikval("compare", study.out).output.split())
    assert "gemini - critic" in compared
    assert "critic" in tikval("prevalence", study.out, "--system", "critic").output
    tikval("figures", study.out, str(tmp_path / "figures"))
    tikval("failures", study.out)
    tikval("export", study.out, str(tmp_path / "values.parquet"))
    exported = pq.read_table(tmp_path / "values.parquet").to_pylist()
    assert {row["system"] for row in exported} == {"gemini", "critic"}
    write_bundle(Folders(study.out), str(tmp_path / "one.zip"))
    assert checked(unpacked(tmp_path / "one.zip"), tmp_path / "sound").differs == []
