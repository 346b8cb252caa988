"""Recipes of open models on one GPU: is a critic, or asking for quotes, worth its GPU seconds on labelled texts?

    python benchmarks/recipes_gpu.py                     # Touché's development arguments, else the project's own texts
    python benchmarks/recipes_gpu.py --texts T.csv --labels L.csv    # video_id,text,account; as a catalog takes them
    python benchmarks/recipes_gpu.py --profile open --gpu-usd 2.50 --most 500
    .venv-vllm/bin/python benchmarks/recipes_gpu.py --quick    # cores, a tiny model: that it runs; writes nothing

Each recipe is jobs.extract_values with the committed configuration of its profile, scored by jobs.evaluate: macro F1
with its 95 % interval, the paired gain (of a critic over none, of quotes over none), precision, recall, and what it
took. A critic's calls, tokens and seconds are its own: it comes on top of the first system. Seconds are of the job,
the engine's start in them, so that few texts look dear. Votes of several replies
need a server (extractor.samples), and are not here. The project's own texts were written for their labels: scores on
them compare recipes, and are no quality on videos.
The last line is one JSON object; with a GPU it is written to results/recipes_gpu.json. **Not run on a GPU yet.**
"""

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import yaml

from benchmarks.arguments import HERE, are_here, development
from benchmarks.llm import FEW_CORES
from tests.fixtures.vllm_checkpoints import write_mistral, write_qwen35
from tikval.codebook import load_codebook
from tikval.config import EvaluateConfig, ExtractConfig, UserError, find_file, load_config
from tikval.evaluate.score_systems import score_systems
from tikval.finetune.examples import read_texts
from tikval.machine import cores
from tikval.prompt_text import render_prompt
from tikval.rows import ScriptRow, arrow_schema
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.values import SLUGS, VALUES

RESULT: Final = HERE / "results" / "recipes_gpu.json"
CODEBOOK: Final = "prompts/codebook.yaml"
TINY: Final = {"mistral": write_mistral, "open": write_qwen35}  # checkpoints of their models' architectures
QUICK_TEXTS: Final = 4
_QUOTES: Final = (("extractor.evidence", True), ("extractor.llm.max_tokens", 2048))
# configuration of the profile, and overrides of what judges first
RECIPES: Final[dict[str, tuple[str, Sequence[tuple[str, Any]]]]] = {
    "direct": ("predictions", ()),
    "critic": ("critic", ()),
    "quotes": ("predictions", _QUOTES),
    "quotes_critic": ("critic", _QUOTES),
}
FIRST: Final = {
    "critic": "direct",
    "quotes_critic": "quotes",
    "quotes": "direct",
}  # what a recipe is compared with

_COLUMNS: Final = (
    *("macro_f1", "interval", "gain", "gain_interval", "precision", "recall", "failures"),
    *("calls", "tokens_in", "tokens_out", "gpu_seconds", "usd"),
)


class LabelledTexts(NamedTuple):
    """N texts and where their annotations are."""

    name: str
    ids: list[str]
    texts: list[str]
    groups: list[str]  # no two of one group are independent: intervals are over groups
    labels: Path


def own_texts(folder: Path) -> LabelledTexts:
    """The texts that set the local extractor's threshold, each a group of its own."""
    items = yaml.safe_load((HERE / "data" / "tuning_texts.yaml").read_text(encoding="utf-8"))
    ids = [f"text{n}" for n in range(len(items))]
    codes = [
        [("-" in _stance(item, slug)) * -1 or int("+" in _stance(item, slug)) for slug in SLUGS]
        for item in items
    ]
    return LabelledTexts(
        "data/tuning_texts.yaml",
        ids,
        [item["script"] for item in items],
        ids,
        _write_labels(folder, ids, codes),
    )


def _stance(item: dict[str, Any], slug: str) -> str:
    """'+', '-' or '': the stance of a text towards a value."""
    return "".join(label[-1] for label in item["labels"] if label[:-1] == slug)


def arguments(folder: Path) -> LabelledTexts:
    given = development()
    codes = given.truth.astype(int).tolist()
    assert [value.slug for value in VALUES] == list(SLUGS)
    groups = [f"conclusion{n}" for n in np.unique(given.conclusions, return_inverse=True)[1]]
    labels = _write_labels(folder, given.ids, codes)
    return LabelledTexts("Touché23, development", given.ids, given.scripts, groups, labels)


def _write_labels(folder: Path, ids: Sequence[str], codes: Sequence[Sequence[int]]) -> Path:
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["video_id", *SLUGS])
        rows.writerows([name, *row] for name, row in zip(ids, codes, strict=True))
    return folder / "labels.csv"


def given_texts(texts: str, labels: str) -> LabelledTexts:
    """A user's own. Raises UserError or ValueError for tables that cannot be read."""
    rows, accounts, _ = read_texts(texts)
    ids = [row["video_id"] for row in rows]
    groups = [accounts[name] or name for name in ids]
    return LabelledTexts(
        Path(texts).name, ids, [row["script"] for row in rows], groups, Path(labels).resolve()
    )


