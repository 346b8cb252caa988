"""Who is compared with whom: annotators out of tables, systems as annotators, two and a third as one; the commands."""

import csv
import io
import re
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.fixtures.rows import label
from tests.stats.test_agreement import values_of
from tests.study.test_erasure_and_export import ANN, Made
from tikval.annotate.agreement import (
    AgreementRow,
    Coding,
    agreement_rows,
    compared_groups,
    show_agreement,
    write_agreement_csv,
)
from tikval.annotate.annotators import Annotators, add_systems, people, read_tables
from tikval.annotate.consolidate import (
    AGREED,
    NEITHER,
    NO_THIRD,
    ONE_ANNOTATOR,
    ONE_CODER,
    UNDECIDED,
    consolidate_rows,
    consolidate_stances,
    decide_stance,
    write_consolidated,
)
from tikval.cli.commands import app
from tikval.codebook import load_codebook
from tikval.config import UserError, find_file
from tikval.rows import LabelRow, PredictionRow, arrow_schema
from tikval.sources.labels import read_labels
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.values import SLUGS

BOOK = load_codebook(find_file("prompts/codebook.yaml"))
FACE = SLUGS.index("face")
CODINGS: tuple[Coding, ...] = ("binary", "three_way", "dominance")


def faces(annotator: str, account: str | None = None, /, **stances: int) -> list[LabelRow]:
    """Stances of one value per video."""
    zeros = [0] * len(SLUGS)
    return [
        label(
            video, annotator=annotator, account=account, stances=[*zeros[:FACE], stance, *zeros[FACE + 1 :]]
        )
        for video, stance in stances.items()
    ]


def annotations_by(*rows: list[LabelRow]) -> Annotators:
    return people([row for some in rows for row in some], BOOK)


def pick(
    rows: list[AgreementRow], names: tuple[str, ...], coding: Coding, of: str = "all"
) -> dict[str, float]:
    (row,) = (row for row in rows if (row.names, row.coding, row.of) == (names, coding, of))
    return values_of(row.line) | {"videos": row.videos, "cells": row.line.cells}


def test_codings_differ_where_dominance_and_sign_do() -> None:
    found = annotations_by(faces("a", v1=2, v2=1, v3=-1, v4=0), faces("b", v1=1, v2=1, v3=1, v4=0))
    rows = agreement_rows(found, compared_groups(found, None), CODINGS, by_value=True)
    two = ("a", "b")
    assert [pick(rows, two, "three_way", "face")[name] for name in ("observed", "positive")] == [3 / 4, 2 / 3]
    assert [pick(rows, two, "dominance", "face")[name] for name in ("observed", "positive")] == [2 / 4, 1 / 3]
    assert [pick(rows, two, "binary", f"face{sign}")["observed"] for sign in "+-"] == [3 / 4, 3 / 4]
    assert pick(rows, two, "binary", "face+")["positive"] == 2 * 2 / (2 + 3)
    # pooled over labels, what is coded the same is that of three ways
    assert pick(rows, two, "binary")["positive"] == pick(rows, two, "three_way")["positive"] == 2 / 3
    assert pick(rows, two, "binary", "confronted")["cells"] == 4 * 19
    assert pick(rows, ("a", "absent"), "three_way", "face")["observed"] == 1 / 4
    assert pick(rows, ("b", "absent"), "three_way", "face")["observed"] == 1 / 4
    (tradition,) = (row for row in rows if (row.names, row.coding, row.of) == (two, "three_way", "tradition"))
    assert tradition.note == "one category only"


def test_who_is_compared_with_whom() -> None:
    two = annotations_by(faces("a", v1=1), faces("b", v1=1))
    assert compared_groups(two, None) == [("a", "b"), ("a", "absent"), ("b", "absent")]
    three = annotations_by(faces("a", v1=1), faces("b", v1=1), faces("c", v1=1))
    assert compared_groups(three, None)[:4] == [("a", "b", "c"), ("a", "b"), ("a", "c"), ("b", "c")]
    assert compared_groups(three, "b") == [("a", "b"), ("c", "b"), ("b", "absent")]
    assert compared_groups(three.only(["c"]), "absent") == [("c", "absent")]
    many = annotations_by(*(faces(f"a{n}", v1=1) for n in range(11)))
    assert len(compared_groups(many, None)) == 1 + 11


