"""What a user gets wrong: one line that says what to do, an exit code that is not 0, and no traceback."""

import csv
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.fixtures.corpus import TEXTS, write_captioned
from tikval.config import CatalogConfig, ReportConfig, load_config
from tikval.sources.write_catalog import write_catalog


def tikval(*words: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tikval.cli", *words],
        cwd=cwd,
        env=os.environ | {"COLUMNS": "100"} | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    write_captioned(folder / "a.mp4", TEXTS[0])
    return folder


def check_mistake(done: subprocess.CompletedProcess[str], *message: str) -> None:
    assert done.returncode == 2, done
    lines = [line for line in done.stderr.splitlines() if line.startswith("tikval: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    for words in message:
        assert words in lines[0]


def test_a_misspelt_key(videos: Path, tmp_path: Path) -> None:
    done = tikval("analyze", str(videos), "--out", str(tmp_path / "out"), "--set", "scores.min_shaer=0.1")
    check_mistake(done, "report.yaml", "scores.min_shaer: unknown key")


def test_a_bad_value(videos: Path, tmp_path: Path) -> None:
    done = tikval("analyze", str(videos), "--out", str(tmp_path / "out"), "--set", "scores.min_share=much")
    check_mistake(done, "scores.min_share", "number")


def test_a_missing_folder(tmp_path: Path) -> None:
    done = tikval("analyze", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    check_mistake(done, "nowhere: no such file or folder")


def test_a_folder_without_videos(tmp_path: Path) -> None:
    done = tikval("analyze", str(tmp_path), "--out", str(tmp_path / "out"))
    check_mistake(done, "no videos found", ".mp4")


def test_missing_annotations(videos: Path, tmp_path: Path) -> None:
    missing = ("--annotations", str(tmp_path / "labels.csv"))
    done = tikval("analyze", str(videos), "--out", str(tmp_path / "out"), *missing)
    check_mistake(done, "labels.csv: no such file")


def test_a_check_tells_everything_at_once_and_writes_nothing(videos: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("video_id,annotator,face\nb.mp4,ann,1\nb.mp4,bob,1\n")
    done = tikval(
        "check", str(videos), "--annotations", str(labels), "--profile", "gemini", GEMINI_API_KEY=""
    )
    assert done.returncode == 2, done
    shown = " ".join(done.stdout.split())
    assert "2 annotators (ann, bob)" in shown
    assert "GEMINI_API_KEY is not set" in shown
    assert "1, no account known" in shown  # videos are listed although a table is wrong
    assert "nothing says whether a minor" in shown
    assert "to mend before tikval analyze" in shown
    assert not (tmp_path / "out").exists()


def test_a_check_of_files_that_are_not_there_is_not_ready(tmp_path: Path) -> None:
    table = tmp_path / "videos.csv"
    table.write_text("path\na.mp4\nb.mp4\n")
    done = tikval("check", str(table))
    assert done.returncode == 2, done
    assert "2 cannot be used (missing_file 2): nothing is left to analyze" in " ".join(done.stdout.split())


def test_a_check_says_what_matches_and_knows_what_the_study_knows(videos: Path, tmp_path: Path) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "out"
    labels.write_text("video_id,face\na,1\n")
    fine = tikval("check", str(videos), "--annotations", str(labels), "--profile", "demo")
    assert fine.returncode == 0, fine.stderr
    assert "ready for tikval analyze" in fine.stdout
    write_catalog(CatalogConfig(out=str(out), videos=str(videos), annotations=str(labels)))
    again = tikval("check", str(videos), "--out", str(out))
    assert "annotations that are known are used" in again.stderr
    whose = tikval("check", str(videos), "--out", str(out), "--annotator", "eve")
    assert whose.returncode == 2
    assert "annotations: no annotator eve; there are human" in " ".join(whose.stdout.split())
    labels.write_text("video_id,face\na.mov,1\n")
    other = tikval("check", str(videos), "--annotations", str(labels), "--profile", "demo")
    assert other.returncode == 2
    assert "did you mean" in " ".join(other.stdout.split())


def test_everything_wrong_stops_an_analysis_before_the_catalog(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("video_id,annotator,face\na,ann,1\na,bob,1\n")
    words = ("--annotations", str(tmp_path / "labels.csv"), "--profile", "gemini")
    done = tikval("analyze", str(videos), "--out", str(tmp_path / "out"), *words, GEMINI_API_KEY="")
    check_mistake(done, "2 annotators (ann, bob)")
    assert "\n  GEMINI_API_KEY is not set" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_profile(videos: Path, tmp_path: Path) -> None:
    done = tikval("analyze", str(videos), "--out", str(tmp_path / "out"), "--profile", "gimini")
    check_mistake(done, "gimini: no such profile", "local")


def test_an_estimate_of_what_gemini_costs(videos: Path, tmp_path: Path) -> None:
    places = {f"scores.predictions.0.scripts.{key}" for key in ("", "videos.")} | {"scores.predictions.0."}
    words = [f"{place}out={tmp_path}/out" for place in sorted(places)]
    words += [f"scores.predictions.0.scripts.videos.videos={videos}"]
    done = tikval("estimate", "configs/gemini/report.yaml", *words)
    assert done.returncode == 0, done.stderr
    assert "scripts" in done.stdout
    assert "gemini-3.8-flash" in done.stdout
    assert "assumed" in done.stdout  # of a reply's length
    usd = float(done.stdout.rsplit("about ", 1)[1].split(" USD")[0])
    assert 0 < usd < 0.1

    listed = (f"out={tmp_path}/out", f"videos.out={tmp_path}/out", f"videos.videos={videos}")
    old = tikval("estimate", "configs/gemini/scripts.yaml", *listed, "writer.llm.model=gemini-1.5-pro")
    check_mistake(old, "no price of 'gemini-1.5-pro'", "gemini-3.8-flash")


def test_an_estimate_without_the_videos(tmp_path: Path) -> None:
    """Every profile that ships, one row for each stage, way of asking and price; nothing is read or written else."""
    table = tmp_path / "figures.csv"
    done = tikval("estimate", "--videos", "1000000", "--seconds", "30", "--gpu-usd", "2", "--csv", str(table))
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "..." not in done.stdout.replace("…", "...")  # no name is cut off
    for words in ("all 1,000,000", "online, codebook cached", "stated, not run here: H100", "not known:"):
        assert words in done.stdout
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shipped = {path.parent.name for path in ROOT.glob("configs/*/report.yaml")}
    assert {row["profile"] for row in rows} == shipped - {"demo"}  # which is local, with videos of its own
    assert {row["videos"] for row in rows} == {"1000000"}
    paid = [row for row in rows if row["usd_mid"]]
    assert {row["profile"] for row in paid} == {"gemini", "paper", "distill"}  # a cascade says its range
    assert all(0 < float(r["usd_low"]) < float(r["usd_mid"]) < float(r["usd_high"]) for r in paid)
    assert {row["model"] for row in rows if row["gpu_hours_mid"]} == {
        "Qwen/Qwen3-VL-8B-Instruct",
        "mistralai/Mistral-7B-Instruct-v0.3",
    }
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name a configuration, or say how many videos"),
        (("--videos", "10"), "--videos and --seconds belong together"),
        (("--videos", "10", "--seconds", "9", "--profile", "qwen", "--gpu", "B3"), "no rates on 'B3'"),
    ],
)
def test_an_estimate_of_nothing(words: tuple[str, ...], message: str) -> None:
    check_mistake(tikval("estimate", *words), message)


def test_a_run_without_a_key_ends_before_it_starts(videos: Path, tmp_path: Path) -> None:
    words = ("analyze", str(videos), "--out", str(tmp_path / "out"), "--profile", "gemini")
    check_mistake(tikval(*words, GEMINI_API_KEY=""), "GEMINI_API_KEY is not set")


def test_an_output_folder_that_cannot_be_written(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = tikval("analyze", str(videos), "--out", str(tmp_path / "file" / "out"))
    check_mistake(done, "cannot be written", "--out")


def test_an_output_folder_in_use(videos: Path, tmp_path: Path) -> None:
    folder = Path(CatalogConfig(out=str(tmp_path / "out"), videos=str(videos)).folder)
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("process 1 on elsewhere")
        lock.flush()
        done = tikval("analyze", str(videos), "--out", str(tmp_path / "out"))
    check_mistake(done, "in use by another run", "process 1 on elsewhere")


def test_tesseract_missing(videos: Path, tmp_path: Path) -> None:
    done = tikval("analyze", str(videos), "--out", str(tmp_path / "out"), PATH=str(tmp_path))
    check_mistake(done, "tesseract", "apt-get install tesseract-ocr")
    doctor = tikval("doctor", PATH=str(tmp_path))
    assert doctor.returncode == 1
    assert "MISSING" in doctor.stdout


@pytest.mark.parametrize("command", [["failures"], ["export"], ["erase"]])
def test_a_folder_without_runs(command: list[str], tmp_path: Path) -> None:
    more = {"export": ["x.csv"], "erase": ["a"]}.get(command[0], [])
    check_mistake(tikval(*command, str(tmp_path), *more), "no finished run")


def test_a_job_without_its_configuration(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobs.catalog", "nothere.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    check_mistake(done, "nothere.yaml: no such file")


def test_it_answers_from_an_empty_folder(tmp_path: Path) -> None:
    """Prompts and configurations are found wherever the user stands."""
    done = tikval("analyze", "videos", "--out", "out", "--set", "titel=x", cwd=tmp_path)
    check_mistake(done, "titel: unknown key")


def test_embeddings_are_of_the_same_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile's embed.yaml where it has one, else the one for GPUs, over the catalog that the report names."""
    from tikval.cli.analyze import _embedding

    monkeypatch.chdir(tmp_path)  # what comes with tikval is found from anywhere
    places = ("", "scores.", "scores.predictions.0.", "scores.predictions.0.scripts.")
    catalog = "scores.predictions.0.scripts.videos."
    sets: list[str | tuple[str, object]] = [(f"{place}out", str(tmp_path)) for place in (*places, catalog)]
    sets += [(f"{catalog}videos", "my clips")]
    for profile, cpus in (("demo", 0.5), ("local", 1)):
        report = load_config(ReportConfig, f"configs/{profile}/report.yaml", sets)
        embed = _embedding(
            f"configs/{profile}/report.yaml", report, ["embeddings.text=null", "title=not of these"]
        )
        assert embed.videos == report.scores.catalog
        assert (embed.out, embed.text, embed.read_pool.cpus) == (str(tmp_path), None, cpus)
