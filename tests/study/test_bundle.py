"""A bundle of a study: whoever has it can check every number, learns no name, and whatever was changed is found."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.claims import Claimed
from tests.fixtures.offline import tikval
from tests.fixtures.trained import IDS, Study, stances
from tikval.claims.declaration import declaration_of, read_claims
from tikval.claims.families import read_families
from tikval.claims.family import look_at_claims
from tikval.config import EvaluateConfig, UserError
from tikval.evaluate.score_systems import score_systems
from tikval.rows import Passage, PredictionRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.runs import Study as Folders
from tikval.study.bundle import MADE, csv_bytes, csv_name, parquet, read_bundles, write_bundle
from tikval.study.erasure import names_to_erase
from tikval.study.erasure_proof import search_study
from tikval.study.verify import Checked, verify_bundle

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a bundle of a study with a trained system, a language model, scores and a claim."""
    root = tmp_path_factory.mktemp("study")
    study = Study(root)
    trained = study.trained("encoder", study.noisy(1.0))
    asked = study.asked(
        "gemini", lambda name: stances(int(study.truth[name][0]), -(IDS.index(name) % 3 == 0))
    )
    score_systems(EvaluateConfig(predictions=(trained, asked), out=study.out))
    write_bundle(Folders(study.out), str(root / "one.zip"))
    write_bundle(Folders(study.out), str(root / "two.zip"))
    one, two = (unpacked(root / name) for name in ("one.zip", "two.zip"))
    assert {name for name in one if one[name] != two[name]} <= {MADE}
    assert [each["file"] for each in read_bundles(study.out)] == [
        str(root / "one.zip"),
        str(root / "two.zip"),
    ]
    return one


def unpacked(file: Path) -> Files:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Files, to: Path) -> str:
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return str(to)


def checked(files: Files, root: Path) -> Checked:
    (root / "unpacked").mkdir(parents=True)
    return verify_bundle(packed(files, root / "given.zip"), root / "unpacked")


def with_new_manifest(files: Files) -> Files:
    """What somebody makes who changes a file and then the manifest, so that the hashes fit."""
    manifest = json.loads(files["manifest.json"])
    names = [name for name in files if name not in ("manifest.json", MADE)]
    manifest["files"] = {name: hashlib.sha256(files[name]).hexdigest() for name in names}
    return files | {"manifest.json": json.dumps(manifest).encode()}


def table_in(files: Files, name: str) -> pa.Table:
    return pq.read_table(io.BytesIO(files[name]))


def changed(files: Files, name: str, change: Callable[[list[dict[str, Any]]], Any]) -> Files:
    """A table changed, with its .csv and the manifest made to fit."""
    table = table_in(files, name)
    rows = table.to_pylist()
    change(rows)
    again = pa.Table.from_pylist(rows, schema=table.schema)
    return with_new_manifest(files | {name: parquet(again), csv_name(name): csv_bytes(again)})


def place(files: Files, begins: str, ends: str = "data.parquet") -> str:
    return next(name for name in files if name.startswith(f"study/{begins}") and name.endswith(ends))


def test_what_was_not_changed_is_as_stated(made: Files, tmp_path: Path) -> None:
    found = checked(made, tmp_path)
    assert found.differs == []
    assert found.numbers > 1000
    assert "the videos, the models and the people" in found.not_recomputed[0]


def test_accounts_are_numbers_and_no_word_of_a_video_is_in_it(made: Files) -> None:
    for name, data in made.items():
        text = data if name != MADE else b""
        if name.endswith(".parquet"):
            text = csv_bytes(table_in(made, name))
        assert b"account0" not in text, name
        assert b"SPEAKER" not in text, name
        assert b"/tmp" not in text, name
    labels = table_in(made, place(made, "catalog", "_labels.parquet"))
    assert set(labels["account"].to_pylist()) <= {None, *(f"account-{n:02}" for n in range(1, 16))}
    assert labels["annotator"][0].as_py() == "annotator-1"


def set_f1(rows: list[dict[str, Any]]) -> None:
    row = next(row for row in rows if row["system"] == "encoder" and row["label"] == "face+")
    row["f1"] += 0.01


def set_rate(rows: list[dict[str, Any]]) -> None:
    rows[0]["rate"] = 0.5