def test_annotators_of_different_videos() -> None:
    found = annotations_by(faces("a", v1=1, v2=0), faces("b", v2=0, v3=1), faces("c", v4=1))
    rows = agreement_rows(found, compared_groups(found, None), CODINGS)
    assert pick(rows, ("a", "b"), "three_way")["videos"] == 1
    assert pick(rows, ("a", "b", "c"), "three_way")["videos"] == 1
    assert pick(rows, ("a", "absent"), "three_way")["videos"] == 2
    assert pick(rows, ("a", "c"), "three_way")["videos"] == 0
    only = found.only(["a", "c"])
    with pytest.raises(UserError, match=r"no video in common .*: a, c$"):
        agreement_rows(only, compared_groups(only, None), CODINGS)


def coded(accounts: int, videos: int) -> list[AgreementRow]:
    """Two annotators of videos of so many accounts, who differ about one in three."""
    first = [face for n in range(videos) for face in faces("a", f"account{n % accounts}", **{f"v{n}": n % 2})]
    second = [face for n in range(videos) for face in faces("b", **{f"v{n}": n % 2 if n % 3 else 1 - n % 2})]
    found = annotations_by(first, second)
    return agreement_rows(found, [("a", "b")], CODINGS, by_value=True)


def shown(rows: list[AgreementRow]) -> str:
    console = Console(file=io.StringIO(), width=200, markup=False)
    show_agreement(rows, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_of_four_accounts_no_interval_and_the_reason_once(tmp_path: Path) -> None:
    rows = coded(accounts=4, videos=14)
    text = shown(rows)
    assert "[" not in text
    assert not re.search(r"\bnan\b", text)
    assert text.count("too few for an interval") == 1
    assert text.splitlines()[-1] == "* 4 accounts: too few for an interval"
    write_agreement_csv(rows, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(rows)
    for line in lines:
        assert not any(cell for name, cell in line.items() if name.endswith(("_low", "_high")))
        assert line["no_interval"] == "4 accounts: too few for an interval"
        assert line["accounts"] == "4"


def test_of_many_accounts_there_are_intervals_and_of_few_a_line_says_so(tmp_path: Path) -> None:
    for accounts in (91, 9):
        text = shown(coded(accounts, videos=182))
        pooled = next(line for line in text.splitlines() if "three_way" in line)
        assert pooled.count("[") == 4
        assert ("a few accounts decide this: 9" in text) == (accounts == 9)
    assert "(a) nothing differs between accounts: no interval" in text, "of the values that nobody found"


def test_annotators_who_are_not_there() -> None:
    found = annotations_by(faces("a", v1=1))
    with pytest.raises(UserError, match="one annotator only \\(a\\)"):
        compared_groups(found, None)
    with pytest.raises(UserError, match="nobody: no such annotator; there are a"):
        compared_groups(annotations_by(faces("a", v1=1)), "nobody")
    with pytest.raises(UserError, match="nobody: no such annotator"):
        found.only(["nobody"])
    with pytest.raises(UserError, match="no annotations"):
        compared_groups(annotations_by(), None)


def table(path: Path, text: str) -> str:
    path.write_text(text.replace(" ", "\n") + "\n")
    return str(path)


def test_a_table_of_each_annotator_is_named_after_its_file(tmp_path: Path) -> None:
    first = table(tmp_path / "ann.csv", "video_id,face v1,1 v2,0")
    second = table(tmp_path / "bob.csv", "video_id,annotator,face v1,robert,dominant v1,eve,-1")
    rows = read_tables([first, second], BOOK)
    assert [(row["annotator"], row["stances"][FACE]) for row in rows] == [
        ("ann", 1),
        ("ann", 0),
        ("robert", 2),
        ("eve", -1),
    ]
    assert read_tables([first], BOOK)[0]["annotator"] == "human"


def test_tables_that_contradict_each_other(tmp_path: Path) -> None:
    first = table(tmp_path / "one.csv", "video_id,annotator,account,face v1,ann,x,1")
    again = table(tmp_path / "two.csv", "video_id,annotator,account,face v1,ann,x,0")
    other = table(tmp_path / "three.csv", "video_id,annotator,account,face v1,bob,y,0")
    absent = table(tmp_path / "four.csv", "video_id,annotator,face v1,absent,0")
    with pytest.raises(UserError, match=r"two.csv: v1 was annotated by ann before, in .*one.csv"):
        read_tables([first, again], BOOK)
    with pytest.raises(UserError, match="v1 was annotated by ann before"):
        read_tables([first, first], BOOK)
    with pytest.raises(UserError, match="v1 is of 'y' here and of 'x' in"):
        read_tables([first, other], BOOK)
    with pytest.raises(UserError, match="the baseline's name"):
        read_tables([absent], BOOK)


# systems as annotators


def test_a_system_is_an_annotator_and_its_failures_are_missing(tmp_path: Path) -> None:
    made = Made(tmp_path)  # predicts face+ for first-video, achievement+ for third-video; broken-video failed
    found = annotations_by(
        faces("ann", **dict.fromkeys(("first-video", "third-video", "broken-video", "gone"), 1))
    )
    add_systems(found, Study(made.out), BOOK)
    assert set(found.annotations) == {"ann", "local"}
    assert set(found.annotations["local"]) == {"first-video", "third-video"}
    assert found.failed == {"local": {"unreadable": 1, "missing": 1}}
    assert found.accounts["first-video"] == ANN
    rows = agreement_rows(found, compared_groups(found, "ann"), CODINGS, by_value=True)
    face = pick(rows, ("local", "ann"), "three_way", "face")
    assert (face["videos"], face["observed"], face["positive"]) == (2, 1 / 2, 2 / 3)
    assert pick(rows, ("local", "ann"), "dominance")["cells"] == 0, "it does not tell dominance"
    with pytest.raises(UserError, match="'local' is an annotator's name too"):
        add_systems(annotations_by(faces("local", **{"first-video": 1})), Study(made.out), BOOK)


def test_what_a_system_does_not_model_is_missing_and_its_runs_are_annotators(tmp_path: Path) -> None:
    made = Made(tmp_path)
    half = made.system.model_copy(update={"system": "half"})
    rows = []
    for sample in (0, 1):
        for row in made.rows[:3]:
            changes = {"system": "half", "sample": sample, "decisions": [True] * 19 + [False] + [None] * 18}
            rows.append({**row, **changes, "scores": None, "stances": [2, *[0] * 18] if sample else None})
    folder = Folder(half.folder)  # as the jobs write what ran several times: a row per video and run
    name = folder.write_part(pa.Table.from_pylist(rows, schema=arrow_schema(PredictionRow)))
    folder.write_run(half, [name], {}, len(rows), {}, 1.0)
    found = annotations_by(faces("ann", **{"first-video": 1}))
    add_systems(found, Study(made.out), BOOK)
    assert set(found.annotations) == {"ann", "local", "half (sample 0)", "half (sample 1)"}
    annotations = found.annotations["half (sample 1)"]["first-video"]
    assert list(annotations.three_way) == [1, *[None] * 18], "absent or confronted: it cannot tell"
    assert list(annotations.labels[:20]) == [True] * 19 + [False]
    assert list(annotations.with_dominance) == [2, *[0] * 18]


def test_a_study_of_another_codebook(tmp_path: Path) -> None:
    made = Made(tmp_path)
    other = BOOK.model_copy(update={"values": BOOK.values[::-1]})
    with pytest.raises(UserError, match=r"local: its codebook is prompts/codebook\.yaml"):
        add_systems(annotations_by(faces("ann", **{"first-video": 1})), Study(made.out), other)


# consolidation


def test_a_third_decides_where_two_differ() -> None:
    first = {"v1": [1, 0, -1, 2], "v2": [0, 0, 0, 0], "v3": [1, 0, 0, 0], "v4": [0] * 4}
    second = {"v1": [1, 1, 1, 1], "v2": [0, 0, 0, 0], "v3": [0, 0, 0, 0], "v5": [0] * 4}
    done = consolidate_stances(first, second, {"v1": [0, 1, -1, 0], "v9": [1] * 4})
    assert done.stances == {"v1": [1, 1, -1, 0], "v2": [0, 0, 0, 0]}
    assert done.decided == {"agreed": 1 + 4, "third as A": 1, "third as B": 1, "third as neither": 1}
    assert done.left_out == {"v3": NO_THIRD, "v4": ONE_ANNOTATOR, "v5": ONE_ANNOTATOR}


def test_a_stance_that_one_did_not_give_is_asked_of_the_third_and_no_value_is_lost() -> None:
    def rows(name: str, **faces_of: int | None) -> list[LabelRow]:
        return [
            label(video, annotator=name, stances=[0, face, *[0] * 17]) for video, face in faces_of.items()
        ]

    given = [*rows("a", v=None, w=None, x=1), *rows("b", v=0, w=None, x=1), *rows("c", v=-1, w=None)]
    done, _ = consolidate_rows(given, "c", [])
    assert done.stances == {"v": [0, -1, *[0] * 17], "x": [0, 1, *[0] * 17]}
    assert done.left_out == {"w": NO_THIRD}
    assert decide_stance((1, 1, 1), None) == (1, AGREED)
    assert decide_stance((1, 2, 0), 0) == (0, "third as C")
    assert decide_stance((1,), None) == (1, ONE_CODER)
    assert decide_stance((None, None), None) == (None, UNDECIDED)  # not sure, both of them: no agreement
    assert decide_stance((), 2) == (2, NEITHER)


def test_what_is_consolidated_can_be_read_as_annotations(tmp_path: Path) -> None:
    rows = [
        *faces("a", "=x", v1=1, v2=2, **{'=1+"1,': 0}),
        *faces("b", "=x", v1=-1, v2=2, **{'=1+"1,': 0}),
        *faces("c", v1=1),
    ]
    done, two = consolidate_rows(rows, "c", [])
    assert two == ("a", "b")
    write_consolidated(done, rows, SLUGS, tmp_path / "labels.csv")
    read = read_labels(str(tmp_path / "labels.csv"), SLUGS, BOOK.label_set)
    assert {row["video_id"]: row["stances"][FACE] for row in read} == {"v1": 1, "v2": 2, '=1+"1,': 0}
    assert {(row["annotator"], row["account"]) for row in read} == {("consolidated", "=x")}


def test_consolidating_without_two_and_a_third() -> None:
    rows = [*faces("a", v1=1), *faces("b", v1=0), *faces("c", v2=0), *faces("d", v1=0)]
    with pytest.raises(UserError, match="nobody: no such annotator; there are a, b, c, d"):
        consolidate_rows(rows, "nobody", [])
    with pytest.raises(UserError, match="two annotators besides c are needed, not a, b, d"):
        consolidate_rows(rows, "c", [])
    for two in (["a"], ["a", "a"], ["a", "c"]):
        with pytest.raises(UserError, match="two annotators besides c"):
            consolidate_rows(rows, "c", two)
    with pytest.raises(UserError, match=r"nothing to consolidate: 1 the two differ.*\(v1\)"):
        consolidate_rows(rows, "c", ["a", "b"])


# commands


def test_the_commands(tmp_path: Path) -> None:
    tables = [
        table(tmp_path / "ann.csv", "video_id,account,face v1,x,1 v2,y,0 v3,y,2"),
        table(tmp_path / "bob.csv", "video_id,face v1,1 v2,1 v3,2"),
        table(tmp_path / "eve.csv", "video_id,face v1,1 v2,1"),
    ]
    out = str(tmp_path / "agreement.csv")
    done = CliRunner().invoke(app, ["agreement", *tables, "--by", "value", "--csv", out])
    assert done.exit_code == 0, done.output
    with (tmp_path / "agreement.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (1 + 3 + 3) * (3 + 38 + 1 + 19 + 1 + 19)
    assert rows[0]["annotators"] == "ann & bob & eve"
    (face,) = (
        row
        for row in rows
        if (row["annotators"], row["coding"], row["value"]) == ("ann & bob", "three_way", "face")
    )
    assert float(face["observed"]) == pytest.approx(2 / 3)
    to = str(tmp_path / "both.csv")
    done = CliRunner().invoke(app, ["consolidate", *tables, "--third", "eve", "--to", to])
    assert done.exit_code == 0, done.output
    assert "3 videos, 3 stances: 2 (66.7%) agreed on; eve coded as ann in 0, as bob in 1" in done.output
    done = CliRunner().invoke(app, ["agreement", tables[0], tables[1], "--csv", str(tmp_path / "a.txt")])
    assert "must end in .csv" in str(done.exception)
