"""jobs/embed.py on a real local Ray: real clips in, tiny checkpoints of the real architectures, real Parquet out."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.fixtures.checkpoints import Checkpoints, write_checkpoints
from tests.fixtures.clips import tone, write_clip
from tests.fixtures.fakes import SlowEncoder
from tikval.config import EmbedConfig, UserError, load_config
from tikval.flow.embed import embed
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    return write_checkpoints(tmp_path_factory.mktemp("models"))


def config_of(models: Checkpoints, folder: Path, *overrides: tuple[str, Any]) -> EmbedConfig:
    """The demo's configuration over folder/videos, with the tiny models."""
    sets: list[tuple[str, Any]] = [
        *((f"{place}out", str(folder / "out")) for place in ("", "videos.")),
        ("videos.videos", str(folder / "videos")),
        ("videos.annotations", None),
        ("video.model", str(models.pictures)),
        ("sound.model", str(models.sound)),
        ("text.model", str(models.text)),
        ("text.ocr.frames", 1),
        ("encode_pool.actors", 1),
    ]
    config = load_config(EmbedConfig, "configs/demo/embed.yaml", [*sets, *overrides])
    write_catalog(config.videos)
    return config


def write_videos(folder: Path, n: int) -> None:
    """`n` clips of their own, every third mute; pictures of smooth noise, as no two videos look the same."""
    folder.mkdir(parents=True)
    for index in range(n):
        chance = np.random.default_rng(index)
        cells = chance.integers(0, 255, (10, 6, 5, 3)).astype(np.uint8)
        pictures = [np.kron(cell, np.ones((32, 32, 1), np.uint8)) for cell in cells]
        sound = tone(0.5, hertz=200 + 50 * index) if index % 3 else None
        write_clip(folder / f"v{index:02}.mp4", pictures=pictures, width=160, height=192, sound=sound)


def rows_of(config: EmbedConfig) -> dict[str, Any]:
    return {row["video_id"]: row for row in Folder(config.folder).read().to_pylist()}


def test_vectors_failures_and_duplicates(
    checkpoints: Checkpoints, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_videos(tmp_path / "videos", 9)
    shutil.copy(tmp_path / "videos/v01.mp4", tmp_path / "videos/reupload.mp4")
    (tmp_path / "videos/page.mp4").write_text("<html>")
    config = config_of(checkpoints, tmp_path)
    run = embed(config)
    assert (run.rows, run.failed) == (11, {"unreadable": 1})
    rows = rows_of(config)
    assert sorted(rows) == ["page", "reupload", *(f"v{i:02}" for i in range(9))]
    assert (rows["page"]["vector"], rows["page"]["error"]) == (None, "unreadable")
    assert [rows[f"v{i:02}"]["has_sound"] for i in range(4)] == [False, True, True, False]
    assert len({tuple(row["vector"]) for row in rows.values() if row["vector"]}) == 9
    assert rows["v00"]["vector"][32:64] == [0] * 32
    assert " sha256:" in rows["v00"]["model_served"]

    group = rows["v01"]["near_duplicates"]
    assert group is not None
    assert rows["reupload"]["near_duplicates"] == group
    pairs = Folder(config.folder).read_side_table("near_duplicates")
    assert {("reupload", "v01", True)} <= {(p["video_id"], p["other_id"], p["same_file"]) for p in pairs}

    capsys.readouterr()
    assert embed(config) == run  # at once
    again = embed(config_of(checkpoints, tmp_path, ("near_duplicate_cosine", 1.0)))
    assert "to do" not in capsys.readouterr().err  # the column alone is made anew
    assert again.inputs["near_duplicate_cosine"] == "1.0"
    assert {v for v, row in rows_of(config).items() if row["near_duplicates"] is not None} == {
        "reupload",
        "v01",
    }

    # what people read it with
    (file,) = Folder(config.folder).paths()
    width = len(rows["v00"]["vector"])
    assert width == 80
    assert pd.read_parquet(file)["vector"].dropna().map(lambda v: (v.dtype, v.shape)).unique().tolist() == [
        (np.float32, (width,))
    ]
    assert pl.read_parquet(file).schema["vector"] == pl.Array(pl.Float32, width)
    told = duckdb.sql(f"select count(vector), min(len(vector)), typeof(any_value(vector)) from '{file}'")
    assert told is not None
    assert told.fetchall() == [(10, width, "FLOAT[]")]
    from datasets import Dataset

    data = Dataset.from_parquet(file, cache_dir=str(tmp_path / "cache"))
    assert (data.features["vector"].length, data.features["vector"].feature.dtype) == (width, "float32")
    assert np.allclose(data.with_format("numpy")[2]["vector"], rows[data[2]["video_id"]]["vector"])


@pytest.mark.full  # a run that is killed: tests/flow/test_kill.py
def test_a_killed_encoder_costs_nothing_but_time(checkpoints: Checkpoints, tmp_path: Path) -> None:
    n = 40
    write_videos(tmp_path / "videos", 4)
    for index in range(4, n):
        shutil.copy(tmp_path / f"videos/v{index % 4:02}.mp4", tmp_path / f"videos/v{index:02}.mp4")
    config = config_of(checkpoints, tmp_path, ("text", None), ("encode_pool.batch_rows", 2))
    folder, killed = Path(config.folder), threading.Event()
    at: list[int] = []

    def kill() -> None:
        while not killed.wait(0.02):
            done = sum(pq.read_metadata(path).num_rows for path in folder.glob("part-*.parquet"))
            encoders = [int(path.name.partition("-")[2]) for path in Path(config.out).glob("encoder-*")]
            if done >= 6 and encoders:
                at.append(done)
                os.kill(encoders[-1], signal.SIGKILL)
                return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        run = embed(config, SlowEncoder)
    finally:
        killed.set()
        killer.join()
    assert at
    assert 6 <= at[0] < n
    assert len(list(Path(config.out).glob("encoder-*"))) == 2
    assert (run.rows, run.failed) == (n, {})
    rows = rows_of(config)
    assert sorted(rows) == [f"v{index:02}" for index in range(n)]
    for index in range(n):
        assert np.allclose(rows[f"v{index:02}"]["vector"], rows[f"v{index % 4:02}"]["vector"], atol=1e-5)


def test_what_is_missing_is_named_before_anything_starts(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_videos(tmp_path / "videos", 1)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="hub is out of reach"):
        embed(config_of(checkpoints, tmp_path, ("video.model", "no/such-model")))
    with pytest.raises(UserError, match="GPUs an actor"):
        embed(config_of(checkpoints, tmp_path, ("encode_pool.gpus", 0.5)))
    began = time.monotonic()
    with pytest.raises(UserError, match="takes 16 frames, not 8"):
        embed(config_of(checkpoints, tmp_path, ("video.frames", 8)))
    assert time.monotonic() - began < 5
