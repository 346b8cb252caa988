"""The threshold of the local extractor for a codebook, set from the codebook alone: no video, no label, no test row.

Each example is left out of its label's centre and stands in for a video: among neutral sentences, in texts of the
lengths that scripts have. Texts of neutral sentences alone stand for videos without a value. What a text holds of the
background is left out of it. One threshold for all labels is then chosen, as benchmarks/local_threshold.py chose that
of Schwartz's values: the best macro F1 among those that leave 9 of 10 neutral texts empty. On Schwartz's codebook it
comes to what labelled texts had chosen; one for each stance or label did no better (benchmarks/own_codebook.py).

Shape letters: N texts with an example, n neutral texts, L labels, B neutral sentences, D embedding width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from pydantic import ValidationError

from tikval.codebook import Codebook, load_codebook, sentences
from tikval.config import Config, ExtractConfig, LocalExtractor, StatedRates, UserError, find_file
from tikval.config.extract import is_tuned_for
from tikval.extract.appeals import appeals_for
from tikval.extract.similarity import LabelVectors, label_shares, label_vector, label_vectors, unit, winners
from tikval.extract.similarity import sentence_windows as windows
from tikval.files import read_bytes, write_bytes
from tikval.hub.sentences import Encoder
from tikval.stats.arrays import Bools, Floats
from tikval.stats.metrics import macro, prf

FEWEST_EXAMPLES: Final = (
    3  # of each stance: with two, the one that stays is no centre (docs/codebook-guide.md)
)
FEWEST_NEUTRAL: Final = 10  # sentences; below, the general ones join the codebook's own
EMPTY: Final = 0.9  # of the neutral texts, at least
# sentences of a text; without a gate those of nine of ten texts in benchmarks/data/tuning_texts.yaml. A gate lets the
# neutral ones hardly count, and half of what is said in a video with a value speaks of it
LENGTHS: Final = (2, 3, 4)
_WITHOUT_GATE: Final = (4, 5, 6)
FEWEST_SCRIPTS: Final = 100  # below, a quantile is one or two texts
NEVER: Final = 2.0  # a threshold above every score
FILE: Final = "calibration.json"  # in the folder of the predictions
_LACKS: Final = 3  # labels that are named


class Calibration(Config):
    """The threshold of a codebook, or those of its labels, and what they were set on."""

    threshold: float
    thresholds: tuple[float, ...] | None = None  # [L] by stated rates; they decide, and not `threshold`
    scripts: int = 0  # that the rates were applied to
    why_not: str | None = None  # why it could not be set from the codebook; None: it was
    examples: int = 0  # left out, each in texts of its own
    neutral: int = 0  # sentences
    macro_f1: float | None = None  # over the texts with examples, which chose it
    left_empty: float | None = None  # share of the neutral texts

    @property
    def decides(self) -> float | np.ndarray:
        """One threshold for all labels, or float64 [L]."""
        return self.threshold if self.thresholds is None else np.array(self.thresholds)


class _Text(NamedTuple):
    sentences: tuple[str, ...]
    neutral: tuple[int, ...]  # places of those that are in it
    left_out: tuple[int, int] | None  # label, and place among its examples


def background(codebook: Codebook, config: LocalExtractor) -> tuple[str, ...]:
    """The sentences that carry no value: the codebook's own, and general ones where these are few.

    A threshold that was given, and not set from the codebook, goes with the codebook's own alone.
    """
    if config.threshold != "codebook" or len(codebook.neutral) >= FEWEST_NEUTRAL:
        return codebook.neutral
    assert config.neutral is not None  # as the configuration has it
    try:
        general = load_codebook(find_file(config.neutral)).neutral
    except ValueError as err:
        raise UserError(str(err)) from err
    return tuple(dict.fromkeys((*codebook.neutral, *general)))


def codebook_vectors(codebook: Codebook, encode: Encoder, config: LocalExtractor) -> LabelVectors:
    """A codebook in the encoder's space, with its background and appeals. Raises UserError for a file that is none."""
    return label_vectors(
        codebook, encode, config, background(codebook, config), appeals_for(codebook, config)
    )