@pytest.mark.parametrize(
    ("begins", "ends", "change", "says"),
    [
        (
            "scores",
            "data.parquet",
            set_f1,
            "row encoder, schwartz-19, left_out, endorsed, face+, column f1: states",
        ),
        ("scores", "data.parquet", lambda rows: rows.pop(), "is missing"),
        ("scores", "_comparisons.parquet", lambda rows: rows[0].update(difference=0.5), "column difference"),
        ("scores", "_slices.parquet", lambda rows: rows[0].update(value=0.99), "column value: states 0.99"),
        ("predictions", "data.parquet", lambda rows: rows.pop(3), "rows: states 92, recomputed 91"),
        ("predictions", "data.parquet", lambda rows: rows.append(rows[0]), "rows: states 92, recomputed 93"),
        (
            "predictions",
            "data.parquet",
            lambda rows: rows[5].update(decisions=[not yes for yes in rows[5]["decisions"]]),
            "column f1: states",
        ),
        ("catalog", "_labels.parquet", lambda rows: rows.pop(), "column support: states"),
    ],
)
def test_what_was_changed_is_found_whatever_the_manifest_says(
    made: Files, tmp_path: Path, begins: str, ends: str, change: Callable[[Any], Any], says: str
) -> None:
    found = checked(changed(made, place(made, begins, ends), change), tmp_path)
    assert any(says in line for line in found.differs), found.differs[:5]


def test_a_changed_rate_is_named_by_file_row_and_column(made: Files, tmp_path: Path) -> None:
    found = checked(changed(made, "tables/rates.parquet", set_rate), tmp_path)
    assert len(found.differs) == 1
    assert "tables/rates.parquet: row encoder, all, all, face+, column rate: states 0.5" in found.differs[0]


@pytest.mark.parametrize("kind", ["codebook", "extract"])
def test_another_codebook_or_prompt_is_found(made: Files, tmp_path: Path, kind: str) -> None:
    name = next(name for name in made if name.startswith("files/") and kind in name)
    files = with_new_manifest(made | {name: made[name] + b"\n# reworded\n"})
    assert any("one of files/ is another one" in line for line in checked(files, tmp_path).differs)


