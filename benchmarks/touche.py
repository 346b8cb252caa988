"""Values in real arguments (Touché23-ValueEval): the fine-tuning job against the figures of its shared task.

    python benchmarks/touche.py DATA              DATA: its folder of arguments-*.tsv and labels-*.tsv
    python benchmarks/touche.py DATA --quick      600 arguments, one epoch: that it runs
    python benchmarks/touche.py DATA --development    chosen on: some conclusions of the training arguments test
    python benchmarks/touche.py DATA --out DIR --only rate     one recipe, beside those in the results; DIR keeps it
    python benchmarks/touche.py DATA --encoder microsoft/deberta-v3-base --gpus 1    another encoder, by its own rate

Training arguments train, validation arguments test: the labels of its own test are not here. Arguments with the
same conclusion are one group. The encoder is all-MiniLM-L6-v2 (22 million parameters), on cores. Printed: the official
metric (harmonic mean of macro precision and macro recall) and the mean of the labels' F1, both with a 95 % interval
over conclusions, and each recipe's difference from the one it changes, paired, also with one of an earlier call: its
decisions are in results/touche_decisions.json. Peers on the official test set: 1-baseline 0.263, tf-idf ridge with
tuned thresholds 0.379, BERT 0.422.
"""

import argparse
import base64
import csv
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import yaml

from benchmarks.arguments import Arguments, development, held_out
from tikval.config import FinetuneConfig, find_file, load_config
from tikval.flow.finetune import finetune_systems
from tikval.hub.bundled import fetch
from tikval.machine import cores
from tikval.stats.arrays import Bools
from tikval.stats.metrics import prf
from tikval.store.folder import Folder

RESULTS: Final = Path(__file__).with_name("results")
TARGET: Final = (
    0.47  # the official metric; a tf-idf ridge with tuned thresholds has 0.379 on the task's own test
)
# the value of the task that is none of our 19, as this project words it
OBJECTIVITY: Final = {
    "slug": "universalism_objectivity",
    "title": "Universalism: objectivity",
    "definition": "Searching for the truth and thinking in a rational and unbiased way",
    "motivation": "A person wants to see things as they are: by facts, evidence and logic.",
    "endorsing": [
        "We should go by the evidence and not by what we would like to be true.",
        "Studies have shown that it works, and that is what should decide.",
        "Let us look at both sides without bias before we judge.",
        "People need true information to think about it rationally.",
    ],
    "confronting": [
        "I don't care what the studies say, I have made up my mind.",
        "Facts are only opinions, believe what feels right.",
    ],
}


class Split(NamedTuple):
    """What one call compares its recipes on."""

    name: str  # test, development or quick
    trains: Arguments
    tests: Arguments


def split_of(how: str, data: Path, look: str) -> Split:
    """The arguments that train and those that test; of `development` and `quick` both are training arguments."""
    whole = development(data)
    if how == "test":
        return Split(how, whole, held_out(look, data))
    order = np.random.default_rng(0).permutation(np.unique(whole.conclusions)).tolist()
    place = np.array([order.index(conclusion) for conclusion in whole.conclusions])
    tests, trains = (1300, 2900) if how == "development" else (200, 400)
    counted = np.cumsum(np.bincount(place))  # arguments of the first so many conclusions
    last, end = np.searchsorted(counted, [tests, tests + trains])
    return Split(how, whole.take((place > last) & (place <= end)), whole.take(place <= last))


def tables(folder: Path, parts: dict[str, Arguments]) -> list[str]:
    """texts.csv, labels.csv and a codebook of the 20 values; parts: by the word of `split`. Returns the slugs."""
    slugs = next(iter(parts.values())).slugs20
    with (
        (folder / "texts.csv").open("w", newline="") as texts,
        (folder / "labels.csv").open("w", newline="") as label_file,
    ):
        text_rows, label_rows = csv.writer(texts), csv.writer(label_file)
        text_rows.writerow(["video_id", "text", "account", "split"])
        label_rows.writerow(["video_id", *slugs])
        for word, part in parts.items():
            rows = zip(part.ids, part.texts, part.conclusions, strict=True)
            text_rows.writerows([*row, word] for row in rows)
            label_rows.writerows(
                [name, *truth.astype(int)] for name, truth in zip(part.ids, part.truth20, strict=True)
            )
    book = yaml.safe_load(find_file("prompts/codebook.yaml").read_text(encoding="utf-8"))
    values = sorted([*book["values"], OBJECTIVITY], key=lambda value: slugs.index(value["slug"]))
    book = {"name": "touche23", "version": 1, "source": "Touché23-ValueEval", "values": values}
    (folder / "codebook.yaml").write_text(yaml.safe_dump(book))
    return slugs


