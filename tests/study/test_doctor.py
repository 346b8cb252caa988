"""What `tikval doctor` tells of this machine."""

import importlib.util
from pathlib import Path

import pytest

from tikval.study import doctor


@pytest.mark.parametrize("compiled", [True, False])
def test_packages_without_bytecode_are_told_with_the_remedy(
    compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site packages/transformers"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    if compiled:
        (package / "__init__.pyc").touch()
    spec = importlib.util.spec_from_file_location("transformers", package / "__init__.py")
    assert spec
    spec.cached = str(package / "__init__.pyc")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    found = doctor._compiled()
    assert found == "compiled" if compiled else f"compileall -q '{tmp_path}/site packages'" in found


def test_the_recogniser_is_told_with_what_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIKVAL_CACHE", str(tmp_path))
    assert "not fetched yet" in doctor._recogniser().found
    (tmp_path / "whisper-base-d01c3014881c").mkdir()
    assert str(tmp_path) in doctor._recogniser().found
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert doctor._recogniser().lacks
    assert "pip install 'tikval[local]'" in doctor._recogniser().found
