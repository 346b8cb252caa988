"""`tikval tune` over a finished study: what it prints, and that the tuned system is one of the study's."""

from pathlib import Path

import pytest

from tests.fixtures import labelled
from tests.fixtures.labelled import LABELLED, LabelledStudy
from tests.fixtures.offline import tikval, without_ray
from tikval.cli import job
from tikval.cli.analyze import run_study
from tikval.config import EvaluateConfig, ExtractConfig, ReportConfig
from tikval.store.runs import Study

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


def test_a_study_is_tuned_compared_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_ray(monkeypatch)
    monkeypatch.setattr("tikval.report.site.gather._figures", lambda *_: None)
    for name, call in (("write_scripts", "scripts_as_they_are"), ("tune", "tune_by_words")):
        monkeypatch.setitem(job.JOBS, name, job.JOBS[name]._replace(call=f"{labelled.__name__}:{call}"))
    study = LabelledStudy(tmp_path)
    local = ExtractConfig(scripts=study.scripts, out=study.out, system="local")
    report = ReportConfig(
        scores=EvaluateConfig(predictions=(local,), out=study.out), out=study.out, title="t"
    )
    assert run_study(report, None, None) == 0

    printed = tikval("tune", study.out).stdout
    assert "learnt from 78 annotated videos in 10 groups" in printed
    assert "macro F1 of tuned: 1.00 (out of fold)" in printed
    assert "tuned: better than local by" in printed
    assert sorted(Study(study.out).systems()) == ["local", "tuned"]

    table = tmp_path / "few.csv"
    table.write_text("video_id,face\n" + "\n".join(f"{name},1" for name in LABELLED[:12]))
    refused = tikval("tune", study.out, "--labels", str(table), code=2)
    assert "10 annotated videos with a script are too few" in refused.output
