"""Trained systems over new videos: what was kept judges as it did when it was trained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml

from tests.fixtures import alone
from tests.fixtures.alone import in_this_process
from tests.fixtures.rows import script
from tests.fixtures.tiny_encoders import write_bert, write_roberta
from tikval.config import (
    CatalogConfig,
    EvaluateConfig,
    ExplainConfig,
    FinetuneConfig,
    PredictConfig,
    ScriptConfig,
    UserError,
)
from tikval.evaluate.score_systems import score_systems
from tikval.files import read_bytes, write_bytes
from tikval.finetune.ensemble import HeldOut, HeldOutScores, mean_scores, thresholds_of
from tikval.finetune.inference import Judge, TrainedMember
from tikval.finetune.model_files import EnsembleFacts, read_facts
from tikval.finetune.model_index import usable_members
from tikval.finetune.occlusion import MAX_CUTS, cuts_of, passages_by_drop
from tikval.flow import finetune
from tikval.flow.explain import explain
from tikval.flow.predict import predict, warn_of_trained_videos
from tikval.report.export.values import export_table
from tikval.rows import Reason, ScriptRow, arrow_schema
from tikval.script_text import find_quote
from tikval.sources.write_catalog import write_catalog
from tikval.stats.deletion import deletion_gap
from tikval.store.folder import Folder
from tikval.store.runs import Study as Finished

WORDS = {"kindness": "we help the old lady", "thrill": "a wild jump from the roof"}
LONG = " and then the sun sets" * 10
N = 24


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


class Study:
    """Videos whose scripts say their values, of eight accounts, catalogued and written by hand."""

    def __init__(self, root: Path, n: int = N, name: str = "video") -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.book = str(root / "codebook.yaml")
        Path(self.book).write_text(yaml.safe_dump(_codebook()))
        self.ids = [f"{name}{i:02}" for i in range(n)]
        for each in self.ids:
            (root / f"{each}.mp4").write_bytes(b"x")
        truth = [[int((i + k) % 3 == 0) for k in range(2)] for i in range(n)]
        lines = [f"{each}.mp4,account {i % 8}" for i, each in enumerate(self.ids)]
        (root / "videos.csv").write_text("\n".join(["path,account", *lines]))
        marks = [f"{each},{a},{b}" for each, (a, b) in zip(self.ids, truth, strict=True)]
        (root / "labels.csv").write_text("\n".join(["video_id,kindness,thrill", *marks]))
        self.out = str(root / "out")
        self.catalog = CatalogConfig(
            videos=str(root / "videos.csv"),
            annotations=str(root / "labels.csv"),
            codebook=self.book,
            out=self.out,
        )
        self.scripts = ScriptConfig(videos=self.catalog, out=self.out)
        write_catalog(self.catalog)
        keys = {row["video_id"]: row["row_key"] for row in Folder(self.catalog.folder).read().to_pylist()}
        self.rows = []
        for i, (each, marks_2) in enumerate(zip(self.ids, truth, strict=True)):
            text = " and ".join(t for t, yes in zip(WORDS.values(), marks_2, strict=True) if yes) + LONG * (
                i == 1
            )
            self.rows.append(script(each, row_key=keys[each], script=text or "the sun sets"))
        broken = {"error": Reason.UNREADABLE.value, "detail": "no"}
        self.rows[-1] = script(self.ids[-1], row_key=keys[self.ids[-1]], **broken)
        folder = Folder(self.scripts.folder)
        folder.write_part(pa.Table.from_pylist(list(self.rows), schema=arrow_schema(ScriptRow)))
        folder.seal(self.scripts, {}, 1.0)

    def speak(self) -> None:
        """Write the scripts with a line for each thing that is told, between two that tell nothing."""
        for row in self.rows:
            if row["script"] is not None:
                lines = ["the sun sets", *row["script"].split(" and "), "and then the sun"]
                row["script"] = "\n".join(f'A: "{line}."' for line in lines)
        folder = Folder(self.scripts.folder)
        folder.remove()
        folder.write_part(pa.Table.from_pylist(list(self.rows), schema=arrow_schema(ScriptRow)))
        folder.seal(self.scripts, {}, 1.0)

    def finetune(
        self,
        heads: str = "multilabel",
        write: Callable[..., Path] = write_bert,
        fit: dict[str, Any] | None = None,
        **model: Any,
    ) -> FinetuneConfig:
        """A system trained in this process."""
        encoder = self.root / write.__name__
        if not encoder.exists():
            write(encoder, [*WORDS.values(), "the sun sets and then"])
        config = FinetuneConfig.model_validate(
            {
                "scripts": self.scripts,
                "out": self.out,
                "system": "tiny",
                "codebook": self.book,
                "labels": ["kindness+", "thrill+"],
                "model": {"kind": "text", "model": str(encoder), "max_tokens": 16, "dropout": 0, **model},
                "fit": {"batch_rows": 8, "learning_rate": 0.01, "epochs": 3, "heads": heads, **(fit or {})},
                "protocol": {"name": "honest", "partitions": 1, "folds": 2},
            }
        )
        train_here(config)
        return config


def _codebook() -> dict[str, Any]:
    keys = ("title", "definition", "motivation")
    values = [
        {"slug": slug, **dict.fromkeys(keys, text), "endorsing": [text], "confronting": ["no"]}
        for slug, text in WORDS.items()
    ]
    return {"name": "two", "version": 1, "source": "a test", "values": values}


def train_here(config: FinetuneConfig) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "run_trainings", alone.train_here)
        finetune.finetune_systems([config])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def trained(study: Study) -> FinetuneConfig:
    return study.finetune(write=write_roberta)


def config_of(trained: FinetuneConfig, on: Study, **keys: Any) -> PredictConfig:
    keys = {"system": "tiny-new", "out": on.out, "pool": {"actors": 1, "cpus": 0.5, "batch_rows": 8}, **keys}
    return PredictConfig.model_validate({"trained": trained, "scripts": on.scripts, **keys})


def judged(config: PredictConfig, rows: list[Any]) -> dict[str, Any]:
    """The rows by id as the stage alone judges them."""
    facts, names = usable_members(config.trained.folder, config.members)
    return {row["video_id"]: row for row in Judge(config, facts, names)(rows)}


def held_out(trained: FinetuneConfig, fold: int) -> dict[str, Any]:
    return {row["video_id"]: row for row in Folder(trained.folder).read().to_pylist() if row["fold"] == fold}


# one training


@pytest.mark.parametrize(
    ("heads", "models", "model"),
    [
        ("multilabel", 1, {"pooling": "head"}),
        ("multilabel", 1, {"pooling": "mean", "long_texts": "windows", "overlap_tokens": 4}),
        ("per_label", 1, {"pooling": "mean"}),
        ("three_way", 1, {"pooling": "mean"}),
        ("multilabel", 2, {"pooling": "mean"}),
        ("per_label", 2, {"pooling": "mean"}),
    ],
)
def test_a_kept_training_repeats_what_it_predicted_for_its_test_rows(
    study: Study, heads: str, models: int, model: dict[str, Any]
) -> None:
    trained = study.finetune(heads, fit={"models": models}, **model)
    encoder = Path(trained.model.model)  # type: ignore[union-attr]
    aside = encoder.rename(encoder.with_name("aside"))  # what training began with is gone
    try:
        predicted = judged(config_of(trained, study, members=["p0-f1-s0"]), list(study.rows))
    finally:
        aside.rename(encoder)
    before = held_out(trained, fold=1)
    assert len(before) > 5
    for video_id, row in before.items():
        np.testing.assert_allclose(predicted[video_id]["scores"][:2], row["scores"][:2], atol=1e-5)
        assert predicted[video_id]["decisions"] == row["decisions"]
        assert predicted[video_id]["scores"][2:] == [None, None], (
            "labels that were not trained are not absent"
        )
    assert predicted[study.ids[-1]]["decisions"] is None, "a failure stays one"
    assert predicted[study.ids[-1]]["error"] == Reason.UNREADABLE


def test_the_members_are_averaged_before_the_thresholds(study: Study, trained: FinetuneConfig) -> None:
    one, two = (
        judged(config_of(trained, study, members=[m]), list(study.rows)) for m in ("p0-f0-s0", "p0-f1-s0")
    )
    both = judged(config_of(trained, study), list(study.rows))
    facts = read_facts(trained.folder)
    for video_id in study.ids[:-1]:
        mean = np.mean([one[video_id]["scores"][:2], two[video_id]["scores"][:2]], axis=0)
        np.testing.assert_allclose(both[video_id]["scores"][:2], mean, atol=1e-6)
        assert both[video_id]["decisions"][:2] == [
            p >= t for p, t in zip(mean, facts.thresholds, strict=True)
        ]
    assert "p0-f0-s0 p0-f1-s0" in both[study.ids[0]]["model_served"]


def test_vectors_are_judged_by_their_own_width_only(tmp_path: Path) -> None:
    from tikval.config import VectorHead
    from tikval.finetune.inference import keep
    from tikval.finetune.model import build
    from tikval.finetune.training import save_weights

    head = VectorHead(hidden=(4,))
    weights = save_weights({0: build(head, 2, 3).state_dict()})
    facts = {
        "model": head.model_dump(mode="json"),
        "heads": "multilabel",
        "labels": ["kindness+", "thrill+"],
        "thresholds": [0.5, 0.5],
        "width": 3,
    }
    keep(str(tmp_path), head, weights, json.dumps(facts))
    kept = json.loads((tmp_path / "model.json").read_text())
    member = TrainedMember(str(tmp_path), kept["weights_sha256"])
    assert member([{"video_id": "a", "vector": [1.0, 2.0, 3.0]}]).shape == (1, 2)
    with pytest.raises(UserError, match="has 2 numbers, and the system was trained on 3"):
        member([{"video_id": "a", "vector": [1.0, 2.0]}])


# what is known of the whole


def held(name: str, run: tuple[int, int], rows: list[int], scores: list[float]) -> HeldOut:
    scores_nL = np.array(scores, np.float32)[:, None]
    return HeldOut(name, run, np.array(rows), scores_nL, scores_nL >= 0.5, np.array([0.5]))


def test_the_averages_threshold_is_chosen_on_mean_held_out_scores() -> None:
    from tikval.config import Protocol

    some = [
        held("a", (0, 0), [0, 1], [0.2, 0.1]),
        held("b", (0, 0), [2, 3], [0.4, 0.1]),
        held("c", (1, 0), [0, 1, 2, 3], [0.4, 0.1, 0.4, 0.1]),
    ]
    means = mean_scores(some, (5, 1))
    np.testing.assert_allclose(means[:, 0], [0.3, 0.1, 0.4, 0.1, np.nan], atol=1e-6)
    truth = np.array([[True], [False], [True], [False], [False]])
    assert thresholds_of(means, truth, some, Protocol()) == pytest.approx([0.2], abs=1e-6)
    fixed = Protocol(name="paper", partitions=1, threshold=0.5)
    assert thresholds_of(means, truth, some, fixed) == pytest.approx([0.5])
    assert thresholds_of(means, truth, some, Protocol(name="given")) == pytest.approx([0.5])


def test_an_interval_is_as_wide_as_groups_differ() -> None:
    random = np.random.default_rng(1)
    truth = random.random((400, 2)) < 0.4
    predicted = truth ^ (random.random((400, 2)) < 0.2)
    every = np.arange(400)
    alone, together = HeldOutScores(every, truth), HeldOutScores(every // 50, truth)
    scores = alone.scores([(every, predicted)])
    expected = np.mean(
        [2 * (truth & predicted)[:, k].sum() / (truth[:, k].sum() + predicted[:, k].sum()) for k in range(2)]
    )
    assert scores.macro_f1.value == pytest.approx(expected)
    low, high = scores.macro_f1.low, scores.macro_f1.high
    assert low is not None
    assert high is not None
    assert low < expected < high
    # about 1.96 standard errors to each side, of 160 positives a label with F1 0.75
    assert 0.04 < high - low < 0.12
    base = scores.baseline_macro_f1.value
    assert base is not None
    assert scores.gain.value == pytest.approx(expected - base)
    half = truth.copy()
    half[200:] = ~truth[200:]  # four accounts right, four wrong
    wide = together.scores([(every, half)]).macro_f1
    assert wide.low is not None
    assert wide.high is not None
    assert wide.high - wide.low > 0.4
    for n in (1, 4):
        few = HeldOutScores(every % n, truth)
        for measured in (
            *dict(few.scores([(every, predicted)])).values(),
            *few.label_f1([(every, predicted)], 1),
        ):
            assert (measured.low, measured.high) == (None, None)
            assert measured.why_none == f"{n} account{'s' * (n > 1)}: too few for an interval"


def test_a_card_and_a_report_have_the_same_ends(study: Study, trained: FinetuneConfig) -> None:
    """One method for one number: the training's own file, and the rows as jobs.evaluate scores them."""
    facts = EnsembleFacts.model_validate_json((Path(trained.folder) / "models/ensemble.json").read_text())
    config = EvaluateConfig(predictions=(trained,), out=study.out)
    score_systems(config)
    rows = {
        row["label"]: row
        for row in Folder(config.folder).read().to_pylist()
        if row["system"] == "tiny" and row["failures"] == "left_out" and row["stance"] in ("endorsed", "all")
    }
    shown = {"macro": facts.scores.macro_f1, "weighted": facts.scores.weighted_f1}
    shown |= dict(zip(facts.labels, facts.label_f1, strict=True))
    assert shown.keys() <= rows.keys()
    for label, measured in shown.items():
        row = rows[label]
        assert measured.low is not None, label
        assert (measured.value, measured.low, measured.high) == pytest.approx(
            (row["f1"], row["lower"], row["upper"]), rel=1e-9
        )


