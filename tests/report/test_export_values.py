"""Tables for analysis: what stands in them, in every form, against the rows and the report that they come from."""

import csv
import json
import runpy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.conftest import ROOT
from tests.fixtures.rows import prediction, script
from tests.fixtures.trained import BROKEN, IDS, stances
from tests.fixtures.trained import Study as Written
from tikval.cli.commands import app
from tikval.config import (
    CatalogConfig,
    EvaluateConfig,
    ExtractConfig,
    Protocol,
    ReportConfig,
    ScriptConfig,
    UserError,
)
from tikval.evaluate.score_systems import score_systems
from tikval.report.export import workbook
from tikval.report.export.columns import EVIDENCE, LONG, WIDE, documentation, score_columns
from tikval.report.export.values import Export, Values, export_table, scores_export
from tikval.report.export.write import write_export, write_study
from tikval.report.site.write import write_report
from tikval.rows import Passage, PredictionRow, ScriptRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.spreadsheet import cell_text
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.study.erasure import erase_videos
from tikval.values import LABELS, SLUGS

FIRST, SECOND, CUT = "7412345678901234567", "mia.cooks/2", "7412345678901234568"
CAPTION = "mia.cooks again, with @ben and =SUM(A1)"  # of each: the name of who posted it


class Kitchen:
    """Three videos of two accounts, judged by the local extractor; two annotators."""

    def __init__(self, root: Path, system: str = "local") -> None:
        self.root, self.out = root, str(root / "out")
        lines = ["path,video_id,account,genre,posted_at,caption"]
        for name, who in ((FIRST, "mia.cooks"), (SECOND, "mia.cooks"), (CUT, "ben")):
            file, caption = f"{name[-5:].replace('/', '_')}.mp4", CAPTION.replace("mia.cooks", who)
            (root / file).write_bytes(b"x")
            lines.append(f'{file},{name},{who},Food,2025-03-01T10:00:00Z,"{caption}"')
        (root / "videos.csv").write_text("\n".join(lines))
        (root / "labels.csv").write_text(
            f"video_id,annotator,face,humility\n{FIRST},ann,2,-1\n{FIRST},bob,0,0\n{CUT},bob,1,0\n"
        )
        self.catalog = CatalogConfig(
            videos=str(root / "videos.csv"), annotations=str(root / "labels.csv"), out=self.out
        )
        write_catalog(self.catalog)
        keys = {row["video_id"]: row["row_key"] for row in Folder(self.catalog.folder).read().to_pylist()}
        self.scripts = ScriptConfig(videos=self.catalog, out=self.out)
        self.system = ExtractConfig(scripts=self.scripts, system=system, out=self.out)
        self.rows = [
            prediction(
                FIRST,
                "face+",
                system=system,
                row_key=keys[FIRST],
                model_served="/home/mia/tiny sha256:1",
                language="es",
                translated=True,
            ),
            prediction(SECOND, "humility-", system=system, row_key=keys[SECOND]),
            prediction(CUT, system=system, row_key=keys[CUT], error="no_text"),
        ]
        write(self.system, PredictionRow, self.rows)
        self.ids = {name: f"video-{keys[name][:12]}" for name in (SECOND,)}

    def judge(self, evidence: Mapping[str, list[Passage] | None], scripts: Mapping[str, str]) -> None:
        """The same answers with evidence, over scripts."""
        keys = {row["video_id"]: row["row_key"] for row in self.rows}
        write(
            self.scripts,
            ScriptRow,
            [script(name, script=text, row_key=keys[name]) for name, text in scripts.items()],
        )
        Folder(self.system.folder).remove()
        rows = [{**row, "evidence": evidence[row["video_id"]]} for row in self.rows]
        write(self.system, PredictionRow, rows)


