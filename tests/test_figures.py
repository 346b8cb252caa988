"""Figures: files that open, stay the same and let nobody in."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from jobs import evaluate
from jobs.catalog import run as run_catalog
from tests.rows import prediction
from tests.test_figure_numbers import grouped, line, lines
from tikval.cli import app
from tikval.config import CatalogConfig, EvaluateConfig, ExtractConfig, ScriptConfig, UserError
from tikval.files import read_bytes
from tikval.flow.figures import Figures, figures_of, write
from tikval.flow.folder import Folder
from tikval.flow.study import Study
from tikval.report import figures as draw
from tikval.report.figure_numbers import Radar, said_of
from tikval.report.figure_rates import by_genre, by_month, months_of, rates_of
from tikval.report.figure_style import render, styled
from tikval.report.figure_systems import Scored, systems_f1
from tikval.rows import PredictionRow, arrow_schema

NAMES = (
    *("figure1_values_per_video", "figure2_occurrences", "figure3_pipelines"),
    *("figure4_radar_endorsed", "figure4_radar_confronted", "systems_f1", "circle"),
)


# drawings


def words_of(picture: bytes) -> str:
    """All text of an SVG, which must have no script."""
    assert b"<script" not in picture
    return "".join(ElementTree.fromstring(picture).itertext())


def test_a_hostile_title_is_text() -> None:
    titles = ["<script>alert(1)</script>", "$\\frac{a--", "x" * 500]
    one = said_of("a", np.eye(6), np.array([True] * 5 + [False]))
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
    """Intervals are corrected for bias, so that an F1 may lie outside of its own."""
    found = [
        Scored("b", "<b> $x$", False, 0.9, 0.91, 0.95, 9, 8),
        Scored("a", "a", False, 0.0, None, None, 9, 9),
        Scored("predict_everything", "Predict everything", True, 0.0, None, None, 9, 9),
    ]
    with styled():
        words = words_of(render(systems_f1(found), "svg"))
        alone = words_of(render(systems_f1(found[:1]), "svg"))
    assert all(said in words for said in ("<b> $x$", "0.90", "baselines"))
    assert "Predict everything" not in alone


def test_two_sources_of_rates_stand_under_each_other_and_models_are_not_corrected() -> None:
    people = grouped("2026-01", "2026-03")
    model = rates_of("model", [line("2026-02", "x-", 0.5), line("2026-04", "x-", 0.25)], "xy", "raw")
    with styled():
        genres = words_of(render(by_genre([people, model], ["X", "Y"]), "svg"))
        months = words_of(render(by_month([months_of(people), months_of(model)], ["X", "Y"], [1, 0]), "svg"))
    assert genres.count("model, raw") == 2  # endorsed and confronted
    assert months.count("model, raw") == 1
    assert "2026-02" in months  # a month of which people say nothing is there, without a line


def test_a_notebooks_backend_is_no_matter() -> None:
    code = "from tikval.report.figure_style import styled\nwith styled(): pass"
    env = {**os.environ, "MPLBACKEND": "module://not_installed.here"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


# from end to end


class Made:
    """Four videos; `a` says of each what is true and fails on the last, `b` says nothing.

    `genres` and `months`, by video, stand in the manifest.
    """

    def __init__(
        self,
        root: Path,
        annotated: bool = True,
        codebook: str | None = None,
        posts: Sequence[str] = (),
    ) -> None:
        self.out = str(root / "out")
        for name in "wxyz":
            (root / f"{name}.mp4").write_bytes(b"x")
        (root / "videos.csv").write_text("path,account\nw.mp4,p\nx.mp4,p\ny.mp4,q\nz.mp4,q\n")
        (root / "labels.csv").write_text("video_id,face,humility\nw,1,0\nx,1,-1\ny,0,0\nz,1,0\n")
        more: dict[str, Any] = {"codebook": codebook} if codebook else {}
        catalog = CatalogConfig(
            videos=str(root / "videos.csv"),
            annotations=str(root / "labels.csv") if annotated else None,
            out=self.out,
            **more,
        )
        run_catalog(catalog)
        keys = {row["video_id"]: row["row_key"] for row in Folder(catalog.folder).read().to_pylist()}
        scripts = ScriptConfig(videos=catalog, out=self.out)
        said = {"w": ["face+"], "x": ["face+", "humility-"], "y": []}
        systems = []
        if codebook is None:
            for system in "ab":
                config = ExtractConfig(scripts=scripts, system=system, out=self.out)
                rows = [
                    prediction(v, *(of if system == "a" else []), row_key=keys[v]) for v, of in said.items()
                ]
                self._says(config, [*rows, prediction("z", row_key=keys["z"], error="unreadable")])
                systems.append(config)
            evaluate.run(
                EvaluateConfig(predictions=tuple(systems), out=self.out, draws=100, permutations=100)
            )

    def _says(self, config: ExtractConfig, rows: Sequence[PredictionRow]) -> None:
        folder = Folder(config.folder)
        name = folder.write_part(pa.Table.from_pylist(list(rows), schema=arrow_schema(PredictionRow)))
        folder.write_run(config, [name], {}, len(rows), {"unreadable": 1}, 1.0)


def test_the_command(tmp_path: Path) -> None:
    made, first, second = Made(tmp_path), tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        done = CliRunner().invoke(app, ["figures", made.out, str(folder)])
        assert done.exit_code == 0, done.output
    assert "5 figures, 21 files" in done.output
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name
    for name in NAMES:
        ElementTree.fromstring((first / f"{name}.svg").read_bytes())
        assert (first / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert (first / f"{name}.pdf").read_bytes().startswith(b"%PDF-")
    assert "Conformity: rules" in (first / "figure2_occurrences.svg").read_text()
    shares = {
        (n["system"], n["values_of_the_video"]): n["share"]
        for n in lines((first / f"{NAMES[0]}.csv").read_bytes())
    }
    assert shares == {
        **{("annotations", str(k)): share for k, share in enumerate(("0.25", "0.5", "0.25"))},
        **{("a", str(k)): str(1 / 3) for k in range(3)},
        ("b", "0"): "1.0",
    }
    f1 = {(n["system"], n["label"]): n["f1"] for n in lines((first / f"{NAMES[2]}.csv").read_bytes())}
    assert f1["a", "face+"] == "1.0"
    assert float(f1["predict_everything", "face+"]) == pytest.approx(6 / 7)
    said = (first / "figures.md").read_text()
    for words in (
        "not corrected for model error",
        "* a: 3 videos",
        "a: left out unreadable 1",
        "(circle.pdf)",
    ):
        assert words in said
    only = figures_of(Study(made.out), ["b"])
    assert [one.name for one in only.series] == ["annotations", "b"]
    with pytest.raises(UserError, match="no system c; there are a, b"):
        figures_of(Study(made.out), ["c"])


def test_without_annotations_there_is_no_radar(tmp_path: Path) -> None:
    found = figures_of(Study(Made(tmp_path, annotated=False).out))
    assert [sheet.name for sheet in found.sheets] == [NAMES[0], NAMES[1], NAMES[3]]
    assert found.skipped == ["figure4_radar: no scores: nothing is annotated"]
    assert not any(one.is_human for one in found.series)


def test_a_codebook_of_ones_own_has_no_circle(tmp_path: Path) -> None:
    value = "title: {}, definition: d, motivation: m, endorsing: [e], confronting: [c]"
    book = "name: mine\nversion: 1\nsource: s\nvalues:\n"
    for slug in ("face", "humility", "thrift"):
        book += f"  - {{slug: {slug}, {value.format(slug.upper())}}}\n"
    (tmp_path / "book.yaml").write_text(book)
    found = figures_of(Study(Made(tmp_path, codebook=str(tmp_path / "book.yaml")).out))
    assert [sheet.name for sheet in found.sheets] == list(NAMES[:2])
    assert found.skipped[-1].startswith("circle: mine has other values than Schwartz's 19")
    write(found, tmp_path / "figures")
    assert "THRIFT" in (tmp_path / "figures" / "figure2_occurrences.svg").read_text()


def test_nothing_is_written_where_it_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write(Figures([], [], []), tmp_path / "file")
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    with pytest.raises(UserError, match=r'pip install "tikval\[figures\]"'):
        write(Figures([Sheet("x", "x", (), lambda: None, b"")], [], []), tmp_path / "new")  # type: ignore[arg-type, return-value]
    assert not (tmp_path / "new").exists()
