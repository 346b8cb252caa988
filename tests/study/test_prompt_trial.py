"""Two wordings of a codebook tried on the development sample by the command; the stages that need Ray are made up."""

from pathlib import Path

import pytest

from tests.fixtures.offline import fake_scripts, own_codebook, tikval, without_ray
from tikval.cli import job
from tikval.config import ExtractConfig, ScriptConfig
from tikval.evaluate.development import development_of
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.runs import Study
from tikval.study.erasure import erase_videos
from tikval.study.prompt_trial import tried_prompt

NAMES = tuple(f"v{n:02}" for n in range(18))
MADE: list[int] = []  # scripts, by each run of that stage


def counted_scripts(config: ScriptConfig) -> FolderRun:
    before = sum(len(Folder(config.folder).table(name)) for name in Folder(config.folder).parts())
    run = fake_scripts(config)
    MADE.append(run.rows - before)
    return run


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A finished study of 18 videos by six accounts over a codebook of three values, all of them annotated."""
    without_ray(monkeypatch)
    monkeypatch.setattr("tikval.report.site.gather._figures", lambda *_: None)
    monkeypatch.setitem(
        job.JOBS, "write_scripts", job.JOBS["write_scripts"]._replace(call=f"{__name__}:counted_scripts")
    )
    for name in NAMES:
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
    lines = [f"{name}.mp4,account{n % 6}" for n, name in enumerate(NAMES)]
    (tmp_path / "videos.csv").write_text("\n".join(["path,account", *lines]))
    lines = [f"{name},{n % 2},0,{-(n % 3 == 0)}" for n, name in enumerate(NAMES)]
    (tmp_path / "labels.csv").write_text("\n".join(["video_id,care,fairness,loyalty", *lines]))
    book, made = own_codebook(tmp_path / "moral.yaml"), str(tmp_path / "out")
    how = ["--codebook", str(book), "--annotations", str(tmp_path / "labels.csv"), "--out", made]
    tikval("analyze", str(tmp_path / "videos.csv"), *how)
    text = book.read_text(encoding="utf-8")
    (tmp_path / "reworded.yaml").write_text(text.replace("Why", "The reason why"))
    tikval("prompt", "sample", made, "--n", "9")
    MADE.clear()
    return made


def compare(out: str, *words: str, code: int = 0) -> str:
    done = tikval("prompt", "compare", *words, "--study", out, "--profile", "local", code=code)
    return " ".join(f"{done.output} {done.exception or ''}".split())


def test_files_are_tried_on_the_sample_alone(out: str, tmp_path: Path) -> None:
    book, reworded = str(tmp_path / "moral.yaml"), str(tmp_path / "reworded.yaml")
    text = compare(out, "local", reworded)
    assert "9 videos of 3 accounts cannot tell these prompts apart" in text
    assert "A: local" in text
    assert "B: reworded.yaml" in text
    assert "looked at 1 time, 2 prompts" in text
    assert MADE == [0], "the scripts of the study are taken"
    study = Study(out)
    sample = development_of(study.catalog())
    assert sample is not None
    tried = Study(sample.folder.uri)
    assert set(tried.catalog().read()["video_id"].to_pylist()) == sample.ids
    (_, run) = tried.systems()["prompt"]
    assert run.rows == 9
    assert list(study.systems()) == ["local"], "no system of the study, so in no report"
    assert "no new look" in compare(out, book, reworded), (
        "the file is the prompt of a system that has finished"
    )

    gone = min(sample.ids)
    erase_videos(out, {gone}, set())
    assert not any(gone.encode() in file.read_bytes() for file in Path(out).rglob("*") if file.is_file())
    assert tried.systems()["prompt"][0].finished().rows == 8


def test_a_prompt_of_the_scripts_makes_them_anew(out: str, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("Write what is said.")
    study, file = Study(out), str(tmp_path / "words.txt")
    sample = development_of(study.catalog())
    assert sample is not None
    tried = tried_prompt(study, sample, file, "configs/gemini/two_step.yaml", "scripts", ["system=mine"])
    scripts, values = tried.jobs
    assert isinstance(scripts, ScriptConfig)
    assert scripts.writer.kind == "llm"
    assert scripts.writer.prompt == file
    assert isinstance(values, ExtractConfig)
    assert values.codebook == str(tmp_path / "moral.yaml")
    assert {job.out for job in tried.jobs} == {values.catalog.out} == {sample.folder.uri}
    assert values.catalog.folder.rpartition("/")[2] == study.catalog().uri.rpartition("/")[2]
    assert [folder.uri for folder in tried.steps_before] == [scripts.folder], "they are in the cost"


def test_what_is_no_prompt_is_refused_in_words(out: str, tmp_path: Path) -> None:
    own_codebook(tmp_path / "other.yaml", ("care", "fairness", "purity"))
    (tmp_path / "words.txt").write_text("Judge it.")
    for word, why in {
        "other.yaml": "its values are not those of moral-foundations",
        "words.txt": "asks no model; give it codebooks",
        "moral.yaml": "are the same prompt: there is nothing to compare",
        "nothing.txt": "neither a system of",
    }.items():
        assert why in compare(out, "local", str(tmp_path / word), code=2)
    assert "no system gone; there are local" in str(
        tikval("prompt", "check", "gone", "--study", out, code=1).exception
    )
    assert "names 3 systems" in str(
        tikval("prompt", "compare", "local", "x", "--study", out, "--profile", "paper", code=2).output
    )
