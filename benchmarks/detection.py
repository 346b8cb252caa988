"""Values from text before and after the second recipe of the default, with 0 to 500 labels: one table.

    python -m benchmarks.detection            # a look at the held-out arguments, which is counted; writes results/
    python -m benchmarks.detection --quick    # 600 development arguments, 2 draws of labels; writes nothing

Arguments of others (Touché23, endorsed labels of 19 values): judged are the held-out ones, and heads learn from n
development arguments (ten draws, whole conclusions). Intervals are over conclusions, drawn 1,000 times, the same draws
for every line; what is said against another line is paired. Own texts: benchmarks/data/tuning_texts.yaml, which set the
default's numbers, so that theirs are optimistic (nested: benchmarks/local_threshold.py). Samples: the clips in
examples/, through the real job. `random` predicts each label at its rate in what is judged.

Target: the default is above predicting everything at a better precision, without losing neutral or own texts; and heads
from 50 labels and more are above the default of before.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from benchmarks.arguments import Arguments, are_here, development, held_out
from benchmarks.local_threshold import read_texts, rounded
from benchmarks.tuning import draw, encoded, scored, tuned_on
from tikval.codebook import load_codebook
from tikval.config import LocalExtractor, StatedRates, find_file
from tikval.extract.calibration import calibrate_rates
from tikval.extract.similarity import decide_labels, unit
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.metrics import label_f1, macro, prf
from tikval.values import VALUES

RESULT: Final = Path(__file__).parent / "results" / "detection.json"
MACHINE: Final = "2 cores, x86_64, no GPU, other work beside it"
BEFORE: Final = LocalExtractor(recipe=1)
SYSTEMS: Final = {
    "default, before": BEFORE,
    "default": LocalExtractor(),
    "default without appeals": LocalExtractor(appeals=None),
    "default without a gate": LocalExtractor(gate=None),
    "default one sentence at a time": LocalExtractor(span=1),
}
RATES: Final = (("stated rate", 1.0), ("half the rate", 0.5), ("twice the rate", 2.0))
V: Final = len(VALUES)
EVERYTHING, RANDOM = "predict everything", "random at the labels' rates"


class Drawn(NamedTuple):
    """How macro F1 varies over draws of whole groups: hits, predicted and true rows of each group, added up."""

    groups: Ints  # [N]
    times: Floats  # [B, G] how often each group was drawn

    def f1(self, truth: Bools, predicted: Bools) -> Floats:
        """[B] macro F1 over the labels that are true of some row."""
        some = truth.any(0)
        hits, guessed, true = (
            self.times @ self._by_group(part[:, some]) for part in (truth & predicted, predicted, truth)
        )
        # a label that no drawn row has is of no account in that draw
        f1_BL = np.where(true > 0, np.nan_to_num(label_f1(hits, guessed, true)), np.nan)
        found: Floats = np.nanmean(f1_BL, axis=1)
        return found

    def _by_group(self, rows: Bools) -> Floats:
        sums = np.zeros((self.times.shape[1], rows.shape[1]))
        np.add.at(sums, self.groups, rows)
        return sums


def drawn(groups: Ints, draws: int) -> Drawn:
    n = int(groups.max()) + 1
    times = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=draws)
    return Drawn(groups, times.astype(float))


def decided(scores_NL: Floats, threshold: float | Floats) -> Bools:
    """[N, L] by the extractor's rule."""
    return np.array([decide_labels(scores_L, threshold) for scores_L in scores_NL])


def by_number(config: LocalExtractor, scores_NL: Floats) -> Bools:
    assert not isinstance(config.threshold, str)
    return decided(scores_NL, config.threshold)


def line(
    name: str, predictions: Sequence[Bools], truth: Bools, of: Drawn, others: dict[str, Floats]
) -> dict[str, Any]:
    """Mean figures of one or several predictions of the same rows, and what they gain over other lines."""
    found = [prf(truth, one) for one in predictions]
    draws = np.mean([of.f1(truth, one) for one in predictions], axis=0)
    figures = {
        "system": name,
        "macro_f1": float(np.mean([macro(one).f1 for one in found])),
        "interval": np.quantile(draws, [0.025, 0.975]).tolist(),
        "precision": float(np.mean([np.nan_to_num(one.precision).mean() for one in found])),
        "recall": float(np.mean([np.nan_to_num(one.recall).mean() for one in found])),
        "left_empty": float(np.mean([1 - one.any(1).mean() for one in predictions])),
    }
    gains = {
        f"over_{key}": np.quantile(draws - other, [0.025, 0.975]).tolist() for key, other in others.items()
    }
    return figures | gains


