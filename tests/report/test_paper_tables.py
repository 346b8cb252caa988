"""The paper's tables: as printed, as they follow from each other, and beside the scores of any set of systems."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.conftest import ROOT
from tests.fixtures import trained
from tests.fixtures.rows import label, prediction
from tests.fixtures.scoring import score_everything, score_system
from tikval.cli.commands import app
from tikval.config import EvaluateConfig, ExtractConfig, FinetuneConfig, Protocol, UserError, read_yaml
from tikval.config.llm import Gemini
from tikval.evaluate.score_systems import score_systems
from tikval.report.tables.cells import MEAN, Cell, cells_of, counterparts_of
from tikval.report.tables.differences import Counterpart, counterpart_of
from tikval.report.tables.grids import Grid, csv_text, grids, markdown
from tikval.report.tables.paper import show_tables, tables_of, write_tables
from tikval.report.tables.published import TOLERANCE, published, table_3_anew
from tikval.rows import ScoreRow
from tikval.sources.labels import read_labels
from tikval.sources.write_catalog import write_catalog
from tikval.store.runs import Study
from tikval.values import LABELS, SIGN, SLUGS, Stance, binary

SHARED = Path(__file__).parents[3] / "shared"
PUBLISHED, PRINTED = SHARED / "data" / "tiktok_annotations.csv", SHARED / "paper"
needs_annotations = pytest.mark.skipif(
    not PUBLISHED.exists(), reason="the published annotations are elsewhere"
)
needs_tables = pytest.mark.skipif(not PRINTED.exists(), reason="the paper's tables as CSV are elsewhere")

PAPER = published()
LANGUAGE_MODELS = ("gemini_2s", "gemini_d", "mistral_2s")


# as printed


def test_every_table_is_whole() -> None:
    assert len(PAPER.f1) == 9 * 6
    assert len(PAPER.movie_recall) == 7 * 3
    assert {name for name, *_ in PAPER.f1} == set(PAPER.systems)
    for system in PAPER.systems:
        has = {name for one, name in PAPER.labels if one == system}
        assert has >= set(PAPER.averaged)
        if system in LANGUAGE_MODELS:
            assert has == set(LABELS)
    assert len(PAPER.averaged) == 18
    # the same labels as those that the paper's encoders are trained on here
    assert set(read_yaml("configs/paper/roberta.yaml")["labels"]) == set(PAPER.averaged)


def test_counterparts_are_systems_of_the_configurations() -> None:
    files = [*(ROOT / "configs").rglob("*.yaml")]
    here = {system for file in files if (system := read_yaml(str(file)).get("system"))}
    assert set(PAPER.counterparts) <= here
    assert set(PAPER.counterparts.values()) == set(PAPER.systems)


def records(name: str) -> list[dict[str, str]]:
    with (PRINTED / name).open(newline="") as file:
        return list(csv.DictReader(file))


@needs_tables
def test_the_transcription_is_that_of_the_paper() -> None:
    f1 = {
        (row["system"], *cell.rsplit("_", 1)): float(number)
        for row in records("table_3_aggregate_f1.csv")
        for cell, number in row.items()
        if cell != "system"
    }
    assert f1 == PAPER.f1
    recall = {
        (row["system"], stance): float(number)
        for row in records("table_4_movie_recall.csv")
        for stance, number in row.items()
        if stance != "system"
    }
    assert recall == PAPER.movie_recall
    rows = records("tables_5_6_per_value.csv")
    name = {id(row): f"{row['value']}{SIGN[row['stance']]}" for row in rows}
    transcribed = {
        (row["system"], name[id(row)]): tuple(
            float(row[m]) if row[m] else None for m in ("precision", "recall", "f1")
        )
        for row in rows
        if row["precision"] not in ("", "NA")
    }
    assert transcribed == {place: tuple(numbers) for place, numbers in PAPER.labels.items()}
    assert {name[id(row)] for row in rows if row["below_5_percent"] == "1"} == PAPER.starred


def test_f1_of_what_was_scored_once_follows_from_precision_and_recall() -> None:
    for (system, name), (p, r, f1) in PAPER.labels.items():
        if system in LANGUAGE_MODELS:
            assert p is not None
            assert r is not None
            assert f1 == pytest.approx(2 * p * r / (p + r) if p + r else 0, abs=0.02), (system, name)


def test_all_of_table_4_is_the_mean_of_two() -> None:
    for system in {name for name, _ in PAPER.movie_recall}:
        endorsed, confronted, both = (
            PAPER.movie_recall[system, stance] for stance in ("endorsed", "confronted", "all")
        )
        assert both == pytest.approx((endorsed + confronted) / 2, abs=0.00501)


# Table 3 out of Tables 5 and 6


@needs_annotations
def test_table_3_follows_from_tables_5_and_6() -> None:
    rows = read_labels(str(PUBLISHED), SLUGS, "schwartz-19")
    counts = np.array([binary(row["stances"]) for row in rows]).sum(0).tolist()
    checks = table_3_anew(dict(zip(LABELS, counts, strict=True)))
    assert len(checks) == 54
    off = {(c.system, c.stance, c.mean) for c in checks if abs(c.computed - c.printed) > TOLERANCE}
    assert off == {("longformer_2s", "confronted", "weighted")} == {known[:3] for known in PAPER.exceptions}
    assert all(c.holds == (c.known is None) for c in checks)
    (longformer,) = (c for c in checks if c.known)
    assert (longformer.printed, round(longformer.computed, 2)) == (0.28, 0.23)
    # the exception's reason: what Table 6 gives without the label that it never predicts
    names = [n for n in PAPER.averaged if n.endswith("-") and n != "benevolence_caring-"]
    support = np.array([counts[LABELS.index(n)] for n in names])
    f1 = np.array([PAPER.labels["longformer_2s", n].f1 for n in names], dtype=float)
    assert round(float(f1 @ support / support.sum()), 2) == 0.28


def test_means_over_labels_by_hand() -> None:
    ones = dict.fromkeys(PAPER.averaged, 1)
    first = {(c.system, c.stance, c.mean): c.computed for c in table_3_anew(ones)}
    heavy = {(c.system, c.stance, c.mean): c.computed for c in table_3_anew(ones | {"face-": 10_000})}
    assert first["roberta_2s", "confronted", "macro"] == pytest.approx((0.28 + 0.27 + 0.38 + 0.48 + 0.35) / 5)
    # blank F1s: of precision and recall; 0 where both are
    filled = (
        0,
        2 * 0.09 * 0.07 / 0.16,
        2 * 0.18 * 0.76 / 0.94,
        2 * 0.38 * 0.44 / 0.82,
        2 * 0.34 * 0.07 / 0.41,
    )
    assert first["f_videomae", "confronted", "macro"] == pytest.approx(sum(filled) / 5)
    for (system, stance, mean), number in first.items():
        assert mean == "macro" or number == pytest.approx(first[system, stance, "macro"])
        if mean == "macro" or stance == "endorsed":
            assert heavy[system, stance, mean] == pytest.approx(number)
    assert heavy["roberta_2s", "all", "weighted"] == pytest.approx(
        0.28, abs=0.001
    )  # face- is all that counts


def test_a_label_without_a_support_is_named() -> None:
    with pytest.raises(ValueError, match=r"without a support: face-"):
        table_3_anew({name: 1 for name in PAPER.averaged if name != "face-"})


# cells


def coded(**stances: int) -> list[int]:
    return [stances.get(slug, 0) for slug in SLUGS]


TRUTH = [
    label("a", stances=coded(face=1, achievement=1, humility=-1)),
    label("b", stances=coded(face=2)),
    label("c", stances=coded(humility=-1)),
    label("d"),
]
PREDICTED = {"a": coded(face=1), "b": coded(face=1, humility=-1), "c": coded(humility=-1)}


def scores_of(system: str = "gemini_two_step", min_share: float = 0.2) -> list[ScoreRow]:
    """The scores of four videos, the last of which failed."""
    changes: list[dict[str, Any]] = [
        {"video_id": v, "decisions": binary(s), "scores": None} for v, s in PREDICTED.items()
    ]
    changes.append({"video_id": "d", "error": "blocked", "decisions": None, "scores": None})
    rows = [prediction(**row, system=system) for row in changes]
    return [
        *score_everything(TRUTH, LABELS, min_share),
        *score_system(rows, TRUTH, LABELS, min_share, system),
    ]


def asked(**changes: Any) -> ExtractConfig:
    config = read_yaml("configs/paper/gemini_two_step.yaml")
    return ExtractConfig.model_validate(config | changes)


def tuned(file: str = "configs/paper/roberta.yaml", **changes: Any) -> FinetuneConfig:
    return FinetuneConfig.model_validate(read_yaml(file) | changes)


def cells_with(pairs: dict[str, str]) -> list[Cell]:
    scores = scores_of()
    return cells_of(scores, counterparts_of(scores, [asked()], pairs, PAPER), PAPER)


def one(cells: list[Cell], table: int, stance: str, what: str, metric: str = "f1") -> Cell:
    system = "gemini_two_step"
    (cell,) = (
        c
        for c in cells
        if (c.table, c.system, c.stance, c.what, c.metric) == (table, system, stance, what, metric)
    )
    return cell


def test_both_readings_of_all() -> None:
    cells = cells_with({"gemini_two_step": "gemini_2s"})
    # face+ 1, achievement+ 0, humility- 1 of 2 predicted and 1 of 2 true
    macro = {stance: one(cells, 3, stance, "macro") for stance in ("endorsed", "confronted", "all", MEAN)}
    assert [macro[stance].value for stance in macro] == pytest.approx([0.5, 0.5, 0.5, 0.5])
    weighted = {stance: one(cells, 3, stance, "weighted").value for stance in macro}
    assert weighted == pytest.approx({"endorsed": 2 / 3, "confronted": 0.5, "all": 0.6, MEAN: 7 / 12})
    assert [macro[stance].paper for stance in macro] == pytest.approx([0.43, 0.37, 0.41, 0.40])
    assert [macro[stance].computed for stance in macro] == [False, False, False, True]

    recall = {stance: one(cells, 4, stance, "movie", "recall") for stance in macro}
    assert [recall[s].value for s in recall] == pytest.approx([0.75, 0.5, (1 / 3 + 1 + 1) / 3, 0.625])
    assert [recall[stance].paper for stance in recall] == [0.58, 0.32, None, 0.45]
    precision = one(cells, 4, "endorsed", "movie", "precision")
    assert (precision.value, precision.paper, precision.counterpart) == (1.0, None, None)


def test_per_label_with_bounds_and_support() -> None:
    cells = cells_with({"gemini_two_step": "gemini_2s"})
    face = one(cells, 5, "endorsed", "face+", "recall")
    assert (face.value, face.paper, face.support, face.frequent) == (1.0, 0.52, 2, True)
    assert (face.n_scored, face.n_videos) == (3, 4)
    f1 = one(cells, 5, "endorsed", "face+")
    assert f1.wrong == pytest.approx(0.8)
    assert f1.right == 1.0
    assert one(cells, 6, "confronted", "humility-").paper == 0.37
    assert not [c for c in cells if c.table == 5 and c.what.endswith("-")]


def test_a_number_of_the_paper_never_stands_without_what_differs() -> None:
    for cell in cells_with({}):
        assert cell.paper is None
    (cell, *_) = (c for c in cells_with({"gemini_two_step": "gemini_2s"}) if c.paper is not None)
    values = {name: getattr(cell, name) for name in Cell.__dataclass_fields__}
    with pytest.raises(ValueError, match="without what differs"):
        Cell(**values | {"counterpart": None})
    with pytest.raises(ValueError, match="prompt"):
        Counterpart("gemini_2s", "Gemini 2s", data="x", prompt="", model="x", training="x")


def test_pairs_are_explicit() -> None:
    scores = scores_of("mine")
    mine = asked(system="mine")
    assert counterparts_of(scores, [mine], PAPER.counterparts, PAPER) == {}
    assert counterparts_of(scores, [mine], {"mine": "gemini_d"}, PAPER)["mine"].title == "Gemini d"
    with pytest.raises(ValueError, match=r"no row of the paper: bert; there are gemini_2s, "):
        counterparts_of(scores, [mine], {"mine": "bert"}, PAPER)
    others = [{**row, "label": row["label"].replace("face", "care")} for row in scores]
    assert counterparts_of(others, [mine], {"mine": "gemini_d"}, PAPER) == {}  # type: ignore[arg-type]


# what differs


def differing(config: Any, row: str = "gemini_2s", scores: list[ScoreRow] | None = None) -> Counterpart:
    scores = scores or scores_of()
    return counterpart_of(config, [r for r in scores if r["system"] == "gemini_two_step"], row, PAPER)


def test_the_model_is_the_one_that_was_asked() -> None:
    model = differing(asked()).model
    assert "values by gemini-3.1-pro-preview out of scripts by gemini-3.1-pro-preview" in model
    assert "the paper: scripts and values by Gemini 1.5 Pro" in model
    extractor = asked().extractor.model_copy(update={"llm": Gemini(model="gemini-of-a-test")})
    assert "gemini-of-a-test" in differing(asked(extractor=extractor.model_dump())).model
    local = differing(asked(extractor={"kind": "local"}))
    assert "without a language model" in local.model
    assert "without a prompt" in local.prompt
    direct = ExtractConfig.model_validate(read_yaml("configs/qwen/direct.yaml"))
    assert "pictures and recognised speech" in differing(direct, "gemini_d").model
    vectors = differing(tuned("configs/paper/f_videomae.yaml"), "f_videomae")
    assert "MCG-NJU/videomae-base, facebook/wav2vec2-base" in vectors.model
    assert vectors.prompt == "none, neither here nor in the paper"


def test_the_prompt_names_whose_it_is() -> None:
    ours = differing(asked()).prompt
    assert "prompts/script.txt, after Figure 7 in this project's words" in ours
    assert "prompts/extract.txt over prompts/codebook.yaml, after Figures 5 and 6 in this" in ours
    assert "schema" not in ours  # the format of Figure 6, as in the paper
    gemini = ExtractConfig.model_validate(read_yaml("configs/gemini/two_step.yaml"))
    assert "JSON that a schema enforces, the paper's in the format of Figure 6" in differing(gemini).prompt
    assert differing(gemini).prompt.count("as the system instruction") == 2  # of scripts and values
    assert "system instruction" not in ours
    extractor = asked().extractor.model_copy(update={"prompt": "prompts/codebook.yaml"})
    assert "a file of your own" in differing(asked(extractor=extractor.model_dump())).prompt


def test_the_protocol_is_named() -> None:
    paper = differing(tuned(), "roberta_2s").training
    assert "the best epoch chosen on the test fold, folds averaged: as in the paper" in paper
    honest = differing(tuned("configs/paper/roberta_honest.yaml"), "roberta_2s").training
    assert "no account in two of them" in honest
    assert differing(asked()).training.startswith("none")


def test_the_data_name_how_many_videos_and_which_labels() -> None:
    data = differing(asked()).data
    assert data.startswith("3 of 4 annotated videos have a result; the paper scored 885")
    assert "its published annotations list 888, so these are others, or a part of them" in data
    assert "means run over 3 labels, the paper's over 18, of which" in data
    every = [{**row, "frequent": row["frequent"] is not None} for row in scores_of()]
    assert "means run over 38 labels" in differing(asked(), scores=every).data  # type: ignore[arg-type]


@needs_annotations
def test_of_the_published_annotations_the_labels_are_the_papers_or_one_is_named() -> None:
    truth = read_labels(str(PUBLISHED), SLUGS, "schwartz-19")
    rows = [prediction(row["video_id"], decisions=[True] * 38, scores=None) for row in truth]
    for share, ending in (
        (0.051, "18 labels, the paper's over 18, the same"),
        (0.05, "19 labels, the paper's over 18, which lack power_dominance-"),
    ):
        scores = score_system(rows, truth, LABELS, share, "gemini_two_step")
        data = differing(asked(), scores=scores).data
        assert data.endswith(ending)
        assert "others" not in data


# human-readable


def noted(grid: Grid) -> set[str]:
    """The numbers of notes that a grid's cells or head refer to."""
    text = " ".join([*grid.head, *(row[0] for row in grid.rows)])
    return set(re.findall(r"\[(\d+)\]", text))