def some_of(texts: LabelledTexts, most: int) -> LabelledTexts:
    """Whole groups, in a drawn order, until there are `most` texts or a few more."""
    if len(texts.ids) <= most:
        return texts
    order = np.random.default_rng(0).permutation(sorted(set(texts.groups))).tolist()
    place = np.array([order.index(group) for group in texts.groups])
    last = np.searchsorted(np.cumsum(np.bincount(place)), most)
    at = np.flatnonzero(place <= last).tolist()
    ids, words, groups = ([column[i] for i in at] for column in texts[1:4])
    return texts._replace(ids=ids, texts=words, groups=groups)


def write_study(config: ExtractConfig, texts: LabelledTexts, folder: Path) -> None:
    """Catalog and scripts, as if each text were the script of a video."""
    with (folder / "videos.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["video_id", "path", "account"])
        for n, (name, group) in enumerate(zip(texts.ids, texts.groups, strict=True)):
            (folder / f"{n}.mp4").write_bytes(b"x")
            rows.writerow([name, f"{n}.mp4", group])
    write_catalog(config.catalog)
    assert config.scripts is not None
    text_of, scripts = dict(zip(texts.ids, texts.texts, strict=True)), []
    for video in Folder(config.catalog.folder).read().to_pylist():
        row: dict[str, Any] = dict.fromkeys(ScriptRow.__annotations__)
        row |= {"video_id": video["video_id"], "row_key": video["row_key"], "attempt": 1, "has_sound": True}
        scripts.append(row | {"script": text_of[video["video_id"]], "model": "given"})
    out = Folder(config.scripts.folder)
    part = out.write_part(pa.Table.from_pylist(scripts, schema=arrow_schema(ScriptRow)))
    out.write_run(config.scripts, [part], {}, len(scripts), {}, 0.0)


Overrides = list[tuple[str, Any]]


def overrides(profile: str, recipe: str, folder: Path, labels: Path, model: Path | None) -> Overrides:
    """Of a profile's recipe: the texts in `folder`; `model`: a tiny one in place of the profile's, on cores."""
    file, changes = RECIPES[recipe]
    first = recipe if file == "predictions" else FIRST[recipe]
    begins = {"": recipe} if file == "predictions" else {"": recipe, "predictions.": first}
    sets: Overrides = []
    for at, name in begins.items():
        study = f"{at}scripts.videos."
        sets += [(f"{place}out", str(folder / "out")) for place in (at, f"{at}scripts.", study)]
        sets += [(f"{study}videos", str(folder / "videos.csv")), (f"{study}annotations", str(labels))]
        sets += [(f"{at}scripts.writer", {"kind": "local"}), (f"{at}system", f"{profile}_{name}")]
        if name == first:
            sets += [(f"{at}{key}", value) for key, value in changes]
        if model:
            sets += [(f"{at}extractor.llm.model", str(model)), (f"{at}pool", {"actors": 1, "cpus": 0.5})]
            sets += [
                (f"{at}engine", {"max_sequences": 8, "batch_rows": 8}),
                (f"{at}read_pool", {"cpus": 0.25}),
            ]
            # random weights keep none of up to 38 reasons short
            sets += [(f"{at}extractor.llm.max_tokens", 4096)]
    return sets


def run_job(file: str, sets: Overrides) -> None:
    """jobs.extract_values in a process of its own, whose end leaves the GPU empty for the next engine."""
    given = [f"{key}={json.dumps(value)}" for key, value in sets]
    subprocess.run(
        [sys.executable, "-m", "jobs.extract_values", file, *given],
        check=True,
        stdout=sys.stderr,
        cwd=HERE.parent,
    )


def took(config: ExtractConfig, gpu_usd: float) -> dict[str, Any]:
    """Calls, tokens and time of a recipe; GPU seconds and money only where a GPU ran it."""
    folder = Folder(config.folder)
    rows, seconds = folder.read().to_pylist(), folder.finished().seconds
    asked = [row for row in rows if row["tokens_in"] is not None]
    gpu_seconds = seconds * config.pool.gpus
    return {
        "texts": len(rows),
        "failures": sum(row["error"] is not None for row in rows),
        "calls": len(asked),
        "tokens_in": sum(row["tokens_in"] for row in asked),
        "tokens_out": sum(row["tokens_out"] or 0 for row in asked),
        "seconds": round(seconds, 1),
        "gpu_seconds": round(gpu_seconds, 1) if gpu_seconds else "not run",
        "usd": round(gpu_seconds / 3600 * gpu_usd, 4) if gpu_seconds else "not run",
    }


def scored(systems: dict[str, ExtractConfig], out: str, *, quick: bool) -> dict[str, dict[str, Any]]:
    """Macro F1, precision and recall of systems and baselines, and a system's paired gain over the one it builds on."""
    least = {"min_share": 0.0, "min_positives": 1} if quick else {}
    config = EvaluateConfig(predictions=tuple(systems.values()), out=out, **least)  # type: ignore[arg-type]
    score_systems(config)
    folder, found = Folder(config.folder), dict[str, dict[str, Any]]()
    for row in folder.read().to_pylist():
        if (row["label"], row["stance"], row["failures"]) == ("macro", "all", "left_out"):
            figures = {"macro_f1": row["f1"], "interval": [row["lower"], row["upper"]]}
            found[row["system"]] = figures | {name: row[name] for name in ("precision", "recall", "n_labels")}
    pairs = {
        (row["system_a"], row["system_b"]): row
        for row in folder.read_side_table("comparisons")
        if row["metric"] == "macro_f1"
    }
    for name in systems:
        profile, recipe = name.split("_", 1)
        before = f"{profile}_{FIRST.get(recipe)}"
        row, sign = pairs.get((name, before)), 1
        if row is None:
            row, sign = pairs.get((before, name)), -1
        if row and row["difference"] is not None:
            bounds = [None if row[end] is None else sign * row[end] for end in ("lower", "upper")]
            found[name] |= {"over": before, "gain": sign * row["difference"], "gain_interval": bounds[::sign]}
    return found


def shown(report: dict[str, Any]) -> str:
    """A human-readable table of all recipes."""
    lines = [["recipe", *_COLUMNS]]
    alone = {name: {"macro_f1": f1} for name, f1 in report["baselines"].items()}
    for name, figures in (report["recipes"] | alone).items():
        lines.append([name, *(_cell(figures.get(column)) for column in _COLUMNS)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "none" if None in value else "{:.3f} to {:.3f}".format(*value)
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> int:
    args = _arguments()
    import torch

    on_gpu = torch.cuda.is_available() and not args.quick
    if not on_gpu and not args.quick:
        raise UserError("recipes_gpu: no GPU here; --quick runs the same on cores, with random weights")
    if bool(args.texts) != bool(args.labels):
        raise UserError("recipes_gpu: --texts and --labels belong together")
    if args.quick:
        os.environ.update(FEW_CORES | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1"})
    profiles = args.profile or (["open"] if args.quick else list(TINY))
    recipes = ["direct", "critic"] if args.quick else list(RECIPES)
    with tempfile.TemporaryDirectory(prefix="tikval-bench-") as place:
        report = measured(profiles, recipes, Path(place), args)
    report["machine"] = f"{platform.machine()}, {cores()} cores, " + (
        torch.cuda.get_device_name() if on_gpu else "no GPU"
    )
    report["command"] = "python " + " ".join(sys.argv)
    print(shown(report))
    if args.quick:
        print("demo: random weights; what they answer means nothing, and no figure of a GPU was run")
    else:
        RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0


def measured(
    profiles: list[str], recipes: list[str], folder: Path, args: argparse.Namespace
) -> dict[str, Any]:
    """Every recipe of every profile over the same texts."""
    if args.texts:
        texts = given_texts(args.texts, args.labels)
    else:
        texts = arguments(folder) if are_here() and not args.quick else own_texts(folder)
    texts = some_of(texts, QUICK_TEXTS if args.quick else args.most)
    prompt = render_prompt(
        load_codebook(find_file(CODEBOOK)), find_file("prompts/extract.txt").read_text(), "script"
    )
    systems, figures = dict[str, ExtractConfig](), dict[str, dict[str, Any]]()
    for profile in profiles:
        model = TINY[profile](folder / profile, [prompt]) if args.quick else None
        for recipe in recipes:
            file = f"configs/{profile}/{RECIPES[recipe][0]}.yaml"
            sets = overrides(profile, recipe, folder, texts.labels, model)
            config = load_config(ExtractConfig, file, sets)
            if not systems:
                write_study(config, texts, folder)
            run_job(file, sets)
            systems[config.system] = config
            figures[config.system] = took(config, args.gpu_usd)
    found = scored(systems, str(folder / "out"), quick=args.quick)
    baselines = {name: scores["macro_f1"] for name, scores in found.items() if name not in systems}
    for name in systems:
        figures[name] |= found.get(name, {})
    note = "demo: random weights" if args.quick else "run on a GPU"
    return {
        "what": note,
        "texts": texts.name,
        "n": len(texts.ids),
        "gpu_usd_per_hour": args.gpu_usd,
        "baselines": baselines,
        "recipes": figures,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--texts", help="CSV or Parquet: video_id, text and, where known, account")
    parser.add_argument("--labels", help="annotations of these texts, as a catalog takes them")
    parser.add_argument(
        "--profile", action="append", choices=list(TINY), help="again for several; all unless named"
    )
    parser.add_argument("--most", type=int, default=1000, help="texts, whole groups (1,000)")
    parser.add_argument(
        "--gpu-usd", type=float, default=2.50, help="of a GPU for an hour, a stated price (2.50)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (UserError, ValueError) as err:
        sys.exit(f"tikval: {err}")
