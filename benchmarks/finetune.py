"""Fine-tuning: our loop against a plain one, batches by length, folds side by side; on a GPU, the encoders' memory.

    python benchmarks/finetune.py               12 minutes on 2 cores; writes benchmarks/results/finetune.json
    python benchmarks/finetune.py --quick       two minutes; the folds without a target
    python benchmarks/finetune.py --only gpu    one of the parts below; writes results/finetune_gpu.json

* loop: real tokens (padding is none) per second of one epoch of a BERT of MiniLM's size with random weights: `plain`
  as one writes it with PyTorch and transformers, and ours on the same batches.
* lengths: our loop on batches of like length, and on batches as they come; texts of log-normal length.
* folds: the job with three folds, one after another and side by side, each on one core, on a Ray that runs already.
  Three folds on two cores take two rounds: at best 1.5 times faster than three.
* gpu: the paper's three encoders as configs/paper has them, random weights of the real sizes, every text of
  `max_tokens`: rates beside the plain loop's, the most memory allocated and its estimate, and whether an epoch ended
  with the process kept to 40 GB.

Contenders take turns, every second turn in the other order; rates are medians over turns, ratios medians of the
turns' own. On cores one thread each, by the seconds that it worked: other work on the machine does not count.

Targets: ours at least 0.95 of plain; by length at least 1.3 times mixed; side by side at least 1.2 times faster, of
1.5: starting, which is in it, takes two cores too. On a GPU: within 40 GB; an estimate of at least 0.8 of the need.
"""

import argparse
import csv
import json
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import yaml

from benchmarks.encoder_memory import gpu_part
from benchmarks.training_loops import in_turns, medians, ours, plain, ratio, real_tokens, task_of
from tests.fixtures.tiny_encoders import write_bert
from tikval.config import FinetuneConfig, Fit, TextEncoder, load_config
from tikval.finetune.batches import Indices, Tokens, cut, epoch_rows
from tikval.finetune.loop import Task
from tikval.finetune.model import build, load_tokenizer
from tikval.flow.session import start_ray
from tikval.machine import cores
from tikval.values import SLUGS

OF_PLAIN, OVER_MIXED, SIDE_BY_SIDE = 0.95, 1.3, 1.2  # targets
WORDS: Final = tuple(f"w{i}" for i in range(2000))
MINILM: Final = {
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "vocab_size": 30_522,
    "initializer_range": 0.02,
}
Figures = dict[str, Any]
Reached = dict[str, tuple[float, float]]  # a figure, and what it should at least be


class Mixed(Tokens):
    """Texts whose batches take them as they come, as if all were of one length."""

    @property
    def sizes(self) -> Indices:
        return np.ones(len(self), np.int64)


def texts(rows: int) -> list[str]:
    """Half of them shorter than 50 words, one in twenty longer than 185."""
    random = np.random.default_rng(0)
    lengths = random.lognormal(np.log(50), 0.8, rows).clip(3, 250).astype(int)
    return [" ".join(random.choice(WORDS, length)) for length in lengths]


