"""How the local extractor fares with a codebook of one's own: its threshold, and how many examples it needs.

    python -m benchmarks.own_codebook            # writes results/own_codebook.json; about five minutes on two cores
    python -m benchmarks.own_codebook --quick    # fewer draws; writes nothing

Two codebooks whose labelled texts set nothing here: prompts/moral_foundations.yaml with data/moral_texts.yaml, and
Schwartz's with data/tuning_texts.yaml (whose neutral texts serve both). Printed for each: macro F1 over the labels and
the share of neutral texts that stay empty, with the threshold that the codebook sets, with the one that labelled texts
had chosen for Schwartz's, and by the recipe without a gate. Then, of moral foundations, codebooks with 1 to 8 examples
of each stance, drawn from the eight: the same, and how well a left-out example is told from the other labels
(separation: the chance that its own label is nearer to it than another; first: that it is the nearest of all ten).

The texts and labels are the authors' own: they compare ways of deciding and are no measure of quality on real videos.
Tried and dropped, on the texts of both codebooks: a threshold for each stance (macro F1 down by up to 0.11) and one for
each label, drawn towards the common one (within 0.03 of it, either way).
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import yaml

from benchmarks.local_threshold import HERE, Memo
from tikval.codebook import Codebook, load_codebook, sentences
from tikval.config import LocalExtractor
from tikval.extract.calibration import calibrate, codebook_vectors
from tikval.extract.local import sentences_of
from tikval.extract.similarity import (
    label_shares,
    label_vector,
    sentence_windows,
    unit,
    winners,
)
from tikval.hub.sentences import Encoder, load_encoder
from tikval.stats.arrays import Bools, Floats
from tikval.stats.metrics import macro, prf

RESULT: Final = HERE / "results" / "own_codebook.json"
PROMPTS: Final = HERE.parent / "prompts"
NEUTRAL_TEXTS: Final = HERE / "data" / "tuning_texts.yaml"
SCHWARTZ: Final = float(LocalExtractor().threshold)
EXAMPLES: Final = (1, 2, 3, 5, 8)  # of each stance
CONFIG: Final = LocalExtractor(
    threshold="codebook", appeals=None
)  # as another codebook than Schwartz's has it
BEFORE: Final = LocalExtractor(recipe=1, threshold="codebook")


class Figures(NamedTuple):
    threshold: float
    macro_f1: float
    neutral_empty: float


class Texts(NamedTuple):
    """N labelled and neutral texts, as sentences."""

    sentences: list[list[str]]
    truth: Bools  # [N, L]


def read_texts(file: Path, codebook: Codebook) -> Texts:
    items = yaml.safe_load(file.read_text(encoding="utf-8"))
    if file != NEUTRAL_TEXTS:
        neutral = yaml.safe_load(NEUTRAL_TEXTS.read_text(encoding="utf-8"))
        items += [item for item in neutral if not item["labels"]]
    truth_NL = np.array([[label in item["labels"] for label in codebook.labels] for item in items])
    return Texts([sentences_of(item["script"]) for item in items], truth_NL)


def scores_of(codebook: Codebook, texts: Texts, encode: Encoder, config: LocalExtractor = CONFIG) -> Floats:
    """[N, L], 0 for the weaker of a value's two stances."""
    vectors = codebook_vectors(codebook, encode, config)
    windows = (encode(sentence_windows(text, config.span)) for text in texts.sentences)
    scores_NL = np.array([label_shares(windows_ND, vectors, config) for windows_ND in windows])
    return np.asarray(scores_NL * winners(scores_NL))


def figures(scores_NL: Floats, truth_NL: Bools, threshold: float) -> Figures:
    predicted_NL = scores_NL >= threshold
    empty = 1 - predicted_NL[~truth_NL.any(1)].any(1).mean()
    return Figures(threshold, round(float(macro(prf(truth_NL, predicted_NL)).f1), 3), round(float(empty), 3))


