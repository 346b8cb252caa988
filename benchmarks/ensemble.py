"""Seeds averaged, thresholds per label, calibration: whether they help on real text, by the jobs themselves.

    python benchmarks/ensemble.py DATA              DATA: Touché23's folder of arguments-*.tsv and labels-*.tsv
    python benchmarks/ensemble.py DATA --quick      240 arguments, one epoch: that it runs
    python benchmarks/ensemble.py DATA --out DIR    DIR keeps the trainings for a later call

1,200 arguments, three honest folds (a conclusion never straddles two), three seeds of all-MiniLM-L6-v2 by the recipe
of configs/local/finetune.yaml: nine trainings by jobs.finetune. `single` is the mean of the three seeds' own scores.
From the same trainings jobs.combine makes `mean` (probabilities averaged, one threshold), `mean_per_label` (a threshold
for each label, shrunk to it) and `calibrated` (Platt first). Differences are paired over conclusions, p by swapping
whole conclusions, Holm over all. No test row chose anything that was applied to it.
"""

import argparse
import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.arguments import development, held_out
from benchmarks.decode import machine
from benchmarks.touche import tables
from tikval.config import CombineConfig, FinetuneConfig, validate
from tikval.evaluate.answers import Answers, read_trained, read_truth
from tikval.evaluate.evaluation import evaluate_systems
from tikval.evaluate.scores import LEFT_OUT
from tikval.finetune.combine_systems import combine_systems
from tikval.flow.finetune import finetune_systems
from tikval.hub.bundled import fetch
from tikval.machine import cores
from tikval.rows import LabelRow
from tikval.store.folder import Folder

RECIPE = Path(__file__).parents[1] / "configs" / "local" / "finetune.yaml"
COMBINED: dict[str, dict[str, Any]] = {
    "mean": {},
    "mean_per_label": {"threshold": "per_label"},
    "calibrated": {"calibrate": True},
}
GAIN = ("difference", "lower", "upper", "p_holm")
KEPT = ("f1", "lower", "upper", "average_precision", "brier", "ece")


def training(folder: Path, slugs: list[str], quick: bool, actors: int) -> FinetuneConfig:
    """The local recipe on these texts. Values are named as labels, confronted ones are not in this data."""
    recipe = yaml.safe_load(RECIPE.read_text())
    keys = {
        "texts": {"table": str(folder / "texts.csv"), "annotations": str(folder / "labels.csv")},
        "out": str(folder / "out"),
        "system": "single",
        "codebook": str(folder / "codebook.yaml"),
        "labels": [f"{slug}+" for slug in slugs],
        "model": {**recipe["model"], "model": str(fetch()), "max_tokens": 128, "long_texts": "cut"},
        "fit": {**recipe["fit"], "batch_rows": 16, **({"epochs": 1} if quick else {})},
        "protocol": {
            "name": "honest",
            "folds": 2 if quick else 3,
            "partitions": 1,
            "seeds": 2 if quick else 3,
        },
        "pool": {"actors": actors, "cpus": 1},
        "keep_models": "none",
    }
    return validate(FinetuneConfig, keys, "benchmarks/ensemble.py")


def labels_of(folder: Path, codebook: str) -> list[LabelRow]:
    cells = list(csv.DictReader((folder / "labels.csv").open()))
    group = {row["video_id"]: row["account"] for row in csv.DictReader((folder / "texts.csv").open())}
    return [
        LabelRow(
            video_id=row["video_id"],
            account=group[row["video_id"]],
            annotator="touche23",
            label_set=codebook,
            stances=[int(value) for name, value in row.items() if name != "video_id"],
            probability=None,
        )
        for row in cells
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, help="keeps the trainings")
    parser.add_argument("--actors", type=int, default=cores(), help="trainings side by side, one core each")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tikval-") as place:
        folder = Path(args.out or place)
        folder.mkdir(parents=True, exist_ok=True)
        most = 120 if args.quick else 600
        others = (
            development(args.data)
            if args.quick
            else held_out("seeds averaged: ensemble.json again", args.data)
        )
        more = range(most, 2 * most) if args.quick else range(most)
        parts = {"train": development(args.data).take(range(most)), "test": others.take(more)}
        slugs = tables(folder, parts)
        config = training(folder, slugs, args.quick, args.actors)
        seconds = finetune_systems([config])[0].seconds
        rows = {"single": Folder(config.folder).read().to_pylist()}
        combined: dict[str, Any] = {}
        for name, keys in COMBINED.items():
            whole = CombineConfig(systems=(config,), system=name, out=config.out, **keys)
            combine_systems(whole)
            rows[name] = Folder(whole.folder).read().to_pylist()
            combined[name] = json.loads((Path(whole.folder) / "combined.json").read_text())
        label_rows = labels_of(folder, rows["single"][0]["label_set"])
    ids = {row["video_id"] for row in rows["single"]}
    truth = read_truth([row for row in label_rows if row["video_id"] in ids], combined_labels(slugs), 0.0)
    systems: list[Answers] = [read_trained(own, truth, name, by_fold=False) for name, own in rows.items()]
    study = evaluate_systems(systems, truth, label_rows)
    figures: dict[str, Any] = {
        "machine": machine(),
        "command": "python benchmarks/ensemble.py DATA" + " --quick" * args.quick,
        "arguments": len(truth.ids),
        "conclusions": truth.n_groups,
        "training_seconds": seconds,
    }
    for score in map(dict, study.scores):
        if (score["label"], score["stance"], score["failures"]) == ("macro", "endorsed", LEFT_OUT):
            figures[str(score["system"])] = {name: _rounded(score[name]) for name in KEPT}
    figures["gains"] = {
        f"{pair['system_a']} - {pair['system_b']}": [_rounded(pair[name]) for name in GAIN]
        for pair in map(dict, study.comparisons)
        if pair["metric"] == "macro_f1" and pair["system_b"] in rows
    }
    figures["target"] = {"mean": "not below single"}
    figures["met"] = args.quick or figures["mean"]["f1"] >= figures["single"]["f1"]
    if not args.quick:
        result = Path(__file__).with_name("results") / "ensemble.json"
        result.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))
    return 0 if figures["met"] else 1


def combined_labels(slugs: list[str]) -> list[str]:
    return [*(f"{slug}+" for slug in slugs), *(f"{slug}-" for slug in slugs)]


def _rounded(number: Any) -> float | None:
    return None if number is None else round(number, 4)


if __name__ == "__main__":
    sys.exit(main())
