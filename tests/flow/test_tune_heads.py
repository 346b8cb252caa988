"""The job that tunes: held-out answers where there are labels, the heads' elsewhere, and all anew with other labels."""

from pathlib import Path

import pytest

from tests.fixtures.fakes import load_words
from tests.fixtures.labelled import BROKEN, IDS, LABELLED, LabelledStudy, has_face
from tests.study.test_bundle import checked, unpacked
from tikval.config import EvaluateConfig
from tikval.evaluate.prevalence import prevalence_of
from tikval.evaluate.score_systems import score_systems
from tikval.extract.tuned import read_card
from tikval.flow import heads
from tikval.flow.heads import tune_heads
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.study.bundle import write_bundle
from tikval.values import LABELS

FACE = LABELS.index("face+")

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


def test_a_study_is_tuned_scored_out_of_fold_and_tuned_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = LabelledStudy(tmp_path)
    config = study.config
    run = tune_heads(config, load_words)
    rows = {row["video_id"]: row for row in Folder(config.folder).read().to_pylist()}
    assert sorted(rows) == sorted(IDS)
    assert run.rows == len(IDS)
    assert run.failed == {"unreadable": len(BROKEN)}
    good = [name for name in IDS if name not in BROKEN]
    right = [rows[name]["decisions"][FACE] == has_face(name) for name in good]
    assert sum(right) > 0.95 * len(good)
    account = {row["video_id"]: row["account"] for row in Folder(config.catalog.folder).read().to_pylist()}
    folds: dict[str, set[int]] = {}
    for name in good:
        row = rows[name]
        assert (row["split"] == "tuned") == (name in LABELLED) == (row["fold"] is not None)
        if row["fold"] is not None:
            folds.setdefault(account[name], set()).add(row["fold"])
    assert all(len(each) == 1 for each in folds.values())
    card = read_card(config.folder)
    assert card["labels"]["face+"]["head"]
    assert not card["labels"]["humility+"]["head"]

    scored = EvaluateConfig(predictions=(config,), out=study.out, permutations=100)
    score_systems(scored)
    [f1] = [
        row["f1"]
        for row in Folder(scored.folder).read().to_pylist()
        if (row["system"], row["stance"], row["label"], row["failures"])
        == ("tuned", "all", "macro", "left_out")
    ]
    assert f1 > 0.95

    found = prevalence_of(Study(study.out), "tuned")
    assert {line.corrected for line in found.lines} == {None}
    assert any("only where videos were drawn at random" in note for note in found.notes)
    write_catalog(study.catalog.model_copy(update={"annotated_by": "random"}))
    found = prevalence_of(Study(study.out), "tuned")
    face = next(line for line in found.lines if line.what == "face+")
    assert face.corrected == pytest.approx(0.5, abs=0.05)
    assert face.corrected_low is not None
    write_bundle(Study(study.out), str(tmp_path / "one.zip"))
    assert checked(unpacked(tmp_path / "one.zip"), tmp_path / "sound").differs == []
    write_catalog(study.catalog)

    with monkeypatch.context() as patch:
        patch.setattr("tikval.flow.data.start_ray", lambda: pytest.fail("Ray is not needed"))
        patch.setattr(heads, "LocalValues", lambda *_: pytest.fail("nothing is to be learnt"))
        assert tune_heads(config, load_words) == run

    study.annotate(LABELLED, turned=True)
    again = tune_heads(config, load_words)
    assert again.state != run.state
    rows = {row["video_id"]: row for row in Folder(config.folder).read().to_pylist()}
    assert sorted(rows) == sorted(IDS)
    wrong = [rows[name]["decisions"][FACE] != has_face(name) for name in good]
    assert sum(wrong) > 0.95 * len(good)


def test_a_driver_that_dies_before_the_heads_are_whole_learns_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = LabelledStudy(tmp_path)
    before = tune_heads(study.config, load_words)
    study.annotate(LABELLED[:60])
    with monkeypatch.context() as patch:
        patch.setattr("tikval.extract.tuned._card", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tune_heads(study.config, load_words)
    assert Folder(study.config.folder).run() is None, (
        "rows of the old heads are not taken for those of new ones"
    )
    again = tune_heads(study.config, load_words)
    assert again.rows == before.rows
    rows = Folder(study.config.folder).read().to_pylist()
    assert sum(row["split"] == "tuned" for row in rows) == 58
