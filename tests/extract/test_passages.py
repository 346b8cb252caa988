"""The sentences that the local extractor quotes: they stand in the post, and the label goes without them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.evidence import judge
from benchmarks.evidence_scripts import made_scripts, neutral_sentences, value_sentences
from tests.extract.test_local_extract import CONFIG, extractor, script_row
from tikval.codebook import load_codebook, sentences
from tikval.config import LocalExtractor
from tikval.extract.local import LocalValues
from tikval.extract.passages import strongest_runs
from tikval.extract.similarity import LabelVectors, label_shares
from tikval.hub import bundled
from tikval.rows import Passage
from tikval.script_text import find_quote

BAG = extractor(config=CONFIG.model_copy(update={"gate": None}))
HEAD = "Genre: food\nSound: Yes\n\n"


def passages(script: str, caption: str | None = None, **more: object) -> list[Passage]:
    [row] = BAG([script_row(script, caption, **more)])
    assert row["evidence"] is not None
    return row["evidence"]


def test_a_passage_has_its_words_its_line_and_its_times() -> None:
    script = f'{HEAD}SPEAKER: "table corner table. Cake party cake."\n[axe axe axe]\n'
    endorsed, confronted = passages(
        script, line_starts=[None, None, None, 1.5, 4.0], line_ends=[None, None, None, 3.5, None]
    )
    weight = endorsed.pop("weight"), confronted.pop("weight")  # type: ignore[misc]
    assert endorsed == {
        "label": "fun+",
        "source": "speech",
        "quote": "Cake party cake.",
        "start": 1.5,
        "end": 3.5,
        "in_script": True,
    }
    assert confronted == endorsed | {
        "label": "nature-",
        "source": "on_screen",
        "quote": "axe axe axe",
        "start": 4.0,
        "end": None,
    }
    assert all(one is not None and one > 0 for one in weight)


def test_without_a_decision_there_is_no_evidence_and_without_times_none() -> None:
    assert passages("[table corner table]") == []
    [one] = passages("", caption="tree forest tree")
    assert (one["source"], one["start"], one["end"]) == ("caption", None, None)
    [failed] = BAG([script_row("")])
    assert failed["evidence"] is None


def test_neighbours_are_quoted_together_where_only_together_they_speak() -> None:
    bounds = [(0.02, "a"), (0.02, "b"), (0.02, "c"), (0.9, "a b"), (0.02, "b c")]
    share_N = np.array([share for share, _ in bounds])
    [run] = strongest_runs(share_N, ["a", "b", "c"], CONFIG)
    assert (run.begin, run.end) == (0, 2)
    assert run.weight == pytest.approx(
        share_N.sum() / 6 - 0.02 / 2
    )  # one window without them, one prior window
    share_N[1] = 0.5  # more than half of what both have
    assert [run[:2] for run in strongest_runs(share_N, ["a", "b", "c"], CONFIG)] == [(1, 2)]


def test_what_is_repeated_is_one_passage_of_which_all_is_weighed() -> None:
    share_N = np.array([0.9, 0.0, 0.9, 0.1])
    one_at_a_time = CONFIG.model_copy(update={"span": 1})
    [run] = strongest_runs(share_N, ["again", "b", "again", "c"], one_at_a_time)
    assert (run.begin, run.end) == (0, 1)
    assert run.weight == pytest.approx(1.9 / 5 - 0.1 / 3)


def test_a_translation_is_quoted_and_the_words_between_are_not() -> None:
    script = (
        "Genre: Food\nLanguage: es, probability 0.93; TRANSLATED is the recogniser's English\n\n"
        'SPEAKER (ES): "Uno dos tres."\nTRANSLATED: "cake party"\n'
        'SPEAKER (ES): "Cuatro cinco seis."\nTRANSLATED: "party cake"\n'
    )
    [one] = passages(script)
    assert (one["source"], one["quote"]) == ("speech", "cake party \u2026 party cake")
    assert [piece.line for piece in find_quote(one["quote"] or "", script)] == [4, 6]


def test_speech_without_a_full_stop_is_quoted_from_its_beginning() -> None:
    script = f'{HEAD}SPEAKER: "{"cake party " * 500}"\n'
    [one] = passages(script)
    assert len(one["quote"] or "") <= 1_000
    assert find_quote(one["quote"] or "", script)


words = st.sampled_from([*'cake party axe tree table Oh! diet. [ \u2026 " na\u00efve'.split(), "\n"])
lines = st.lists(words, max_size=6).map(" ".join)
marked = st.builds("{}{}".format, st.sampled_from(['SPEAKER: "', "[", "", 'TRANSLATED: "']), lines)


@settings(max_examples=60)
@given(st.lists(marked, max_size=6).map("\n".join), st.none() | lines)
def test_every_quote_stands_in_the_script_or_the_caption(body: str, caption: str | None) -> None:
    [row] = BAG([script_row(HEAD + body, caption)])
    decided = {label for label, yes in zip(BAG.codebook.labels, row["decisions"] or [], strict=False) if yes}
    evidence = row["evidence"] or []
    assert {one["label"] for one in evidence} == decided
    for one in evidence:
        assert find_quote(one["quote"] or "", HEAD + body, caption)


@given(st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 4.0]))
def test_scores_are_the_same_bits_as_before_windows_were_kept_apart(n: int, seed: int, prior: float) -> None:
    rng = np.random.default_rng(seed)
    labels, examples, neutral = (rng.normal(size=(rows, 5)).astype(np.float32) for rows in (4, 6, 2))
    vectors = LabelVectors(labels, examples, neutral, np.zeros((0, 5), np.float32), np.zeros(0, np.intp))
    windows_ND, config = (
        rng.normal(size=(n, 5)).astype(np.float32),
        CONFIG.model_copy(update={"prior_windows": prior, "gate": None}),
    )
    near = (windows_ND @ vectors.neutral.T).max(axis=1, initial=-1, keepdims=True)
    scaled = np.hstack([windows_ND @ vectors.labels.T, near]) / config.temperature
    e = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    share_NL = (e / e.sum(axis=-1, keepdims=True))[:, :-1]
    before_L = share_NL.sum(axis=0, dtype=np.float64) / (n + prior)
    assert label_shares(windows_ND, vectors, config).tobytes() == before_L.tobytes()


def test_made_scripts_hold_no_sentence_of_the_codebook() -> None:
    book = load_codebook(Path("prompts/codebook.yaml"))
    known = {example for one in sentences(book).values() for example in one.examples} | set(book.neutral)
    assert set(value_sentences()) == set(book.labels)
    assert not known & {*neutral_sentences(), *(one for its in value_sentences().values() for one in its)}


@pytest.mark.local_models
def test_the_sentence_with_a_value_is_found_among_neutral_ones_and_the_label_goes_without_it() -> None:
    if bundled.cached_folder() is None:
        pytest.skip("fetch it first: python -m tikval.hub.bundled")
    book = load_codebook(Path("prompts/codebook.yaml"))
    few = {label: value_sentences()[label] for label in ("universalism_nature+", "power_resources+")}
    of_few = [value for value in book.values if {f"{value.slug}+", f"{value.slug}-"} & set(few)]
    values = LocalValues(
        "local", book.model_copy(update={"values": tuple(of_few)}), LocalExtractor(threshold=0.08)
    )
    rng = np.random.default_rng(0)
    judged = [one for made in made_scripts(few, 4) for one in judge(values, made.script, "", rng, made.label)]
    assert len(judged) >= 3
    for one in judged:
        assert one.passages[0]["quote"] in few[one.passages[0]["label"]]
        assert (one.flips, one.control_flips) == (True, False)
