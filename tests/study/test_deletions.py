"""The deletion test without Ray: what is cut, what is judged again by real models, and the numbers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.fixtures.alone import in_this_process
from tests.fixtures.rows import prediction, script, video
from tikval.cli.commands import app
from tikval.codebook import load_codebook
from tikval.config import (
    CatalogConfig,
    ExplainConfig,
    ExtractConfig,
    LocalExtractor,
    ScriptConfig,
    UserError,
    find_file,
    load_config,
)
from tikval.extract.local import LocalValues
from tikval.files import read_parquet
from tikval.flow.explain import explain
from tikval.report.site.evidence_table import deletion_tests
from tikval.rows import DeletionRow, Passage, PredictionRow, ScriptRow, VideoRow, arrow_schema
from tikval.script_text import pieces_of, without_pieces
from tikval.stats.deletion import deletion_gap
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.study.deletion_cuts import control_pieces, evidence_pieces, n_words
from tikval.study.erasure import erase_videos

N = 24
SAYS = "My sister mended the old bicycle without any help, and thought of a new way to do the brakes."
# of the codebook: the local extractor finds it
EXAMPLE = "I taught myself to edit my own videos by trying every button and figuring out what each one does."
LABEL = "self_direction_thought+"
NEUTRAL = (
    "The door of the shop is made of green painted wood, and it stands open in the afternoon today.",
    "There are four chairs around a table next to the window, and two of them are in the sun.",
    "A bus drives by while the light is turning yellow again, and then the street is as it was before.",
    "This is the third part of the recipe with two eggs in it, which go in after the flour.",
    "The floor of the room has grey tiles in rows of about ten, and there is a mat on some.",
)


def passage(quote: str, label: str = LABEL) -> Passage:
    return Passage(
        label=label, source="speech", quote=quote, start=None, end=None, weight=None, in_script=True
    )


def a_script(n: int, says: str = SAYS) -> str:
    """The sentence that says the value at another place in each."""
    sentences = [*np.random.default_rng(n).permutation(NEUTRAL).tolist()]
    sentences.insert(n % 6, says)
    return "Genre: x\nSound: Yes\n\n" + "\n".join(f'SPEAKER: "{text}"' for text in sentences)


class Given:
    """A study of N videos by eight accounts, and a system over their scripts, all written by hand."""

    def __init__(self, root: Path, says: str = SAYS, **system: Any) -> None:
        self.out = str(root / "out")
        catalog = CatalogConfig(videos=str(root), out=self.out)
        self.scripts = ScriptConfig(videos=catalog, out=self.out)
        keys: dict[str, Any] = {"scripts": self.scripts, "out": self.out, "system": "local", **system}
        self.system = ExtractConfig.model_validate(keys)
        self.ids = [f"v{n:02}" for n in range(N)]
        videos = [video(name, account=f"account {n % 8}") for n, name in enumerate(self.ids)]
        self.rows = [script(name, script=a_script(n, says)) for n, name in enumerate(self.ids)]
        self.write(catalog, VideoRow, videos)
        self.write(self.scripts, ScriptRow, self.rows)
        self.judge([passage(says)])

    def judge(self, evidence: list[Passage] | None, label: str = LABEL) -> None:
        rows = [prediction(name, label, system=self.system.system, evidence=evidence) for name in self.ids]
        self.write(self.system, PredictionRow, rows)

    def write(self, config: Any, kind: type, rows: Sequence[Any]) -> None:
        folder = Folder(config.folder)
        part = folder.write_part(pa.Table.from_pylist(list(rows), schema=arrow_schema(kind)))
        folder.write_run(config, [part], {}, len(rows), {}, 1.0)

    def test(self, **keys: Any) -> ExplainConfig:
        return ExplainConfig.model_validate({"predictions": self.system, "out": self.out, **keys})


# what is cut


def test_a_control_is_other_whole_sentences_of_the_same_length() -> None:
    text, caption = a_script(3), "A caption of about the same number of words as that. Short."
    cut = evidence_pieces([passage(SAYS), passage(NEUTRAL[0], "face+")], LABEL, text, caption)
    assert [piece.text for piece in cut] == [SAYS]
    controls = control_pieces(cut, text, caption, 3, "0")
    assert len(controls) == 3
    assert controls == control_pieces(cut, text, caption, 3, "0")
    for control in controls:
        assert set(control) <= set(pieces_of(text, caption)) - set(cut)
        assert abs(n_words(control) - n_words(cut)) <= 3
        assert SAYS in without_pieces(text, caption, control)[0]


def test_a_post_with_nothing_else_to_cut_has_no_control() -> None:
    for rest in ("", 'A: "Oh no."\n'):
        text = f'A: "{SAYS}"\n{rest}'
        cut = evidence_pieces([passage(SAYS)], LABEL, text, None)
        assert control_pieces(cut, text, None, 3, "0") == []


@given(st.lists(st.text("ab .!?\n", max_size=30), max_size=6), st.integers(0, 5), st.text(max_size=3))
def test_a_control_never_touches_the_evidence(lines: list[str], at: int, seed: str) -> None:
    text = "\n".join(f'A: "{line}"' for line in lines)
    pieces = pieces_of(text)
    cut = pieces[at : at + 2]
    for control in control_pieces(cut, text, None, 3, seed):
        assert not {i for p in control for i in range(p.begin, p.end)} & {
            i for p in cut for i in range(p.begin, p.end)
        }
        assert n_words(control) >= n_words(cut) / 2


# what is judged again


@pytest.mark.full
def test_a_local_systems_labels_go_without_their_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Given(tmp_path, EXAMPLE)
    book = load_codebook(find_file(study.system.codebook))
    values = LocalValues("local", book, LocalExtractor())
    study.write(study.system, PredictionRow, values(study.rows))  # with the evidence that it gives itself
    judged: list[int] = []

    def local(config: Any) -> Callable[[list[Any]], list[Any]]:
        def judge(rows: list[Any]) -> list[Any]:
            judged.append(len(rows))
            return values(rows)

        return judge

    monkeypatch.setattr("tikval.flow.explain.extract_values", in_this_process(local))
    config = study.test(sample=10)
    run = explain(config)
    rows: list[DeletionRow] = Folder(config.folder).read().to_pylist()
    found = deletion_gap(rows)
    assert (run.rows, run.failed, found.videos, found.labels) == (30, {}, 10, 10)
    assert {row["control"] for row in rows} == {None, 0, 1}
    assert all(row["score"] is not None and row["account"] for row in rows)
    assert (found.evidence, found.controls) == (1, 0)
    assert "a label is gone in 1.00 of 10 labels of 10 videos" in " ".join(capsys.readouterr().out.split())
    assert explain(config) == run, "finished"
    assert judged == [30]


def test_what_was_judged_is_not_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, judged = Given(tmp_path), list[str]()

    def fake(config: Any) -> Callable[[list[Any]], list[Any]]:
        def judge(rows: list[Any]) -> list[Any]:
            judged.extend(row["row_key"] for row in rows)
            return [prediction(row["video_id"], row_key=row["row_key"]) for row in rows]

        return judge

    monkeypatch.setattr("tikval.flow.explain.extract_values", in_this_process(fake))
    config = study.test(controls=1)
    explain(config)
    study.judge(
        [passage(SAYS), passage("words that stand nowhere at all")]
    )  # judged anew, and nothing else to cut
    explain(config)
    assert len(judged) == len(set(judged)) == 2 * N
    rows: list[DeletionRow] = Folder(config.folder).read().to_pylist()
    found = deletion_gap(rows)
    assert (found.evidence, found.controls, found.gap) == (1, 1, 0)
    assert deletion_tests(Study(study.out), [study.system])["local"].uri == config.folder

    gone, owner = rows[0]["video_id"], "somebody.of_theirs"
    study.judge([passage(f"{SAYS} As @{owner} did.")])
    assert not deletion_tests(Study(study.out), [study.system]), "a test of what was there before"
    erase_videos(study.out, {gone}, {owner})
    files = list(Path(study.out).rglob("*.parquet"))
    left = [repr(read_parquet(str(file)).to_pylist()) for file in files]
    assert any(Folder(config.folder).name in str(file.parent.parent) for file in files), "made scripts"
    assert not [text for text in left if gone in text], "its evidence, and what was made of its script"
    assert not [text for text in left if owner in text], "the evidence of others may mention them"


def test_the_command_takes_the_recipe_out_of_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Given(tmp_path)

    def keeps_all(config: Any) -> Callable[[list[Any]], list[Any]]:
        return lambda rows: [prediction(row["video_id"], LABEL, row_key=row["row_key"]) for row in rows]

    monkeypatch.setattr("tikval.flow.explain.extract_values", in_this_process(keeps_all))
    done = CliRunner().invoke(app, ["explain", study.out, "--sample", "5", "--controls", "1"])
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert "gone in 0.00 of 5 labels of 5 videos" in words
    [folder] = Study(study.out).folders("deletions")
    assert f"deletions: 10 results, in {folder.uri}" in words
    assert folder.uri == study.test(sample=5, controls=1).folder
    with pytest.raises(UserError, match="no system other; there are local"):
        CliRunner().invoke(app, ["explain", study.out, "--system", "other"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("evidence", "label", "why"),
    [
        (None, LABEL, "local gives no evidence; run it with evidence first"),
        (
            [passage("Words that stand in none of the scripts.")],
            LABEL,
            "none of its evidence stands in a script",
        ),
        (
            [passage(SAYS)],
            "face+",
            "none of its evidence stands in a script",
        ),  # of a label that is not decided
    ],
)
def test_nothing_to_cut_is_refused_in_words(
    tmp_path: Path, evidence: list[Passage] | None, label: str, why: str
) -> None:
    study = Given(tmp_path)
    study.judge(evidence, label)
    with pytest.raises(UserError, match=why):
        explain(study.test())


def test_what_reads_no_scripts_is_refused() -> None:
    for system, why in (
        ("configs/gemini/direct.yaml", "gemini_direct reads no scripts, and nothing can be cut out"),
        ("configs/paper/roberta_honest.yaml", "judges texts anew by jobs.predict: give its configuration"),
    ):
        with pytest.raises(UserError, match=why):
            load_config(ExplainConfig, "configs/explain.yaml", [("predictions", system)])


# the numbers


def tried(account: str | None, name: str, *kept: bool | None) -> list[DeletionRow]:
    """One label of one video: whether it is kept without its evidence, and without each control."""
    return [
        DeletionRow(
            video_id=name,
            row_key=name,
            account=account,
            label=LABEL,
            control=None if n == 0 else n - 1,
            words=5,
            kept=one,
            score=None,
            error="timeout" if one is None else None,
            detail=None,
        )
        for n, one in enumerate(kept)
    ]


def test_the_gap_is_over_labels_that_were_judged_in_both_ways() -> None:
    rows = [
        *tried("a", "1", False, True, False),
        *tried("a", "2", True, True),
        *tried("b", "3", False, True, None),
        *tried("b", "4", False),
        *tried("c", "5", None, True),
        *tried("c", "6", False, None),
    ]
    found = deletion_gap(rows)
    assert (found.videos, found.accounts, found.labels) == (3, 2, 3)
    assert (found.without_control, found.failed) == (1, 2)
    assert found.evidence == pytest.approx(2 / 3)
    assert found.controls == pytest.approx(1 / 6)
    assert found.gap == pytest.approx(1 / 2)
    assert found.interval.why_none == "2 accounts: too few for an interval"
    assert deletion_gap([]).gap is None


def test_the_intervals_cover_the_gap_that_is_there() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(300):
        rows = []
        for account in range(20):
            goes = rng.beta(3, 2)  # accounts differ
            for n in range(5):
                rows += tried(f"{account}", f"{account}-{n}", rng.random() > goes, rng.random() > 0.2)
        low, high, _, _ = deletion_gap(rows).interval
        assert low is not None
        assert high is not None
        covered += low <= 0.6 - 0.2 <= high
    assert 0.92 <= covered / 300 <= 0.98
