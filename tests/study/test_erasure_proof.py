"""Who is erased is gone: killed at any write, in every kind of file, in every spelling; and a search shows it."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from tests.fixtures.rows import script
from tests.study.test_erasure_and_export import ANN, BOB, IDS, Made, Report, mentions
from tikval import files
from tikval.cli.commands import app
from tikval.files import read_parquet, write_bytes, write_table
from tikval.llm.client import Reply, Usage
from tikval.llm.ledger import Entry, Ledger, ledger_key
from tikval.llm.uploads import Uploads
from tikval.rows import DuplicateRow, ScriptRow, VideoRow, arrow_schema, row_key
from tikval.sources.erased import not_erased
from tikval.sources.write_catalog import write_catalog
from tikval.stats.folds import Fold, to_json
from tikval.store.folder import Folder
from tikval.study.erased_names import ErasedNames
from tikval.study.erasure import erase_videos, names_to_erase
from tikval.study.erasure_proof import search_study
from tikval.study.learnt_models import models_that_learnt

FIRST, SECOND, THIRD = IDS[:3]
GONE = (FIRST, SECOND, "never-downloaded", ANN, ANN.upper())


def erase(out: str, *words: str) -> Result:
    return CliRunner().invoke(app, ["erase", out, *words])


def entry(video_id: str, text: str) -> Entry:
    return Entry(video_id, Reply(text, "m", Usage(tokens_in=3)), 0.01, "2026-01-01T00:00:00+00:00")


def write_rich_study(root: Path) -> Made:
    """A study in which the erased stand in every kind of file that a stage writes."""
    made = Made(root)
    out, ledger = made.out, Ledger(made.out)
    keys = [ledger_key({"call": n}) for n in range(6)]
    ledger.put(keys[0], entry(FIRST, "a script"))
    ledger.put(keys[1], entry(FIRST, "of a file that another video has too"))
    ledger.put(keys[2], entry(THIRD, f"duet with @{ANN} and @someone.else"))
    ledger.put(keys[3], entry(SECOND, "an attempt that no row names"))
    ledger.put(keys[4], entry(FIRST, "a second sample of that file"))
    ledger.put(keys[5], entry(FIRST, "a second sample of its own"))
    write_bytes(f"{out}/ledger/ab/.tmp-0123", b'{"video_id": "first-video", "rep')
    write_bytes(f"{out}/ledger/ab/.tmp-4567", Path(ledger.place(keys[0])).read_bytes())
    rows = [dict(row) for row in made.script_rows]
    rows[0]["ledger_key"], rows[2]["ledger_key"] = f"{keys[0]} {keys[5]}", f"{keys[1]} {keys[4]}"
    rows[2]["script"] = f"SPEAKER: with @{ANN}, {ANN.upper()} and first-video.mp4, not {ANN}2 or dance"
    paid = made.scripts.model_copy(
        update={"writer": made.scripts.writer.model_copy(update={"max_lost_share": 0.1})}
    )
    folder = Folder(paid.folder)
    folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(ScriptRow)))
    folder.seal(paid, {}, 1.0)
    pair = {"video_id": THIRD, "other_id": FIRST, "near_duplicates": 0, "same_file": True, "cosine": 1.0}
    pairs = pa.Table.from_pylist([pair], schema=arrow_schema(DuplicateRow))
    write_table(f"{paid.folder}/_near_duplicates-0123456789abcdef.parquet", pairs)
    write_bytes(f"{paid.folder}/calls.json", json.dumps({"in_flight": {FIRST: 1}}).encode())
    write_bytes(f"{paid.folder}/.tmp-0123456789abcdef", b"PAR1")
    for name, video_id in (("files/tikval-01", FIRST), ("files/tikval-02", THIRD), ("files/tikval-03", None)):
        Uploads(out).note(name, video_id=video_id)
    write_bytes(f"{out}/uploads/.tmp-0123", b'{"video_id": "first-video", "na')
    folds = [Fold(0, 0, (FIRST, THIRD), (), (SECOND,)), Fold(0, 1, (THIRD,), (SECOND,), (FIRST,))]
    trained = f"{out}/finetune-aaaaaaaaaaaa"
    write_bytes(f"{trained}/folds.json", to_json(folds).encode())
    write_bytes(f"{trained}/ray/p0-f0-s0-x/checkpoint/state.pt", f"\0{FIRST}\0".encode())
    write_bytes(f"{trained}/history.json", json.dumps({"lost": FIRST}).encode())
    for name in ("p0-f0-s0", "p0-f1-s0"):
        write_bytes(f"{trained}/models/{name}/weights.pt", b"\0\1\2")
        write_bytes(
            f"{trained}/models/{name}/model.json", json.dumps({"weights_sha256": f"{name}1"}).encode()
        )
    swept = f"{out}/sweep-bbbbbbbbbbbb"
    write_bytes(f"{swept}/folds.json", to_json(folds).encode())
    write_bytes(f"{swept}/trials/0123/p0-f0/0001.json", json.dumps({"detail": FIRST}).encode())
    read = pa.table({"video_id": [FIRST, SECOND, THIRD], "left_out": [None, "test", None]})
    write_table(
        f"{out}/pretrain-cccccccccccc/_encoder-all-0123456789abcdef.parquet",
        read.replace_schema_metadata({"tikval": '{"losses": [0.5]}'}),
    )
    write_bytes(f"{out}/pretrain-cccccccccccc/encoders/all/config.json", b"{}")
    page = Report(out=out)
    write_bytes(f"{page.folder}/data/videos.js", f'x = ["{FIRST}", "{ANN}"]'.encode())
    Folder(page.folder).write_run(page, [], {}, 0, {}, 0)
    return made


def left(out: str) -> set[str]:
    """Files in which any of the names stands, found without the code under test. @ann.of.cleves2 is somebody else."""
    longer = f"{ANN}2"
    found = set()
    for name in GONE:
        for file in mentions(out, name):
            path = Path(out, file)
            text = (
                repr(read_parquet(str(path)).to_pylist()) if path.suffix == ".parquet" else path.read_text()
            )
            if name in text.replace(longer, ""):
                found.add(f"{file}: {name}")
    return found


def test_nothing_is_left_in_any_kind_of_file(tmp_path: Path) -> None:
    made = write_rich_study(tmp_path)
    assert len(left(made.out)) > 20
    done = erase(made.out, "--account", ANN)
    assert done.exit_code == 0, done.output
    assert not left(made.out)
    assert "searched" in done.stdout
    assert "nothing of them is left" in done.stdout
    ledger = Ledger(made.out)
    kept = {key: found for key in ledger.keys() if (found := ledger.get(key))}  # noqa: SIM118
    assert {found.video_id for found in kept.values()} == {THIRD}, (
        "a reply that another row is read from is its"
    )
    assert sorted(found.reply.text or "" for found in kept.values()) == [
        "a second sample of that file",
        "duet with @someone and @someone.else",
        "of a file that another video has too",
    ]
    scripts = {row["script"] for folder in Path(made.out).glob("scripts-*") for row in rows_of(folder)}
    assert f"SPEAKER: with @someone, @someone and [erased].mp4, not {ANN}2 or dance" in scripts
    assert not list(Path(made.out).rglob("*.tmp-*"))
    assert not list(Path(made.out).rglob("trials"))


def rows_of(folder: Path) -> list[Any]:
    return [
        row
        for file in sorted(folder.glob("*.parquet"))
        if not file.name.startswith("_")
        for row in read_parquet(str(file)).to_pylist()
    ]


class KilledError(BaseException):
    pass


def kill_at(patch: pytest.MonkeyPatch, call: int) -> list[str]:
    """Let the n-th write or deletion of the whole package end the process; returns the list of those before."""
    calls: list[str] = []

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any) -> Any:
            calls.append(f"{act.__name__} {args[0]}")
            if len(calls) == call:
                raise KilledError
            return act(*args)

        return counting

    for name in ("write_bytes", "delete", "delete_folder"):
        act: Callable[..., Any] = getattr(files, name)
        for module in [module for key, module in sys.modules.items() if key.startswith("tikval.")]:
            if getattr(module, name, None) is act:
                patch.setattr(module, name, counted(act))
    return calls


def test_killed_at_any_write_the_same_command_ends_it(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    write_rich_study(tmp_path / "whole")
    out = tmp_path / "again" / "out"
    for call in range(1, 400):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(tmp_path / "whole" / "out", out)
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, call)
            try:
                erase_videos(str(out), set(), {ANN})
                break
            except KilledError:
                pass
        names = names_to_erase(str(out), set(), {ANN})
        erase_videos(str(out), set(), {ANN})
        assert not left(str(out)), f"killed at write {call}"
        assert not search_study(str(out), names).finds
        assert models_that_learnt(str(out)) == LEARNT, f"killed at write {call}"
        catalog = next(out.glob("catalog-*"))
        assert {row["video_id"] for row in Folder(str(catalog)).read().to_pylist()} == {THIRD, IDS[3]}
    else:
        pytest.fail("it never came to its end")
    assert call > 30, "more is written than that"


LEARNT = {
    "finetune-aaaaaaaaaaaa/models/p0-f0-s0": 1,
    "finetune-aaaaaaaaaaaa/models/p0-f1-s0": 1,
    "pretrain-cccccccccccc/encoders/all": 1,
}


def test_models_that_learnt_from_the_erased_are_named_until_they_are_trained_again(tmp_path: Path) -> None:
    made = write_rich_study(tmp_path)
    done = erase(made.out, FIRST)
    assert "finetune-aaaaaaaaaaaa/models/p0-f0-s0: learnt from 1 erased videos" in done.stdout
    assert "p0-f1-s0" not in done.stdout, "it only tested with the video"
    assert "pretrain-cccccccccccc/encoders/all: learnt from 1 erased videos" in done.stdout
    assert Path(made.out, "finetune-aaaaaaaaaaaa/models/p0-f0-s0/weights.pt").exists()
    write_bytes(f"{made.out}/finetune-aaaaaaaaaaaa/models/p0-f0-s0/model.json", b'{"weights_sha256": "new"}')
    assert models_that_learnt(made.out) == {"pretrain-cccccccccccc/encoders/all": 1}
    shutil.rmtree(Path(made.out, "pretrain-cccccccccccc/encoders"))
    assert models_that_learnt(made.out) == {}


PLANTED: dict[str, bytes] = {
    "mine/notes.txt": b"about first-video",
    "mine/first-video.bin": b"",
    "mlruns/0/meta.yaml": b"source: /data/first-video.mp4",
    "logs/driver.log": b"[ERROR] First-Video: broke",
    "page/data/rows.js": b'{"id":"first-video"}',
    "old.pickle": b"\x80\x04\x95\x8c\x0bfirst-video\x94.",
    "deep/er/weights.pt": b"\0" * 40_000_000 + b"first-video" + b"\0",
    "escaped.json": json.dumps({"who": "jos\u00e9_\u00e9"}).encode(),
    "decomposed.txt": "jose\u0301_e\u0301".encode(),
    "address.html": b'<a href="/v/jos%C3%A9_%C3%A9">',
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_tikval_did_not_write_is_found_and_named(tmp_path: Path, name: str) -> None:
    made = Made(tmp_path)
    write_bytes(f"{made.out}/{name}", PLANTED[name])
    done = erase(made.out, FIRST, "--account", "jos\u00e9_\u00e9")
    assert done.exit_code == 1
    assert f"left: {name}: in its " in done.stderr
    assert "in no stage's folder: delete or change it yourself" in done.stderr
    assert "names are left in 1 places" in done.stdout
    assert Path(made.out, name).exists()


def table_of(**columns: Any) -> pa.Table:
    return pa.table({key: pa.array(value) for key, value in columns.items()})


TABLES: dict[str, Callable[[], pa.Table]] = {
    "column who": lambda: table_of(who=["x", "first-video"]),
    "column nested": lambda: table_of(nested=[[{"a": "first-video"}], None]),
    "column coded": lambda: pa.table({"coded": pa.array(["first-video"]).dictionary_encode()}),
    "column raw": lambda: table_of(raw=[b"\x00first-video\x00"]),
    "column number": lambda: table_of(number=[7412345678901234567]),
    "in its bytes": lambda: table_of(a=[1]).replace_schema_metadata({"made of": "first-video"}),
}


@pytest.mark.parametrize("where", TABLES)
def test_tables_are_searched_cell_by_cell_and_in_their_facts(tmp_path: Path, where: str) -> None:
    made = Made(tmp_path)
    pq.write_table(TABLES[where](), Path(made.out, "theirs.parquet"), compression="zstd")
    done = erase(made.out, FIRST, "7412345678901234567")
    assert f"left: theirs.parquet: {where}" in done.stderr


NOT_THEM = (
    b"first-video-2 my-first-video first-videos clip/first-video, zz_kid.official zz_kid2 @my.zz_kid",
    b"17412345678901234567 74123456789012345678",
    b"we dance and the face, https://example.org/dance, mail@dance.org",
)


@pytest.mark.parametrize("text", NOT_THEM)
def test_other_names_and_plain_words_are_no_finds(tmp_path: Path, text: bytes) -> None:
    write_bytes(f"{tmp_path}/mine/notes.txt", text)
    ids, accounts = {FIRST, "7412345678901234567", "0"}, {"dance", "ab", "zz_kid"}
    others = {"known_ids": frozenset({"clip/first-video"}), "known_accounts": frozenset({"my.zz_kid"})}
    names = ErasedNames(frozenset(ids), frozenset(accounts), **others)
    assert not search_study(str(tmp_path), names).finds
    assert names.vague == ["0", "ab", "dance"]


def test_short_names_and_plain_words_are_looked_for_as_cells_and_mentions_and_it_says_so(
    tmp_path: Path,
) -> None:
    made = Made(tmp_path)
    write_bytes(f"{made.out}/mine/notes.txt", b"we dance, says @Dance!")
    write_table(f"{made.out}/theirs.parquet", table_of(account=["dance", "dancer"]))
    done = erase(made.out, "--account", "dance")
    assert "left: mine/notes.txt: in its bytes" in done.stderr
    assert "left: theirs.parquet: column account, 1 rows" in done.stderr
    assert "1 names are short, or may be plain words (dance)" in done.stderr


def test_a_row_whose_path_names_the_erased_is_named_with_its_id(tmp_path: Path) -> None:
    made = Made(tmp_path)
    folder = Folder(made.catalog.folder)
    (tmp_path / f"@{ANN}_video_7412345678901234567.mp4").write_bytes(b"x")
    (tmp_path / "videos.csv").write_text(f"path,video_id\n@{ANN}_video_7412345678901234567.mp4,other\n")
    write_catalog(made.catalog.model_copy(update={"annotations_unmatched": "go_on"}))
    assert folder.read(["video_id"])["video_id"].to_pylist() == ["other"]
    done = erase(made.out, "--account", ANN)
    assert done.exit_code == 1
    assert "column path, 1 rows; if these videos are theirs, erase them too: other" in done.stderr
    assert f"2 videos stand in tables and in no catalog ({IDS[3]}, {SECOND})" in done.stderr
    assert not mentions(made.out, ANN) - {
        f"catalog-{made.catalog.fingerprint}/{name}" for name in folder.parts()
    }
    assert "nothing of them is left" in erase(made.out, "other", "--account", ANN).stdout
    assert not mentions(made.out, ANN)


def test_a_video_is_erased_by_its_alias_and_stays_away_under_either_name(tmp_path: Path) -> None:
    """The column is there as soon as a table has it."""
    made = Made(tmp_path)
    post, found = "7412345678901234567", "zz_kid/7412345678901234567"
    schema = arrow_schema(VideoRow)
    row = Folder(made.catalog.folder).read().to_pylist()[0]
    row |= {"video_id": post, "row_key": row_key(post, 1, "1"), "account": None}
    table = pa.Table.from_pylist([row], schema=schema)
    if "alias" in table.column_names:
        table = table.drop_columns(["alias"])
    folder = Folder(made.catalog.folder)
    table = table.append_column("alias", pa.array([found]))
    write_table(f"{folder.uri}/data-0123456789abcdef.parquet", table)
    folder.write_run(made.catalog, ["data-0123456789abcdef.parquet"], {}, 1, {}, 0)
    later = [script(post, row_key=row["row_key"])]
    Folder(made.scripts.folder).write_part(pa.Table.from_pylist(later, schema=arrow_schema(ScriptRow)))
    assert erase_videos(made.out, {found}, set()) == ({post}, 2)
    for known in ({"video_id": post}, {"video_id": found}, {"video_id": "new", "alias": found}):
        assert not_erased(made.out, [cast(VideoRow, {**row, **known})]) == []
    assert not mentions(made.out, post)


def test_a_caption_does_not_bring_an_erased_account_back(tmp_path: Path) -> None:
    made = Made(tmp_path)
    (tmp_path / "videos.csv").write_text(
        f"path,account,caption\n{THIRD}.mp4,{BOB},duet with @{ANN.upper()}!\n"
    )
    write_catalog(made.catalog)
    assert erase(made.out, "--account", ANN).exit_code == 0
    write_catalog(made.catalog)
    assert Folder(made.catalog.folder).read().to_pylist()[0]["caption"] == "duet with @someone!"
    assert not mentions(made.out, ANN.upper())


def test_the_search_counts_files_and_bytes_on_any_file_system(tmp_path: Path) -> None:
    """Through pyarrow's file systems alone: a URI is searched as a path is."""
    made = Made(tmp_path)
    fs, path = pafs.LocalFileSystem(), str(Path(made.out).absolute())
    infos = fs.get_file_info(pafs.FileSelector(path, recursive=True))
    sizes = [info.size for info in infos if info.type == pafs.FileType.File]
    names = names_to_erase(made.out, {FIRST}, set())
    for uri in (made.out, f"file://{path}"):
        found = search_study(uri, names)
        assert (found.files, found.size_bytes) == (len(sizes), sum(sizes))
        assert {find.file.partition("-")[0] for find in found.finds} == {"catalog", "scripts", "predictions"}