def test_the_facts_agree_with_the_rows_and_name_nobody(study: Study, trained: FinetuneConfig) -> None:
    text = (Path(trained.folder) / "models/ensemble.json").read_text()
    facts = EnsembleFacts.model_validate_json(text)
    assert (facts.rows, facts.failed, facts.groups) == (N - 1, 1, 8)
    assert facts.support == tuple(sum((i + k) % 3 == 0 for i in range(N - 1)) for k in range(2))
    rows = [row for row in Folder(trained.folder).read().to_pylist() if row["error"] is None]
    f1s = []
    for k in range(2):
        true = np.array([(study.ids.index(row["video_id"]) + k) % 3 == 0 for row in rows])
        predicted = np.array([row["decisions"][k] for row in rows])
        f1s.append(2 * (true & predicted).sum() / (true.sum() + predicted.sum()))
    assert facts.scores.macro_f1.value == pytest.approx(np.mean(f1s))
    assert [each.value for each in facts.label_f1] == pytest.approx(f1s)
    assert {name: each.test for name, each in facts.members.items()} == {
        name: len(held_out(trained, fold)) for fold, name in enumerate(facts.members)
    }
    assert all(each.cut_rows == 1 for each in facts.members.values())
    assert not any(word in text for word in ("account 1", study.ids[0], str(study.root)))


