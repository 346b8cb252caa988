"""Figures: files that open, stay the same and admit nobody."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.collections import LineCollection
from typer.testing import CliRunner

from tests.fixtures.rows import prediction
from tests.report.test_figure_numbers import grouped, line, lines
from tikval.cli.commands import app
from tikval.config import CatalogConfig, EvaluateConfig, ExtractConfig, ScriptConfig, UserError
from tikval.evaluate.score_systems import score_systems
from tikval.files import SCHEMES, read_bytes
from tikval.report.figures import charts as draw
from tikval.report.figures.gather import Figures, figures_of, write_figures
from tikval.report.figures.numbers import Radar, series_of
from tikval.report.figures.rates import by_genre, by_month, months_of, rates_of
from tikval.report.figures.sheets import systems_sheet
from tikval.report.figures.style import render, styled
from tikval.report.figures.systems import SystemScore, systems_f1
from tikval.report.how_sure import Ends
from tikval.rows import PredictionRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.store.runs import Study

pytestmark = pytest.mark.usefixtures("every_form")

NAMES = (
    *("figure1_values_per_video", "figure2_occurrences", "figure3_pipelines"),
    *("figure4_radar_endorsed", "value_f1_endorsed", "figure4_radar_confronted", "value_f1_confronted"),
    *("systems_f1", "value_rates"),
)


# drawings


def words_of(picture: bytes) -> str:
    """All text of an SVG, which must have no script."""
    assert b"<script" not in picture
    return "".join(ElementTree.fromstring(picture).itertext())


def test_a_hostile_title_is_text() -> None:
    titles = ["<script>alert(1)</script>", "$\\frac{a--", "x" * 500]
    one = series_of("a", np.eye(6), np.array([True] * 5 + [False]))
    found = Radar("endorsed", 6, (1, 1, 0), {"a": np.array([0.5, 1, np.nan])}, ())
    rates = rates_of(titles[0], [line(f"<script>{n}", "x+", 0.5, 0.1) for n in range(2)], "xyz", titles[1])
    with styled():
        pictures = [
            render(draw.occurrences([one], titles), "svg"),
            render(draw.radar(found, titles), "svg"),
            render(by_genre([rates], titles), "svg"),
        ]
    for picture in pictures:
        words = words_of(picture)
        assert "<script>" in words
        assert "$\\frac{a--" in words
    assert "matplotlib.pyplot" not in sys.modules


def test_systems_with_and_without_an_interval() -> None:
    none = Ends(None, None, "4 accounts: too few for an interval", 4)
    found = [
        SystemScore("b", "<b> $x$", False, 0.9, Ends(0.85, 0.95, None, 91), 9, 8),
        SystemScore("a", "a", False, 0.0, none, 9, 9),
        SystemScore("predict_everything", "Predict everything", True, 0.0, none, 9, 9),
    ]
    with styled():
        words = words_of(render(systems_f1(found), "svg"))
        alone = words_of(render(systems_f1(found[:1]), "svg"))
    assert all(text in words for text in ("<b> $x$", "0.90", "baselines"))
    assert "Predict everything" not in alone
    with styled():
        (panel,) = systems_f1(found).axes
        (whole,) = systems_f1(found[1:]).axes
    bars = [
        bar
        for drawn in panel.collections
        if isinstance(drawn, LineCollection)
        for bar in drawn.get_segments()
    ]
    assert [bool(np.isfinite(bar).all() and len(bar)) for bar in bars] == [True, False, False]
    assert panel.get_xlabel() == "macro F1 with its 95 % interval"
    assert whole.get_xlabel() == "macro F1"
    shows = [systems_sheet(some).shows for some in (found, found[1:])]
    assert shows[0].endswith(" a, Predict everything: 4 accounts: too few for an interval.")
    assert shows[1].endswith(" 4 accounts: too few for an interval.")


def test_two_sources_of_rates_stand_under_each_other_and_models_are_not_corrected() -> None:
    people = grouped("2026-01", "2026-03")
    model = rates_of("model", [line("2026-02", "x-", 0.5), line("2026-04", "x-", 0.25)], "xy", "raw")
    with styled():
        genres = words_of(render(by_genre([people, model], ["X", "Y"]), "svg"))
        months = words_of(render(by_month([months_of(people), months_of(model)], ["X", "Y"], [1, 0]), "svg"))
    assert genres.count("model, raw") == 2  # endorsed and confronted
    assert months.count("model, raw") == 1
    assert "2026-02" in months  # a month without annotations is there, without a line


def test_a_notebooks_backend_is_no_matter() -> None:
    code = "from tikval.report.figures.style import styled\nwith styled(): pass"
    env = {**os.environ, "MPLBACKEND": "module://not_installed.here"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


# from end to end


class Made:
    """Four videos; `a` predicts of each what is true and fails on the last, `b` predicts nothing.

    `dated`: twenty more, of two genres in turn; the first ten of January, the others of March. The annotator finds face
    in those of food, both systems in all. An `annotated` study has scores.
    """

    def __init__(
        self, root: Path, annotated: bool = True, codebook: str | None = None, dated: bool = False
    ) -> None:
        self.out = str(root / "out")
        videos = ["w.mp4,p,,", "x.mp4,p,,", "y.mp4,q,,", "z.mp4,q,,"]
        labels = ["w,1,0", "x,1,-1", "y,0,0", "z,1,0"]
        predicted = {"w": ["face+"], "x": ["face+", "humility-"], "y": []}
        for n in range(20 if dated else 0):
            month = "01" if n < 10 else "03"
            videos.append(f"clip{n}.mp4,,{('food', 'sports')[n % 2]},2026-{month}-05T00:00:00Z")
            labels.append(f"clip{n},{1 - n % 2},0")
            predicted[f"clip{n}"] = ["face+"]
        for one in videos:
            (root / one.split(",")[0]).write_bytes(b"x")
        (root / "videos.csv").write_text("\n".join(["path,account,genre,posted_at", *videos]))
        (root / "labels.csv").write_text("\n".join(["video_id,face,humility", *labels]))
        more: dict[str, Any] = {"codebook": codebook} if codebook else {}
        catalog = CatalogConfig(
            videos=str(root / "videos.csv"),
            annotations=str(root / "labels.csv") if annotated else None,
            out=self.out,
            **more,
        )
        write_catalog(catalog)
        keys = {row["video_id"]: row["row_key"] for row in Folder(catalog.folder).read().to_pylist()}
        scripts = ScriptConfig(videos=catalog, out=self.out)
        systems = []
        if codebook is None:
            for system in "ab":
                config = ExtractConfig(scripts=scripts, system=system, out=self.out)
                rows = [
                    prediction(v, *(of if system == "a" or v.startswith("clip") else []), row_key=keys[v])
                    for v, of in predicted.items()
                ]
                self._says(config, [*rows, prediction("z", row_key=keys["z"], error="unreadable")])
                systems.append(config)
            score_systems(EvaluateConfig(predictions=tuple(systems), out=self.out, min_positives=0))

    def _says(self, config: ExtractConfig, rows: Sequence[PredictionRow]) -> None:
        folder = Folder(config.folder)
        name = folder.write_part(pa.Table.from_pylist(list(rows), schema=arrow_schema(PredictionRow)))
        folder.write_run(config, [name], {}, len(rows), {"unreadable": 1}, 1.0)


def test_the_command(tmp_path: Path) -> None:
    made, first, second = Made(tmp_path), tmp_path / "first", tmp_path / "second"
    done = CliRunner().invoke(app, ["figures", made.out, str(first)])
    assert done.exit_code == 0, done.output
    assert "10 figures, 41 files" in done.output
    again = figures_of(Study(made.out))
    some = [
        sheet for sheet in again.sheets if sheet.name in ("value_rates", "figure3_pipelines", "systems_f1")
    ]
    for path in map(Path, write_figures(replace(again, sheets=some), second)):
        if path.name != "figures.md":
            assert path.read_bytes() == (first / path.name).read_bytes(), path.name
    for name in NAMES:
        ElementTree.fromstring((first / f"{name}.svg").read_bytes())
        assert (first / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert (first / f"{name}.pdf").read_bytes().startswith(b"%PDF-")
    assert "Humility" in (first / "figure2_occurrences.svg").read_text()
    written = {name: lines((first / f"{name}.csv").read_bytes()) for name in NAMES}
    assert {(n["system"], n["values_of_the_video"]): n["share"] for n in written[NAMES[0]]} == {
        **{("annotations", str(k)): share for k, share in enumerate(("0.25", "0.5", "0.25"))},
        **{("a", str(k)): str(1 / 3) for k in range(3)},
        ("b", "0"): "1.0",
    }
    assert [(n["system"], n["what"]) for n in written["figure3_pipelines"]] == [
        (system, what) for system in "ab" for what in ("videos", "script", "values")
    ]
    f1 = {(n["system"], n["label"]): n["f1"] for n in written["figure4_radar_endorsed"]}
    assert f1["a", "face+"] == "1.0"
    assert float(f1["predict_everything", "face+"]) == pytest.approx(6 / 7)
    means = {n["system"]: float(n["macro_f1"]) for n in written["systems_f1"]}
    assert means["a"] == 1 > means["predict_everything"] > means["b"] == 0
    predicted = (first / "figures.md").read_text()
    for words in (
        "not corrected for model error",
        "* a: 3 videos",
        "a: left out unreadable 1",
        "## Values per video",
        "(value_rates.pdf)",
        "* prevalence_genre of annotations: no video has a genre",
        "* prevalence_month of a: no video has a month",
    ):
        assert words in predicted
    only = figures_of(Study(made.out), ["b"])
    assert [one.name for one in only.series] == ["annotations", "b"]
    with pytest.raises(UserError, match="no system c; there are a, b"):
        figures_of(Study(made.out), ["c"])


def test_genres_and_months_are_of_the_annotations_and_the_first_system(tmp_path: Path) -> None:
    found = figures_of(Study(Made(tmp_path, dated=True).out))
    sheets = {sheet.name: sheet for sheet in found.sheets}
    assert list(sheets) == [*NAMES, "attrition_steps", "prevalence_genre", "prevalence_month"]
    assert found.skipped == []
    rates = {
        (one["system"], one["genre"]): (one["videos"], one["rate"])
        for one in lines(sheets["prevalence_genre"].numbers)
        if (one["value"], one["stance"]) == ("face", "endorsed")
    }
    assert rates == {
        ("annotations", "food"): ("10", "1"),
        ("annotations", "sports"): ("10", "0"),
        ("annotations", "not given"): ("4", "0.75"),
        ("a", "food"): ("10", "1"),
        ("a", "sports"): ("10", "1"),
        ("a", "not given"): ("3", str(2 / 3)),
    }
    months = sheets["prevalence_month"].data
    assert months["values"] == ["Face"]  # in January and March nothing else was seen
    assert [one["months"] for one in months["sources"]] == [["2026-01", "2026-02", "2026-03"]] * 2
    assert months["sources"][0]["endorsed"][0]["rate"] == [0.5, None, 0.5]
    assert [one["note"] for one in months["sources"]] == ["", "not corrected for model error"]
    for name in ("prevalence_genre", "prevalence_month"):
        with styled():
            assert render(sheets[name].draw(), "png").startswith(b"\x89PNG")


def test_no_id_and_no_account_is_in_a_figure(tmp_path: Path) -> None:
    sheets = figures_of(Study(Made(tmp_path, dated=True).out)).sheets
    predicted = " ".join(repr((sheet.data, sheet.numbers, sheet.shows)) for sheet in sheets)
    assert "food" in predicted
    assert not re.search(r"clip\d|\b[w-z]\b|\.mp4|\b[pq]\b", predicted)


def test_without_annotations_there_is_no_score(tmp_path: Path) -> None:
    found = figures_of(Study(Made(tmp_path, annotated=False).out))
    assert [sheet.name for sheet in found.sheets] == [*NAMES[:3], "value_rates", "attrition_steps"]
    assert found.skipped[0] == "figure4_radar, systems_f1: no scores: nothing is annotated"
    assert found.skipped[1].startswith("prevalence_genre of a: no video has a genre")
    assert not any(one.is_human for one in found.series)


@pytest.fixture
def store_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyarrow's own, which tikval opens for nobody."""
    monkeypatch.setattr("tikval.files.SCHEMES", (*SCHEMES, "mock"))


