"""A folder of everything that goes wrong: one row each, the right reason, and the sound ones read."""

import os
from pathlib import Path

import pytest

from tests.fixtures.clips import (
    moving,
    patch_edit_list,
    patch_matrix,
    rot,
    tone,
    truncate,
    write_clip,
    write_sound_only,
)
from tikval.config import ScriptConfig, load_config
from tikval.flow.write_scripts import write_scripts
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

READ = None  # no reason: it has a script


def write_folder(folder: Path) -> dict[str, str | None]:
    """Files good and bad, and the reason each must fail for."""
    folder.mkdir()
    write_clip(folder / "good.mp4", sound=tone(2))
    write_clip(folder / "no sound.mp4")
    write_clip(folder / "one frame.mp4", n=1)
    write_clip(folder / "variable.mp4", n=5, pts=[0, 40, 500, 510, 2000])
    write_clip(folder / "hevc.mp4", codec="libx265", options={"x265-params": "log-level=none"})
    write_clip(folder / "vp9.webm", codec="libvpx-vp9")
    patch_matrix(write_clip(folder / "rotated.mp4"), (0, 1, -1, 0))
    patch_edit_list(write_clip(folder / "edited.mp4"), 1.0, 500)
    write_clip(folder / 'it\'s "quoted" & ünïcode 影片.mp4')
    (folder / "empty.mp4").touch()
    (folder / "page.mp4").write_text("<!doctype html><title>Not found</title>")
    (folder / "playlist.mp4").write_text(f"#EXTM3U\n#EXTINF:2,\n{folder}/good.mp4\n#EXT-X-ENDLIST\n")
    write_sound_only(folder / "sound only.mp4")
    (folder / "folder.mp4").mkdir()
    (folder / "dangling.mp4").symlink_to(folder / "nowhere.mp4")
    write_clip(folder / "cut off.mp4", n=100, pictures=moving(100, 320, 240))  # its index stands at the end
    truncate(folder / "cut off.mp4", 0.5)
    write_clip(
        folder / "rotten.mp4", pictures=moving(100, 320, 240), container_options={"movflags": "faststart"}
    )
    rot(folder / "rotten.mp4", 0.9)
    (folder / "good.mov").write_bytes((folder / "good.mp4").read_bytes())  # the same id as good.mp4
    reasons: dict[str, str | None] = {
        "cut off": "unreadable",
        "dangling": "missing_file",
        "edited": READ,
        "empty": "empty_file",
        "folder": "not_a_file",
        "good": READ,
        "good (later)": "duplicate_id",
        "hevc": READ,
        'it\'s "quoted" & ünïcode 影片': READ,
        "no sound": READ,
        "one frame": READ,
        "page": "unreadable",
        "playlist": "unreadable",
        "rotated": READ,
        "rotten": "damaged",
        "sound only": "no_video",
        "variable": READ,
        "vp9": READ,
    }
    if os.geteuid() != 0:  # root reads everything
        (folder / "locked.mp4").write_bytes((folder / "good.mp4").read_bytes())
        (folder / "locked.mp4").chmod(0)
        reasons["locked"] = "permission_denied"
    return reasons


def test_every_file_is_one_row_with_the_right_reason(tmp_path: Path) -> None:
    reasons = write_folder(tmp_path / "videos")
    sets: list[tuple[str, object]] = [
        ("out", str(tmp_path / "out")),
        ("videos.out", str(tmp_path / "out")),
        ("videos.videos", str(tmp_path / "videos")),
        ("writer.speech.engine", "none"),
        ("writer.ocr.frames", 1),
    ]
    config = load_config(ScriptConfig, "configs/local/scripts.yaml", sets)
    write_catalog(config.videos)
    run = write_scripts(config)
    found: dict[str, str | None] = {}
    for row in sorted(Folder(config.folder).read().to_pylist(), key=lambda row: row["error"] or ""):
        again = row["video_id"] in found
        found[f"{row['video_id']} (later)" if again else row["video_id"]] = row["error"]
        assert (row["script"] is None) == (row["error"] is not None)
        assert row["error"] is None or (row["detail"] and str(tmp_path) not in row["detail"])
    assert found == reasons
    assert run.rows == len(reasons)