# evidence


@pytest.mark.parametrize("model", [{"max_tokens": 64}, {"long_texts": "windows", "overlap_tokens": 4}])
def test_a_label_hangs_on_the_sentence_that_says_it(study: Study, model: dict[str, Any]) -> None:
    trained = study.finetune(pooling="mean", **model)
    config = config_of(trained, study, evidence=True)
    assert config.folder != config_of(trained, study).folder, "a recipe of its own"
    text = f'Genre: x\n\n[The sun sets.]\nA: "Then the sun sets. {WORDS["kindness"]}. And then."\n[{WORDS["thrill"]}]\n'
    times: dict[str, Any] = {"line_starts": [None] * 3 + [2.5, 4], "line_ends": [None] * 3 + [4, 5]}
    rows: list[Any] = [
        script("a", script=text, caption="The sun sets.", **times),
        script("long", script=text + '"The sun sets."\n' * 150),
        script("none", error=Reason.UNREADABLE.value),
    ]
    facts, names = usable_members(trained.folder, None)
    judge = Judge(config, facts, names)
    judge.thresholds_L[:] = 0  # so that both labels are decided
    short, long, failed = judge(rows)
    assert failed["evidence"] is None
    for row in (short, long):
        evidence = row["evidence"]
        assert evidence is not None
        for label, words in zip(trained.labels or (), WORDS.values(), strict=True):
            mine = [passage for passage in evidence if passage["label"] == label]
            assert words in (mine[0]["quote"] or "")
            weights = [passage["weight"] or 0 for passage in mine]
            assert len(mine) <= 3
            assert weights == sorted(weights, reverse=True)
            assert min(weights) > 0
    first = (short["evidence"] or [])[0]
    assert (first["source"], first["start"], first["end"], first["in_script"]) == ("speech", 2.5, 4, True)
    assert len(cuts_of(rows[1])) <= MAX_CUTS
    endless = script("endless", script='A: "' + "we help " * 1000 + '"')
    (passage,) = passages_by_drop(endless, cuts_of(endless), np.array([[1.0]]), ["kindness+"])
    assert len(passage["quote"] or "") <= 1000
    assert find_quote(passage["quote"] or "", endless["script"])
    assert [row["evidence"] for row in Judge(config_of(trained, study), facts, names)(rows)] == [None] * 3


