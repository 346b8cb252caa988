"""A person has one spelling: in tables, for minors, and for who is erased."""

from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from tests.fixtures.rows import label, script, video
from tikval.ask.withheld import withheld_accounts, withheld_rows
from tikval.cli import app
from tikval.config import Api, CatalogConfig, Gemini, ScriptConfig
from tikval.privacy import canonical_account
from tikval.rows import AccountRow, ScriptRow, arrow_schema
from tikval.sources.accounts import resolve_accounts, unmatched_minors
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.study.erasure import erase_videos

SPELLINGS = [
    "zz_kid",
    "@zz_kid",
    "ZZ_Kid",
    " zz_kid ",
    "\t@zz_kid\n",
    "zz_kid\u200b",
    "z\u00adz_kid",
    "\u2066zz_kid\u2069",
    "\ufeffzz_kid",
    "zz_kid\ufe0f",
    "\uff20\uff5a\uff5a_\uff4b\uff49\uff44",  # full width
    "\ufe6bzz_kid",  # a small @
    "@ zz_kid",
    "zz\u3164_kid",
]


@pytest.mark.parametrize("name", SPELLINGS, ids=ascii)
def test_one_account_however_it_is_spelt(name: str) -> None:
    assert canonical_account(name) == "zz_kid"


@pytest.mark.parametrize("name", ["zz.kid", "zzkid", "zz_kid2", "zz-kid", "@@zz_kid", "", "@"])
def test_other_names_are_others(name: str) -> None:
    assert canonical_account(name) != "zz_kid"


def test_composed_and_decomposed_letters_are_one_name() -> None:
    assert canonical_account("jose\u0301") == canonical_account("JOS\u00c9")


def test_the_first_spelling_is_kept_everywhere_and_an_annotation_names_what_the_manifest_does_not() -> None:
    videos = [
        video("1", account=" @ZZ_Kid"),
        video("2", account="zz_kid\u200b"),
        video("3"),
        video("4", account=" "),
    ]
    labels = [label("3", account="ann"), label("1", account="zz_kid")]
    accounts: list[AccountRow] = [
        {"account": "zz_KID", "genre": None, "source": None, "is_minor": True, "is_parent_run": None},
        {"account": "nobody", "genre": None, "source": None, "is_minor": True, "is_parent_run": None},
    ]
    resolve_accounts(videos, labels, accounts)
    assert [row["account"] for row in videos] == ["@ZZ_Kid", "@ZZ_Kid", "ann", None]
    assert [row["account"] for row in labels] == ["ann", "@ZZ_Kid"]
    assert unmatched_minors(videos, accounts) == ["nobody"]


def write_study(root: Path) -> CatalogConfig:
    names = ["zz_kid", "@zz_kid", "ZZ_Kid", "zz_kid ", "ann"]
    for n in range(len(names)):
        (root / f"{n}.mp4").write_bytes(b"x")
    lines = [f"{n}.mp4,{name}" for n, name in enumerate(names)]
    (root / "videos.csv").write_text("\n".join(["path,account", *lines]))
    (root / "accounts.csv").write_text("account,is_minor\nZz_Kid,yes\nZz_Kit,yes\n")
    return CatalogConfig(
        videos=str(root / "videos.csv"), accounts=str(root / "accounts.csv"), out=str(root / "out")
    )


def test_a_minors_videos_are_withheld_in_every_spelling(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_study(tmp_path)
    write_catalog(config)
    assert "1 accounts of minors match no video (Zz_Kit)" in capsys.readouterr().err
    catalog = Folder(config.folder)
    names = withheld_accounts(catalog, Gemini(model="gemini-x"), Api())
    assert len(withheld_rows(catalog, names)) == 4
    assert [row["account"] for row in catalog.read().to_pylist() if row["account"] not in names] == ["ann"]


def test_an_account_is_erased_in_every_spelling_and_does_not_come_back(tmp_path: Path) -> None:
    config = write_study(tmp_path)
    write_catalog(config)
    found, _ = erase_videos(config.out, set(), {"ZZ_KID\u200b"})
    assert found == {"0", "1", "2", "3"}
    write_catalog(config)
    assert Folder(config.folder).read(["video_id"])["video_id"].to_pylist() == ["4"]
    assert "zz_kid" not in (tmp_path / "out" / "erased.json").read_text().lower()


def test_a_name_that_matches_nothing_is_an_error_with_near_ones(tmp_path: Path) -> None:
    config = write_study(tmp_path)
    write_catalog(config)
    done = CliRunner().invoke(app, ["erase", config.out, "--account", "zz_kidd"])
    assert done.exit_code == 1
    assert "not found, and kept out from now on: zz_kidd (near it: zz_kid" in done.stderr
    assert "erased" not in done.stdout
    assert Folder(config.folder).finished().rows == 5


def test_an_erasure_that_was_killed_after_the_catalog_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_study(tmp_path)
    write_catalog(config)
    scripts = ScriptConfig(videos=config, out=config.out)
    folder, rows = Folder(scripts.folder), Folder(config.folder).read().to_pylist()
    made = [script(row["video_id"], row_key=row["row_key"]) for row in rows]
    folder.write_part(pa.Table.from_pylist(made, schema=arrow_schema(ScriptRow)))
    folder.seal(scripts, {}, 1.0)

    def killed(folder: Folder, ids: set[str]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tikval.study.erasure._cut_sheets", killed)  # what comes after a folder's tables
        with pytest.raises(KeyboardInterrupt):
            erase_videos(config.out, set(), {"zz_kid"})
    assert Folder(config.folder).finished().rows == 1
    assert folder.finished().rows == 5
    found, n = erase_videos(config.out, set(), {"zz_kid"})
    assert (found, n) == ({"0", "1", "2", "3"}, 4)
    assert folder.finished().rows == 1