def of_arguments(
    trains: Arguments, judged: Arguments, sizes: Sequence[int], n_draws: int
) -> list[dict[str, Any]]:
    """A line for each system and number of labels."""
    windows = {"trains": encoded(trains.scripts, BEFORE), "judged": encoded(judged.scripts, BEFORE)}
    scores = {name: scored(windows["judged"], config) for name, config in SYSTEMS.items()}
    truth, groups = judged.truth, np.unique(judged.conclusions, return_inverse=True)[1]
    of = drawn(groups, 1000)
    every = np.ones_like(truth)
    predictions: dict[str, list[Bools]] = {
        EVERYTHING: [every],
        RANDOM: [np.random.default_rng(0).random(truth.shape) < truth.mean(0)],
        **{name: [by_number(SYSTEMS[name], scores[name])[:, :V]] for name in SYSTEMS},
    }
    # what a text is expected to have, as one who knows other arguments would say it
    stated = float(trains.truth.sum(1).mean())
    for name, times in RATES:
        rates = StatedRates(endorsed=times * stated, confronted=0)
        limits = calibrate_rates(scores["default"], rates).decides
        predictions[f"default, {name}"] = [decided(scores["default"], limits)[:, :V]]
    for name in ("default, before", "default"):
        config = SYSTEMS[name]
        base = {part: scored(windows[part], config)[:, :V] for part in windows}
        vectors = {part: unit(np.stack([each.mean(axis=0) for each in windows[part]])) for part in windows}
        every_vector, every_base = (
            np.concatenate([part["trains"], part["judged"]]) for part in (vectors, base)
        )
        known = np.concatenate([trains.truth, truth])
        of_trains = np.unique(trains.conclusions, return_inverse=True)[1]
        every_group = np.concatenate([of_trains, groups + of_trains.max() + 1])
        at = len(trains.ids) + np.arange(len(judged.ids))
        for n in sizes:
            labelled = [draw(of_trains, n, seed)[0] for seed in range(n_draws)]
            assert not isinstance(config.threshold, str)
            predictions[f"{n} labels, from {name}"] = [
                tuned_on(rows, at, every_vector, every_base, known, every_group, config.threshold)
                for rows in labelled
            ]
    others = {
        "everything": of.f1(truth, every),
        "before": of.f1(truth, predictions["default, before"][0]),
    }
    return [line(name, some, truth, of, others) for name, some in predictions.items()]


def of_own_texts() -> list[dict[str, Any]]:
    """Macro F1 over 38 labels, as written and diluted by a neutral text; the share of neutral texts left empty."""
    texts = read_texts(load_codebook(find_file("prompts/codebook.yaml")))
    windows = {form: encoded(getattr(texts, form), BEFORE) for form in ("written", "diluted", "opening")}
    lines = []
    for name, config in SYSTEMS.items():
        found = {form: by_number(config, scored(some, config)) for form, some in windows.items()}
        lines.append(
            {
                "system": name,
                "macro_f1": macro(prf(texts.truth, found["written"])).f1,
                "diluted": macro(prf(texts.truth, found["diluted"])).f1,
                "neutral_left_empty": float(1 - found["written"][texts.neutral].any(1).mean()),
                "openings_left_empty": float(1 - found["opening"][texts.neutral].any(1).mean()),
            }
        )
    for name, predicted in ((EVERYTHING, np.ones_like(texts.truth)), (RANDOM, None)):
        drawn_NL = np.random.default_rng(0).random(texts.truth.shape) < texts.truth.mean(0)
        lines.append(
            {
                "system": name,
                "macro_f1": macro(prf(texts.truth, drawn_NL if predicted is None else predicted)).f1,
            }
        )
    return lines


def of_samples() -> list[dict[str, Any]]:
    """The clips of examples/ by the command that a user types, and by the recipe of before."""
    lines = []
    for name, recipe in (("default, before", 1), ("default", 2)):
        with tempfile.TemporaryDirectory() as out:
            tikval = str(Path(sys.executable).parent / "tikval")
            command = [tikval, "analyze", "examples/videos.csv", "--annotations", "examples/labels.csv"]
            command += ["--profile", "demo", "--out", out]
            command += ["--set", f"scores.predictions.0.extractor.recipe={recipe}"]
            subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[1])
            scores = macro_scores(Path(out))
            lines += [{**row, "system": name} for row in scores if row["system"] == "local"]
    return [*(row for row in scores if row["system"] != "local"), *lines]


def macro_scores(out: Path) -> list[dict[str, Any]]:
    """Of each system of a study the macro averages over all labels."""
    [file] = out.glob("scores-*/data-*.parquet")
    rows = pq.read_table(file).to_pylist()
    of = ("macro", "all", "left_out")
    names = ("system", "f1", "lower", "upper", "precision", "recall", "n_labels", "n_videos")
    averages = (row for row in rows if (row["label"], row["stance"], row["failures"]) == of)
    return list({row["system"]: {name: row[name] for name in names} for row in averages}.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    if not are_here():
        print(json.dumps({"not run": "the arguments are not here"}))
        return 0
    begin = time.monotonic()
    trains = development()
    if quick:
        groups = np.unique(trains.conclusions, return_inverse=True)[1]
        trains, judged = trains.take((groups >= 60) & (groups < 120)), trains.take(groups < 60)
    else:
        judged = held_out("the table before and after; benchmarks/detection.py")
    arguments = of_arguments(trains, judged, (50, 200) if quick else (50, 100, 200, 500), 2 if quick else 10)
    own = of_own_texts()
    report = {
        "arguments": {
            "judged": len(judged.ids),
            "conclusions": len(set(judged.conclusions)),
            "lines": arguments,
        },
        "own_texts": own,
        **({} if quick else {"samples": of_samples()}),
        "met": met(arguments, own),
        "minutes": (time.monotonic() - begin) / 60,
        "encoder": BEFORE.encoder,
        "machine": MACHINE,
        "command": "python -m benchmarks.detection" + " --quick" * quick,
    }
    report = rounded(report)
    if not quick:
        RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0 if report["met"] else 1


def met(arguments: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]) -> bool:
    of = {each["system"]: each for each in arguments}
    texts = {each["system"]: each for each in own}
    now, before = texts["default"], texts["default, before"]
    return (
        of["default"]["over_everything"][0] > 0
        and of["default"]["precision"] > of[EVERYTHING]["precision"]
        and now["neutral_left_empty"] >= 0.93
        and now["macro_f1"] >= before["macro_f1"] - 0.01
        and all(each["over_before"][0] > 0 for name, each in of.items() if "labels, from" in name)
    )


if __name__ == "__main__":
    sys.exit(main())