def test_a_label_goes_without_its_evidence_and_stays_without_other_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(tmp_path / "study", 96)
    study.speak()
    fit = {"epochs": 12, "learning_rate": 0.003, "best_by": "loss", "patience": 12}
    trained = study.finetune(fit=fit, pooling="mean", max_tokens=64)
    config = config_of(trained, study, evidence=True)
    run = in_this_process(lambda config: Judge(config, *usable_members(trained.folder, config.members)))
    run(config)
    for row in Folder(config.folder).read().to_pylist():
        first = {passage["label"]: passage["quote"] for passage in reversed(row["evidence"] or [])}
        assert all(WORDS[label[:-1]] in quote for label, quote in first.items()), "the heaviest stands first"

    monkeypatch.setattr("tikval.flow.explain.predict", run)
    test = ExplainConfig.model_validate({"predictions": config, "out": study.out, "sample": 40})
    explain(test)
    found = deletion_gap(Folder(test.folder).read().to_pylist())
    assert found.labels >= 20
    assert found.gap is not None
    assert found.gap > 0.8


def test_vectors_have_no_sentences(study: Study) -> None:
    trained = FinetuneConfig.model_validate(
        {"embeddings": {"videos": study.catalog, "out": study.out}, "out": study.out, "system": "mlp"}
        | {"model": {"kind": "vectors"}}
    )
    with pytest.raises(ValueError, match="reads vectors, which have no sentences to cut out"):
        PredictConfig(
            trained=trained, embeddings=trained.embeddings, out=study.out, system="x", evidence=True
        )


