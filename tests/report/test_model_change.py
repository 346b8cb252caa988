"""A model that changes in mid-run is named wherever the run or its results are shown. No Ray."""

from pathlib import Path

import pyarrow as pa
import pytest

from tests.fixtures import site
from tests.fixtures.rows import prediction, script
from tests.fixtures.trained import Study as Made
from tests.fixtures.trained import stances
from tikval.cli.job import summary
from tikval.config import EvaluateConfig, ExtractConfig, ReportConfig, ScriptConfig, load_config
from tikval.evaluate.score_systems import score_systems
from tikval.llm.client import Reply, Usage
from tikval.llm.ledger import Entry, Ledger
from tikval.report.export.dataset import export_dataset
from tikval.report.model_change import model_change
from tikval.report.site.facts import model_changes
from tikval.report.site.write import write_report
from tikval.rows import PredictionRow, ScriptRow, arrow_schema, sha256
from tikval.store.folder import Folder
from tikval.store.runs import Study

# in the order of the replies, which is not that of the videos' names
ORDER = ("v3", "v1", "v4", "v2")


def key_of(name: str) -> str:
    return sha256(name)[:32]


def write_ledger(out: str) -> None:
    ledger = Ledger(out)
    for minute, name in enumerate(ORDER):
        reply = Reply("{}", "whichever", Usage())
        ledger.put(key_of(name), Entry(name, reply, None, f"2026-11-28T10:0{minute}:00+00:00"))


def values(out: Path, served: dict[str, str], **changes: str) -> tuple[ExtractConfig, Folder]:
    """A finished folder with who answered each video."""
    config = load_config(ExtractConfig, "configs/gemini/direct.yaml", [("out", str(out))])
    rows = [
        prediction(name, **{"model_served": model, "ledger_key": key_of(name), **changes})
        for name, model in sorted(served.items())
    ]
    folder = Folder(config.folder)
    part = folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow)))
    folder.write_run(config, [part], {}, len(rows), {}, 1.0)
    return config, folder


def test_from_which_row_on_by_the_ledgers_time(tmp_path: Path) -> None:
    write_ledger(str(tmp_path))
    config, folder = values(
        tmp_path, {"v3": "gemini-x", "v1": "gemini-x", "v4": "gemini-y", "v2": "gemini-y"}
    )
    change = (
        "answered by gemini-x from row 1 on (2 of 4 rows), by gemini-y from row 3 on (2 of 4 rows); "
        "rows are counted in the order of the replies"
    )
    assert model_change(config, folder) == change
    run = folder.run()
    assert run is not None
    head, line = summary(config, run).splitlines()
    assert line == f"the model changed: predictions: {change}"
    assert head.startswith("predictions: 4 results")


def test_a_version_of_the_same_model_is_named_too(tmp_path: Path) -> None:
    write_ledger(str(tmp_path))
    served = {name: f"gemini-x-00{1 if name == 'v3' else 2}" for name in ORDER}
    change = model_change(*values(tmp_path, served))
    assert change is not None
    assert (
        "by gemini-x-001 from row 1 on (1 of 4 rows), by gemini-x-002 from row 2 on (3 of 4 rows)" in change
    )


def test_a_row_of_several_samples_has_several_models(tmp_path: Path) -> None:
    write_ledger(str(tmp_path))
    served = {"v3": "gemini-x", "v1": "gemini-x, gemini-y", "v4": "gemini-y", "v2": "gemini-y"}
    change = model_change(*values(tmp_path, served))
    assert change is not None
    assert "gemini-x from row 1 on (2 of 4 rows), by gemini-y from row 2 on (3 of 4 rows)" in change


def test_without_the_ledger_the_rows_stand_as_in_the_folder(tmp_path: Path) -> None:
    change = model_change(*values(tmp_path, {"v1": "gemini-y", "v2": "gemini-x", "v3": "gemini-y"}))
    assert change is not None
    assert change.startswith(
        "answered by gemini-y from row 1 on (2 of 3 rows), by gemini-x from row 2 on (1 of 3"
    )
    assert change.endswith("in the order of the folder, not of the replies")


def test_one_model_is_no_change(tmp_path: Path) -> None:
    assert model_change(*values(tmp_path / "one", dict.fromkeys(ORDER, "gemini-x"))) is None
    local = load_config(ExtractConfig, "configs/local/predictions.yaml", [("out", str(tmp_path))])
    assert model_change(local, Folder(local.folder)) is None, "nobody was asked"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ReportConfig:
    """A study whose scripts and values two models answered."""
    study = Made(tmp_path_factory.mktemp("study"))
    writer = {"kind": "llm", "llm": {"kind": "gemini", "model": "gemini-x"}}
    scripts = ScriptConfig.model_validate({**study.scripts.model_dump(), "writer": writer})
    study._write(
        scripts,
        ScriptRow,
        [
            script(name, row_key=key, model_served=f"gemini-x-00{1 + (n > 50)}")
            for n, (name, key) in enumerate(sorted(study.keys.items()))
        ],
    )
    study.scripts = scripts
    system = study.asked("gemini", lambda name: stances(1, 0))
    folder = Folder(system.folder)
    table = folder.read()
    served = pa.array(["gemini-y" if n % 2 else "gemini-x" for n in range(table.num_rows)])
    part = folder.write_part(
        table.set_column(table.schema.get_field_index("model_served"), "model_served", served)
    )
    folder.write_run(system, [part], {}, table.num_rows, {"bad_reply": 3}, 1.0)
    scores = EvaluateConfig(predictions=(system,), out=study.out)
    score_systems(scores)
    config = ReportConfig(scores=scores, out=study.out, videos=5)
    write_report(config)
    return config


def test_every_page_with_warnings_names_each_stage(made: ReportConfig) -> None:
    assert [stage for stage, _ in model_changes(made)] == ["scripts", "values: gemini"]
    for name in ("index.html", "systems.html"):
        words = site.Page((Path(made.folder) / name).read_text(encoding="utf-8")).words
        assert "The model changed. scripts: answered by gemini-x-001 from row 1 on" in words
        assert (
            "The model changed. values: gemini: answered by gemini-x from row 1 on (46 of 92 rows), by"
            in words
        )


def test_the_card_of_a_data_set_names_it(made: ReportConfig, tmp_path: Path) -> None:
    export_dataset(Study(made.out), tmp_path / "data")
    card = (tmp_path / "data" / "README.md").read_text()
    assert (
        "gemini-x, gemini-y; answered by gemini-x from row 1 on (46 of 92 rows), by gemini-y from row 2"
        in card
    )


def test_a_models_name_is_text() -> None:
    page = site.pages(site.report(model_changes=((site.EVIL, site.EVIL),)))["index.html"]
    assert page.words.count(site.EVIL) == 2
    assert not page.crossed
