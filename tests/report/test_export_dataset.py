"""A study of several kinds of systems, handed on: tables of values and scores, and a data set with a card."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from tests.fixtures.rows import prediction
from tests.fixtures.trained import BROKEN, IDS, TRAINED, stances
from tests.fixtures.trained import Study as Written
from tikval.cli.commands import app
from tikval.config import (
    CatalogConfig,
    CombineConfig,
    EvaluateConfig,
    ExtractConfig,
    FinetuneConfig,
    Texts,
    UserError,
)
from tikval.evaluate.score_systems import score_systems
from tikval.files import write_table
from tikval.finetune.combine_systems import combine_systems
from tikval.report.export.dataset import export_dataset
from tikval.report.export.dataset_facts import public_name
from tikval.report.export.systems import ABOUT
from tikval.report.export.values import export_table, scores_export
from tikval.report.export.write import write_export
from tikval.rows import PredictionRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.runs import Study, system_config
from tikval.values import LABELS, SLUGS
from tikval.values import stances as stances_of


class Made(Written):
    """An LLM, a fine-tuning of two partitions, both as one, and their scores."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.llm = self.asked("llm", lambda name: None if name == IDS[0] else stances(2, -1))
        self.roberta = self.trained("roberta", self.noisy(1.0))
        systems = self.roberta, self.llm
        self.both = CombineConfig(systems=systems, out=self.out, system="both", how="regression")
        combine_systems(self.both)
        self.scores = EvaluateConfig(
            predictions=(self.llm, self.roberta, self.both), out=self.out, permutations=100
        )
        score_systems(self.scores)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A study that tests only read."""
    return Made(tmp_path_factory.mktemp("study"))


def loaded(folder: Path, name: str) -> Any:
    import datasets

    return datasets.load_dataset(str(folder), name, split="full", cache_dir=str(folder.with_name("cache")))


def line_key(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in ABOUT.names if name != "error")


def scores_of(study: Study) -> pa.Table:
    return pa.concat_tables(scores_export(study).tables())


# values


def test_every_system_and_every_answer_has_its_line(made: Made) -> None:
    table = export_table(Study(made.out))
    lines = table.to_pylist()
    keys = [line_key(line) for line in lines]
    assert len(set(keys)) == len(keys)
    splits = {system: ["honest-0", "honest-1"] for system in ("both", "roberta")} | {"llm": [None]}
    expected = {(name, system, split) for system, its in splits.items() for split in its for name in IDS}
    assert {(line["video_id"], line["system"], line["split"]) for line in lines} == expected
    assert len(lines) == len(expected)
    of = {(line["system"], line["split"], line["video_id"]): line for line in lines}
    folds = {name: f.fold for f in made.folds(made.roberta) if f.partition == 1 for name in f.test}
    for name in IDS:
        line = of["roberta", "honest-1", name]
        assert (line["fold"], line["seed"]) == ((None if name in BROKEN else folds[name]), 0)
        assert line["error"] == ("unreadable" if name in BROKEN else None)
        assert of["llm", None, name]["fold"] is None
    failed = of["llm", None, IDS[0]]
    assert failed["error"] == "bad_reply"
    assert {failed[slug] for slug in SLUGS} == {None}


def test_values_are_those_of_the_rows(made: Made, tmp_path: Path) -> None:
    """The export agrees with the plain definition, on random labels with gaps, and scores that may be missing."""
    rng = np.random.default_rng(0)
    config = made.llm.model_copy(update={"system": "random", "out": str(tmp_path)})
    rows = []
    for n, name in enumerate(IDS):
        decisions = [[None, False, True][i] for i in rng.integers(0, 3, len(LABELS))]
        scores = None if n % 3 == 0 else [None if rng.random() < 0.2 else float(x) for x in rng.random(38)]
        changes: dict[str, Any] = (
            {"error": "timeout"} if n == 5 else {"decisions": decisions, "scores": scores}
        )
        rows.append(prediction(name, row_key=made.keys[name], system="random", **changes))
    folder = Folder(config.folder)
    for part in (rows[:40], rows[40:]):
        folder.write_part(pa.Table.from_pylist(part, schema=arrow_schema(PredictionRow)))
    folder.seal(config, {}, 1.0)
    catalog = made.catalog.model_copy(update={"out": str(tmp_path)})
    write_catalog(catalog)
    lines = {line["video_id"]: line for line in export_table(Study(str(tmp_path))).to_pylist()}
    for row in rows:
        expected: list[int | None] = [None] * len(SLUGS)
        if row["decisions"] is not None:
            expected = stances_of(row["decisions"], row["scores"] or [None] * len(LABELS))
        assert [lines[row["video_id"]][slug] for slug in SLUGS] == expected


def test_some_systems_only(made: Made) -> None:
    assert set(export_table(Study(made.out), ["llm", "both"])["system"].to_pylist()) == {"llm", "both"}
    with pytest.raises(UserError, match="no system bert; there are both, llm, roberta"):
        export_table(Study(made.out), ["bert"])


def test_a_system_whose_codebook_changed_is_refused_and_can_be_left_out(tmp_path: Path) -> None:
    study = Written(tmp_path)
    study.asked("llm", lambda _: stances(1, 0))
    book = tmp_path / "codebook.yaml"
    book.write_bytes(Path("prompts/codebook.yaml").read_bytes())
    study.trained("roberta", study.noisy(1.0), codebook=str(book))
    assert set(export_table(Study(study.out))["system"].to_pylist()) == {"llm", "roberta"}
    book.write_text(book.read_text() + "\n# reworded\n")
    with pytest.raises(UserError, match=r"has changed since roberta ran.*or leave it out: --system llm"):
        export_table(Study(study.out))
    assert set(export_table(Study(study.out), ["llm"])["system"].to_pylist()) == {"llm"}


def test_a_row_that_does_not_fit_its_codebook(tmp_path: Path) -> None:
    study = Written(tmp_path)
    config: ExtractConfig = study.asked("llm", lambda _: stances(1, 0))
    short = [prediction(name, row_key=study.keys[name], decisions=[True], scores=None) for name in IDS]
    folder = Folder(config.folder)
    table = pa.Table.from_pylist(short, schema=arrow_schema(PredictionRow))
    write_table(folder.paths()[0], table)
    with pytest.raises(UserError, match="a result does not have 38 labels"):
        export_table(Study(study.out))


def test_a_system_of_texts_needs_no_catalog(tmp_path: Path) -> None:
    texts = Texts(table=str(tmp_path / "texts.csv"), annotations=str(tmp_path / "labels.csv"))
    config = FinetuneConfig(texts=texts, system="arguments", labels=TRAINED, out=str(tmp_path / "out"))
    rows = [prediction(f"A{n}", system="arguments", split="honest-0", fold=0, seed=0) for n in range(5)]
    Folder(config.folder).write_part(pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow)))
    Folder(config.folder).seal(config, {}, 1.0)
    assert export_table(Study(config.out))["video_id"].to_pylist() == [f"A{n}" for n in range(5)]
    assert export_dataset(Study(config.out), tmp_path / "data") == []
    assert len(loaded(tmp_path / "data", "predictions")) == 5
    assert "trained on texts" in (tmp_path / "data" / "README.md").read_text()


# scores


def test_scores_are_those_of_every_evaluation(made: Made, tmp_path: Path) -> None:
    table = scores_of(Study(made.out))
    lines = Folder(made.scores.folder).read().to_pylist()
    assert table.drop_columns(["recipe", "scored_at"]).to_pylist() == lines
    assert set(table["recipe"].to_pylist()) == {made.scores.fingerprint}
    write_export([scores_export(Study(made.out))], str(tmp_path / "scores.csv"))
    assert (tmp_path / "scores.csv").read_text().count("\n") == table.num_rows + 1


def test_evaluations_of_other_versions_may_lack_columns(tmp_path: Path) -> None:
    study = Written(tmp_path)
    llm = study.asked("llm", lambda _: stances(1, 0))
    old, new = (EvaluateConfig(predictions=(llm,), out=study.out, min_share=share) for share in (0.05, 0.2))
    for config in (old, new):
        score_systems(config)
    file = Folder(old.folder).paths()[0]
    write_table(file, pq.read_table(file).drop_columns(["lower", "upper"]))
    lines = scores_of(Study(study.out)).to_pylist()
    assert {line["lower"] for line in lines if line["recipe"] == old.fingerprint} == {None}
    assert [line for line in lines if line["recipe"] == new.fingerprint and line["lower"] is not None]


def test_a_study_without_scores(tmp_path: Path) -> None:
    study = Written(tmp_path)
    study.asked("llm", lambda _: stances(1, 0))
    with pytest.raises(UserError, match="no scores; name annotations"):
        scores_export(Study(study.out))


# the data set


def test_the_data_set_loads_with_the_same_lines(made: Made, tmp_path: Path) -> None:
    to = tmp_path / "data"
    assert export_dataset(Study(made.out), to) == []
    assert sorted(path.name for path in to.iterdir()) == [
        "README.md",
        "labels.parquet",
        "predictions.parquet",
    ]
    predictions = loaded(to, "predictions")
    names = [*ABOUT.names, *SLUGS]
    assert predictions.column_names == names
    lines = export_table(Study(made.out)).select(names).to_pylist()
    assert sorted(predictions.to_list(), key=str) == sorted(lines, key=str)
    labels = loaded(to, "labels")
    assert labels.column_names == ["video_id", "annotator", *SLUGS]
    assert {row["annotator"] for row in labels} == {1}
    annotations = {row["video_id"]: (row["face"], row["humility"]) for row in labels}
    assert annotations == {name: (int(face), -int(humility)) for name, (face, humility) in made.truth.items()}


def test_the_card_names_what_was_run_and_what_came_out(made: Made, tmp_path: Path) -> None:
    export_dataset(Study(made.out), tmp_path / "data")
    card = (tmp_path / "data" / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "unknown"
    assert [config["config_name"] for config in head["configs"]] == ["predictions", "labels"]
    for config in (made.llm, made.roberta, made.both):
        assert f"`{config.fingerprint}`" in card
    assert "| `llm` | 38 of 38 | 92 | 92 | 89 | bad_reply 3 | 0 |" in card
    assert "| `roberta` | 2 of 38 | 92 | 184 | 180 | unreadable 4 | 0 |" in card
    rows = Folder(made.scores.folder).read().to_pylist()
    for system in ("llm", "both", "predict_everything"):
        f1 = next(
            row["f1"]
            for row in rows
            if (row["system"], row["stance"], row["label"], row["failures"])
            == (system, "all", "macro", "left_out")
        )
        line = next(
            line for line in card.splitlines() if line.startswith(f"| `{system}`") and " of 92 |" in line
        )
        assert f"{f1:.3f}" in line
    assert "tells nothing of" in card, "values that roberta does not model are no absences"


def test_no_account_and_no_place_is_in_it(made: Made, tmp_path: Path) -> None:
    export_dataset(Study(made.out), tmp_path / "data")
    card = (tmp_path / "data" / "README.md").read_text()
    cells = "".join(
        repr(pq.read_table(path).to_pylist()) + repr(pq.read_schema(path).names)
        for path in (tmp_path / "data").glob("*.parquet")
    )
    for private in ("account1", ".mp4", str(made.root), str(tmp_path), "human", "SPEAKER", "@someone"):
        assert private not in cells, private
    for private in ("account1", ".mp4", str(made.root), str(tmp_path), "SPEAKER"):
        assert private not in card, private


def test_scores_of_what_has_changed_since_are_not_shown(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.annotate(turned=IDS[:30])
    export_dataset(Study(made.out), tmp_path / "data")
    card = (tmp_path / "data" / "README.md").read_text()
    assert "None: predictions or annotations have changed since the last evaluation." in card


def named(root: Path, ids: dict[str, str], more: str = "") -> Written:
    """A study of videos with these ids, each with its account."""
    study = Written(root)
    for name in ids:
        (root / f"{name.replace('/', '_')}.mp4").write_bytes(b"x")
    lines = [f"{name.replace('/', '_')}.mp4,{name},{account}" for name, account in ids.items()]
    (root / "videos.csv").write_text("\n".join(["path,video_id,account", *lines]))
    (root / "accounts.csv").write_text(f"account,is_minor\n{more}")
    study.catalog = CatalogConfig(
        videos=str(root / "videos.csv"),
        accounts=str(root / "accounts.csv"),
        without=("annotations",),
        out=study.out,
    )
    write_catalog(study.catalog)
    keys = {row["video_id"]: row["row_key"] for row in Folder(study.catalog.folder).read().to_pylist()}
    rows = [prediction(name, row_key=key) for name, key in keys.items()]
    config = ExtractConfig(scripts=study.scripts, system="local", out=study.out)
    Folder(config.folder).write_part(pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow)))
    Folder(config.folder).seal(config, {}, 1.0)
    return study


def test_ids_that_name_somebody_are_counted_and_not_repeated(tmp_path: Path) -> None:
    ids = {
        "ann.cleves/1": "ann.cleves",  # a folder of hers
        "clip_ANN.CLEVES_2": "ann.cleves",
        "with ann.cleves": "bob",  # another's video
        "@carol dances": "bob",
        "7301": "bob",
        "annual": "ann.cleves",
    }
    study = named(tmp_path, ids, "ann.cleves,yes\nbob,no\n")
    notes = export_dataset(Study(study.out), tmp_path / "data")
    assert [note.split(":")[0] for note in notes] == [
        "4 of 6 ids contain an account's name, a handle or an address",
        "3 ids are of accounts marked as a minor's",
    ]
    card = (tmp_path / "data" / "README.md").read_text()
    assert "**4 of the 6 ids contain" in card
    assert "ann.cleves" not in card
    assert "Demo quality" in card, "the embedded default is marked as such"
    assert "labels" not in [
        config["config_name"] for config in yaml.safe_load(card.split("---")[1])["configs"]
    ]


def test_a_folder_that_is_not_empty(made: Made, tmp_path: Path) -> None:
    to = tmp_path / "data"
    to.mkdir()
    (to / "mine.txt").write_text("mine")
    (to / "labels.parquet").write_text("of somebody erased")
    with pytest.raises(UserError, match=r"data: is not empty.*--force"):
        export_dataset(Study(made.out), to)
    assert (to / "labels.parquet").read_text() == "of somebody erased"
    export_dataset(Study(made.out), to, force=True)
    assert (to / "mine.txt").read_text() == "mine"
    assert len(loaded(to, "labels")) == len(IDS)
    with pytest.raises(UserError, match="is a file"):
        export_dataset(Study(made.out), to / "mine.txt", force=True)


def test_a_stale_table_does_not_stay_behind(tmp_path: Path) -> None:
    study, to = named(tmp_path, {"7301": "bob"}), tmp_path / "data"
    to.mkdir()
    (to / "labels.parquet").write_text("of somebody erased")
    export_dataset(Study(study.out), to, force=True)
    assert not (to / "labels.parquet").exists()
    assert len(loaded(to, "predictions")) == 1


@pytest.mark.parametrize(
    ("model", "public"),
    [
        ("gemini-2.5-flash", "gemini-2.5-flash"),
        ("sentence-transformers/all-MiniLM-L6-v2@c9745ed", "sentence-transformers/all-MiniLM-L6-v2@c9745ed"),
        ("/home/ann/models/tiny sha256:0123", "a local model sha256:0123"),
        ("models/of/ann sha256:0123", "a local model sha256:0123"),
        ("mean of roberta@1, ~/tiny@2", "mean of roberta@1, a local model"),
        ("/home/ann b/tiny sha256:0123", "a local model sha256:0123"),
        ("s3://bucket/tiny", "a local model"),
        ("C:\\models\\tiny", "a local model"),
        ("a | b <script>", "a b script"),
    ],
)
def test_a_models_name_without_its_place(model: str, public: str) -> None:
    assert public_name(model) == public


def test_what_a_run_is_is_read_back(made: Made) -> None:
    systems = Study(made.out).systems()
    assert {name: system_config(run) for name, (_, run) in systems.items()} == {
        "llm": made.llm,
        "roberta": made.roberta,
        "both": made.both,
    }
    assert made.roberta.labels == TRAINED


# the command


def test_the_command(made: Made, tmp_path: Path) -> None:
    def run(*words: str) -> Any:
        return CliRunner().invoke(app, ["export", made.out, *words])

    assert run(str(tmp_path / "values.jsonl")).exit_code == 0
    assert len((tmp_path / "values.jsonl").read_text().splitlines()) == 5 * len(IDS)
    assert run(str(tmp_path / "llm.csv"), "--system", "llm").exit_code == 0
    assert len((tmp_path / "llm.csv").read_text().splitlines()) == 1 + len(IDS)
    assert run(str(tmp_path / "scores.parquet"), "--scores").exit_code == 0
    assert run(str(tmp_path / "data"), "--dataset").exit_code == 0
    assert (tmp_path / "data" / "README.md").exists()
    for wrong, message in (
        (("s3://bucket/data", "--dataset"), "not on this machine"),
        ((str(tmp_path / "x"), "--scores", "--dataset"), "leave out the other options"),
        ((str(tmp_path / "x"), "--names", "--dataset"), "never names anybody"),
        ((str(tmp_path / "x.csv"), "--names", "--scores"), "scores name nobody"),
        ((str(tmp_path / "x.csv"), "--force"), "--force is for folders"),
        ((str(tmp_path / "x.csv"), "--annotator", "nobody"), "no annotator nobody; there are human"),
        ((str(tmp_path / "x.duckdb"), "--long"), "holds all tables; leave out --long"),
        ((str(tmp_path / "data"), "--dataset"), "is not empty"),
    ):
        with pytest.raises(UserError, match=message):
            CliRunner().invoke(app, ["export", made.out, *wrong], catch_exceptions=False)


def test_no_table_that_leaves_the_house_names_anybody(tmp_path: Path) -> None:
    ids = {
        "ann.cleves/1": "ann.cleves",
        "clip_ANN.CLEVES_2": "ann.cleves",
        "7301": "bob",
        "@carol dances": "bob",
    }
    study = named(tmp_path, ids, "ann.cleves,yes\nbob,no\n")
    export_dataset(Study(study.out), tmp_path / "data")
    written = pq.read_table(tmp_path / "data" / "predictions.parquet")["video_id"].to_pylist()
    table = export_table(Study(study.out))["video_id"].to_pylist()
    for shown in (set(written), set(table)):
        assert "7301" in shown
        assert sum(name.startswith("video-") for name in shown) == 3
        assert not any("ann" in name.lower() or "carol" in name for name in shown)
    assert set(export_table(Study(study.out), names=True)["video_id"].to_pylist()) == set(ids)