def write(config: Any, kind: type, rows: Sequence[Any]) -> None:
    """A finished folder with a file per row."""
    folder = Folder(config.folder)
    for row in rows:
        folder.write_part(pa.Table.from_pylist([row], schema=arrow_schema(kind)))
    folder.seal(config, {}, 1.0)


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A language model and a trained system, evaluated; tests only read it."""
    made = Written(tmp_path_factory.mktemp("study"))
    llm = made.asked("llm", lambda name: None if name == IDS[0] else stances(2, -1))
    trained = made.trained("bert", made.noisy(1.0), protocol=Protocol(partitions=2, threshold=0.5))
    score_systems(EvaluateConfig(predictions=(llm, trained), out=made.out, draws=100, permutations=100))
    return made


def lines_of(export: Export) -> list[dict[str, Any]]:
    return [line for table in export.tables() for line in table.to_pylist()]


# what stands in them


def test_a_line_has_all_that_is_known_of_its_video(kitchen: Kitchen) -> None:
    table = export_table(Study(kitchen.out), names=True)
    line = next(line for line in table.to_pylist() if line["video_id"] == FIRST)
    expected = {
        "account": "mia.cooks",
        "genre": "Food",
        "posted_at": datetime(2025, 3, 1, 10, tzinfo=UTC),
        "caption": CAPTION,
        "system": "local",
        "label_set": "schwartz-19",
        "codebook_version": 1,
        "score_kind": "similarity share",
        "error": None,
        "model": "local",
        "model_served": "/home/mia/tiny sha256:1",
        "language": "es",
        "translated": True,
        "recipe": kitchen.system.fingerprint,
        "face": 1,
        "humility": 0,
        "face_endorsed_score": 1.0,
        "face_confronted_score": 0.0,
        "face_endorsed_threshold": 0.049,
        "humility_confronted_threshold": 0.049,
    }
    assert {name: line[name] for name in expected} == expected
    finished = Folder(kitchen.system.folder).finished()
    assert line["finished_at"] == datetime.fromisoformat(finished.finished_at)
    assert line["tikval"] == finished.tikval


def test_nobody_is_named_unless_asked(kitchen: Kitchen) -> None:
    lines = {line["video_id"]: line for line in export_table(Study(kitchen.out)).to_pylist()}
    assert set(lines) == {FIRST, kitchen.ids[SECOND], CUT}
    assert [lines[name]["account"] for name in (FIRST, kitchen.ids[SECOND], CUT)] == [
        "account 1",
        "account 1",
        "account 2",
    ]
    assert lines[FIRST]["model_served"] == "a local model sha256:1"
    assert "@someone" in lines[FIRST]["caption"]
    for name in ("mia", "@ben"):
        assert name not in repr(lines)


def test_the_long_form_is_the_wide_one_value_by_value(study: Written) -> None:
    values = Values(Study(study.out))
    wide, long = lines_of(values.wide()), lines_of(values.long())
    assert (len(wide), len(long)) == (values.wide().rows, values.long().rows)
    about = [column.name for column in WIDE[: [column.name for column in WIDE].index("VALUE")]]
    expected = [
        {name: line[name] for name in about}
        | {"value": slug, "stance": line[slug], "annotation": line[f"{slug}_annotation"]}
        | {
            f"{stance}_{what}": line[f"{slug}_{stance}_{what}"]
            for stance in ("endorsed", "confronted")
            for what in ("score", "threshold")
        }
        for line in wide
        for slug in SLUGS
    ]
    long_only = {"dominant", *(column.name for column in EVIDENCE)}
    assert [{name: cell for name, cell in line.items() if name not in long_only} for line in long] == expected
    dominant = {(line["system"], line["dominant"]) for line in long if line["value"] == "face"}
    assert dominant == {("llm", True), ("llm", None), ("bert", None)}, "None: a failure, or no language model"


PRAISE = "A neighbour praised my proper manners in front of everybody, mia.cooks said."


def passage(quote: str | None, label: str = "face+", source: str = "speech", start: float = 3.5) -> Passage:
    return Passage(
        label=label, source=source, quote=quote, start=start, end=start + 2, weight=None, in_script=True
    )


def evidence_in(line: dict[str, Any], n: int) -> list[Any]:
    return [line[f"evidence_{n}_{name}"] for name in ("quote", "source", "start", "end", "status")]


def test_evidence_is_in_the_line_of_its_value_and_only_what_was_checked_is_a_quote(kitchen: Kitchen) -> None:
    given = [
        passage(PRAISE.upper()),
        passage("Nobody ever said these words of honour and of pride."),
        passage("a hand that waves", source="picture", start=float("nan")),
        passage(PRAISE, "face-"),
    ]
    kitchen.judge(
        {FIRST: given, SECOND: None, CUT: given}, {FIRST: f'A: "{PRAISE}"\n', SECOND: f'A: "{PRAISE}"\n'}
    )
    for names, quote in ((False, PRAISE.replace("mia.cooks", "@someone")), (True, PRAISE)):
        lines = lines_of(Values(Study(kitchen.out), names=names).long())
        having = [line for line in lines if any(line[column.name] is not None for column in EVIDENCE)]
        assert [(line["video_id"], line["value"], line["evidence_not_found"]) for line in having] == [
            (FIRST, "face", 1)
        ], "no line of a failure, of an absent value, or of a row without evidence"
        assert evidence_in(having[0], 1) == [quote, "speech", 3.5, 5.5, "found"]
        assert evidence_in(having[0], 2) == [None, "speech", None, None, "not found"]
        assert evidence_in(having[0], 3) == [None, "picture", None, None, "not compared"]
    assert "evidence" not in " ".join(Values(Study(kitchen.out)).wide().schema.names)


def test_scores_and_thresholds_are_those_of_each_kind_of_system(study: Written) -> None:
    lines = export_table(Study(study.out)).to_pylist()
    for line in lines:
        at_all = {name: line[name] for name in line if name.endswith("threshold") and line[name] is not None}
        trained = line["system"] == "bert" and line["error"] is None
        names = {"face_endorsed_threshold", "humility_confronted_threshold"} if trained else set()
        assert at_all == dict.fromkeys(names, 0.5), (
            "a language model, a failure and a label not trained have none"
        )
        assert line["score_kind"] == ("probability" if line["system"] == "bert" else "none")
    rows = Folder(Study(study.out).systems()["bert"][0].uri).read().to_pylist()
    kept = {(row["video_id"], row["split"]): row["scores"] for row in rows}
    for line in lines:
        if line["system"] == "bert" and line["error"] is None:
            assert line["face_endorsed_score"] == kept[line["video_id"], line["split"]][LABELS.index("face+")]


def test_annotations_are_of_one_annotator(kitchen: Kitchen) -> None:
    study = Study(kitchen.out)
    assert "--annotator: ann, bob" in Values(study).annotations.notes[0]
    found = {}
    for whose in (None, "ann", "bob"):
        lines = lines_of(Values(study, annotator=whose).wide())
        found[whose] = {line["video_id"]: line["face_annotation"] for line in lines}
    of_second = {kitchen.ids[SECOND]: None}
    assert found[None] == {FIRST: None, CUT: None} | of_second
    assert found["ann"] == {FIRST: 2, CUT: None} | of_second
    assert found["bob"] == {FIRST: 0, CUT: 1} | of_second
    with pytest.raises(UserError, match="no annotator eve; there are ann, bob"):
        Values(study, annotator="eve")


def test_every_column_is_documented_and_the_page_has_the_same_words() -> None:
    docs = runpy.run_path(str(ROOT / "docs" / "export_columns.py"))
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    assert docs["page_with_tables"](page) == page, "run python docs/export_columns.py"
    for column in (*WIDE, *LONG, *score_columns()):
        assert column.about, column.name
        assert f"| `{column.name}` |" in page


# every form


def read_back(file: Path) -> list[dict[str, Any]]:
    """The lines of a file, as texts of what it holds."""
    match file.suffix:
        case ".parquet":
            rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
        case ".jsonl":
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        case ".csv":
            with file.open(encoding="utf-8", newline="") as text:
                rows = list(csv.DictReader(text))
        case ".xlsx":
            names, *lines = openpyxl.load_workbook(file)["values"].values
            rows = [dict(zip(map(str, names), line, strict=True)) for line in lines]
        case ".duckdb":
            import duckdb

            with duckdb.connect(str(file), read_only=True) as database:
                rows = database.sql('SELECT * FROM "values"').to_arrow_table().to_pylist()
        case _:
            rows = pads.dataset(file, partitioning="hive").to_table().to_pylist()
    return rows


@pytest.mark.parametrize("name", ["v.csv", "v.xlsx", "v.parquet", "v.jsonl", "v.duckdb", "parts/"])
def test_every_form_has_the_same_lines(kitchen: Kitchen, tmp_path: Path, name: str) -> None:
    study = Study(kitchen.out)
    write_study(study, f"{tmp_path}/to/{name}")
    lines = {line["video_id"]: line for line in export_table(study).to_pylist()}
    found = {cell_text(row["video_id"]): row for row in read_back(tmp_path / "to" / name)}
    assert found.keys() == lines.keys()
    for video_id, line in lines.items():
        row = found[video_id]
        assert row.keys() == line.keys()
        for column in ("account", "caption", "system", "error", "recipe", "tikval"):
            assert (cell_text(row[column] or "") or None) == line[column]
        for column in ("face", "humility", "face_endorsed_score", "face_endorsed_threshold"):
            assert (None if row[column] in (None, "") else float(row[column])) == line[column]
        assert str(row["posted_at"])[:10] == "2025-03-01"
    assert [path.name for path in (tmp_path / "to").iterdir()] == [name.rstrip("/")], (
        "nothing half written is left"
    )


def test_a_spreadsheet_cuts_no_id_and_runs_no_caption(kitchen: Kitchen, tmp_path: Path) -> None:
    (kitchen.root / "videos.csv").write_text(
        (kitchen.root / "videos.csv").read_text().replace(CAPTION, "=HYPERLINK(A1)\x0b")
    )
    write_catalog(kitchen.catalog)
    study = Study(kitchen.out)
    write_study(study, f"{tmp_path}/v.xlsx")
    book = openpyxl.load_workbook(tmp_path / "v.xlsx")
    names = [cell.value for cell in book["values"][1]]
    cells = book["values"][2]
    assert {cell.data_type for cell in cells if isinstance(cell.value, str)} == {"s"}
    assert cells[names.index("video_id")].value in (FIRST, CUT, kitchen.ids[SECOND])
    assert cells[names.index("caption")].value == "=HYPERLINK(A1)\ufffd"
    assert cells[names.index("posted_at")].value == datetime(2025, 3, 1, 10)
    about = [tuple(line) for line in list(book["columns"].values)[1:]]
    assert about == documentation(Values(study).wide().schema)
    write_study(study, f"{tmp_path}/v.csv")
    first = [row for row in read_back(tmp_path / "v.csv") if row["video_id"].endswith(FIRST)]
    assert [(row["video_id"], row["caption"][:2]) for row in first] == [(f"'{FIRST}", "'=")]


def test_more_lines_than_a_sheet_has_rows(
    kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MOST_ROWS", 50)
    study = Study(kitchen.out)
    with pytest.raises(
        UserError, match=r"57 lines, and a sheet holds 49; leave out --long, or write \.csv or \.parquet"
    ):
        write_study(study, f"{tmp_path}/v.xlsx", "long")
    assert not list(tmp_path.glob("*.xlsx"))
    assert write_study(study, f"{tmp_path}/v.xlsx")[0] == "3 lines"


def test_a_parquet_file_says_what_its_columns_are(kitchen: Kitchen, tmp_path: Path) -> None:
    write_study(Study(kitchen.out), f"{tmp_path}/v.parquet", "long")
    written = documentation(pq.read_schema(tmp_path / "v.parquet"))
    assert written == [(name, str(kind), about) for name, kind, about in LONG]


def test_a_folder_is_partitioned_by_system_and_recipe(study: Written, tmp_path: Path) -> None:
    write_study(Study(study.out), f"{tmp_path}/parts/")
    runs = Study(study.out).systems()
    paths = {str(path.relative_to(tmp_path / "parts")) for path in (tmp_path / "parts").rglob("*.parquet")}
    assert paths == {
        f"system={name}/recipe={run.fingerprint}/part-0.parquet" for name, (_, run) in runs.items()
    }


def test_a_database_holds_all_tables(study: Written, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    written, _ = write_study(Study(study.out), f"{tmp_path}/v.duckdb")
    with duckdb.connect(f"{tmp_path}/v.duckdb", read_only=True) as database:
        counts = {
            name: database.sql(f'SELECT count(*) FROM "{name}"').fetchall()[0][0]
            for name in ("values", "long", "attrition", "scores")
        }
        about = database.sql("SELECT * FROM columns WHERE in_table = 'scores'").fetchall()
        joined = database.sql("SELECT sum(face) FROM \"values\" WHERE system = 'llm'").fetchall()
    assert written == ", ".join(f"{name} {count} lines" for name, count in counts.items())
    assert counts["long"] == counts["values"] * len(SLUGS)
    assert about == [("scores", *line) for line in documentation(scores_export(Study(study.out)).schema)]
    assert joined == [(len(IDS) - len(BROKEN) - 1,)]


def test_without_duckdb_the_error_says_how_to_get_it(
    kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    with pytest.raises(UserError, match=r"pip install 'tikval\[export\]'"):
        write_study(Study(kitchen.out), f"{tmp_path}/v.duckdb")
    assert not list(tmp_path.glob("*duckdb*"))


def test_an_address_is_written_to_as_well(kitchen: Kitchen, tmp_path: Path) -> None:
    for name in ("v.csv", "v.xlsx", "v.duckdb"):
        write_study(Study(kitchen.out), f"file://{tmp_path}/{name}")
        assert len(read_back(tmp_path / name)) == 3
    with pytest.raises(UserError, match="ftp:// is not opened"):
        write_study(Study(kitchen.out), "ftp://host/v.csv")


# whole, or not at all


def breaking() -> Iterator[pa.Table]:
    yield pa.table({"video_id": ["a"], "system": ["s"], "recipe": ["r"]})
    raise ValueError("a file upstream is damaged")


@pytest.mark.parametrize("name", ["v.csv", "v.xlsx", "v.parquet", "v.jsonl", "v.duckdb"])
def test_a_write_that_breaks_leaves_the_file_before(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("before")
    export = Export("values", next(breaking()).schema, 2, breaking)
    with pytest.raises(ValueError, match="damaged"):
        write_export([export], f"{tmp_path}/{name}")
    assert (tmp_path / name).read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_is_replaced_as_a_whole_and_only_where_it_was_asked_for(
    kitchen: Kitchen, tmp_path: Path
) -> None:
    study, to = Study(kitchen.out), f"{tmp_path}/parts/"
    stale = tmp_path / "parts" / "system=gone" / "part-0.parquet"
    stale.parent.mkdir(parents=True)
    stale.write_text("of somebody erased")
    with pytest.raises(UserError, match=r"parts: is not empty.*--force"):
        write_study(study, to)
    export = Export("values", next(breaking()).schema, 2, breaking)
    with pytest.raises(ValueError, match="damaged"):
        write_export([export], to, force=True)
    assert stale.exists(), "half an export replaces nothing"
    write_study(study, to, force=True)
    assert not stale.exists()
    assert len(read_back(tmp_path / "parts")) == 3
    (tmp_path / "parts" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds mine\.txt, which no export wrote"):
        write_study(study, to, force=True)
    assert [path.name for path in tmp_path.glob(".tmp*")] == []


def test_a_folder_in_the_place_of_a_file(kitchen: Kitchen, tmp_path: Path) -> None:
    (tmp_path / "v.csv").mkdir()
    (tmp_path / "parts").write_text("")
    with pytest.raises(UserError, match=r"v\.csv: is a folder"):
        write_study(Study(kitchen.out), f"{tmp_path}/v.csv")
    with pytest.raises(UserError, match="parts: is a file; name a folder"):
        write_study(Study(kitchen.out), f"{tmp_path}/parts/")


# what the report shows


def page_of(config: ReportConfig) -> dict[str, Any]:
    text = (Path(config.folder) / "data" / "videos.js").read_text()
    data: dict[str, Any] = json.loads(text.partition("tikval.videos = ")[2].rstrip(";\n"))
    return data


def counts_of_the_page(config: ReportConfig) -> Counter[tuple[str, str]]:
    page, counts = page_of(config), Counter[tuple[str, str]]()
    for system, answers in zip(page["systems"], page["said"], strict=True):
        for answer in answers:
            found = [answer] if isinstance(answer, str) else [LABELS[place] for place in answer or ()]
            counts.update((system, name) for name in found)
    return counts


def counts_of_the_export(out: str) -> Counter[tuple[str, str]]:
    counts = Counter[tuple[str, str]]()
    for line in lines_of(Values(Study(out)).long()):
        if line["error"] is not None and line["value"] == SLUGS[0]:
            counts[line["system"], line["error"]] += 1
        elif line["stance"]:
            counts[line["system"], line["value"] + ("+" if line["stance"] > 0 else "-")] += 1
    return counts


def test_export_has_what_the_report_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tikval.report.figures.gather.SUFFIXES", ("svg",))
    made = Written(tmp_path)
    older = made.asked("llm", lambda name: stances(0, 1), temperature=0.5)
    llm = made.asked("llm", lambda name: None if name == IDS[3] else stances(int(made.truth[name][0]), -1))
    other = made.asked("other", lambda name: stances(-1, int(made.truth[name][1])))
    assert older.folder != llm.folder
    scores = EvaluateConfig(predictions=(llm, other), out=made.out, draws=100, permutations=100)
    config = ReportConfig(scores=scores, out=made.out)

    def same() -> Counter[tuple[str, str]]:
        score_systems(scores)
        write_report(config)
        found = counts_of_the_export(made.out)
        assert found == counts_of_the_page(config)
        return found

    before = same()
    page = page_of(config)
    shown = {page["id"][i]: page["accounts"][account] for i, account in enumerate(page["account"])}
    wide = export_table(Study(made.out)).to_pylist()
    assert {line["video_id"]: line["account"] for line in wide} == shown, "accounts have the same numbers"
    erase_videos(made.out, {IDS[5], IDS[3]}, set())
    after = same()
    assert before - after
    assert not {IDS[5], IDS[3]} & {line["video_id"] for line in export_table(Study(made.out)).to_pylist()}


def test_the_command_ends_with_where_the_result_lies(kitchen: Kitchen, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["export", kitchen.out, *words], catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    assert run(f"{tmp_path}/v.xlsx", "--annotator", "ann") == f"3 lines: {tmp_path}/v.xlsx\n"
    assert run(f"{tmp_path}/v.csv", "--long") == f"57 lines: {tmp_path}/v.csv\n"
    assert run(f"{tmp_path}/p/") == f"3 lines: {tmp_path}/p/\n"
    assert run(f"{tmp_path}/p/", "--force", "--names") == f"3 lines: {tmp_path}/p/\n"
    assert (
        run(f"{tmp_path}/v.duckdb")
        == f"values 3 lines, long 57 lines, attrition 38 lines: {tmp_path}/v.duckdb\n"
    )
