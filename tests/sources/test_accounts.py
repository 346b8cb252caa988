"""A person has one spelling: in tables, for minors, and for who is erased."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from tests.fixtures.rows import label, script, video
from tikval.ask.withheld import check_minors, withheld_videos
from tikval.cli.commands import app
from tikval.config import Api, CatalogConfig, Gemini, ScriptConfig, UserError, Vllm
from tikval.privacy import canonical_account
from tikval.rows import AccountRow, ScriptRow, arrow_schema
from tikval.sources.accounts import resolve_posts, unmatched_minors
from tikval.sources.catalog import read_accounts
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.study.erasure import erase_videos

OUTSIDE = Gemini(model="gemini-x")
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


@pytest.mark.parametrize(
    ("first", "before", "shown"),
    [
        ("@jane.doe", [], "jane.doe"),
        ("\uff20 jane.doe", [], "jane.doe"),
        ("@@jane.doe", [], "@@jane.doe"),  # another one's name
        ("jane.doe", ["@jane.doe"], "@jane.doe"),  # as a finished study has it
    ],
)
def test_an_at_sign_is_no_part_of_a_name(first: str, before: list[str], shown: str) -> None:
    videos = [video("1", account=first), video("2", account="Jane.Doe ")]
    videos = list(resolve_posts(videos, [], [], before).told(videos))
    assert videos[0]["account"] == shown


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
    videos = list(resolve_posts(videos, labels, accounts).told(videos))
    assert [row["account"] for row in videos] == ["ZZ_Kid", "ZZ_Kid", "ann", None]
    assert [row["account"] for row in labels] == ["ann", "ZZ_Kid"]
    assert unmatched_minors(["ZZ_Kid", "ann"], accounts) == ["nobody"]


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
    withheld = withheld_videos(catalog, OUTSIDE, Api(minors_unknown="send"))
    rows = catalog.read().to_pylist()
    assert [row["account"] for row in rows if not withheld.reason(row["row_key"])] == ["ann"]
    assert not any(
        withheld_videos(catalog, OUTSIDE, Api(send_minors=True)).reason(row["row_key"]) for row in rows
    )
    assert not any(withheld_videos(catalog, Vllm(model="own"), Api()).reason(row["row_key"]) for row in rows)


def test_an_account_that_only_the_annotation_names_is_held_back_and_erased(tmp_path: Path) -> None:
    for n in range(2):
        (tmp_path / f"{n}.mp4").write_bytes(b"x")
    (tmp_path / "labels.csv").write_text("video_id,account,face\n0,ZZ_kid,1\n1,ann,1\n")
    (tmp_path / "accounts.csv").write_text("account,is_minor,genre\n@zz_kid,yes,play\nann,no,\n")
    config = CatalogConfig(
        videos=str(tmp_path),
        annotations=str(tmp_path / "labels.csv"),
        accounts=str(tmp_path / "accounts.csv"),
        out=str(tmp_path / "out"),
    )
    write_catalog(config)
    catalog = Folder(config.folder)
    rows = catalog.read().to_pylist()
    assert [(row["account"], row["genre"], row["is_minor"]) for row in rows] == [
        ("ZZ_kid", "play", True),
        ("ann", None, False),
    ]
    check_minors(catalog, OUTSIDE, Api(), np.sort(catalog.keys()))
    withheld = withheld_videos(catalog, OUTSIDE, Api())
    assert [bool(withheld.reason(row["row_key"])) for row in rows] == [True, False]
    assert erase_videos(config.out, set(), {"zz_kid"})[0] == {"0"}


def test_unknown_is_not_no(tmp_path: Path) -> None:
    config = write_study(tmp_path)
    write_catalog(config)
    catalog = Folder(config.folder)
    keys = np.sort(catalog.keys())
    with pytest.raises(UserError, match=r"of 1 videos nothing says .*minors_unknown=withhold or =send"):
        check_minors(catalog, OUTSIDE, Api(), keys)
    with pytest.raises(UserError, match="1 accounts that are marked as a minor's match no video"):
        check_minors(catalog, OUTSIDE, Api(minors_unknown="withhold"), keys)
    check_minors(catalog, OUTSIDE, Api(minors_unknown="withhold", minors_unmatched="go_on"), keys)
    check_minors(catalog, OUTSIDE, Api(send_minors=True), keys)
    check_minors(catalog, Vllm(model="own"), Api(), keys)
    withheld = withheld_videos(catalog, OUTSIDE, Api(minors_unknown="withhold"))
    reasons = {row["account"]: withheld.reason(row["row_key"]) for row in catalog.read().to_pylist()}
    assert "minors_unknown=send sends it" in (reasons["ann"] or "")
    assert "send_minors=true" in (reasons["zz_kid"] or "")


def test_what_is_done_and_what_cannot_be_sent_needs_no_answer(tmp_path: Path) -> None:
    for name in ("kid", "ann"):
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
    (tmp_path / "videos.csv").write_text("path,account\nkid.mp4,kid\nann.mp4,ann\ngone.mp4,\n,\n")
    (tmp_path / "accounts.csv").write_text("account,is_minor\nkid,yes\n")
    config = CatalogConfig(
        videos=str(tmp_path / "videos.csv"),
        accounts=str(tmp_path / "accounts.csv"),
        out=str(tmp_path / "out"),
    )
    write_catalog(config)
    catalog = Folder(config.folder)
    key_of = {row["account"]: row["row_key"] for row in catalog.read().to_pylist() if row["account"]}
    with pytest.raises(UserError, match="of 1 videos nothing says"):
        check_minors(catalog, OUTSIDE, Api(), np.sort(catalog.keys()))
    kid = np.array([bytes.fromhex(key_of["kid"])], "S16")
    check_minors(catalog, OUTSIDE, Api(), kid)  # is tried again, and withheld again


def test_an_account_without_a_letter_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("account,is_minor\nkid,yes\n@\u200b,yes\n")
    with pytest.raises(UserError, match=r"accounts\.csv: line 3: column account: empty"):
        read_accounts(str(tmp_path / "accounts.csv"))


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


def test_an_erasure_that_was_killed_after_its_first_folder_goes_on(
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
    assert folder.finished().rows == 1
    assert Folder(config.folder).finished().rows == 5  # last, so that the account is still known
    found, n = erase_videos(config.out, set(), {"zz_kid"})
    assert (found, n) == ({"0", "1", "2", "3"}, 5)  # the catalog and the accounts table
    assert folder.finished().rows == Folder(config.folder).finished().rows == 1
