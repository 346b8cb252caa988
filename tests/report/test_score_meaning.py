"""What a score is, and which threshold decided it, is told from a system's run, never guessed from the number."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures import site
from tests.fixtures.rows import prediction
from tests.fixtures.trained import AT, IDS, TRAINED, Study, stances
from tikval.codebook import load_codebook
from tikval.config import (
    CombineConfig,
    EvaluateConfig,
    ExtractConfig,
    FinetuneConfig,
    LocalExtractor,
    PredictConfig,
    Protocol,
    ReportConfig,
)
from tikval.evaluate.score_systems import score_systems
from tikval.files import write_bytes
from tikval.finetune.combine_systems import combine_systems
from tikval.finetune.model_files import EnsembleFacts, Kept, Measured, MemberFacts, Scores
from tikval.report.export.dataset import export_dataset
from tikval.report.export.write import write_study
from tikval.report.score_meaning import (
    NO_SCORE,
    PROBABILITY,
    SHARE,
    ScoreMeaning,
    score_meaning,
    score_meaning_of,
)
from tikval.report.site.rows import read_stage
from tikval.report.site.write import write_report
from tikval.rows import PredictionRow
from tikval.store import runs
from tikval.store.folder import Folder
from tikval.store.row_keys import KeyPlaces, keys_of
from tikval.values import LABELS

BOOK = load_codebook(Path(__file__).parents[2] / "prompts" / "codebook.yaml")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("scores"))


def keep_models(config: FinetuneConfig, thresholds: dict[str, tuple[float, float]]) -> None:
    """What a fine-tuning that keeps its models leaves, without weights: each training's thresholds, and the mean's."""
    scores = Scores.model_validate({name: {"value": 0.5} for name in Scores.model_fields})
    member = MemberFacts(weights_sha256="0", train=1, validation=1, test=1, cut_rows=0, scores=scores)
    facts = EnsembleFacts(
        system=config.system,
        protocol=config.protocol,
        label_set=BOOK.label_set,
        all_labels=LABELS,
        labels=TRAINED,
        thresholds=(0.4, 0.6),
        thresholds_from="held-out scores",
        members=dict.fromkeys(thresholds, member),
        rows=1,
        failed=0,
        groups=1,
        support=(1, 1),
        scores=scores,
        label_f1=(Measured(value=0.5),) * 2,
        brier=0.1,
        ece=0.1,
    )
    write_bytes(f"{config.folder}/models/ensemble.json", facts.model_dump_json().encode())
    for name, own in thresholds.items():
        kept = Kept(
            model=config.model,
            heads="multilabel",
            labels=TRAINED,
            thresholds=own,
            width=None,
            weights_sha256="0",
        )
        write_bytes(f"{config.folder}/models/{name}/model.json", kept.model_dump_json().encode())


def at_trained(thresholds: Any) -> list[float | None]:
    assert [thresholds[i] for i in range(len(LABELS)) if i not in AT] == [None] * (len(LABELS) - 2)
    return [thresholds[i] for i in AT]


def test_a_similarity_share_is_no_probability(study: Study) -> None:
    config = ExtractConfig(
        scripts=study.scripts, out=study.out, system="local", extractor=LocalExtractor(threshold=0.07)
    )
    meaning = score_meaning_of(Folder(config.folder), config, BOOK)
    assert (meaning.kind, meaning.thresholds) == (SHARE, (0.07,) * len(LABELS))
    assert meaning.text(0.0812, 0.07) == "similarity share 0.081 (threshold 0.070)"
    assert "no probability" in meaning.words


def test_a_language_model_scores_nothing(study: Study) -> None:
    study.asked("llm", lambda name: stances(1, 0))
    meaning = score_meaning(runs.Study(study.out), "llm")
    assert (meaning.kind, meaning.thresholds, meaning.by_training) == (NO_SCORE, None, {})


def test_a_fixed_threshold_is_that_of_every_row(study: Study) -> None:
    study.trained("half", study.noisy(1), protocol=Protocol(partitions=2, threshold=0.5))
    meaning = score_meaning(runs.Study(study.out), "half")
    assert (meaning.kind, meaning.thresholds) == (PROBABILITY, (0.5,) * len(LABELS))


def test_each_training_has_its_own_thresholds(study: Study) -> None:
    config = study.trained("chosen", study.noisy(1))
    assert score_meaning(runs.Study(study.out), "chosen").thresholds is None  # its models were not kept
    keep_models(config, {"p0-f0-s0": (0.3, 0.7), "p1-f2-s0": (0.2, 0.8)})
    meaning = score_meaning(runs.Study(study.out), "chosen")
    row = {"split": "honest-1", "fold": 2, "seed": 0}
    assert meaning.kind == PROBABILITY
    assert at_trained(meaning.of_row(row)) == [0.2, 0.8]
    assert at_trained(meaning.of_row(row | {"split": "honest-0", "fold": 0})) == [0.3, 0.7]
    assert meaning.of_row(row | {"fold": 1}) is None
    assert meaning.text(0.3, None) == "probability 0.300 (threshold not kept)"


def test_new_videos_are_judged_by_the_average_or_by_one_training(study: Study) -> None:
    config = study.trained("kept", study.noisy(1), protocol=Protocol(partitions=1))
    keep_models(config, {"p0-f0-s0": (0.3, 0.7), "p0-f1-s0": (0.2, 0.8)})
    for members, thresholds in ((None, [0.4, 0.6]), (("p0-f1-s0",), [0.2, 0.8])):
        new = PredictConfig(
            trained=config, scripts=study.scripts, out=study.out, system="new", members=members
        )
        assert at_trained(score_meaning_of(Folder(new.folder), new, BOOK).thresholds) == thresholds


def test_a_combination_has_the_thresholds_of_each_fold(study: Study) -> None:
    parts = tuple(study.trained(name, study.noisy(1, seed)) for seed, name in enumerate(("one", "two")))
    config = CombineConfig(systems=parts, out=study.out, system="both")
    combine_systems(config)
    meaning = score_meaning(runs.Study(study.out), "both")
    facts = json.loads((Path(config.folder) / "combined.json").read_text())["partitions"][1]["folds"][0]
    rows = [row for row in Folder(config.folder).read().to_pylist() if row["split"] == "honest-1"]
    mine = [row for row in rows if row["fold"] == facts["fold"]]
    thresholds = at_trained(meaning.of_row(mine[0]))
    assert thresholds == list(facts["thresholds"].values())
    for row in mine:
        assert [row["decisions"][i] for i in AT] == [
            row["scores"][i] >= threshold for i, threshold in zip(AT, thresholds, strict=True)
        ]


def test_where_a_score_is_shown_it_says_what_it_is_and_what_was_asked_of_it() -> None:
    row = {**site.PREDICTIONS[0], "scores": [0.62, 0.58, 0.1, 0.1]}
    shown = site.card("one", predictions=(row,))
    meant = {"s": ScoreMeaning(PROBABILITY, (0.5, 0.25, 0.5, 0.5))}
    page = site.video(site.report(cards=(shown,), scores_are=meant), "one").words
    assert "probability 0.620 (threshold 0.500)" in page
    assert "probability 0.580 (threshold 0.250)" in page
    unknown = site.video(site.report(cards=(shown,)), "one").words
    assert "score 0.620 (threshold not kept)" in unknown


def local(study: Study, **extractor: Any) -> ExtractConfig:
    """Finished predictions of the embedded default, with a score of 0.2 for every label."""
    config = ExtractConfig.model_validate(
        {"scripts": study.scripts, "out": study.out, "system": "local", "extractor": extractor}
    )
    rows = [
        prediction(name, "face+", row_key=study.keys[name], scores=[0.2] * len(LABELS), model_served="mini")
        for name in IDS
    ]
    study._write(config, PredictionRow, rows)
    return config


@pytest.mark.parametrize("extractor", [{}, {"encoder": "another"}])
def test_what_is_not_calibrated_says_so_wherever_its_values_go(
    tmp_path: Path, extractor: dict[str, str]
) -> None:
    study = Study(tmp_path)
    scores = EvaluateConfig(
        predictions=(local(study, **extractor),), out=study.out, draws=100, permutations=100
    )
    score_systems(scores)
    report = ReportConfig(scores=scores, out=study.out)
    write_report(report)
    pages = {path.name: path.read_text() for path in Path(report.folder).rglob("*.html")}
    assert "similarity share 0.200 (threshold 0.049)" in pages[f"{study.keys[IDS[0]]}.html"]
    notes = export_dataset(runs.Study(study.out), tmp_path / "data")
    card = (tmp_path / "data" / "README.md").read_text()
    _, of_table = write_study(runs.Study(study.out), str(tmp_path / "values.csv"))
    for text in (pages["index.html"], card, " ".join(notes), " ".join(of_table)):
        assert ("Not calibrated: what local predicts" in text) == bool(extractor)
    assert ("; not calibrated: its threshold 0.049 was given" in pages["index.html"]) == bool(extractor)


def test_a_report_opens_where_a_file_holds_only_videos_that_were_replaced(tmp_path: Path) -> None:
    study = Study(tmp_path)
    config = local(study)
    for name in IDS:
        (tmp_path / f"{name}.mp4").write_bytes(b"another")
    study.annotate()
    keys = keys_of(Folder(study.catalog.folder).read()["row_key"])
    assert (
        read_stage(Folder(config.folder), KeyPlaces(keys), np.sort(keys), is_system=True).coverage.rows == 0
    )