def test_every_grid_with_a_number_of_the_paper_has_its_note() -> None:
    for grid in grids(cells_with({"gemini_two_step": "gemini_2s"}), PAPER):
        assert noted(grid) == {"1"}
        (note,) = (note for note in grid.notes if note.startswith("[1]"))
        assert all(f"{part}: " in note for part in ("Data", "Prompt", "Model", "Training"))
        assert any(PAPER.source.split(",")[0] in note for note in grid.notes)
        assert all(len(row) == len(grid.head) for row in grid.rows)
        assert "predict_everything" in str((grid.head, grid.rows))
    for grid in grids(cells_with({}), PAPER):
        assert "aper" not in str((grid.head, [row[0] for row in grid.rows]))
        assert not noted(grid)


def test_table_3_in_text() -> None:
    (grid, *_) = grids(cells_with({"gemini_two_step": "gemini_2s"}), PAPER)
    ours, bounds, paper, everything = grid.rows
    assert ours[0] == "gemini_two_step"
    assert ours[1:3] == ["0.67", "0.50"]
    assert ours[-1] == "3 of 4"
    assert bounds[0] == "with 1 failed: all wrong to all right"
    assert bounds[2].endswith(" to 0.50")
    assert paper[:3] == ["paper: Gemini 2s [1]", "0.48", "0.43"]
    assert paper[-3:] == ["(0.42)", "(0.40)", ""]  # computed: the paper prints the other reading
    assert everything[0] == "predict_everything"