def calibrate(codebook: Codebook, encode: Encoder, config: LocalExtractor) -> Calibration:
    """Set the threshold of a codebook; that of Schwartz's, with the reason, where it cannot be set."""
    neutral = background(codebook, config)
    if why_not := too_few(codebook):
        return Calibration(threshold=_of_schwartz(config), why_not=why_not, neutral=len(neutral))
    texts = list(_texts(codebook, neutral, LENGTHS if config.gate else _WITHOUT_GATE))
    with_example_NL, neutral_nL = _scores(texts, codebook, encode, config, neutral)
    labels = [text.left_out[0] for text in texts if text.left_out]
    truth_NL = np.eye(len(codebook.labels), dtype=bool)[labels]
    chosen = _choose(with_example_NL, truth_NL, neutral_nL)
    n_examples = sum(len(of_label.examples) for of_label in sentences(codebook).values())
    if chosen is None:
        why_not = "its examples do not stand out from neutral sentences"
        return Calibration(
            threshold=_of_schwartz(config), why_not=why_not, examples=n_examples, neutral=len(neutral)
        )
    return Calibration(examples=n_examples, neutral=len(neutral), **chosen._asdict())


def _of_schwartz(config: LocalExtractor) -> float:
    threshold = LocalExtractor(recipe=config.recipe).threshold
    assert not isinstance(threshold, str)
    return threshold


def too_few(codebook: Codebook) -> str | None:
    """Which labels have fewer examples than a threshold can be set from; None: all have enough."""
    few = [
        f"{label} has {len(of_label.examples)}"
        for label, of_label in sentences(codebook).items()
        if len(of_label.examples) < FEWEST_EXAMPLES
    ]
    if not few:
        return None
    more = f" and {len(few) - _LACKS} more" if len(few) > _LACKS else ""
    return f"it takes {FEWEST_EXAMPLES} examples of each stance; {', '.join(few[:_LACKS])}{more}"


def _texts(codebook: Codebook, neutral: Sequence[str], lengths: Sequence[int]) -> Iterator[_Text]:
    """Every example in texts of each length, at changing places; and as many neutral texts as there are sentences.

    Neutral sentences follow each other in their order, so that few windows are new and must be encoded.
    """
    at = 0
    for label, of_label in enumerate(sentences(codebook).values()):
        for place, example in enumerate(of_label.examples):
            for length in lengths:
                chosen = _run(at, length - 1, len(neutral))
                around = [neutral[i] for i in chosen]
                around.insert(at % length, example)
                yield _Text(tuple(around), chosen, (label, place))
            at += 1
    for start in range(len(neutral)):
        for length in lengths:
            chosen = _run(start, length, len(neutral))
            yield _Text(tuple(neutral[i] for i in chosen), chosen, None)


def _run(start: int, length: int, n: int) -> tuple[int, ...]:
    return tuple((start + i) % n for i in range(length))


def _scores(
    texts: Sequence[_Text],
    codebook: Codebook,
    encode: Encoder,
    config: LocalExtractor,
    neutral: Sequence[str],
) -> tuple[Floats, Floats]:
    """Scores of the texts with an example [N, L] and of the neutral ones [n, L], 0 for the weaker of two stances."""
    every = sorted({window for text in texts for window in windows(text.sentences, config.span)})
    vector_of = dict(zip(every, encode(every), strict=True))
    whole = codebook_vectors(codebook, encode, config)
    parts = [
        (encode(examples), encode([description])[0]) for description, examples in sentences(codebook).values()
    ]
    first = np.cumsum(
        [0, *(len(examples_ED) for examples_ED, _ in parts)]
    )  # of each label among all examples
    scores: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for text in texts:
        labels_LD, all_ED = whole.labels, whole.examples
        if text.left_out:
            label, place = text.left_out
            examples_ED, description_D = parts[label]
            rest_ED = np.delete(examples_ED, place, axis=0)
            labels_LD = labels_LD.copy()
            labels_LD[label] = unit(label_vector(rest_ED, description_D, config.example_weight))
            all_ED = np.delete(all_ED, first[label] + place, axis=0)
        neutral_BD = np.delete(whole.neutral, text.neutral, axis=0)
        others = replace(whole, labels=labels_LD, examples=all_ED, neutral=neutral_BD)
        windows_ND = np.stack([vector_of[window] for window in windows(text.sentences, config.span)])
        scores[text.left_out is not None].append(label_shares(windows_ND, others, config))
    found = [np.array(scores[kind]) for kind in (True, False)]
    return found[0] * winners(found[0]), found[1] * winners(found[1])


