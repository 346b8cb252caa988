"""The default without training on real arguments of others, with and without a stated rate of values.

    python -m benchmarks.local_rates              # the development arguments; writes results/local_rates.json
    python -m benchmarks.local_rates --held-out   # the held-out ones: a look that is counted
    python -m benchmarks.local_rates --quick      # 400 development arguments; writes nothing

The rates that are stated are those of the development arguments, and half and twice as many, since people guess.
Thresholds follow from the arguments that are judged, without a look at their labels. Intervals are over conclusions,
drawn 1,000 times. Target: with the stated rate, macro F1 above the predict-all baseline, paired, at more precision.
"""

import json
import platform
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.arguments import Arguments, development, held_out
from benchmarks.touche import DRAWS, draws_of
from benchmarks.tuning import zero_shot
from tikval.config import LocalExtractor, StatedRates
from tikval.extract.calibration import calibrate_rates
from tikval.extract.similarity import decide_labels
from tikval.machine import cores
from tikval.stats.arrays import Bools, Floats
from tikval.stats.metrics import macro, prf
from tikval.values import VALUES

HERE: Final = Path(__file__).parent
RESULT: Final = HERE / "results" / "local_rates.json"
V: Final = len(VALUES)


def decided(scores_NL: Floats, threshold: float | np.ndarray) -> Bools:
    """[N, V] endorsed labels by the extractor's rule."""
    return np.array([decide_labels(scores_L, threshold)[:V] for scores_L in scores_NL])


def figures(truth: Bools, predicted: Bools, draws: list[np.ndarray]) -> dict[str, Any]:
    """Macro F1 with what it gains over predicting everything, both over the same draws of conclusions."""
    found = prf(truth, predicted)
    drawn = np.array([_f1(truth[d], predicted[d]) for d in draws])
    gains = drawn - np.array([_f1(truth[d], np.ones_like(truth[d])) for d in draws])
    return {
        "macro_f1": macro(found).f1,
        "macro_f1_95": np.quantile(drawn, [0.025, 0.975]).tolist(),
        "over_everything_95": np.quantile(gains, [0.025, 0.975]).tolist(),
        "precision": float(np.nan_to_num(found.precision).mean()),
        "recall": float(np.nan_to_num(found.recall).mean()),
        "left_empty": float(1 - predicted.any(1).mean()),
    }


def _f1(truth: Bools, predicted: Bools) -> float:
    return float(macro(prf(truth, predicted)).f1)


def main() -> int:
    quick, last = "--quick" in sys.argv, "--held-out" in sys.argv
    judged: Arguments = development()
    stated = float(judged.truth.sum(1).mean())
    if quick:
        judged = judged.take(np.random.default_rng(0).permutation(len(judged.ids))[:400])
    elif last:
        judged = held_out("the default with stated rates; benchmarks/local_rates.py")
    _, scores_NL = zero_shot(judged.scripts, LocalExtractor())
    draws = draws_of(judged.conclusions)[: 50 if quick else DRAWS]
    every = np.ones_like(judged.truth)
    random = np.random.default_rng(0).random(judged.truth.shape) < judged.truth.mean(0)
    found = {
        "predict everything": figures(judged.truth, every, draws),
        "random at the labels' rates": figures(judged.truth, random, draws),
        "default": figures(judged.truth, decided(scores_NL, _default_threshold()), draws),
    }
    for name, times in (("stated rate", 1.0), ("half of it", 0.5), ("twice as many", 2.0)):
        thresholds = calibrate_rates(scores_NL, StatedRates(endorsed=times * stated, confronted=0)).decides
        found[name] = figures(judged.truth, decided(scores_NL, thresholds), draws)
    rated, all_of_them = found["stated rate"], found["predict everything"]
    met = rated["over_everything_95"][0] > 0 and rated["precision"] > all_of_them["precision"]
    report = {
        "arguments": len(judged.ids),
        "split": "held out" if last else "development",
        "stated_values_per_text": stated,
        "figures": found,
        "met": bool(met) or quick,
        "encoder": LocalExtractor().encoder,
        "machine": f"{cores()} cores, {platform.machine()}, no GPU, other work beside it",
        "command": "python -m benchmarks.local_rates" + " --quick" * quick + " --held-out" * last,
    }
    report = _rounded(report)
    if not quick:
        result = RESULT.with_stem("local_rates_held_out") if last else RESULT
        result.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0 if report["met"] else 1


def _default_threshold() -> float:
    threshold = LocalExtractor().threshold
    assert isinstance(threshold, float)
    return threshold


def _rounded(x: Any) -> Any:
    if isinstance(x, dict):
        return {name: _rounded(value) for name, value in x.items()}
    if isinstance(x, list):
        return [_rounded(value) for value in x]
    return round(x, 4) if isinstance(x, float) else x


if __name__ == "__main__":
    sys.exit(main())
