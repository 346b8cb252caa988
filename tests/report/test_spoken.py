"""What a report says of the languages that were spoken, and of the videos that were judged by a translation."""

from pathlib import Path

import pyarrow as pa

from tests.fixtures.rows import script
from tikval.config import CatalogConfig, EvaluateConfig, ExtractConfig, ReportConfig, ScriptConfig
from tikval.report.site.facts import spoken_facts
from tikval.rows import ScriptRow, arrow_schema
from tikval.store.folder import Folder


def test_languages_are_counted_and_those_judged_by_translation(tmp_path: Path) -> None:
    out = str(tmp_path)
    scripts = ScriptConfig(videos=CatalogConfig(videos="clips", out=out), out=out)
    system = ExtractConfig(scripts=scripts, system="local", out=out)
    report = ReportConfig(scores=EvaluateConfig(predictions=(system,), out=out), out=out)
    rows = [
        script("a", language="en", language_probability=0.9, translated=False),
        script("b", language="en", language_probability=0.8, translated=False),
        script("c", language="es", language_probability=0.9, translated=True),
        script("d", language=None, language_probability=0.3, translated=False),
        script("e"),  # nobody speaks
    ]
    folder = Folder(scripts.folder)
    folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(ScriptRow)))
    folder.seal(scripts, {}, 1.0)
    [(name, text)] = spoken_facts(report)
    assert name == "Languages of speech (scripts)"
    assert text == "en 2, es 1, not recognised 1; 1 with the recogniser's English, marked TRANSLATED"
