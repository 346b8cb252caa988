"""A system of which every row failed: each command shows "-" for it, and none ends in a traceback. No Ray."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.fixtures.trained import Study, stances
from tikval.cli.analyze import _show
from tikval.cli.commands import app
from tikval.config import CombineConfig, EvaluateConfig, ReportConfig, UserError
from tikval.evaluate.score_systems import score_systems
from tikval.finetune.combine_systems import combine_systems
from tikval.report.site.write import write_report
from tikval.sources.write_catalog import write_catalog

RUNNER = CliRunner()


@pytest.fixture(scope="module", autouse=True)
def one_form() -> Any:
    """Figures in one form: drawing them in all takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tikval.report.figures.gather.SUFFIXES", ("svg",))
        yield


def study_of(root: Path, kind: str) -> tuple[Study, ReportConfig]:
    """A study whose systems are silent, or all but one of which are."""
    study = Study(root)
    silent: list[Any] = [study.asked("silent", lambda name: None), study.trained("mute", lambda *_: None)]
    if kind == "one answers":
        silent.append(study.asked("answers", lambda name: stances(int(study.truth[name][0]), 0)))
    scores = EvaluateConfig(predictions=tuple(silent), out=study.out, permutations=100)
    score_systems(scores)
    report = ReportConfig(scores=scores, out=study.out)
    write_report(report)
    return study, report


@pytest.fixture(scope="module", params=["all are silent", "one answers"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Study, ReportConfig]:
    return study_of(tmp_path_factory.mktemp("study"), request.param)


COMMANDS: dict[str, Sequence[str]] = {
    "failures": ["failures", "OUT"],
    "tables": ["tables", "OUT", "--csv", "TO"],
    "tables of the paper": ["tables", "OUT", "--beside", "silent=gemini_2s"],
    "prevalence": ["prevalence", "OUT", "--system", "silent", "--csv", "TO.csv"],
    "prevalence by account": ["prevalence", "OUT", "--system", "mute", "--by", "account"],
    "prevalence by month": ["prevalence", "OUT", "--system", "silent", "--by", "month"],
    "figures": ["figures", "OUT", "TO"],
    "figures of one": ["figures", "OUT", "TO", "--system", "silent"],
    "export": ["export", "OUT", "TO.csv"],
    "export of scores": ["export", "OUT", "TO.parquet", "--scores"],
    "export as a dataset": ["export", "OUT", "TO", "--dataset"],
    "agreement": ["agreement", "LABELS", "--systems", "OUT"],
    "agreement against": [
        "agreement",
        "LABELS",
        "--systems",
        "OUT",
        "--against",
        "human",
        "--by",
        "value",
    ],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_every_command_ends_in_words(
    made: tuple[Study, ReportConfig], command: Sequence[str], tmp_path: Path
) -> None:
    names = {"OUT": made[0].out, "TO": f"{tmp_path}/to", "LABELS": f"{made[0].root}/labels.csv"}
    words = [
        word.replace("TO", names["TO"]) if word.startswith("TO") else names.get(word, word)
        for word in command
    ]
    done = RUNNER.invoke(app, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0
    assert not re.search(r"\b(nan|None)\b", done.output)


def test_the_end_of_an_analysis(made: tuple[Study, ReportConfig], capsys: pytest.CaptureFixture[str]) -> None:
    _show(made[1])
    lines = capsys.readouterr().err.splitlines()
    assert "macro F1 over 0 annotated videos: silent -" in lines
    assert "macro F1 over 0 annotated videos: mute -" in lines


def test_its_prevalence_is_dashes(made: tuple[Study, ReportConfig], tmp_path: Path) -> None:
    file = f"{tmp_path}/rates.csv"
    done = RUNNER.invoke(app, ["prevalence", made[0].out, "--system", "silent", "--csv", file])
    assert "no video has a result" in done.output
    assert "left out: bad_reply 92" in done.output
    with Path(file).open(newline="") as text:
        lines = list(csv.DictReader(text))
    assert len(lines) > 38
    assert {(line["videos"], line["corrected rate"]) for line in lines} == {("0", "")}


def test_a_combination_of_systems_without_a_result_is_no_traceback(made: tuple[Study, ReportConfig]) -> None:
    mute: Any = made[1].scores.predictions[1]
    config = CombineConfig(systems=(mute,), system="both", out=made[0].out)
    with pytest.raises(UserError):
        combine_systems(config)


@pytest.mark.parametrize("command", ["failures", "prevalence", "figures", "export", "export as a dataset"])
def test_nor_does_it_where_nothing_is_annotated(command: str, tmp_path: Path) -> None:
    study = Study(tmp_path)
    study.catalog = study.catalog.model_copy(update={"annotations": None, "without": ("annotations",)})
    study.scripts = study.scripts.model_copy(update={"videos": study.catalog})
    write_catalog(study.catalog)
    scores = EvaluateConfig(predictions=(study.asked("silent", lambda name: None),), out=study.out)
    score_systems(scores)
    report = ReportConfig(scores=scores, out=study.out)
    write_report(report)
    assert "silent" in (Path(report.folder) / "index.html").read_text()
    names = {"OUT": study.out, "TO": f"{tmp_path}/to", "TO.csv": f"{tmp_path}/to.csv"}
    done = RUNNER.invoke(app, [names.get(word, word) for word in COMMANDS[command]])
    assert done.exception is None or isinstance(done.exception, SystemExit | UserError)
