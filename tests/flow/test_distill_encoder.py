"""A small encoder learns from a strong system's answers on a real local Ray, and judges the rest."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.labelled import BROKEN, IDS, SPOKEN, LabelledStudy, has_face
from tests.fixtures.llm_server import LlmServer, serving
from tests.fixtures.llm_server.rules import Ask
from tests.fixtures.tiny_encoders import write_bert
from tikval.config import (
    Api,
    Endpoint,
    EvaluateConfig,
    ExtractConfig,
    FinetuneConfig,
    LlmExtractor,
    PredictConfig,
    ReportConfig,
)
from tikval.evaluate.prevalence import prevalence_of
from tikval.evaluate.score_systems import score_systems
from tikval.flow.distill import ask_teacher
from tikval.flow.finetune import finetune_systems
from tikval.flow.predict import predict
from tikval.report.site.write import write_report
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.store.teacher import sample_keys, usable_keys
from tikval.values import LABELS, SLUGS

FACE, SAMPLE = LABELS.index("face+"), 60

pytestmark = [
    pytest.mark.ray,
    pytest.mark.full,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("local_ray"),
]


def answer(ask: Ask) -> str:
    """The teacher sees face wherever "zorbo" is said, and nothing else."""
    heard = "zorbo" in ask.prompt
    values = {slug: "endorsed" if slug == "face" and heard else "absent" for slug in SLUGS}
    return json.dumps({"has_sound": True, "values": values, "notes": ""})


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with serving(LlmServer(answer=answer)) as fake:
        yield fake


def trained(study: LabelledStudy, server: LlmServer, sample: int) -> FinetuneConfig:
    teacher = {
        "scripts": study.scripts,
        "out": study.out,
        "system": "strong",
        "extractor": LlmExtractor(llm=Endpoint(model="qwen")),
        "api": Api(base_url=f"{server.url}/v1", minors_unknown="send"),
    }
    bert = study.root / "bert"
    if not bert.exists():
        write_bert(bert, SPOKEN)
    return FinetuneConfig.model_validate(
        {
            "scripts": study.scripts,
            "out": study.out,
            "system": "encoder",
            "teacher": ExtractConfig.model_validate(teacher),
            "sample": sample,
            "min_share": 0.02,
            "model": {"kind": "text", "model": str(bert), "max_tokens": 32, "pooling": "mean", "dropout": 0},
            "fit": {"batch_rows": 8, "learning_rate": 0.01, "epochs": 6, "patience": 6},
            "protocol": {"name": "honest", "partitions": 1, "folds": 3},
            "pool": {"actors": 2, "cpus": 0.5},
        }
    )


def test_an_encoder_learns_from_the_sample_that_is_paid_once(
    tmp_path: Path, server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tikval.report.figures.gather.SUFFIXES", ("svg",))
    study = LabelledStudy(tmp_path)
    write_catalog(study.catalog.model_copy(update={"annotations": None, "without": ("annotations",)}))
    config = trained(study, server, SAMPLE)
    (run,) = finetune_systems([config])
    assert len(server.bodies) == SAMPLE
    drawn = sample_keys(usable_keys(Folder(study.scripts.folder), Folder(study.catalog.folder)), SAMPLE)
    names = {row["row_key"]: row["video_id"] for row in Folder(study.catalog.folder).read().to_pylist()}
    learnt = {names[key.ljust(16, b"\0").hex()] for key in drawn}
    rows = {row["video_id"]: row for row in Folder(config.folder).read().to_pylist()}
    assert rows.keys() == learnt
    assert run.rows == SAMPLE

    judge = PredictConfig(trained=config, scripts=study.scripts, out=study.out, system="small")
    predict(judge)
    judged = {row["video_id"]: row for row in Folder(judge.folder).read().to_pylist()}
    assert judged.keys() == set(IDS)
    good = [name for name in IDS if name not in BROKEN]
    saying, others = (
        np.array([judged[name]["scores"][FACE] for name in good if has_face(name) == says])
        for says in (True, False)
    )
    assert (saying[:, None] > others).mean() > 0.9, "a few dozen answers order the videos"
    assert {judged[name]["error"] for name in BROKEN} == {"unreadable"}

    folders = Study(study.out)
    assert set(folders.systems()) == {"encoder", "small"}, "the teacher, asked about some videos, is none"
    found = prevalence_of(folders, "small")
    assert found.corpus.videos.num_rows == len(good) - SAMPLE, "those that it learnt from are left out"
    assert {line.corrected for line in found.lines} == {None}
    scores = EvaluateConfig(predictions=(judge,), out=study.out)
    score_systems(scores)
    write_report(ReportConfig(scores=scores, out=study.out))

    assert finetune_systems([config]) == [run]
    assert len(server.bodies) == SAMPLE
    ask_teacher(trained(study, server, 70))
    assert len(server.bodies) == 70, "a larger sample holds the smaller one"