def test_stars_digits_and_intervals() -> None:
    scores = scores_of()
    for row in scores:
        row["lower"], row["upper"], row["support"] = 0.25, 1.0, max(5, row["support"])
    counterparts = counterparts_of(scores, [asked()], {"gemini_two_step": "gemini_2s"}, PAPER)
    made = grids(cells_of(scores, counterparts, PAPER), PAPER)
    lines = {row[0]: row for row in made[2].rows}
    assert lines["Face"][4] == "1.00 [0.25, 1.00]"
    assert lines["Benevolence: caring*"][6] == "0.486"
    assert lines["Tradition*"][7] == "0.43*"
    assert made[0].rows[0][1] == "0.67 [0.25, 1.00]"
    assert made[0].rows[0][7] == "0.58"  # of the mean of two nothing was computed
    old = [{k: v for k, v in row.items() if k not in ("lower", "upper")} for row in scores]
    without = grids(cells_of(old, counterparts, PAPER), PAPER)  # type: ignore[arg-type]
    assert without[0].rows[0][1] == "0.67"


def test_csv_and_markdown() -> None:
    cells = cells_with({"gemini_two_step": "gemini_2s"})
    lines = list(csv.DictReader(io.StringIO(csv_text(cells))))
    assert len(lines) == len(cells)
    for line in lines:
        assert bool(line["paper"]) == bool(line["differences"]) == bool(line["paper_is"])
    evil = Grid("T|1", ["a<b", "c"], [["x|y", "*z*"]], ["[1] <script>"])
    assert markdown([evil]).splitlines() == [
        *("## T\\|1", "", "| a\\<b | c |", "| --- | --- |", "| x\\|y | \\*z\\* |", "", "* [1] \\<script\\>")
    ]


