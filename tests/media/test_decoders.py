"""The other decoders: where they agree with the default one, where they do not, and a machine without them."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures import clips
from tests.media.test_clip import (
    Write,
    edit_list,
    five_frames,
    matroska_b_frames,
    plain,
    silent,
    variable_rate,
    vp9,
)
from tikval.config import Limits, LocalWriter
from tikval.media.child import Child, check_tools
from tikval.media.clip import read_clip
from tikval.media.decoders import check_gpu
from tikval.media.reading import ClipError, MissingTool, Want
from tikval.rows import Reason
from tikval.script.local import want_of_writer

needs_decord = pytest.mark.skipif(not importlib.util.find_spec("decord"), reason="decord2 is not installed")


def has_gpu() -> bool:
    try:
        check_gpu()
    except MissingTool:
        return False
    return True


def test_configuration_reaches_the_reader() -> None:
    assert want_of_writer(LocalWriter()).decoder == "pyav"
    assert want_of_writer(LocalWriter(decoder="decord")).decoder == "decord"


def test_decord_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingTool, match=r"tikval\[decord\]"):
        check_tools(Want(decoder="decord"))
    with pytest.raises(MissingTool, match=r"tikval\[decord\]"):
        read_clip(str(silent(tmp_path)), decoder="decord")


@pytest.mark.skipif(has_gpu(), reason="there is a GPU that decodes")
def test_nvdec_without_a_gpu_is_no_video_s_failure(tmp_path: Path) -> None:
    path = silent(tmp_path)
    with Child(Limits(seconds=60)) as child:
        with pytest.raises(MissingTool, match="GPU"):
            child.read(str(path), Want(decoder="nvdec", frames=4))
        assert child.read(str(path), Want(frames=4)).n_frames == 50


@pytest.mark.gpu
@pytest.mark.skipif(not has_gpu(), reason="no GPU that decodes")
@pytest.mark.parametrize(
    "write", [plain, matroska_b_frames, variable_rate, edit_list], ids=lambda w: w.__name__
)
def test_nvdec_shows_the_same_pictures(write: Write, tmp_path: Path) -> None:
    path = str(write(tmp_path))
    mine, theirs = read_clip(path, frames=8), read_clip(path, frames=8, decoder="nvdec")
    assert theirs.n_frames == mine.n_frames
    assert np.abs(theirs.frames.astype(int) - mine.frames).mean() < 3  # another scaler input: nv12


@needs_decord
@pytest.mark.parametrize(
    "write",
    [plain, silent, matroska_b_frames, vp9, variable_rate, five_frames],
    ids=lambda write: write.__name__,
)
def test_decord_agrees_on_plain_files(write: Write, tmp_path: Path) -> None:
    path = str(write(tmp_path))
    mine, theirs = read_clip(path), read_clip(path, decoder="decord")
    assert theirs.frames.shape == mine.frames.shape
    # it turns pixels into RGB before it scales, and by another conversion
    assert np.abs(theirs.frames.astype(int) - mine.frames).mean((1, 2, 3)).max() < 5
    for one, other in zip(theirs.key_frames, mine.key_frames, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 5
    assert theirs.key_seconds == pytest.approx(mine.key_seconds, abs=0.02)
    assert (theirs.seconds, theirs.n_frames, theirs.width) == (mine.seconds, mine.n_frames, mine.width)
    assert (theirs.sound is None) == (mine.sound is None)
    if mine.sound is not None and theirs.sound is not None:
        assert np.array_equal(mine.sound, theirs.sound)


@needs_decord
def test_decord_counts_what_an_edit_list_cuts(tmp_path: Path) -> None:
    path = str(edit_list(tmp_path))
    mine, theirs = read_clip(path, frames=2), read_clip(path, frames=2, decoder="decord")
    assert [clips.number_of(frame) for frame in mine.frames] == [13, 42]
    assert (mine.n_frames, theirs.n_frames) == (30, 50)  # if it ever agrees, docs/media.md can tell it
    assert [clips.number_of(frame) for frame in theirs.frames] != [13, 42]


@needs_decord
def test_decord_turns_pictures_of_real_size_and_refuses_small_ones(tmp_path: Path) -> None:
    path = clips.write_clip(tmp_path / "a.mp4", n=4, width=640, height=360)
    clips.patch_matrix(path, (0, 1, -1, 0))
    mine, theirs = read_clip(str(path), frames=2), read_clip(str(path), frames=2, decoder="decord")
    assert (theirs.width, theirs.height) == (360, 640)
    assert np.abs(theirs.frames.astype(int) - mine.frames).mean() < 5
    small = clips.write_clip(tmp_path / "b.mp4", n=4)
    clips.patch_matrix(small, (0, 1, -1, 0))
    with pytest.raises(ClipError, match="cannot turn"):
        read_clip(str(small), decoder="decord")


@needs_decord
def test_decord_in_the_child_and_on_damage(tmp_path: Path) -> None:
    with Child(Limits(seconds=60)) as child:
        want = Want(frames=4, ocr_frames=2, scene=True, decoder="decord")
        name = os.fsdecode(b"\xff.mp4")
        assert child.read(str(plain(tmp_path).rename(tmp_path / name)), want).n_frames == 50
        rotten = clips.write_clip(tmp_path / "a.mp4", pictures=clips.moving(70, 160, 96), width=160, gop=10)
        clips.rot(rotten, 0.3)
        with pytest.raises(ClipError) as raised:
            child.read(str(rotten), want)
        assert raised.value.reason == Reason.DAMAGED
