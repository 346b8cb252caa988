"""Distillation on real arguments: do corrected rates cover the strong system's, and how many answers do they save?

    python -m benchmarks.distill              200 samples of 100 arguments, 100 of 200 and 50 of 400
    python -m benchmarks.distill --quick      5 samples of 100, of 600 arguments: that it runs
    python -m benchmarks.distill --held-out   100 samples of 200 of the test arguments: once, at the end
    python -m benchmarks.distill --people     people's labels in the place of the strong system: tikval tune

The strong system is a trained encoder, whose answers are in data/distill_strong.npz (benchmarks/distill_strong.py makes
them again); the small one are heads on frozen sentence vectors (extract/heads.py), learnt from the strong one's answers
to a random sample. What is estimated is how often the strong one endorses each value in all arguments, which is known
here: by the sample alone, and by the small one corrected by the sample (out of fold there). The truth plays no part.

Printed for each size of the sample: the share of 95 % intervals that hold the strong one's rate (target: 0.93), the
error of both estimates over the samples, and what the ratio of their variances saves: the share of answers that a
sample alone would need beside the corrected rates' for the same error. A value that fewer than 3 arguments of a sample
have is not estimated. `by_scores` is what tikval does; `corrected` takes decisions, which are no means of the folds'.
"""

import argparse
import json
import platform
import sys
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.arguments import HERE, development, held_out
from benchmarks.distill_strong import strong_answers
from benchmarks.tuning import zero_shot
from tikval.config import LocalExtractor
from tikval.extract.heads import FEWEST_POSITIVES, fit_heads
from tikval.machine import cores
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.metrics import prf
from tikval.stats.prevalence import FEWEST, RateInterval, corrected_rates, rate_sums

TARGET: Final = 0.93
DRAWS: Final = {100: 200, 200: 100, 400: 50}  # samples of each size; a large one takes seconds
DRAWS_OF_PEOPLE: Final = {100: 100, 200: 50, 400: 25}


class Corpus(NamedTuple):
    """N arguments, V values."""

    vectors: Floats  # [N, D]
    base: Floats  # [N, V] zero-shot scores
    strong: Bools  # [N, V]
    soft: Floats  # [N, V] the strong one's scores
    conclusion: Ints  # [N]
    base_threshold: float | None  # of zero-shot scores that people's labels are too few for; None: of no use


class Drawn(NamedTuple):
    """What one sample came to; the estimates and intervals are of V values."""

    corrected: RateInterval
    by_scores: RateInterval  # with the small one's scores in place of its decisions
    alone: RateInterval
    small: Floats  # [V] rate as it is
    f1: float  # of the small one against the strong one, over the arguments that were not drawn


def corpus_of(part: str, most: int | None, people: bool) -> Corpus:
    """The arguments that the strong system answered, as the small one reads them."""
    arguments = (
        development()
        if part == "development"
        else held_out("coverage of corrected rates; benchmarks/distill.py")
    )
    answers = strong_answers(part)
    place = {name: at for at, name in enumerate(arguments.ids)}
    at = [place[name] for name in answers.ids][:most]
    config = LocalExtractor()
    vectors, base = zero_shot([arguments.scripts[n] for n in at], config)
    conclusion = np.unique([arguments.conclusions[n] for n in at], return_inverse=True)[1]
    strong, soft = answers.decisions[:most], answers.scores[:most]
    if people:
        strong = arguments.truth[at]
        soft = strong.astype(np.float64)
    assert not isinstance(config.threshold, str)
    base = base[:, : answers.scores.shape[1]]
    return Corpus(vectors, base, strong, soft, conclusion, config.threshold if people else None)


