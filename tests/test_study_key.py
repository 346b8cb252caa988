"""The key that lies outside a study: made once, for its owner alone, and never through a link."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tikval.config import UserError
from tikval.study_key import find_study_key, study_key


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TIKVAL_KEY")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_when_it_is_first_needed_and_then_stays(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find_study_key() is None
    with pytest.raises(UserError, match=r"neither TIKVAL_KEY nor .*/\.config/tikval/key"):
        study_key(create=False)
    assert not home.exists()
    key = study_key(create=True)
    place = home / ".config" / "tikval" / "key"
    assert capsys.readouterr().err == (
        f"tikval: note: made {place}: keep it, without it nobody can tell who was erased\n"
    )
    assert len(key) == 32
    assert (mode(place), mode(place.parent)) == (0o600, 0o700)
    assert study_key(create=True) == study_key(create=False) == key
    assert [path.name for path in place.parent.iterdir()] == ["key"]
    assert capsys.readouterr().err == ""


def test_of_several_that_make_it_at_once_all_have_the_same(home: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(study_key, [True] * 32))) == 1


def test_an_open_folder_is_closed(home: Path) -> None:
    (home / ".config" / "tikval").mkdir(parents=True, mode=0o755)
    study_key(create=True)
    assert mode(home / ".config" / "tikval") == 0o700


def test_where_it_lies_can_be_chosen(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    study_key(create=True)
    assert (tmp_path / "config" / "tikval" / "key").exists()
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert find_study_key() is None
    monkeypatch.setenv("TIKVAL_KEY", "Ab" * 16)
    assert study_key(create=True) == b"\xab" * 16
    assert not home.exists()


@pytest.mark.parametrize("text", ["ab" * 15, "ab" * 65, "xy" * 16, "abc" * 11])
def test_what_is_no_key(home: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TIKVAL_KEY", text)
    with pytest.raises(UserError, match="TIKVAL_KEY: "):
        study_key(create=True)
    monkeypatch.delenv("TIKVAL_KEY")
    place = home / ".config" / "tikval" / "key"
    place.parent.mkdir(parents=True)
    place.touch(mode=0o600)
    place.write_text(text)
    with pytest.raises(UserError, match="tikval/key: "):
        study_key(create=True)


def test_it_is_never_read_or_made_through_a_link(home: Path, tmp_path: Path) -> None:
    config, other = home / ".config", tmp_path / "other"
    config.mkdir(parents=True)
    other.mkdir()
    (config / "tikval").symlink_to(other)
    with pytest.raises(UserError, match="TIKVAL_KEY"):
        study_key(create=True)
    assert not list(other.iterdir())
    (config / "tikval").unlink()
    (config / "tikval").mkdir(mode=0o700)
    (config / "tikval" / "key").symlink_to(other / "key")
    for _ in range(2):
        with pytest.raises(UserError, match="cannot be read as a plain file"):
            study_key(create=True)
        (other / "key").write_text("ab" * 32)


def test_a_file_that_others_may_read_is_refused(home: Path) -> None:
    study_key(create=True)
    place = home / ".config" / "tikval" / "key"
    place.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        study_key(create=True)


def test_a_home_that_cannot_be_written_names_the_variable(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/proc/nowhere")  # where root may not write either
    with pytest.raises(UserError, match=r"cannot be kept there .*; set TIKVAL_KEY to 64 hexadecimal digits"):
        study_key(create=True)
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="TIKVAL_KEY"):
        study_key(create=True)
    assert os.environ["HOME"] == str(tmp_path / "file")