@pytest.mark.usefixtures("store_in_memory")
def test_a_codebook_of_ones_own_has_no_circle(tmp_path: Path) -> None:
    value = "title: {}, definition: d, motivation: m, endorsing: [e], confronting: [c]"
    book = "name: mine\nversion: 1\nsource: s\nvalues:\n"
    for slug in ("face", "humility", "thrift"):
        book += f"  - {{slug: {slug}, {value.format(slug.upper())}}}\n"
    (tmp_path / "book.yaml").write_text(book)
    found = figures_of(Study(Made(tmp_path, codebook=str(tmp_path / "book.yaml")).out))
    assert [sheet.name for sheet in found.sheets] == [*NAMES[:2], "attrition_steps"]
    for why in (
        "figure3_pipelines: no system has a result",
        "figure4_radar, systems_f1: no scores: nothing is scored; run jobs/evaluate.py",
        "circle: mine has other values than Schwartz's 19, and no circle of them is known",
    ):
        assert why in found.skipped
    files = write_figures(found, "mock://paper")
    assert files[-1] == "mock://paper/figures.md"
    drawn, counted = (
        read_bytes(f"mock://paper/figure2_occurrences.{kind}") or b"" for kind in ("svg", "csv")
    )
    assert b"HUMILITY" in drawn
    assert b"THRIFT" not in drawn, "a value of no video has no row"
    assert b"thrift" in counted


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "videos.csv").write_text("path\nw.mp4\n")
    write_catalog(CatalogConfig(videos=str(tmp_path / "videos.csv"), out=str(tmp_path / "out")))
    with pytest.raises(UserError, match="no system has finished yet, and there are no annotations"):
        figures_of(Study(str(tmp_path / "out")))


@pytest.mark.usefixtures("store_in_memory")
def test_nothing_is_written_where_it_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", "mock://paper/no/such/folder"):
        with pytest.raises(UserError, match="cannot be written"):
            write_figures(Figures([], [], []), folder)