# the job


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_new_videos_are_judged_once_and_again_after_a_new_training(
    tmp_path: Path, study: Study, capfd: pytest.CaptureFixture[str]
) -> None:
    trained = study.finetune(write=write_roberta, max_tokens=24)
    new = Study(tmp_path / "new", n=9, name="new")
    config = config_of(trained, new)
    run = predict(config)
    rows = {row["video_id"]: row for row in Folder(config.folder).read().to_pylist()}
    assert rows.keys() == set(new.ids)
    assert (run.rows, run.failed) == (9, {"unreadable": 1})
    expected = judged(config, list(new.rows))
    for name in new.ids[:-1]:
        np.testing.assert_allclose(rows[name]["scores"][:2], expected[name]["scores"][:2], atol=1e-5)
        assert rows[name]["decisions"] == expected[name]["decisions"]
        assert rows[name]["system"] == "tiny-new"
    assert predict(config) == run, "nothing to do"

    scores = EvaluateConfig(predictions=(config,), out=new.out, min_share=0)
    score_systems(scores)
    lines = Folder(scores.folder).read().to_pylist()
    assert {row["label"] for row in lines if row["system"] == "tiny-new"} >= {"kindness+", "thrill+", "macro"}
    assert export_table(Finished(new.out)).num_rows == 9

    retrain(trained)
    again = predict(config)
    assert again.state != run.state
    other = {row["video_id"]: row for row in Folder(config.folder).read().to_pylist()}
    assert other.keys() == rows.keys()
    assert all(other[name]["scores"][:2] != rows[name]["scores"][:2] for name in new.ids[:-1])
    assert all(other[name]["model_served"] != rows[name]["model_served"] for name in new.ids[:-1])
    assert "were trained on" not in capfd.readouterr().err


