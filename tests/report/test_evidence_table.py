"""The evidence of systems in numbers: counted over rows that nobody believes, and shown with the deletion test."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.evaluate.test_evidence import CAPTION, HEARD, SCRIPT, passage
from tests.fixtures.rows import prediction, script, video
from tests.fixtures.site import Page, files, report
from tests.study.test_deletions import tried
from tikval.config import CatalogConfig, ExtractConfig, ScriptConfig
from tikval.evaluate import evidence_counts
from tikval.evaluate.evidence_counts import EvidenceCounts, EvidenceSources, count_evidence
from tikval.report.site.record import SystemEvidence
from tikval.rows import PredictionRow, ScriptRow, VideoRow, arrow_schema
from tikval.stats.deletion import deletion_gap
from tikval.store.folder import Folder
from tikval.values import LABELS


def write(config: Any, kind: type, rows: list[Any]) -> Folder:
    folder = Folder(config.folder)
    part = folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(kind)))
    folder.write_run(config, [part], {}, len(rows), {}, 1.0)
    return folder


def test_every_invention_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_counts, "_AT_ONCE", 3)  # rows at once: the counts add up
    ids, out = [f"v{n}" for n in range(10)], str(tmp_path)
    catalog = CatalogConfig(videos="videos", out=out)
    judged = ScriptConfig(videos=catalog, out=out)
    videos = write(catalog, VideoRow, [video(name, caption=f"{CAPTION} @jane.doe") for name in ids])
    scripts = write(judged, ScriptRow, [script(name, script=SCRIPT, caption=CAPTION) for name in ids])
    other = ScriptConfig(videos=catalog, out=str(tmp_path / "heard"))
    recognised = write(other, ScriptRow, [script(name, script=HEARD) for name in ids[:5]])
    evidence = [
        passage("I finally made it all by myself."),
        passage("Be kind to everyone you meet.", "caption"),
        passage("Nobody has ever said this in any video.", "speech"),
        passage("A red car", "picture", in_script=False),
    ]
    decided = ["face+", "humility-"]
    rows = [prediction(name, *decided, evidence=evidence) for name in ids]
    rows += [prediction("not listed any more", *decided, evidence=evidence)]
    rows += [prediction("failed", error="timeout")]
    values = write(ExtractConfig(scripts=judged, out=out, system="x"), PredictionRow, rows)

    counts = count_evidence(values, EvidenceSources(videos, scripts, recognised), LABELS)
    assert counts == EvidenceCounts(15, 15, 10, 10, 10, 10)
    assert (counts.passages, counts.compared, counts.not_found_share) == (40, 25, 0.4)
    seen = count_evidence(values, EvidenceSources(videos, None, recognised), LABELS)
    assert seen == EvidenceCounts(15, 20, 5, 10, 10, 10), "without a script what nobody heard is not compared"
    write(ExtractConfig(scripts=judged, out=out, system="y"), PredictionRow, [prediction("v0")])
    silent = Folder(ExtractConfig(scripts=judged, out=out, system="y").folder)
    assert count_evidence(silent, EvidenceSources(videos, scripts, None), LABELS) is None


def test_a_page_shows_what_was_found_and_what_was_tested() -> None:
    rows = [row for n in range(8) for row in tried(f"a{n}", f"v{n}", n == 0, True, n > 1)]
    counts = EvidenceCounts(1200, 30, 300, 20, 900, 100)
    evidence = (SystemEvidence("s", counts, deletion_gap(rows)), SystemEvidence("<b>", EvidenceCounts()))
    page = Page(files(report(evidence=evidence))["systems.html"].decode())
    assert "s 1,200 300 30 20 pictures 0.20 900 100" in page.words
    assert "<b> 0 0 0 \u2013 0 0" in page.words
    assert "s 0.88 0.12 +0.75 [" in page.words
    assert not page.crossed
    assert (
        "Without its evidence"
        not in Page(files(report(evidence=evidence[1:]))["systems.html"].decode()).words
    )
    assert 'id="evidence"' not in files(report())["systems.html"].decode()