# each changes one thing of another; none was chosen by a look at the test arguments
RECIPES: dict[str, tuple[str | None, dict[str, dict[str, Any]]]] = {
    # binary cross-entropy, threshold 0.5 (section 4, Appendix C.1); the epoch is chosen on validation rows
    "paper": (None, {"protocol": {"threshold": 0.5}}),
    "default": ("paper", {}),  # threshold chosen on validation rows
    # the paper's rate is for models of 300 million weights and more
    "rate": ("default", {"fit": {"learning_rate": 1e-4}}),
    "weighted": ("rate", {"fit": {"learning_rate": 1e-4, "positive_weight": 10}}),
    "per_label": ("rate", {"protocol": {"threshold": "per_label"}, "fit": {"learning_rate": 1e-4}}),
    # two things at once, of which each had won by itself: `per_label`, and seeds averaged in results/ensemble.json
    "averaged": (
        "weighted",
        {
            "protocol": {"threshold": "per_label"},
            "fit": {"learning_rate": 1e-4, "positive_weight": 10, "models": 3},
        },
    ),
}
DRAWS: Final = 1000
RECORDED: Final = ("seconds", "epochs", "tokens_per_second")


def trained(name: str, folder: Path, slugs: list[str], args: argparse.Namespace) -> dict[str, Any]:
    """Run the job by one recipe; its decisions by id, and how long it took (0 where it was done before)."""
    _, recipe = RECIPES[name]
    # bfloat16: half the time on cores that have instructions for it
    own = {"model": args.encoder or str(fetch()), "precision": "bfloat16"}
    rate = {"learning_rate": args.rate} if args.encoder else {}  # those here are for 22 million weights
    keys = {
        "texts": {"table": str(folder / "texts.csv"), "annotations": str(folder / "labels.csv")},
        "out": str(folder / "out"),
        "system": name,
        "codebook": str(folder / "codebook.yaml"),
        "labels": [f"{slug}+" for slug in slugs],
        "model": {"kind": "text", "max_tokens": 128, "pooling": "mean", **recipe.get("model", {}), **own},
        "fit": {"epochs": 1 if args.quick else 5, **recipe.get("fit", {}), **rate},
        "protocol": {"name": "given", **recipe.get("protocol", {})},
        "pool": {"actors": 1, "cpus": args.cpus, "gpus": args.gpus},
        "keep_models": "best",
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(keys))
    config = load_config(FinetuneConfig, str(folder / "config.yaml"), [])
    run = finetune_systems([config])[0]
    history = json.loads((Path(config.folder) / "history.json").read_text())[0]["history"]
    rows = Folder(config.folder).read().to_pylist()
    return {
        "decisions": {row["video_id"]: row["decisions"][: len(slugs)] for row in rows},
        "seconds": run.seconds,
        "epochs": len(history),
        "tokens_per_second": round(history[-1]["tokens_per_second"]),
    }