def calibrate_rates(scores_NL: Floats, rates: StatedRates) -> Calibration:
    """Thresholds by which N texts have so many labels of each stance on average, the same share of them each label.

    Raises UserError for too few texts, and for a rate that is not below the number of values.
    """
    n_texts, n_values = len(scores_NL), scores_NL.shape[1] // 2
    if n_texts < FEWEST_SCRIPTS:
        raise UserError(
            f"extractor.rates: {n_texts} scripts with text, and thresholds by rates take {FEWEST_SCRIPTS}; leave it out"
        )
    thresholds: list[float] = []
    for stance, name in enumerate(("endorsed", "confronted")):
        rate = getattr(rates, name)
        if rate >= n_values:
            raise UserError(
                f"extractor.rates.{name}={rate:g}: the codebook has {n_values} values; give fewer"
            )
        of_stance_NV = scores_NL[:, stance * n_values : (stance + 1) * n_values]
        # at least a little: a score of 0 is no sign of anything
        least_V = np.maximum(np.quantile(of_stance_NV, 1 - rate / n_values, axis=0), 1e-6)
        thresholds += (least_V if rate else np.full(n_values, NEVER)).tolist()
    return Calibration(threshold=NEVER, thresholds=tuple(thresholds), scripts=n_texts)


class _Chosen(NamedTuple):
    threshold: float
    macro_f1: float
    left_empty: float


def _choose(scores_NL: Floats, truth_NL: Bools, neutral_nL: Floats) -> _Chosen | None:
    """The threshold with the best macro F1 that leaves enough neutral texts empty; of equals the largest."""
    best: _Chosen | None = None
    # four digits: another machine's last ones must not be another threshold
    for threshold in np.unique(np.floor(scores_NL[truth_NL] * 1e4) / 1e4):
        left_empty = float(1 - (neutral_nL >= threshold).any(1).mean())
        if threshold > 0 and left_empty >= EMPTY:
            f1 = macro(prf(truth_NL, scores_NL >= threshold)).f1
            if best is None or f1 >= best.macro_f1:
                best = _Chosen(float(threshold), float(f1), left_empty)
    return best


def keep_calibration(folder: str, calibration: Calibration) -> None:
    """Write it into the folder of the predictions, whose rows follow from it."""
    write_bytes(f"{folder}/{FILE}", calibration.model_dump_json(indent=2).encode())


def kept_calibration(folder: str) -> Calibration | None:
    """What the predictions of a folder follow from; None: it is not there. Raises UserError for another file."""
    data = read_bytes(f"{folder}/{FILE}")
    if data is None:
        return None
    try:
        return Calibration.model_validate_json(data)
    except ValidationError as err:
        raise UserError(f"{folder}/{FILE}: not as jobs.extract_values writes it") from err


def why_not_calibrated(config: ExtractConfig, folder: str | None = None) -> str | None:
    """Why the local extractor's threshold is not one for its codebook; None: it is, or the system has none.

    `folder`: of the predictions, where they have been moved.
    """
    extractor = config.extractor
    if not isinstance(extractor, LocalExtractor):
        return None
    if extractor.threshold == "codebook" or extractor.rates is not None:
        kept = kept_calibration(folder or config.folder)
        return kept.why_not if kept else "its threshold was not kept"
    if extractor == LocalExtractor(recipe=extractor.recipe) and is_tuned_for(config.codebook):
        return None
    return f"its threshold {extractor.threshold} was given; extractor.threshold=codebook sets it"
