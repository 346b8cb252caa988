"""The strong system of benchmarks/distill.py: the encoder of configs/local/finetune.yaml, trained once; its answers.

    python benchmarks/distill_strong.py DIR          trains for some 15 minutes on one core; DIR keeps what is done

It trains on half of the development conclusions, and answers the arguments of the other half and the held-out ones,
whose labels it never sees. Written: data/distill_strong.npz, from which benchmarks/distill.py starts.
"""

import csv
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import yaml

from benchmarks.arguments import HERE, Arguments, development, held_out
from tikval.config import FinetuneConfig, find_file, load_config
from tikval.flow.finetune import finetune_systems
from tikval.hub.bundled import fetch
from tikval.stats.arrays import Bools, Floats
from tikval.store.folder import Folder
from tikval.values import VALUES

ANSWERS: Final = HERE / "data" / "distill_strong.npz"


class StrongAnswers(NamedTuple):
    """What the strong system says of N arguments; of V values that they are endorsed."""

    ids: list[str]
    scores: Floats  # [N, V], to 1/255
    decisions: Bools  # [N, V]


def strong_answers(part: str) -> StrongAnswers:
    """Of the other half of the development arguments ("development"), or of the test arguments ("held_out")."""
    with np.load(ANSWERS) as kept:
        at = kept["part"] == part
        return StrongAnswers(kept["ids"][at].tolist(), kept["scores"][at] / 255, kept["decisions"][at])


def _splits(arguments: Arguments) -> list[str]:
    """Which half each argument is in, whole conclusions: train and validation, or test."""
    rng = np.random.default_rng(0)
    names = rng.permutation(sorted(set(arguments.conclusions))).tolist()
    half, tenth = len(names) // 2, len(names) // 10
    of = dict.fromkeys(names, "test") | dict.fromkeys(names[:half], "train")
    of |= dict.fromkeys(names[:tenth], "validation")
    return [of[name] for name in arguments.conclusions]


def _write_tables(folder: Path, arguments: Arguments, others: Arguments) -> None:
    slugs = [value.slug for value in VALUES]
    splits = [*_splits(arguments), *["test"] * len(others.ids)]
    with (folder / "texts.csv").open("w", newline="") as texts, (folder / "labels.csv").open("w") as labels:
        text_rows, label_rows = csv.writer(texts), csv.writer(labels)
        text_rows.writerow(["video_id", "text", "account", "split"])
        label_rows.writerow(["video_id", *slugs])
        at = 0
        for group, known in ((arguments, True), (others, False)):
            for name, text, conclusion, truth in zip(
                group.ids, group.texts, group.conclusions, group.truth, strict=True
            ):
                text_rows.writerow([name, text, conclusion, splits[at]])
                label_rows.writerow([name, *(int(known and label) for label in truth)])
                at += 1


def _config(folder: Path) -> FinetuneConfig:
    """configs/local/finetune.yaml on these tables."""
    keys: dict[str, Any] = yaml.safe_load(find_file("configs/local/finetune.yaml").read_text())
    keys |= {
        "texts": {"table": str(folder / "texts.csv"), "annotations": str(folder / "labels.csv")},
        "out": str(folder / "out"),
        "system": "strong",
        "labels": [f"{value.slug}+" for value in VALUES],
        "model": keys["model"] | {"model": str(fetch()), "max_tokens": 128},
        "protocol": {"name": "given", "threshold": "per_label"},
        "pool": {"actors": 1, "cpus": 1},
        "keep_models": "none",
    }
    del keys["scripts"], keys["min_share"]
    (folder / "config.yaml").write_text(yaml.safe_dump(keys))
    return load_config(FinetuneConfig, str(folder / "config.yaml"), [])


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    arguments = development()
    others = held_out("texts only: what the strong system answers to them; benchmarks/distill.py")
    _write_tables(folder, arguments, others)
    config = _config(folder)
    run = finetune_systems([config])[0]
    rows = Folder(config.folder).read().to_pylist()
    test = set(others.ids)
    at = [index for index, label in enumerate(_labels()) if label.endswith("+")]
    np.savez_compressed(
        ANSWERS,
        ids=[row["video_id"] for row in rows],
        part=["held_out" if row["video_id"] in test else "development" for row in rows],
        scores=np.round(255 * np.array([[row["scores"][i] for i in at] for row in rows])).astype(np.uint8),
        decisions=np.array([[row["decisions"][i] for i in at] for row in rows], bool),
    )
    print(f"{len(rows)} arguments answered after {run.seconds:.0f} s; {ANSWERS.stat().st_size} bytes")
    return 0


def _labels() -> list[str]:
    from tikval.codebook import load_codebook

    return list(load_codebook(find_file("prompts/codebook.yaml")).labels)


if __name__ == "__main__":
    sys.exit(main())