def loop(quick: bool, work: Path) -> tuple[Figures, Reached]:
    torch.set_num_threads(1)
    fit, turns = Fit(epochs=1, batch_rows=8), 12 if quick else 20
    task = minilm(work, 24 if quick else 32)
    rates = in_turns({"plain": lambda: plain(task, fit), "ours": lambda: ours(task, fit)}, turns)
    ratios = sorted(a / b for a, b in zip(rates["ours"], rates["plain"], strict=True))
    figures = {
        "rows": len(task.labels),
        "turns": turns,
        "tokens_per_second": medians(rates),
        "middle half of the ratios": [round(ratios[turns // 4], 3), round(ratios[-1 - turns // 4], 3)],
    }
    return figures, {"loop: ours over plain": (ratio(rates, "ours", "plain"), OF_PLAIN)}


def lengths(quick: bool, work: Path) -> tuple[Figures, Reached]:
    torch.set_num_threads(1)
    fit, turns = Fit(epochs=1, batch_rows=8), 1 if quick else 2
    task = minilm(work, 64 if quick else 96)
    data = task.data
    assert isinstance(data, Tokens)
    mixed = Mixed(data.pieces, data.starts, data.lost, data.pad_id, data.max_tokens)
    tasks = {"by length": task, "mixed": replace(task, data=mixed)}
    rates = in_turns({name: partial(ours, each, fit) for name, each in tasks.items()}, turns)
    real = {}
    for name, each in tasks.items():
        batches = epoch_rows(each.data.sizes, each.train_rows, fit.batch_rows, seed=each.seed, epoch=1)
        computed = sum(each.data.gather(rows)[0][0].numel() for rows in batches)
        real[name] = round(real_tokens(each) / computed, 3)
    figures = {
        "rows": len(task.labels),
        "turns": turns,
        "tokens_per_second": medians(rates),
        "real tokens of all": real,
    }
    return figures, {"lengths: by length over mixed": (ratio(rates, "by length", "mixed"), OVER_MIXED)}


def write_minilm(folder: Path) -> Path:
    sizes: dict[str, Any] = MINILM
    return write_bert(folder, [" ".join(WORDS)], 256, **sizes)


def minilm(work: Path, rows: int) -> Task:
    config = TextEncoder(model=str(write_minilm(work)), max_tokens=256)
    return task_of(cut(load_tokenizer(config), texts(rows), config.max_tokens), partial(build, config))


def folds(quick: bool, work: Path) -> tuple[Figures, Reached]:
    """The job's wall-clock seconds; both predict the same for every row."""
    from tikval.flow.finetune import finetune_systems
    from tikval.store.folder import Folder

    at_once = min(3, cores())
    if at_once < 2:
        return {"not run": "one core"}, {}
    rows, epochs, turns = (45, 1, 1) if quick else (120, 3, 2)
    study = _study(work, rows)
    found: dict[str, Any] = {}
    trained: dict[str, list[float]] = {}
    begin = time.perf_counter()
    start_ray()
    start = time.perf_counter() - begin

    def run(name: str, actors: int) -> float:
        """Jobs per hour."""
        out = work / f"out-{name}-{len(trained.setdefault(name, []))}"
        sets = [("out", str(out)), ("pool.actors", actors), ("fit.epochs", epochs), ("fit.patience", epochs)]
        config = load_config(FinetuneConfig, str(study), sets)
        begin = time.perf_counter()
        finetune_systems([config])
        seconds = time.perf_counter() - begin
        kept = Folder(config.folder).read().to_pylist()
        assert len(kept) == rows
        assert found.setdefault("rows", kept) == kept, "folds side by side predict something else"
        history = json.loads((Path(config.folder) / "history.json").read_text())
        trained[name].append(sum(epoch["seconds"] for fold in history for epoch in fold["history"]))
        return 3600 / seconds

    contenders = {
        "one after another": partial(run, "one after another", 1),
        "side by side": partial(run, "side by side", at_once),
    }
    rates = in_turns(contenders, turns)
    faster = ratio(rates, "side by side", "one after another")
    figures = {
        "rows": rows,
        "epochs": epochs,
        "folds": 3,
        "at_once": at_once,
        "turns": turns,
        "seconds": {name: [round(3600 / each, 1) for each in some] for name, some in rates.items()},
        "of these in epochs, all folds together": {
            name: [round(each, 1) for each in some] for name, some in trained.items()
        },
        "start of Ray, seconds, not in them": round(start, 1),
        "side by side over one after another": round(faster, 3),
    }
    return figures, {} if quick else {"folds: side by side over one after another": (faster, SIDE_BY_SIDE)}


def _study(work: Path, rows: int) -> Path:
    model = write_minilm(work / "model")
    random = np.random.default_rng(1)
    with (work / "texts.csv").open("w") as table, (work / "labels.csv").open("w") as labels:
        csv.writer(table).writerows(
            [("video_id", "text"), *((f"t{i}", t) for i, t in enumerate(texts(rows)))]
        )
        stances = [(f"t{i}", *(random.random(len(SLUGS)) < 0.3).astype(int)) for i in range(rows)]
        csv.writer(labels).writerows([("video_id", *SLUGS), *stances])
    config = {
        "texts": {"table": str(work / "texts.csv"), "annotations": str(work / "labels.csv")},
        "out": "unset",
        "system": "minilm",
        "labels": [f"{slug}+" for slug in SLUGS],
        "model": {"kind": "text", "model": str(model), "max_tokens": 256},
        "protocol": {"name": "paper", "partitions": 1, "threshold": 0.5},
        "pool": {"cpus": 1},
        "keep_models": "none",
    }
    path = work / "finetune.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


PARTS: Final = {"loop": loop, "lengths": lengths, "folds": folds, "gpu": gpu_part}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=PARTS)
    given = parser.parse_args()
    result: Figures = {}
    reached: Reached = {}
    for name in [given.only] if given.only else PARTS:
        work = Path(tempfile.mkdtemp(prefix="tikval-bench-"))
        try:
            result[name], more = PARTS[name](given.quick, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        reached |= more
    result["targets"] = {
        name: {"figure": round(figure, 3), "at_least": least, "met": figure >= least}
        for name, (figure, least) in reached.items()
    }
    result["met"] = all(target["met"] for target in result["targets"].values())
    result["machine"] = f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}"
    result["versions"] = {"torch": torch.__version__}
    only = f" --only {given.only}" if given.only else ""
    result["command"] = "python benchmarks/finetune.py" + " --quick" * given.quick + only
    if not given.quick:
        name = f"finetune_{given.only}.json" if given.only else "finetune.json"
        Path(__file__).with_name("results").joinpath(name).write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
