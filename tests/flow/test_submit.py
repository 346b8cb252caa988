"""`ray job submit --working-dir . -- python -m jobs.NAME ...` against a real head with token authentication on."""

import re
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import pytest

from tests.fixtures.checkpoints import write_checkpoints
from tests.fixtures.corpus import TEXTS, write_captioned
from tests.fixtures.namespace import DASHBOARD, Namespace, available
from tikval.hub.bundled import cached_folder
from tikval.report.export.values import export_table
from tikval.store.runs import Study

pytestmark = [
    pytest.mark.ray,
    pytest.mark.cluster,
    pytest.mark.local_models,
    pytest.mark.skipif(not available(), reason="network namespaces are not permitted here"),
    pytest.mark.skipif(cached_folder() is None, reason="the text encoder is not here"),
]

SUBMIT = ["ray", "job", "submit", "--address", DASHBOARD, "--working-dir", ".", "--"]
UPSTREAM = ("scores.", "predictions.0.", "scripts.", "videos.")
JOBS = {  # in order; each names its own configuration, and has as many upstream of it as stand before it here
    "catalog": "catalog",
    "write_scripts": "scripts",
    "extract_values": "predictions",
    "evaluate": "scores",
    "report": "report",
}

STAGES = {"catalog", "scripts", "embeddings", "predictions", "scores", "report"}


def submission(job: str, folder: Path, *more: str) -> list[str]:
    """The documented command, with the configuration of the local profile pointed at `folder`."""
    above = list(JOBS).index(job)
    ways = ["", *accumulate(UPSTREAM[len(UPSTREAM) - above :])]
    sets = [f"{way}out={folder / 'out'}" for way in ways]
    sets += [f"{ways[-1]}videos={folder / 'videos'}", f"{ways[-1]}annotations={folder / 'labels.csv'}"]
    if above:
        sets += [f"{ways[-2]}writer.ocr.frames=1", f"{ways[-2]}writer.speech.engine=none"]
    command = ["python", "-m", f"jobs.{job}", f"configs/local/{JOBS[job]}.yaml", *sets, *more]
    return [*SUBMIT, *command]


@pytest.fixture
def inside() -> Iterator[Namespace]:
    with Namespace() as namespace:
        namespace.start_nodes(1, cpus=4)
        yield namespace


def test_every_job_can_be_submitted(tmp_path: Path, inside: Namespace) -> None:
    (tmp_path / "videos").mkdir()
    for index, text in enumerate(TEXTS):
        write_captioned(tmp_path / "videos" / f"v{index}.mp4", text)
    (tmp_path / "labels.csv").write_text("video_id,self_direction_thought\nv0,1\nv1,0\n")
    wrong = inside.start(submission("catalog", tmp_path, "vidoes=elsewhere"))  # beside the right ones
    stranger = inside.start(submission("catalog", tmp_path / "nowhere"), env={"RAY_AUTH_MODE": "disabled"})
    for job in JOBS:
        code, message = inside.run(submission(job, tmp_path))
        assert code == 0, message
        assert "succeeded" in message

    models = write_checkpoints(tmp_path / "models")
    ways = ("out", "videos.out")
    sets = [f"{way}={tmp_path / 'out'}" for way in ways] + [f"videos.videos={tmp_path / 'videos'}"]
    sets += [f"video.model={models.pictures}", f"sound.model={models.sound}", f"text.model={models.text}"]
    command = ["python", "-m", "jobs.embed", "configs/demo/embed.yaml", *sets, "text.ocr.frames=1"]
    code, message = inside.run([*SUBMIT, *command])
    assert code == 0, message

    study = Study(str(tmp_path / "out"))
    vectors = study.latest("embeddings")
    assert vectors is not None
    assert (vectors[1].rows, vectors[1].failed) == (3, {})
    assert {run.stage for _, run in study.runs} == STAGES
    assert export_table(study)["video_id"].to_pylist() == ["v0", "v1", "v2"]
    report = study.latest("report")
    assert report is not None
    assert any("TO REPAIR RADIOS" in file.read_text() for file in Path(report[0].uri, "videos").iterdir())

    message, _ = wrong.communicate(timeout=60)
    assert wrong.returncode == 1, message
    assert "tikval: configs/local/catalog.yaml: vidoes: unknown key" in message
    message, _ = stranger.communicate(timeout=60)
    assert stranger.returncode == 1, message
    assert "Missing authentication token" in message
    assert not (tmp_path / "nowhere").exists()

    # what was uploaded of a checkout that has a virtual environment, caches and results in it
    packages = "/tmp/ray/session_latest/runtime_resources/working_dir_files"
    listed = inside.check(["find", packages, "-mindepth", "2", "-printf", "%s %P\n"])
    files = [(int(size), name.split("/", 1)[1]) for size, name in re.findall(r"^(\d+) (.+)$", listed, re.M)]
    top = {name.split("/")[0] for _, name in files}
    assert {"tikval", "jobs", "configs", "prompts"} <= top
    assert not top & {".git", ".venv", ".cache", "out", "dist", ".mypy_cache", ".hypothesis"}
    assert sum(size for size, _ in files) < 20e6
