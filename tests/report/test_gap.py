"""The same recipe under two protocols: who is a pair, and what the page shows of the gap."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.site import EVIL, pages, report
from tests.fixtures.trained import Study
from tikval.config import EvaluateConfig, FinetuneConfig, JobConfig, Protocol, ReportConfig, ScriptConfig
from tikval.evaluate.score_systems import score_systems
from tikval.report.site.gap import gap_lines, pairs_of
from tikval.report.site.record import Pair
from tikval.report.site.write import write_report
from tikval.rows import ScoreRow

PAPER = Protocol(name="paper", partitions=1, threshold=0.5)
SCRIPTS: dict[str, Any] = {"videos": {"videos": "clips", "out": "out"}, "out": "out"}


def trained(system: str, protocol: Any = None, **keys: Any) -> FinetuneConfig:
    config = {"scripts": SCRIPTS, "out": "out", "system": system, **keys}
    return FinetuneConfig.model_validate(config if protocol is None else {**config, "protocol": protocol})


def test_a_pair_differs_in_protocol_name_and_place_only() -> None:
    paper = trained("a", PAPER)
    same: list[dict[str, Any]] = [
        {},
        {"out": "elsewhere", "pool": {"gpus": 1}, "keep_models": "none"},
        {"protocol": {"partitions": 5, "seeds": 3, "threshold": 0.5}},
    ]
    for keys in same:
        assert pairs_of([trained("b", **keys), paper]) == (Pair("a", "b"),)
    others: list[dict[str, Any]] = [
        {"protocol": PAPER},
        {"fit": {"epochs": 4}},
        {"model": {"kind": "text", "model": "another"}},
        {"labels": ["face+"]},
        {"min_share": 0.1},
        {"by_fold": {"p0-f0": {"fit.epochs": 4}}},
        {"scripts": {**SCRIPTS, "writer": {"ocr": {"frames": 3}}}},
    ]
    for keys in others:
        assert pairs_of([paper, trained("b", **keys)]) == ()
    both = pairs_of([paper, trained("b"), trained("c", {"seeds": 5})])
    assert both == (Pair("a", "b"), Pair("a", "c"))
    assert pairs_of([paper, ScriptConfig.model_validate(SCRIPTS)]) == ()


def test_of_encoders_that_went_on_learning_the_protocol_may_differ_too() -> None:
    def on(system: str, protocol: Any, **keys: Any) -> JobConfig:
        encoder = {"scripts": SCRIPTS, "out": "out", "protocol": protocol, **keys}
        return FinetuneConfig.model_validate({"encoder": encoder, "out": "out", "system": system})

    paper = on("a", PAPER.model_dump(), leave_out="nothing")
    assert pairs_of([paper, on("b", {})]) == (Pair("a", "b"),)
    assert pairs_of([paper, on("b", {}, epochs=9)]) == ()
    assert pairs_of([paper, trained("b")]) == ()


def scored(
    system: str, label: str, f1: float | None, stance: str = "all", failures: str = "left_out"
) -> ScoreRow:
    (row, *_) = report().scores
    return {**row, "system": system, "label": label, "stance": stance, "failures": failures, "f1": f1}


def test_the_gap_is_that_of_the_numbers_around_it() -> None:
    rows = (
        *(scored("a", "macro", 0.394), scored("a", "weighted", 0.2)),
        *(scored("b", "macro", 0.305), scored("b", "weighted", 0.31)),
        *(scored("a", "macro", 0.9, stance="endorsed"), scored("a", "macro", 0.9, failures="right")),
    )
    full = replace(report(), scores=rows, pairs=(Pair("a", "b"), Pair("a", "nobody"), Pair("no", "one")))
    first, second = gap_lines(full)
    assert (first["paper"], first["honest"]) == ("a", "b")
    assert first["cells"] == ["0.39", "0.30", "+0.09", "0.20", "0.31", "\u22120.11"]
    assert second["cells"] == ["0.39", "\u2013", "\u2013", "0.20", "\u2013", "\u2013"]
    same = replace(
        report(), scores=(scored("a", "macro", 0.4), scored("b", "macro", 0.4)), pairs=(Pair("a", "b"),)
    )
    assert gap_lines(same)[0]["cells"][2] == "0.00"


def test_names_are_text_and_without_a_pair_there_is_no_table() -> None:
    evil = (scored(EVIL, "macro", 0.5), scored("b", "macro", 0.4))
    shown = pages(report(scores=(*report().scores, *evil), pairs=(Pair(EVIL, "b"),)))["systems.html"]
    assert EVIL in shown.text
    assert "What the protocol adds" in shown.text
    assert "What the protocol adds" not in pages(report())["systems.html"].text


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def test_the_report_of_a_study_shows_the_gap(study: Study) -> None:
    paper = study.trained("bert", study.noisy(1), protocol=PAPER)
    honest = study.trained("bert_honest", study.noisy(2.5))
    scores = EvaluateConfig(predictions=(paper, honest), out=study.out)
    score_systems(scores)
    config = ReportConfig(scores=scores, out=study.out)
    write_report(config)
    html = (Path(config.folder) / "systems.html").read_text(encoding="utf-8")
    table = html[html.index("What the protocol adds") :].split("<tbody>")[1].split("</tbody>")[0]
    assert "bert_honest" in table
    assert table.count("<b>+0.") == 2
    assert html.count("2 failed") == 2, "under paper too, where a video that failed has no fold"
