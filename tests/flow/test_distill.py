"""A strong system labels a sample, heads learn from it: what is asked and paid, what fails, and what it came to."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.fakes import load_words
from tests.fixtures.labelled import BROKEN, IDS, LabelledStudy, has_face
from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tests.fixtures.llm_server.rules import Ask
from tikval.config import Api, Endpoint, ExtractConfig, LlmExtractor, TuneConfig
from tikval.evaluate.distilled import Distilled
from tikval.evaluate.prevalence import prevalence_of
from tikval.flow import heads
from tikval.flow.heads import tune_heads
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.store.teacher import sample_keys, usable_keys
from tikval.values import LABELS, SLUGS

FACE = LABELS.index("face+")

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300), pytest.mark.usefixtures("local_ray")]


def answer(ask: Ask) -> str:
    """The teacher sees face wherever "zorbo" is said, and nothing else."""
    heard = "zorbo" in ask.prompt
    values = {slug: "endorsed" if slug == "face" and heard else "absent" for slug in SLUGS}
    return json.dumps({"has_sound": True, "values": values, "notes": ""})


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with serving(LlmServer(answer=answer)) as fake:
        yield fake


def distilled(study: LabelledStudy, server: LlmServer, sample: int) -> TuneConfig:
    teacher = ExtractConfig(
        scripts=study.scripts,
        out=study.out,
        system="strong",
        extractor=LlmExtractor(llm=Endpoint(model="qwen")),
        api=Api(base_url=f"{server.url}/v1", minors_unknown="send"),
    )
    return TuneConfig(scripts=study.scripts, out=study.out, system="small", teacher=teacher, sample=sample)


def test_a_sample_is_paid_for_once_learnt_from_and_told(
    tmp_path: Path, server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = LabelledStudy(tmp_path)
    catalog = study.catalog.model_copy(update={"annotations": None, "without": ("annotations",)})
    write_catalog(catalog)
    config = distilled(study, server, 70)
    usable = usable_keys(Folder(study.scripts.folder), Folder(study.catalog.folder))
    names = {row["row_key"]: row["video_id"] for row in Folder(study.catalog.folder).read().to_pylist()}
    drawn = [names[key.ljust(16, b"\0").hex()] for key in sample_keys(usable, 70)]
    bad = next(name for name in drawn if has_face(name))
    server.rules = [Rule(Trouble("unknown_words"), match=f"number {int(bad[1:])}.", kind="chat")]

    with monkeypatch.context() as patch:
        patch.setattr(heads, "_learn_anew", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tune_heads(config, load_words)
    assert len(server.bodies) == 70, "the sample alone was asked"
    run = tune_heads(config, load_words)
    assert len(server.bodies) == 71, (
        "after the interruption the reply that was none is asked for again, and no other"
    )
    assert run.rows == len(IDS)
    rows = {row["video_id"]: row for row in Folder(config.folder).read().to_pylist()}
    good = [name for name in IDS if name not in BROKEN]
    assert sum(rows[name]["decisions"][FACE] == has_face(name) for name in good) > 0.9 * len(good)
    held_out = {name for name in good if rows[name]["fold"] is not None}
    assert held_out == set(drawn) - {bad}, (
        "what the teacher could not judge is not learnt, as absent or otherwise"
    )

    told = Distilled.read(Folder(config.folder))
    assert told is not None
    assert (told.drawn, told.answered, told.failed) == (70, 69, {"bad_reply": 1})
    (face,) = told.rates  # what the teacher hardly ever says is not modelled
    assert face.label == "face+"
    assert rows[bad]["decisions"].count(None) == len(LABELS) - 1
    assert face.corrected.value == pytest.approx(0.5, abs=0.1)
    assert face.alone.low is not None
    assert (told.loss["F1"].value or 0) > 0.9 > told.predict_all["F1"]

    found = prevalence_of(Study(study.out))
    assert (found.corpus.system, found.corpus.teacher, found.target) == ("small", "strong", "corpus")
    assert any("what strong would say of all videos" in note for note in found.notes)

    assert tune_heads(config, load_words) == run
    assert len(server.bodies) == 72
    tune_heads(distilled(study, server, 90), load_words)
    assert len(server.bodies) == 93, "a larger sample holds the smaller one"


@pytest.mark.full
def test_a_sample_is_not_larger_than_the_corpus_and_people_go_before_the_teacher(
    tmp_path: Path, server: LlmServer
) -> None:
    study = LabelledStudy(tmp_path)
    config = distilled(study, server, 1_000)
    tune_heads(config, load_words)
    assert len(server.bodies) == len(IDS) - len(BROKEN)
    by_people = prevalence_of(Study(study.out), "small")
    assert by_people.corpus.teacher is None
    assert prevalence_of(Study(study.out), "small", annotator="strong").corpus.teacher == "strong"