def separation(codebook: Codebook, encode: Encoder) -> tuple[float, float]:
    """Of examples that are left out of their label's centre: the chance that it is nearer than another, and nearest."""
    parts = [(encode(e), encode([description])[0]) for description, e in sentences(codebook).values()]
    whole_LD = unit(np.stack([label_vector(*part, CONFIG.example_weight) for part in parts]))
    nearer, nearest = [], []
    for label, (examples_ED, description_D) in enumerate(parts):
        for place, example_D in enumerate(examples_ED):
            rest_ED = np.delete(examples_ED, place, axis=0)
            own_D = (
                description_D
                if not len(rest_ED)
                else label_vector(rest_ED, description_D, CONFIG.example_weight)
            )
            others_L = np.delete(whole_LD @ example_D, label)
            own = float(unit(own_D) @ example_D)
            nearer.append((own > others_L).mean())
            nearest.append(own > others_L.max())
    return float(np.mean(nearer)), float(np.mean(nearest))


def with_examples(codebook: Codebook, count: int, draw: int) -> Codebook:
    """The codebook with so many examples of each stance, drawn from its own."""
    rng = np.random.default_rng(draw)

    def some(examples: Sequence[str]) -> tuple[str, ...]:
        return tuple(examples[i] for i in rng.permutation(len(examples))[:count])

    values = [
        value.model_copy(update={"endorsing": some(value.endorsing), "confronting": some(value.confronting)})
        for value in codebook.values
    ]
    return codebook.model_copy(update={"values": tuple(values)})


def by_examples(codebook: Codebook, texts: Texts, encode: Encoder, draws: int) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for count in EXAMPLES:
        books = [
            with_examples(codebook, count, draw) for draw in range(1 if count == max(EXAMPLES) else draws)
        ]
        set_by = [calibrate(book, encode, CONFIG) for book in books]
        rows = [
            (*figures(scores_of(book, texts, encode), texts.truth, one.threshold), *separation(book, encode))
            for book, one in zip(books, set_by, strict=True)
        ]
        names = (*Figures._fields, "separation", "first")
        mean, sd = np.mean(rows, axis=0), np.std(rows, axis=0)
        found[str(count)] = {
            "calibrated": all(one.why_not is None for one in set_by),
            **{
                name: [round(float(m), 3), round(float(s), 3)]
                for name, m, s in zip(names, mean, sd, strict=True)
            },
        }
        print(f"{count} examples: {json.dumps(found[str(count)])}")
    return found


def _first_recipe(codebook: Codebook, texts: Texts, encode: Encoder) -> Figures:
    """Without a gate, as it was before."""
    threshold = calibrate(codebook, encode, BEFORE).threshold
    return figures(scores_of(codebook, texts, encode, BEFORE), texts.truth, threshold)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two draws; writes nothing")
    quick = parser.parse_args(arguments).quick
    encode, served = load_encoder(CONFIG.encoder, CONFIG.revision)
    memo, report = Memo(encode), dict[str, Any]()
    moral = load_codebook(PROMPTS / "moral_foundations.yaml")
    moral_texts = read_texts(HERE / "data" / "moral_texts.yaml", moral)
    schwartz = load_codebook(PROMPTS / "codebook.yaml")
    for codebook, texts in ((moral, moral_texts), (schwartz, read_texts(NEUTRAL_TEXTS, schwartz))):
        begin = time.process_time()
        one = calibrate(codebook, memo, CONFIG)
        seconds = time.process_time() - begin
        scores_NL = scores_of(codebook, texts, memo)
        report[codebook.name] = {
            "cpu_seconds": round(seconds, 1),
            "set_by_the_codebook": figures(scores_NL, texts.truth, one.threshold)._asdict(),
            "schwartz_number": figures(scores_NL, texts.truth, SCHWARTZ)._asdict(),
            "first_recipe": _first_recipe(codebook, texts, memo)._asdict(),
        }
        print(f"{codebook.name}: {json.dumps(report[codebook.name])}")
    few = moral.model_copy(update={"neutral": ()})
    few_figures = figures(
        scores_of(few, moral_texts, memo), moral_texts.truth, calibrate(few, memo, CONFIG).threshold
    )
    report["without_neutral_sentences_of_its_own"] = few_figures._asdict()
    print(f"without neutral sentences of its own: {json.dumps(few_figures._asdict())}")
    report["examples"] = by_examples(moral, moral_texts, memo, draws=2 if quick else 8)
    report = {"encoder": served, "machine": f"{platform.machine()}, two shared cores", **report}
    if not quick:
        RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    mine = report[moral.name]
    return 0 if mine["set_by_the_codebook"]["macro_f1"] > mine["schwartz_number"]["macro_f1"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
