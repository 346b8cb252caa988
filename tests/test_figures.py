"""Figures: numbers by hand, then files that open, stay the same and let nobody in."""

import csv
import io
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
from tikval.cli import app
from tikval.config import CatalogConfig, EvaluateConfig, ExtractConfig, ScriptConfig, UserError
from tikval.flow.figures import Figures, Sheet, figures_of, write
from tikval.flow.folder import Folder
from tikval.flow.study import Study
from tikval.labels import read_labels
from tikval.report import figures as draw
from tikval.report.figure_numbers import Radar, circle_csv, occurrences_csv, per_video_csv, radar_of, said_of
from tikval.report.figure_style import render, styled
from tikval.rows import PredictionRow, ScoreRow, arrow_schema
from tikval.values import SLUGS, binary

PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "tiktok_annotations.csv"
ALL_MODELLED = np.ones(4, dtype=bool)
NAMES = ("figure1_values_per_video", "figure2_occurrences", "figure4_radar_endorsed", "circle")


def lines(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


# numbers


def test_counts_by_hand() -> None:
    said = np.array(
        [[1, 0, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]]
    )  # two values; the second video says one twice over
    one = said_of("a", said, ALL_MODELLED)
    assert one.per_video == (1, 1, 1)
    assert one.counts.tolist() == [[2, 0], [1, 1]]
    assert [line["count"] for line in lines(per_video_csv([one]))] == ["1", "1", "1"]
    numbers = {(line["value"], line["stance"]): line["count"] for line in lines(occurrences_csv([one], "xy"))}
    assert numbers == {
        ("x", "endorsed"): "2",
        ("x", "confronted"): "1",
        ("y", "endorsed"): "0",
        ("y", "confronted"): "1",
    }


def test_what_is_not_modelled_is_no_zero() -> None:
    one = said_of("a", np.zeros((2, 4)), np.array([True, True, True, False]))
    assert np.isnan(one.counts[1, 1])
    assert [line["count"] for line in lines(occurrences_csv([one], "xy"))] == ["0", "0", "0", ""]


def test_shares_of_several_answers() -> None:
    one = said_of("a", np.array([[0.5, 0.25, 0, 0], [1, 0.25, 0, 0]]), ALL_MODELLED)
    assert one.per_video == (0, 2)
    assert one.counts.tolist() == [[1.5, 0.5], [0, 0]]


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published annotations are elsewhere")
def test_the_published_annotations() -> None:
    rows = read_labels(str(PUBLISHED), SLUGS, "schwartz-19")
    said = np.array([binary(row["stances"]) for row in rows])
    one = said_of("annotations", said, np.ones(38, bool), is_human=True)
    assert one.per_video == (4, 59, 205, 275, 181, 100, 31, 19, 12, 1, 1)
    assert one.counts.sum(1).tolist() == [2132, 820]


@pytest.mark.parametrize("shape", [(2, 3), (2, 6), (0, 4)])
def test_arrays_that_do_not_fit(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="a: "):
        said_of("a", np.zeros(shape), ALL_MODELLED)


def score(system: str, label: str, f1: float | None, support: int, failures: str = "left_out") -> ScoreRow:
    return {
        "system": system,
        "label_set": "mine",
        "failures": failures,
        "stance": "endorsed",
        "label": label,
        "frequent": True,
        "support": support,
        "precision": None,
        "recall": None,
        "f1": f1,
        "lower": None,
        "upper": None,
        "average_precision": None,
        "brier": None,
        "ece": None,
        "n_videos": 10,
        "n_scored": 9,
    }


def test_a_radar_has_gaps_and_one_baseline() -> None:
    rows = [
        *(
            score("predict_everything", f"{v}+", f1, n)
            for v, f1, n in (("x", 0.5, 3), ("y", None, 0), ("z", 0.2, 1))
        ),
        score("frequency_prior", "x+", 0.9, 3),
        score("a", "x+", 0.7, 3),
        score("a", "x+", 0.1, 3, "wrong"),
        score("a", "y+", 0.0, 0),
        score("unasked", "x+", 0.9, 3),
    ]
    found = radar_of(rows, "xyz", "endorsed", ["a", "unscored"])
    assert list(found.f1) == ["predict_everything", "a"]
    assert found.support == (3, 0, 1)
    np.testing.assert_array_equal(found.f1["a"], [0.7, np.nan, np.nan])
    for slugs, stance, said in (
        ("xy", "endorsed", "three values"),
        ("xyz", "confronted", "no annotated video"),
    ):
        with pytest.raises(ValueError, match=said):
            radar_of(rows, slugs, stance, ["a"])


def test_the_circle_names_both_groups_of_a_border() -> None:
    found = lines(circle_csv([said_of("a", np.zeros((1, 38)), np.ones(38, bool))], SLUGS))
    assert [line["place"] for line in found] == [str(i) for i in range(19)]
    assert {line["value"]: line["groups"] for line in found}["face"] == "self_enhancement and conservation"


# drawings


def test_a_hostile_title_is_text() -> None:
    titles = ["<script>alert(1)</script>", "$\\frac{a--", "x" * 500]
    one = said_of("a", np.eye(6), np.array([True] * 5 + [False]))
    found = Radar("endorsed", 6, (1, 1, 0), {"a": np.array([0.5, 1, np.nan])}, ())
    with styled():
        pictures = [render(draw.occurrences([one], titles), "svg"), render(draw.radar(found, titles), "svg")]
    for picture in pictures:
        assert b"<script" not in picture
        root = ElementTree.fromstring(picture)
        words = "".join(root.itertext())
        assert "<script>" in words
        assert "$\\frac{a--" in words
    assert "matplotlib.pyplot" not in sys.modules


def test_a_notebooks_backend_is_no_matter() -> None:
    code = "from tikval.report.figure_style import styled\nwith styled(): pass"
    env = {**os.environ, "MPLBACKEND": "module://not_installed.here"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


# from end to end


class Made:
    """Four videos; `a` says of each what is true and fails on the last, `b` says nothing."""

    def __init__(self, root: Path, annotated: bool = True, codebook: str | None = None) -> None:
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
