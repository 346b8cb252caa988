"""`tikval analyze FOLDER` over a folder as a downloader leaves it: a photo post beside a video, and other files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.fixtures.corpus import write_captioned
from tests.fixtures.photos import POST, WORDS, write_slides, write_sound_of
from tikval.store.runs import Study

pytestmark = [pytest.mark.ray, pytest.mark.local_models, pytest.mark.timeout(600)]

QUICK = (
    "scores.predictions.0.scripts.writer.ocr.frames=1",
    "scores.predictions.0.scripts.writer.speech.engine=none",
    "show_pictures=true",
)


def analyze(videos: Path, out: Path) -> str:
    sets = [word for setting in QUICK for word in ("--set", setting)]
    done = subprocess.run(
        [sys.executable, "-m", "tikval.cli", "analyze", str(videos), "--out", str(out), *sets],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_photo_post_is_a_video_of_the_study(tmp_path: Path) -> None:
    videos, out = tmp_path / "videos", tmp_path / "out"
    write_slides(videos, [*WORDS, "OBEY THE LAW"], suffix=".jpg")
    write_sound_of(videos / f"{POST}.mp3", 4)
    write_captioned(videos / "v.mp4", "I TAUGHT MYSELF")
    for name in ("song.mp3", "avatar.jpg", "x.json"):
        (videos / name).write_bytes(b"x")
    notes = analyze(videos, out)
    assert "3 files are neither a video nor of a photo post and passed over: " in notes
    assert "(song.mp3)" in notes
    assert "(avatar.jpg)" in notes
    study = Study(str(out))
    scripts = {
        row["video_id"]: row for folder in study.folders("scripts") for row in folder.read().to_pylist()
    }
    assert set(scripts) == {POST, "v"}
    post = scripts[POST]
    assert (post["error"], post["seconds"], post["has_sound"]) == (None, 12.0, True)
    shown = [line for line in post["script"].splitlines() if line.startswith("[")]
    assert shown == [f"[{words}]" for words in (*WORDS, "OBEY THE LAW")]
    assert ", 4 still pictures, 12 seconds" in post["script"]
    assert "[I TAUGHT MYSELF]" in scripts["v"]["script"]
    (row,) = [row for row in study.catalog().read().to_pylist() if row["video_id"] == POST]
    pictures = list(out.glob(f"report-*/pictures/{row['row_key']}-*.jpg"))
    assert len(pictures) == 4
    (page,) = out.glob(f"report-*/videos/{row['row_key']}.html")
    assert all(f"../pictures/{picture.name}" in page.read_text(encoding="utf-8") for picture in pictures)
    assert "to do" not in analyze(videos, out)