def test_packed_files_are_named_as_not_searched(tmp_path: Path) -> None:
    made = Made(tmp_path)
    write_bytes(f"{made.out}/mine/copy.zip", b"PK")
    assert "1 packed files were not looked into: mine/copy.zip" in erase(made.out, FIRST).stderr


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Out of the study, or in circles."""
    made = Made(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    for place in (outside / ".tmp-0123", outside / "notes.json"):
        place.write_text('"first-video"')
    folder = Path(made.scripts.folder)
    for link, to in (("there", outside), ("circle", folder), ("file.json", outside / "notes.json")):
        (folder / link).symlink_to(to)
    done = erase(made.out, FIRST)
    assert done.exit_code == 0, done.stderr
    assert sorted(path.name for path in outside.iterdir()) == [".tmp-0123", "notes.json"]
    assert (outside / "notes.json").read_text() == '"first-video"'


def test_a_tokenizer_is_left_as_it_is(tmp_path: Path) -> None:
    made = Made(tmp_path)
    place = Path(made.out, "finetune-aaaaaaaaaaaa/models/p0-f0-s0/encoder/tokenizer.json")
    write_bytes(str(place), b'{"vocab": {"covid19": 7}}')
    done = erase(made.out, "--account", "covid19")
    assert place.read_bytes() == b'{"vocab": {"covid19": 7}}'
    assert "tokenizer.json: in its bytes; delete this file, and run the stage again" in done.stderr


@pytest.mark.parametrize(
    "given",
    [
        "7412345678901234567",
        "https://www.tiktok.com/@zz_kid/video/7412345678901234567?lang=en",
        "zz_kid/7412345678901234567",
    ],
)
def test_a_post_is_erased_by_its_address_id_or_file_name(tmp_path: Path, given: str) -> None:
    made = Made(tmp_path)
    file = tmp_path / "posts" / "zz_kid" / "7412345678901234567.mp4"
    for path in (file, file.with_name("7412345678901234568.mp4")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    catalog = made.catalog.model_copy(update={"videos": str(tmp_path / "posts"), "annotations": None})
    write_catalog(catalog)
    done = erase(made.out, given)
    assert done.exit_code == 0, done.stderr
    assert not mentions(made.out, "7412345678901234567")
    write_catalog(catalog)
    assert Folder(catalog.folder).read(["video_id"])["video_id"].to_pylist() == ["7412345678901234568"]


def test_what_was_uploaded_of_the_erased_is_still_known_by_its_files_name(tmp_path: Path) -> None:
    made = write_rich_study(tmp_path)
    for _ in range(2):  # said again until the file is gone
        told = erase(made.out, FIRST).output
        assert "1 uploaded file of erased videos may still lie on the provider's server" in told
        assert f"tikval doctor --remote {made.out} --delete" in told
        assert "nothing of them is left" in told
    uploads = Uploads(made.out)
    assert uploads.left() == [f"files/tikval-0{n}" for n in (1, 2, 3)]
    assert [upload.video_id for upload in uploads.records()] == [None, THIRD, None]
    uploads.forget("files/tikval-01")
    assert "uploaded" not in erase(made.out, FIRST).output