def drawn(corpus: Corpus, n: int, seed: int, soft: bool) -> Drawn:
    """One sample: heads are learnt from it, judge all arguments, and are corrected by it."""
    n_all = len(corpus.strong)
    at = np.sort(np.random.default_rng([seed, n]).choice(n_all, n, replace=False))
    targets = (corpus.soft if soft else corpus.strong.astype(np.float64))[at].copy()
    people = corpus.base_threshold is not None
    silent = targets.sum(0) < (FEWEST if people else FEWEST_POSITIVES)
    if not people:
        targets[:, silent] = np.nan  # hardly ever given in the sample: not modelled
    found = fit_heads(
        *(corpus.vectors[at], corpus.base[at], targets, np.arange(n)),
        folds=5,
        seed=0,
        base_threshold=corpus.base_threshold,
    )
    scores = found.averaged.scores(corpus.vectors, corpus.base)
    predicted = (scores >= found.averaged.thresholds).astype(np.float64)
    rest = np.setdiff1d(np.arange(n_all), at)
    f1 = float(np.nanmean(prf(corpus.strong[rest], predicted[rest] > 0).f1))
    scores[at], predicted[at] = found.scores_NL, found.decisions_NL

    def rates(of: Floats) -> RateInterval:
        every = corrected_rates(rate_sums(of, corpus.conclusion, at, corpus.strong[at]), "corpus")
        return RateInterval(*(np.where(silent, np.nan, numbers) for numbers in every))

    return Drawn(rates(predicted), rates(scores), rates(np.zeros_like(scores)), predicted.mean(0), f1)


def figures_of(corpus: Corpus, samples: list[Drawn]) -> dict[str, Any]:
    true_V = corpus.strong.mean(0)
    figures: dict[str, Any] = {"samples": len(samples), "f1_of_small": _mean([one.f1 for one in samples])}
    figures["bias_of_small"] = _mean(abs(np.mean([one.small for one in samples], axis=0) - true_V))
    alone = np.stack([one.alone.estimate for one in samples])
    for name in ("corrected", "by_scores", "alone"):
        intervals: list[RateInterval] = [getattr(one, name) for one in samples]
        estimate, low, high = (np.stack(column) for column in zip(*intervals, strict=True))
        there = ~np.isnan(low) & ~np.isnan(high)
        covered = (low <= true_V) & (true_V <= high)
        by_value = np.array([covered[there[:, v], v].mean() for v in np.flatnonzero(there.any(0))])
        both = ~np.isnan(estimate) & ~np.isnan(alone)
        error, error_alone = (((each - true_V)[both] ** 2).mean() for each in (estimate, alone))
        figures[name] = {
            "coverage": round(float(covered[there].mean()), 4),
            "least_coverage_of_a_value": round(float(by_value.min()), 4),
            "bias": round(float(abs(np.nanmean(estimate, axis=0) - true_V).mean()), 5),
            "error": round(float(np.sqrt(error)), 5),
            "mean_width": round(float((high - low)[there].mean()), 5),
            "answers_saved": round(1 - float(error / error_alone), 4),
            "not_estimated": round(float(np.isnan(estimate).mean()), 4),
        }
    return figures


def _mean(values: Any) -> float:
    return round(float(np.mean(values)), 4)


def run(corpus: Corpus, draws: dict[int, int]) -> Iterator[tuple[str, dict[str, Any]]]:
    for n, times in draws.items():
        samples = [drawn(corpus, n, seed, soft=False) for seed in range(times)]
        yield str(n), figures_of(corpus, samples)
        print(f"{n}: done", file=sys.stderr)
    if corpus.base_threshold is not None:
        return
    n, times = min(draws.items())  # soft labels, beside hard ones of as many arguments
    samples = [drawn(corpus, n, seed, soft=True) for seed in range(-(-times // 4))]
    yield f"{n}, soft labels", figures_of(corpus, samples)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--people", action="store_true")
    args = parser.parse_args()
    part = "held_out" if args.held_out else "development"
    corpus = corpus_of(part, 600 if args.quick else None, args.people)
    draws = {100: 5} if args.quick else {200: 100} if args.held_out else DRAWS
    draws = DRAWS_OF_PEOPLE if args.people and not args.quick else draws
    found = dict(run(corpus, draws))
    figures: dict[str, Any] = {
        "machine": f"{cores()} cores, {platform.machine()}, no GPU, other work beside it",
        "command": f"python -m benchmarks.distill{' --quick' * args.quick}{' --held-out' * args.held_out}"
        f"{' --people' * args.people}",
        "arguments": len(corpus.strong),
        "values": corpus.strong.shape[1],
        "of_sample": found,
        "target": {"coverage": TARGET},
    }
    figures["met"] = args.quick or all(each["by_scores"]["coverage"] >= TARGET for each in found.values())
    if not args.quick:
        name = "tuned_rates.json" if args.people else f"distill{'_held_out' * args.held_out}.json"
        (HERE / "results" / name).write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))
    return 0 if figures["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
