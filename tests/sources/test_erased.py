"""The list of the erased: keyed, so that the folder alone tells nobody; and it never forgets for want of a key."""

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.fixtures.rows import video
from tikval.cli.commands import app
from tikval.config import CatalogConfig, UserError
from tikval.sources.erased import erased_hashes, not_erased, remember_erased, still_there
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder

SALT = "00" * 16


def kept(out: Path) -> list[str]:
    return [row["video_id"] for row in not_erased(str(out), [video("1", account="Ann"), video("2")])]


def salted(name: str) -> str:
    """As the first versions wrote it."""
    return hashlib.blake2b(name.encode(), salt=bytes.fromhex(SALT), digest_size=16).hexdigest()


def test_the_list_cannot_be_tried_without_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember_erased(str(tmp_path), {"1"}, {"@Ann"})
    written = json.loads((tmp_path / "erased.json").read_text())
    tried = [
        hashlib.blake2b(name.encode(), salt=bytes.fromhex(written["salt"]), digest_size=16).hexdigest()
        for name in ("1", "ann", "@Ann")
    ]
    assert not set(tried) & {*written["videos"], *written["accounts"]}
    other = tmp_path / "other"
    monkeypatch.setenv("TIKVAL_KEY", "77" * 32)
    remember_erased(str(other), {"1"}, set())
    assert json.loads((other / "erased.json").read_text())["key"] != written["key"]


@pytest.mark.parametrize("key", [None, "77" * 32])
def test_without_the_right_key_nothing_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "b.mp4").write_bytes(b"x")
    config = CatalogConfig(videos=str(tmp_path), out=str(tmp_path / "out"))
    write_catalog(config)
    remember_erased(config.out, {"a"}, set())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    if key is None:
        monkeypatch.delenv("TIKVAL_KEY")
    else:
        monkeypatch.setenv("TIKVAL_KEY", key)
    wanted = "there is no key" if key is None else "the key here is another one"
    for act in (
        lambda: write_catalog(config),
        lambda: still_there(config.out, ["a"]),
        lambda: remember_erased(config.out, {"b"}, set()),
    ):
        with pytest.raises(UserError, match=rf"erased\.json: .*{wanted}.*set TIKVAL_KEY"):
            act()
    done = CliRunner().invoke(app, ["erase", config.out, "b"])
    assert done.exit_code != 0
    assert not (tmp_path / "home").exists(), "a second key would hide that the first one is missing"
    monkeypatch.setenv("TIKVAL_KEY", "5c" * 32)
    write_catalog(config)
    assert Folder(config.folder).read(["video_id"])["video_id"].to_pylist() == ["b"]


def test_a_list_without_a_key_is_honoured_and_keyed_when_its_names_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"salt": SALT, "videos": [salted("2"), salted("unseen")], "accounts": [salted("ann")]}
    place = tmp_path / "erased.json"
    place.write_text(json.dumps(old))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    with monkeypatch.context() as patch:
        patch.delenv("TIKVAL_KEY")
        assert kept(tmp_path) == []
        assert json.loads(place.read_text()) == old
    assert kept(tmp_path) == []
    now = json.loads(place.read_text())
    assert now["unkeyed"] == {"videos": [salted("unseen")]}
    assert (len(now["videos"]), len(now["accounts"])) == (1, 1)
    assert not {salted("2"), salted("ann")} & {*now["videos"], *now["accounts"]}
    assert kept(tmp_path) == []
    assert still_there(str(tmp_path), ["2", "unseen", "other"]) == {"2", "unseen"}
    assert "unkeyed" not in json.loads(place.read_text()) or kept(tmp_path) == []


def test_an_old_list_is_keyed_by_the_next_erasure_and_keeps_the_rest(tmp_path: Path) -> None:
    place = tmp_path / "erased.json"
    place.write_text(json.dumps({"salt": SALT, "videos": [salted("1"), salted("2")], "accounts": []}))
    remember_erased(str(tmp_path), {"2", "3"}, set())
    now = json.loads(place.read_text())
    assert now["unkeyed"] == {"videos": [salted("1")]}
    assert set(now["videos"]) == erased_hashes(str(tmp_path), ["2", "3"])
    assert still_there(str(tmp_path), "1234") == {"1", "2", "3"}


@pytest.mark.parametrize("data", ["", "{", "[]", "{}", '{"salt": 3, "key": "x"}'])
def test_a_broken_list_is_an_error_and_brings_nobody_back(tmp_path: Path, data: str) -> None:
    (tmp_path / "erased.json").write_text(data)
    with pytest.raises(UserError, match=r"erased\.json"):
        kept(tmp_path)


def test_the_first_erasure_makes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIKVAL_KEY")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "a.mp4").write_bytes(b"x")
    config = CatalogConfig(videos=str(tmp_path / "a.mp4"), out=str(tmp_path / "out"))
    write_catalog(config)
    assert not (tmp_path / "config").exists()
    done = CliRunner().invoke(app, ["erase", config.out, "a"])
    assert done.exit_code == 0
    place = tmp_path / "config" / "tikval" / "key"
    assert f"made {place}: keep it" in done.stderr
    assert place.read_text().strip() not in (tmp_path / "out" / "erased.json").read_text()
    write_catalog(config)
    assert Folder(config.folder).read().num_rows == 0