def scores(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Official metric, mean F1, macro precision, macro recall."""
    each = prf(truth, predicted)
    precision, recall = float(np.nan_to_num(each.precision).mean()), float(np.nan_to_num(each.recall).mean())
    official = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return np.array([official, float(np.nanmean(each.f1)), precision, recall])


def draws_of(conclusions: list[str]) -> list[np.ndarray]:
    """Rows of DRAWS samples of whole conclusions, as many as there are, drawn with replacement."""
    _, group = np.unique(conclusions, return_inverse=True)
    rows_of = [np.flatnonzero(group == g) for g in range(group.max() + 1)]
    rng = np.random.default_rng(0)
    return [
        np.concatenate([rows_of[g] for g in rng.integers(0, len(rows_of), len(rows_of))])
        for _ in range(DRAWS)
    ]


def interval(values: np.ndarray) -> list[list[float]]:
    """95 % intervals of each column."""
    return np.round(np.quantile(values, [0.025, 0.975], axis=0).T, 4).tolist()  # type: ignore[no-any-return]


def recipe_figures(
    decisions: dict[str, Bools], truth: Bools, draws: list[np.ndarray]
) -> dict[str, dict[str, Any]]:
    """Each recipe's scores, and its gain over the recipe that it changes where that one's decisions are known."""
    drawn = {name: np.array([scores(truth[d], own[d])[:2] for d in draws]) for name, own in decisions.items()}
    figures: dict[str, dict[str, Any]] = {}
    for name, own in decisions.items():
        official, f1, precision, recall = scores(truth, own).round(4).tolist()
        figures[name] = {
            "official": official,
            "official_95": interval(drawn[name])[0],
            "mean_f1": f1,
            "mean_f1_95": interval(drawn[name])[1],
            "macro_precision": precision,
            "macro_recall": recall,
        }
        # a recipe that lost is recorded, and not here any more
        for before in {RECIPES.get(name, (None,))[0], "weighted"} - {name, None}:
            if before in decisions:
                gained = drawn[name] - drawn[before]
                figures[name][f"official_gain_over_{before}_95"] = interval(gained)[0]
                figures[name][f"mean_f1_gain_over_{before}_95"] = interval(gained)[1]
    return figures


def packed(decisions: Bools) -> str:
    return base64.b64encode(np.packbits(decisions).tobytes()).decode()


def unpacked(text: str, shape: tuple[int, int]) -> Bools:
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=shape[0] * shape[1])
    return bits.reshape(shape).astype(bool)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--development", action="store_true", help="test on training arguments")
    parser.add_argument("--out", type=Path, help="keeps what is done")
    parser.add_argument("--only", action="append", choices=[*RECIPES])
    parser.add_argument("--encoder", help="a name of the hub, or a folder")
    parser.add_argument("--rate", type=float, default=2e-5, help="of --encoder")
    parser.add_argument("--cpus", type=int, default=cores())
    parser.add_argument("--gpus", type=int, default=0)
    return parser.parse_args()


def kept(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def main() -> int:
    args = arguments()
    names = args.only or (["paper", "weighted"] if args.quick else [*RECIPES])
    how = "quick" if args.quick else "development" if args.development else "test"
    split = split_of(how, args.data, f"{args.encoder or 'MiniLM'}: {', '.join(names)}")
    suffix = "_development" * args.development + (f"_{Path(args.encoder).name}" if args.encoder else "")
    results, side = RESULTS / f"touche{suffix}.json", RESULTS / f"touche{suffix}_decisions.json"
    before, known = ({}, {}) if args.quick else (kept(results), kept(side))
    gpus = f"{args.gpus} GPU" if args.gpus else "no GPU"
    runs: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="tikval-") as place:
        folder = Path(args.out or place)
        folder.mkdir(parents=True, exist_ok=True)
        slugs = tables(folder, {"train": split.trains, "test": split.tests})
        for name in names:
            runs[name] = trained(name, folder, slugs, args)
            print(name, "is done", file=sys.stderr)
        for name, run in runs.items():
            decided = run["decisions"]
            known[name] = packed(np.array([decided[argument] for argument in split.tests.ids], bool))
            runs[name] = {key: run[key] for key in RECORDED if key in run}
            runs[name] |= {"machine": f"{args.cpus} of {cores()} cores, {platform.machine()}, {gpus}"}
    truth = split.tests.truth20
    decisions = {name: unpacked(text, truth.shape) for name, text in known.items()}
    measured = recipe_figures(decisions, truth, draws_of(split.tests.conclusions))
    measured = {name: {**before.get(name, {}), **own, **runs.get(name, {})} for name, own in measured.items()}
    everything = scores(truth, np.ones_like(truth)).round(4).tolist()
    figures = {
        **before,
        "command": f"python benchmarks/touche.py DATA --cpus {args.cpus}",
        "rows": {"train": len(split.trains.ids), "test": len(truth)},
        **measured,
        "predict_everything": {"official": everything[0], "mean_f1": everything[1]},
        "target": {"official": TARGET},
    }
    figures["met"] = (
        how != "test" or max(figures[name]["official"] for name in RECIPES if name in figures) >= TARGET
    )
    if not args.quick:
        results.write_text(json.dumps(figures, indent=2) + "\n")
        side.write_text(json.dumps(known, indent=1) + "\n")
    print(json.dumps(figures))
    return 0 if figures["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