def retrain(trained: FinetuneConfig) -> None:
    """The same training, come out otherwise."""
    import io

    from tikval.finetune.inference import keep
    from tikval.finetune.training import save_weights

    facts = read_facts(trained.folder).model_dump(mode="json")
    for name in facts["members"]:
        place = f"{trained.folder}/models/{name}"
        weights = torch.load(io.BytesIO(read_bytes(f"{place}/weights.pt") or b""), weights_only=True)
        weights[0] = {key: tensor + 0.01 for key, tensor in weights[0].items()}
        keep(place, trained.model, save_weights(weights), (read_bytes(f"{place}/model.json") or b"").decode())
        kept = json.loads(read_bytes(f"{place}/model.json") or b"")
        facts["members"][name]["weights_sha256"] = kept["weights_sha256"]
    write_bytes(f"{trained.folder}/models/ensemble.json", json.dumps(facts).encode())


def test_videos_that_were_trained_on_are_no_test(
    study: Study, trained: FinetuneConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_of_trained_videos(config_of(trained, study))
    assert f"{N - 1} of {N} videos were trained on" in capsys.readouterr().err


def test_what_cannot_judge_is_named_before_anything_starts(study: Study, tmp_path: Path) -> None:
    trained = study.finetune(max_tokens=12)
    with pytest.raises(UserError, match="no training p9-f9-s9; there are p0-f0-s0, p0-f1-s0"):
        predict(config_of(trained, study, members=["p9-f9-s9"]))
    unfinished = trained.model_copy(update={"out": str(tmp_path)})
    with pytest.raises(UserError, match="not finished"):
        predict(config_of(unfinished, study))
    place = Path(trained.folder) / "models/p0-f0-s0"
    weights = (place / "weights.pt").read_bytes()
    (place / "weights.pt").write_bytes(weights + b"x")
    with pytest.raises(UserError, match="missing or changed"):
        judged(config_of(trained, study), [])
    (place / "weights.pt").unlink()
    with pytest.raises(UserError, match="its weights are gone"):
        predict(config_of(trained, study))
    (Path(trained.folder) / "models/ensemble.json").unlink()
    with pytest.raises(UserError, match="its models were not kept"):
        predict(config_of(trained, study))
