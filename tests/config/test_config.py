"""Closed configurations, overrides, errors that name the place, and what a fingerprint depends on."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tikval.config import (
    CascadeConfig,
    CatalogConfig,
    CombineConfig,
    EmbedConfig,
    EvaluateConfig,
    ExplainConfig,
    ExtractConfig,
    FaithfulnessConfig,
    FinetuneConfig,
    JobConfig,
    LocalWriter,
    PredictConfig,
    PretrainConfig,
    ReportConfig,
    ScriptConfig,
    Speech,
    SweepConfig,
    TuneConfig,
    UserError,
    load_config,
    nested,
    steps_of,
)
from tikval.store.runs import Study

ROOT = Path(__file__).parents[2]
COMMITTED = sorted(
    path
    for path in (ROOT / "configs").rglob("*.yaml")
    if path.name not in ("accounts.yaml", "annotate.yaml", "claims.yaml", "prices.yaml", "rates.yaml")
    and path.parent.name != "sources"
)  # which no job reads
JOBS: dict[str, tuple[type[JobConfig], str]] = {
    "catalog": (CatalogConfig, "catalog"),
    "scripts": (ScriptConfig, "write_scripts"),
    "embed": (EmbedConfig, "embed"),
    "predictions": (ExtractConfig, "extract_values"),
    "faithfulness": (FaithfulnessConfig, "faithfulness"),
    "explain": (ExplainConfig, "explain"),
    "pretrain": (PretrainConfig, "pretrain"),
    "finetune": (FinetuneConfig, "finetune"),
    "predict": (PredictConfig, "predict"),
    "cascade": (CascadeConfig, "cascade"),
    "combine": (CombineConfig, "combine"),
    "tune": (TuneConfig, "tune"),
    "sweep": (SweepConfig, "sweep"),
    "scores": (EvaluateConfig, "evaluate"),
    "report": (ReportConfig, "report"),
}
RECIPES: dict[str, dict[str, Any]] = {
    "catalog": {"videos": "clips", "out": "out"},
    "scripts": {"videos": "catalog.yaml", "out": "out", "writer": {"ocr": {"frames": 5}}},
    "embed": {"videos": "catalog.yaml", "out": "out"},
    "predictions": {"scripts": "scripts.yaml", "out": "out", "system": "local", "codebook": "book.yaml"},
    "pretrain": {"scripts": "scripts.yaml", "out": "out", "codebook": "book.yaml"},
    "finetune": {
        "scripts": "scripts.yaml",
        "out": "out",
        "system": "bert",
        "codebook": "book.yaml",
        "fit": {},
    },
    "predict": {"trained": "finetune.yaml", "scripts": "scripts.yaml", "out": "out", "system": "new"},
    "sweep": {"finetune": "finetune.yaml", "out": "out", "space": {"model.dropout": {"values": [0, 0.1]}}},
    "tune": {
        "scripts": "scripts.yaml",
        "out": "out",
        "system": "tuned",
        "codebook": "book.yaml",
        "heads": {},
    },
    "cascade": {"cheap": "predictions.yaml", "strong": "predictions.yaml", "out": "out", "system": "cascade"},
    "combine": {"systems": ["finetune.yaml"], "out": "out", "system": "ensemble"},
    "faithfulness": {"scripts": "scripts.yaml", "heard": "scripts.yaml", "out": "out"},
    "explain": {"predictions": "predictions.yaml", "out": "out"},
    "scores": {"predictions": ["predictions.yaml"], "out": "out"},
    "report": {"scores": "scores.yaml", "out": "out"},
}


def kind_of(path: Path) -> str:
    """A system's configuration may have any name; the others begin with what they are."""
    keys = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "systems" in keys:
        return "combine"
    if "cheap" in keys:
        return "cascade"
    if "trained" in keys:
        return "predict"
    if "space" in keys:
        return "sweep"
    if "heads" in keys:
        return "tune"
    if "system" in keys:
        return "finetune" if {"protocol", "encoder"} & keys.keys() else "predictions"
    if "leave_out" in keys:
        return "pretrain"
    return path.stem.partition("_")[0]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one configuration per job, and the working directory."""
    for name, keys in RECIPES.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(keys))
    (tmp_path / "book.yaml").write_text("name: book\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fingerprint(name: str, *overrides: str) -> str:
    return load_config(JOBS[name][0], f"{name}.yaml", overrides).fingerprint


# the committed configurations


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: str(path.relative_to(ROOT / "configs")))
def test_a_committed_configuration_loads_and_says_how_to_run_it(path: Path) -> None:
    kind, job = JOBS[kind_of(path)]
    name = str(path.relative_to(ROOT))
    load_config(kind, name, [])
    header = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    commands = [line.lstrip("# ") for line in header]
    assert f"python -m jobs.{job} {name}" in commands
    assert f"ray job submit --working-dir . -- python -m jobs.{job} {name}" in commands
    assert (ROOT / "jobs" / f"{job}.py").is_file()


def test_there_are_committed_configurations() -> None:
    assert {kind_of(path) for path in COMMITTED} == set(JOBS)


def test_the_papers_nine_systems_come_after_all_they_rest_on() -> None:
    report = load_config(ReportConfig, "configs/paper/report_all.yaml", [])
    steps = {config.folder: (key, config) for key, config in nested(report)}
    order = [config.stage for _, config in steps.values()]
    assert order[0] == "catalog"
    assert order[-2:] == ["scores", "report"]
    assert Counter(order) == {
        **dict.fromkeys(("catalog", "scripts", "embeddings", "scores", "report"), 1),
        "predictions": 3,
        "pretrain": 2,
        "finetune": 6,
    }
    assert len({system.system for system in report.scores.predictions}) == 9


def test_a_committed_configuration_is_found_from_anywhere(study: Path) -> None:
    load_config(ReportConfig, "configs/demo/report.yaml", [])


# overrides


def test_overrides_reach_nested_keys_and_keep_their_neighbours(study: Path) -> None:
    config = load_config(ScriptConfig, "scripts.yaml", ["writer.ocr.languages=deu", "pool.actors=3"])
    assert isinstance(config.writer, LocalWriter)
    assert config.writer.ocr.languages == "deu"
    assert config.writer.ocr.frames == 5
    assert config.pool.actors == 3
    unchanged = load_config(ScriptConfig, "scripts.yaml", []).writer
    assert isinstance(unchanged, LocalWriter)
    assert unchanged.ocr.languages == "eng"


def test_overrides_reach_through_the_configurations_upstream(study: Path) -> None:
    config = load_config(
        ReportConfig,
        "report.yaml",
        [
            "scores.predictions.0.scripts.videos.videos=more clips/",
            "scores.predictions.0.scripts.writer.ocr.frames=2",
            ("scores.predictions.0.scripts.videos.annotations", "labels = 1.csv"),
        ],
    )
    scripts = config.scores.extracted[0].first_step
    assert scripts.videos.videos == "more clips/"
    assert scripts.videos.annotations == "labels = 1.csv"
    assert isinstance(scripts.writer, LocalWriter)
    assert scripts.writer.ocr.frames == 2
    assert config.scores.catalog == scripts.videos


def test_overrides_apply_in_order(study: Path) -> None:
    texts = ["system=one", "system=two"]
    assert load_config(ExtractConfig, "predictions.yaml", texts).system == "two"
    pairs = [("scripts", "other.yaml"), ("scripts.writer.ocr.frames", 1)]
    (study / "other.yaml").write_text(yaml.safe_dump({**RECIPES["scripts"], "out": "elsewhere"}))
    scripts = load_config(ExtractConfig, "predictions.yaml", pairs).first_step
    assert isinstance(scripts.writer, LocalWriter)
    assert (scripts.out, scripts.writer.ocr.frames) == ("elsewhere", 1)


def test_an_override_is_typed_as_in_yaml(study: Path) -> None:
    config = load_config(ReportConfig, "report.yaml", ["show_accounts=true", "title='2026'"])
    assert config.show_accounts is True
    assert config.title == "2026"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("writer.ocr.frame=3", r"scripts.yaml: writer.ocr.frame: unknown key"),
        ("writers.ocr=3", r"scripts.yaml: writers: unknown key"),
        ("videos.video=3", r"scripts.yaml: videos.video: unknown key"),
        ("writer.ocr.frames=many", r"scripts.yaml: writer.ocr.frames: .*integer"),
        ("writer.ocr.frames=-1", r"scripts.yaml: writer.ocr.frames: .*greater than or equal"),
        ("writer.kind=gemini", r"scripts.yaml: writer: .*'gemini' .*'local', 'llm'"),
        (
            "writer={kind: llm, llm: {kind: gemini, modell: x}}",
            r"yaml: writer.llm.model: .*; writer.llm.modell: unk",
        ),
        ("writer.ocr.frames.more=1", "writer.ocr.frames.more: frames has no keys below it"),
        ("pool.actors", "'pool.actors': an override is key=value"),
        ("=3", "an override is key=value"),
        ("pool={", "not YAML"),
        ("videos=nowhere.yaml", "nowhere.yaml: no such file"),
    ],
)
def test_a_wrong_override_names_file_and_key(study: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_config(ScriptConfig, "scripts.yaml", [override])


@pytest.mark.parametrize("place", ["1", "-1", "first"])
def test_a_wrong_place_in_a_list(study: Path, place: str) -> None:
    with pytest.raises(UserError, match=f"predictions.{place}.system: {place} is not a place in a list of 1"):
        load_config(EvaluateConfig, "scores.yaml", [f"predictions.{place}.system=x"])


# files


def test_every_wrong_key_is_named_at_once(study: Path) -> None:
    (study / "scripts.yaml").write_text("videos: catalog.yaml\nwriter: {orc: {}}\n")
    with pytest.raises(UserError, match=r"^scripts\.yaml: ") as err:
        load_config(ScriptConfig, "scripts.yaml", [])
    assert "writer.orc: unknown key" in str(err.value)
    assert "out: field required" in str(err.value)
    assert "\n" not in str(err.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "not YAML"),
        (b"- a\n- b\n", "mapping of keys"),
        (b"", "mapping of keys"),
        (b"out: caf\xe9\n", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_configuration(study: Path, content: bytes, message: str) -> None:
    (study / "catalog.yaml").write_bytes(content)
    for kind, name in ((CatalogConfig, "catalog"), (ScriptConfig, "scripts")):
        with pytest.raises(UserError, match=rf"^catalog\.yaml: .*{message}") as err:
            load_config(kind, f"{name}.yaml", [])
        assert "\n" not in str(err.value)


def test_a_missing_file(study: Path) -> None:
    with pytest.raises(UserError, match=r"^mine\.yaml: no such file"):
        load_config(ScriptConfig, "mine.yaml", [])
    (study / "catalog.yaml").unlink()
    with pytest.raises(UserError, match=r"^catalog\.yaml: no such file"):
        load_config(ReportConfig, "report.yaml", [])


def test_a_configuration_cannot_be_changed(study: Path) -> None:
    config = load_config(CatalogConfig, "catalog.yaml", [])
    with pytest.raises(ValueError, match="frozen"):
        config.out = "elsewhere"


# fingerprints


@pytest.mark.parametrize(
    ("name", "override"),
    [
        ("catalog", "videos=more"),
        ("catalog", "annotations=labels.csv"),
        ("catalog", "accounts=accounts.csv"),
        ("catalog", "codebook=book.yaml"),
        ("scripts", "out=elsewhere"),
        ("scripts", "max_failed_share=0.1"),
        ("scripts", "pool.actors=3"),
        ("scripts", "pool.batch_rows=1"),
        ("scripts", "limits.seconds=5"),
        ("scripts", "limits.video_seconds=5"),
        ("scripts", "videos.videos=more"),
        ("scripts", "videos.annotations=labels.csv"),
        ("scripts", "videos.out=elsewhere"),
        ("embed", "read_pool.actors=[1, 4]"),
        ("embed", "encode_pool.batch_rows=16"),
        ("embed", "in_flight_mb=100"),
        ("embed", "compile=true"),
        ("embed", "near_duplicate_cosine=0.9"),
        ("predictions", "pool.gpus=0.5"),
        ("predictions", "scripts.limits.memory_mb=1000"),
        ("predictions", "scripts.videos.videos=more"),
        ("scores", "predictions.0.pool.actors=3"),
        ("report", "scores.predictions.0.scripts.out=elsewhere"),
    ],
)
def test_what_is_no_recipe_does_not_change_a_fingerprint(study: Path, name: str, override: str) -> None:
    assert fingerprint(name, override) == fingerprint(name)


@pytest.mark.parametrize(
    ("name", "override"),
    [
        ("scripts", "writer.ocr.frames=4"),
        ("scripts", "writer.ocr.languages=eng+deu"),
        ("scripts", "writer.speech.engine=none"),
        ("scripts", "writer.speech.revision=abc"),
        ("scripts", "writer.max_lost_share=0.1"),
        ("embed", "video=null"),
        ("embed", "video.pooling=max"),
        ("embed", "sound.part=middle"),
        ("embed", "text.ocr.frames=5"),
        ("embed", "precision=bfloat16"),
        ("predictions", "system=other"),
        ("predictions", "extractor.encoder=other/model"),
        ("predictions", "extractor.threshold=0.2"),
        ("predictions", "scripts.writer.ocr.frames=4"),
        ("scores", "min_share=0.1"),
        ("scores", "annotator=ann"),
        ("scores", "predictions.0.extractor.threshold=0.2"),
        ("scores", "predictions.0.scripts.writer.ocr.frames=4"),
        ("report", "show_accounts=true"),
        ("report", "scores.predictions.0.scripts.writer.ocr.frames=4"),
    ],
)
def test_a_recipe_and_all_before_it_change_a_fingerprint(study: Path, name: str, override: str) -> None:
    assert fingerprint(name, override) != fingerprint(name)


def test_one_more_system_changes_the_scores(study: Path) -> None:
    (study / "two.yaml").write_text(yaml.safe_dump({**RECIPES["predictions"], "system": "two"}))
    assert fingerprint("scores", "predictions=[predictions.yaml, two.yaml]") != fingerprint("scores")


def test_every_stage_has_its_own_fingerprint_and_folder(study: Path) -> None:
    assert len({fingerprint(name) for name in JOBS}) == len(JOBS)
    config = load_config(ScriptConfig, "scripts.yaml", ["out=some/where/"])
    assert config.folder == f"some/where/scripts-{config.fingerprint}"


def test_the_codebooks_content_counts_and_not_its_name(study: Path) -> None:
    before = {name: fingerprint(name) for name in JOBS}
    (study / "copy.yaml").write_bytes((study / "book.yaml").read_bytes())
    assert fingerprint("predictions", "codebook=copy.yaml") == before["predictions"]
    (study / "book.yaml").write_text("name: reworded\n")
    after = {name: fingerprint(name) for name in JOBS}
    told = {name for name in JOBS if before[name] != after[name]}
    assert told == {
        *("predictions", "pretrain", "finetune", "sweep", "predict", "combine", "cascade"),
        *("tune", "explain", "scores", "report"),
    }


def test_a_stages_version_counts_downstream(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: fingerprint(name) for name in JOBS}
    monkeypatch.setattr(ScriptConfig, "version", ScriptConfig.version + 1)
    after = {name: fingerprint(name) for name in JOBS}
    assert {name for name in JOBS if before[name] == after[name]} == {"catalog", "embed"}


def test_a_recipe_read_back_is_the_same_recipe() -> None:
    """run.json holds the configuration: written, read and validated it must have its fingerprint."""
    for path in sorted((ROOT / "configs").rglob("predictions.yaml")):
        config = load_config(ExtractConfig, str(path), [])
        again = ExtractConfig.model_validate_json(config.model_dump_json())
        assert again.fingerprint == config.fingerprint


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("file:///a/b", "/a/b"),
        ("FILE:///a/b", "/a/b"),
        ("file://localhost/a/b", "/a/b"),
        ("file:///a/50%25 b#?", "/a/50%25 b#?"),
        ("/a/b", "/a/b"),
        ("a/b", "a/b"),
        ("s3://bucket/a", "s3://bucket/a"),
    ],
)
def test_a_file_address_is_a_path(address: str, path: str) -> None:
    config = CatalogConfig(out=address, videos=address, annotations=address, accounts=address)
    assert {config.out, config.videos, config.annotations, config.accounts} == {path}


@pytest.mark.parametrize("address", ["file://server/a", "file://a", "file://", "file://../a"])
def test_a_file_address_of_elsewhere_says_why_not(address: str, tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text("out: x\nvideos: y\n")
    with pytest.raises(UserError, match=r"out: .*write file:///absolute/path"):
        load_config(CatalogConfig, str(path), [f"out={address}"])
    with pytest.raises(UserError, match="write file:///absolute/path"):
        Study(address)


def test_a_recogniser_by_its_name_alone() -> None:
    fast, every = (LocalWriter.model_validate({"speech": name}) for name in ("fast", "every_language"))
    assert (fast.speech.engine, every.speech.engine, every.speech.model) == ("fast", "every_language", "base")
    assert (
        LocalWriter.model_validate({"speech": {"engine": "every_language", "model": "/m"}}).speech.model
        == "/m"
    )
    assert LocalWriter().speech == Speech(
        engine="moonshine", model="openai/whisper-small"
    )  # of studies before
    with pytest.raises(ValueError, match="every_language"):
        LocalWriter.model_validate({"speech": "loud"})


def test_a_teacher_is_no_step_of_its_own() -> None:
    report = load_config(ReportConfig, "configs/distill/report.yaml", [])
    assert [job.stage for job in steps_of(report)] == ["catalog", "scripts", "tuned", "scores"]
    assert "gemini_teacher" in {getattr(job, "system", None) for _, job in nested(report)}


def test_an_encoder_learns_from_a_teacher_or_from_annotations() -> None:
    for wrong, told in (
        ("sample=null", "go together"),
        ("annotator=anna", "without texts"),
        ("codebook=x.yaml", "answers by"),
    ):
        with pytest.raises(UserError, match=told):
            load_config(FinetuneConfig, "configs/distill/encoder.yaml", [wrong])


def test_a_key_that_is_gone_is_read_where_it_changed_nothing() -> None:
    """A finished study's run.json has it; with another value it was another recipe, which nobody can go on with."""
    now = load_config(FinetuneConfig, "configs/local/finetune.yaml", [])
    before = now.model_dump(mode="json")
    before["fit"]["head_rate"], before["model"]["definitions"] = 1.0, False
    assert FinetuneConfig.model_validate(before).fingerprint == now.fingerprint
    before["fit"]["head_rate"] = 10.0
    with pytest.raises(ValidationError, match="head_rate"):
        FinetuneConfig.model_validate(before)
