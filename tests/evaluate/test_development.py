"""The development sample is in no score, no baseline and no correction; what is done on it is counted. No Ray."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.offline import tikval
from tests.fixtures.trained import IDS, Study, stances
from tikval.annotate.annotators import add_systems, people
from tikval.codebook import load_codebook
from tikval.config import EvaluateConfig, ReportConfig, UserError, find_file
from tikval.evaluate.corpus import read_system_corpus
from tikval.evaluate.development import Development, development_of, draw_development
from tikval.evaluate.sample_agreement import sample_agreement
from tikval.evaluate.score_systems import score_systems
from tikval.report.site.write import write_report
from tikval.report.tables.paper import tables_of
from tikval.store.folder import Folder
from tikval.store.runs import Study as Runs
from tikval.store.runs import system_config
from tikval.study.erasure import erase_videos
from tikval.study.prompt_trial import true_labels

ACCOUNT = {name: f"account{i % 15}" for i, name in enumerate(IDS)}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = Study(tmp_path)
    made.asked("good", lambda name: stances(int(made.truth[name][0]), -int(made.truth[name][1])))
    made.asked("poor", lambda name: stances(int(name.endswith("1")), -int(made.truth[name][1])), seed=1)
    return made


def drawn(study: Study, n: int = 30, seed: int = 0) -> Development:
    runs = Runs(study.out)
    return draw_development(study.out, runs.catalog(), true_labels(runs, None), n, None, seed)


def scored(study: Study) -> tuple[EvaluateConfig, list[Any]]:
    good = study.asked("good", lambda name: stances(int(study.truth[name][0]), -int(study.truth[name][1])))
    config = EvaluateConfig(
        predictions=(good, study.trained("bert", study.noisy(1))), out=study.out, permutations=200
    )
    score_systems(config)
    return config, Folder(config.folder).read().to_pylist()


def test_whole_accounts_are_set_apart_and_stay_so_when_they_get_more_videos(study: Study) -> None:
    sample = drawn(study)
    assert len(sample.groups) == 5
    assert sample.ids == {name for name in IDS if ACCOUNT[name] in sample.accounts}
    again = development_of(Folder(study.catalog.folder))
    assert again is not None
    assert again.run == sample.run == drawn(study).run
    (study.root / "late.mp4").write_bytes(b"x")
    videos = study.root / "videos.csv"
    videos.write_text(f"{videos.read_text()}\nlate.mp4,{min(sample.accounts)}")
    study.annotate()
    later = development_of(Folder(study.catalog.folder))
    assert later is not None
    assert (later.ids, later.left_out) == (sample.ids, sample.ids | {"late"})


def test_no_score_and_no_baseline_has_a_development_video(study: Study) -> None:
    config, before = scored(study)
    first = Folder(config.folder).finished()
    assert len(first.inputs) == 3, "the catalog and two systems: as without this"
    sample = drawn(study)
    assert not Runs(study.out).reads_what_is_there(first)
    assert "set apart after these scores were made" in " ".join(tables_of(Runs(study.out)).averaged)
    run = score_systems(config)
    after = Folder(config.folder).read().to_pylist()
    assert {row["n_videos"] for row in before} == {len(IDS)}
    assert {row["n_videos"] for row in after} == {len(IDS) - len(sample.ids)}, "baselines and systems alike"
    pairs = Folder(config.folder).read_side_table("comparisons")
    assert {row["n_groups"] for row in pairs} == {10}
    assert run.inputs[sample.folder.uri] == sample.run.state
    assert score_systems(config) == run, "nothing to do"
    assert Runs(study.out).reads_what_is_there(run)

    # whatever the sample's labels say, no number moves
    study.annotate(turned=sample.ids)
    score_systems(config)
    assert Folder(config.folder).read().to_pylist() == after


def test_no_correction_has_a_development_video(study: Study) -> None:
    runs, sample = Runs(study.out), drawn(study)
    corpus = read_system_corpus(runs, "good", columns=["video_id"])
    names = corpus.videos["video_id"].to_pylist()
    assert not sample.ids & {names[i] for i in corpus.labelled}
    assert len(corpus.labelled) == len(IDS) - 2 - len(sample.ids)
    assert "development sample, which corrects nothing" in " ".join(corpus.notes)
    assert len(read_system_corpus(runs, "annotations").videos) == len(IDS), "people were no prompt's makers"

    book = load_codebook(find_file("prompts/codebook.yaml"))
    found, messages = people(runs.annotations(), book), list[str]()
    add_systems(found, runs, book, messages.append)
    assert sample.ids.isdisjoint(found.annotations["good"])
    assert sum(found.failed["good"].values()) == 2
    assert "not judged on the development sample" in messages[0]


def test_agreement_of_samples_with_the_annotator_leaves_it_out(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, seen = drawn(study), set[str]()
    runs = Runs(study.out)
    real = Folder.rows

    def rows(self: Folder, catalog: Folder, only: Any = None, columns: Any = None) -> list[Any]:
        seen.update(only)
        return [{**row, "agreement": 1.0} for row in real(self, catalog, only, columns)]

    monkeypatch.setattr(Folder, "rows", rows)
    monkeypatch.setattr("tikval.evaluate.sample_agreement.pc.sum", lambda _: pytest.fail("not reached"))
    folder, _ = runs.systems()["good"]
    labels = {row["video_id"]: row for row in runs.annotations()}
    assert sample_agreement(folder, runs.catalog(), labels) is None, "asked once"
    assert not seen & sample.ids


def test_the_report_and_its_tables_say_so_where_scores_stand(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tikval.report.site.gather._figures", lambda *_: None)
    good = system_config(Runs(study.out).systems()["good"][1])
    config = EvaluateConfig(predictions=(good,), out=study.out, permutations=100)
    sample, report = drawn(study), ReportConfig(scores=config, out=study.out)
    score_systems(config)
    before = write_report(report)
    tikval("prompt", "compare", "good", "poor", "--study", study.out)
    assert write_report(report) != before, "a look is news"
    looked = f"{len(sample.ids)} videos, 2 prompts compared in 1 look"
    sentence = f"{looked}; all annotated videos of 5 accounts are in no score"
    assert sentence in " ".join(tables_of(Runs(study.out)).averaged)
    for page in ("index.html", "systems.html"):
        text = (Path(report.folder) / page).read_text(encoding="utf-8")
        assert sentence in " ".join(text.split())


def test_it_is_drawn_once(study: Study) -> None:
    with pytest.raises(UserError, match="nothing of the 92 annotated videos would be left"):
        drawn(study, n=len(IDS))
    sample = drawn(study)
    other = drawn(study, seed=1)
    assert other.ids != sample.ids, "before a look another rule replaces it"
    assert len(list(Path(study.out).glob("development-*"))) == 1
    tikval("prompt", "compare", "good", "poor", "--study", study.out)
    with pytest.raises(UserError, match="was looked at 1 time, so this development sample stays"):
        drawn(study)
    assert drawn(study, seed=1).run == other.run, "the same rule again is no change"


def test_each_look_is_counted_once(study: Study) -> None:
    drawn(study)

    def looked(*words: str) -> str:
        return " ".join(tikval("prompt", *words, "--study", study.out).output.split())

    first = looked("compare", "good", "poor")
    assert "looked at 1 time, 2 prompts; differences that are found here flatter the winner" in first
    assert re.search(r"macro F1 │ 1\.00 │ 0\.\d\d", first)
    assert "no calls" in first
    assert "looked at 1 time, 2 prompts (the same as before: no new look)" in looked(
        "compare", "poor", "good"
    )
    study.asked("third", lambda _: stances(1, 0), seed=2)
    assert "looked at 2 times, 3 prompts" in looked("compare", "good", "third")
    study.annotate(turned=IDS[:40])
    assert "looked at 3 times, 3 prompts" in looked("compare", "good", "third"), "other labels tell anew"
    assert "held-out was looked at 1 time " in f"{looked('check', 'good')} "
    assert "held-out was looked at 1 time (the same" in looked("check", "good")
    assert "held-out was looked at 2 times" in looked("check", "third")
    sample = development_of(Folder(study.catalog.folder))
    assert sample is not None
    assert [look.kind for look in sample.looks] == ["compare"] * 3 + ["check"] * 2


def test_who_is_erased_leaves_the_sample_too(study: Study) -> None:
    sample = drawn(study)
    gone = min(sample.ids)
    erase_videos(study.out, {gone}, set())
    left = development_of(Folder(study.catalog.folder))
    assert left is not None
    assert left.ids == sample.ids - {gone}
    assert not any(
        gone.encode() in file.read_bytes() for file in Path(study.out).rglob("*") if file.is_file()
    )