# from end to end


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> trained.Study:
    study = trained.Study(tmp_path_factory.mktemp("study"))
    systems = (
        study.trained(
            "roberta", study.noisy(1), protocol=Protocol(name="paper", partitions=1, threshold=0.5)
        ),
        study.trained("roberta_honest", study.noisy(2)),
        study.asked("mine", lambda name: trained.stances(1, int(Stance.CONFRONTED))),
    )
    score_systems(EvaluateConfig(predictions=systems, out=study.out, permutations=100))
    return study


def test_the_tables_of_a_study(scored: trained.Study, tmp_path: Path) -> None:
    words = ["tables", scored.out, "--csv", str(tmp_path / "t"), "--beside", "mine=gemini_2s"]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    for text in ("Table 3", "Table 6: confronted values, roberta_honest", "paper: RoBERTa 2s", "written: "):
        assert text in done.output
    with (tmp_path / "t" / "table_3.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    paper_rows = {line["system"]: line["paper_system"] for line in lines if line["paper"]}
    assert paper_rows == {"roberta": "RoBERTa 2s", "roberta_honest": "RoBERTa 2s", "mine": "Gemini 2s"}
    training = {line["system"]: line["differences"].rpartition("Training: ")[2] for line in lines}
    assert training["roberta"] != training["roberta_honest"]
    assert any(line["lower"] for line in lines if line["system"] == "roberta")
    assert "## Table 5: endorsed values, mine" in (tmp_path / "t" / "tables.md").read_text()


def test_a_pair_may_be_undone(scored: trained.Study, tmp_path: Path) -> None:
    tables = tables_of(Study(scored.out), ["roberta_honest="])
    assert {c.system for c in tables.cells if c.counterpart} == {"roberta"}
    console = Console(file=io.StringIO(), width=200, markup=False)
    show_tables(tables, console)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_tables(tables, tmp_path / "file")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("mine", "say SYSTEM=ROW; the systems are roberta, roberta_honest, mine"),
        ("yours=gemini_d", "say SYSTEM=ROW"),
        ("predict_everything=longformer_2s", "say SYSTEM=ROW"),
        ("mine=gpt", "no row of the paper: gpt"),
    ],
)
def test_a_bad_pair(scored: trained.Study, pair: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tables_of(Study(scored.out), [pair])


def test_without_scores_there_are_no_tables(tmp_path: Path) -> None:
    study = trained.Study(tmp_path)
    with pytest.raises(UserError, match="no scores here"):
        tables_of(Study(study.out))
    system = study.asked("mine", lambda name: trained.stances(1, 0))
    write_catalog(study.catalog.model_copy(update={"annotations": None, "without": ("annotations",)}))
    score_systems(EvaluateConfig(predictions=(system,), out=study.out))
    with pytest.raises(UserError, match="no annotated videos"):
        tables_of(Study(study.out))