def test_files_that_the_manifest_does_not_have_and_those_that_are_not_there_are_named(
    made: Files, tmp_path: Path
) -> None:
    files = {name: data for name, data in made.items() if name != "README.txt"} | {"more.txt": b"x"}
    files["tables/rates.csv"] += b"more\r\n"
    lines = checked(files, tmp_path).differs
    assert "more.txt: is not in the manifest" in lines
    assert "README.txt: is missing" in lines
    assert "tables/rates.csv: is not the file that the manifest names (another SHA-256)" in lines


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["../out.txt"], "leads out of the folder"),
        (["/etc/passwd"], "leads out of the folder"),
        (["a/../../b"], "leads out of the folder"),
        (["readme.txt", "README.txt"], "two files of one name"),
        ([f"{n}.txt" for n in range(5001)], "more than 5,000"),
        (["a.txt"], "has no manifest.json"),
    ],
)
def test_an_archive_that_may_do_harm_is_refused(tmp_path: Path, names: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        checked(dict.fromkeys(names, b"x"), tmp_path)
    assert not any((tmp_path / "unpacked").iterdir())


def test_links_bombs_and_what_is_no_archive_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    for n, (member, data, reason) in enumerate(
        [(link, b"/etc/passwd", "is a link"), (zipfile.ZipInfo("bomb"), bytes(2**22), "of nearly nothing")]
    ):
        with zipfile.ZipFile(tmp_path / f"{n}.zip", "w") as archive:
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
        with pytest.raises(UserError, match=reason):
            verify_bundle(str(tmp_path / f"{n}.zip"), tmp_path / "to")
    (tmp_path / "no.zip").write_bytes(b"no archive")
    with pytest.raises(UserError, match="cannot be read as a bundle"):
        verify_bundle(str(tmp_path / "no.zip"), tmp_path / "to")


def test_claims_are_in_it_and_a_changed_one_is_named(tmp_path: Path) -> None:
    claimed = Claimed(tmp_path)
    text = "name: mine\nclaims:\n  more: {label: hedonism+, group: {genre: food}, against: {genre: travel}}\n"
    config, _ = read_claims(claimed.file(text))
    declaration_of(Folders(claimed.out), config, text)
    claimed.label(90)
    look_at_claims(Folders(claimed.out), config, text)
    write_bundle(Folders(claimed.out), str(tmp_path / "one.zip"))
    files = unpacked(tmp_path / "one.zip")
    for name, data in files.items():
        shown = csv_bytes(table_in(files, name)) if name.endswith(".parquet") else data
        assert b"jane" not in shown, name
    (tmp_path / "first").mkdir()
    assert verify_bundle(str(tmp_path / "one.zip"), tmp_path / "first").differs == []
    where = "study/claims/mine/claims.parquet"
    lines = checked(changed(files, where, lambda rows: rows[0].update(verdict="not shown")), tmp_path).differs
    assert len(lines) == 1
    assert f"{where}: row mine, more, column verdict: states 'not shown', recomputed 'holds" in lines[0]


def test_an_erasure_reaches_claims_and_says_which_bundles_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKVAL_KEY", "ab" * 16)
    claimed = Claimed(tmp_path)
    claimed.label(90)
    text = "name: mine\nclaims:\n  more: {label: hedonism+, group: {genre: food}, against: {genre: travel}}\n"
    config, _ = read_claims(claimed.file(text))
    declaration_of(Folders(claimed.out), config, text)
    claimed.label(180)
    look_at_claims(Folders(claimed.out), config, text)
    write_bundle(Folders(claimed.out), str(tmp_path / "one.zip"))
    one, folder = claimed.order[0], tmp_path / "out" / "claims" / "mine"
    keys = {row["video_id"]: row["row_key"] for row in Folders(claimed.out).catalog().read().to_pylist()}
    examples = json.loads((folder / "examples.json").read_text())
    shown = next(name for name in keys if keys[name] in json.dumps(examples))
    assert one in (folder / "declared.json").read_text()
    names = names_to_erase(claimed.out, {shown}, set())
    finds = {find.file: find.where for find in search_study(claimed.out, names).finds}
    assert finds["claims/mine/examples.json"] == "the row key of a video"
    told = tikval("erase", claimed.out, one, shown).output
    assert "nothing of them is left" in told
    assert not search_study(claimed.out, names).finds
    assert str(tmp_path / "one.zip") in told
    assert "may still hold them" in told
    assert one not in (folder / "declared.json").read_text()
    assert keys[shown] not in (folder / "examples.json").read_text()
    read_families(claimed.out)  # is still a declaration


def test_content_and_names_are_in_it_where_they_are_asked_for_but_never_content_of_minors(
    tmp_path: Path,
) -> None:
    study = Study(tmp_path)
    asked = Folder(study.asked("gemini", lambda name: stances(1, 0)).folder)
    rows = asked.read().to_pylist()
    for row in rows:
        quotes = (f"this is {row['video_id']}", "words that nobody ever said in there")
        row["evidence"] = [
            Passage(
                label="face+", source="speech", quote=quote, start=1.0, end=2.0, weight=None, in_script=True
            )
            for quote in quotes
        ]
    part = asked.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow)))
    asked.rewrite_run(asked.finished(), {asked.finished().files[0]: part})
    (tmp_path / "accounts.csv").write_text("account,is_minor\naccount0,yes\n")
    write_catalog(study.catalog.model_copy(update={"accounts": str(tmp_path / "accounts.csv")}))
    write_bundle(Folders(study.out), str(tmp_path / "one.zip"), names=True, content=True)
    files = unpacked(tmp_path / "one.zip")
    listed = table_in(files, place(files, "catalog")).to_pylist()
    minors = {row["video_id"] for row in listed if row["account"] == "account0"}
    scripts = table_in(files, place(files, "scripts")).to_pylist()
    with_script = {row["video_id"] for row in scripts if row["script"]}
    assert len(minors) == 7
    for row in table_in(files, place(files, "predictions")).to_pylist():
        of_minor, name = row["video_id"] in minors, row["video_id"]
        shown = [one["quote"] for one in row["evidence"]]
        failed = name not in with_script
        assert shown == [None if of_minor or failed else f"This is {name}.", None], (
            "no quote that stands nowhere"
        )
    assert with_script == {row["video_id"] for row in scripts if row["error"] is None} - minors
    assert checked(files, tmp_path).differs == []
