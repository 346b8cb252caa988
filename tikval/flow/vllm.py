"""Language models on vLLM inside Ray Data: AskRow -> AnswerRow, row for row.

    AskRow -> [Ray Data LLM's processor: engine actors, each with one vLLM] -> AnswerRow

Ray places, feeds and restarts the engines. Of its steps only that of the engine is used, and is widened (engine.py).
"""

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tikval.config import Engine, Pool, UserError, Vllm
from tikval.flow.session import check_gpus, on_cluster
from tikval.flow.vllm_engine import NOT_ASKED, EngineRequest, check_installed, engine_actor, quiet_vllm
from tikval.rows import AnswerRow, arrow_schema

if TYPE_CHECKING:
    import ray.data

log = logging.getLogger(__name__)

CONCURRENT_BATCHES: Final = 8  # of one engine, at least: while one batch ends, the next ones fill the engine


def vllm_answers(
    config: Vllm,
    engine: Engine,
    pool: Pool,
    schema: dict[str, Any] | None,
    system: str | None = None,
    most: dict[str, int] | None = None,
    schema_of: Callable[[Any], dict[str, Any]] | None = None,
) -> Callable[["ray.data.Dataset"], "ray.data.Dataset"]:
    """What turns a dataset of AskRow into one of AnswerRow, on `pool.actors` engines. Ray must have been started.

    `pool.actors`: None is one engine for every `tensor_parallel` GPUs there are, one at least. `schema`: JSON schema
    that every reply keeps to; `schema_of` narrows it for one AskRow. `system`: the system's turn, before each row's;
    of a model that knows none the beginning of the user's. `most`: media of each kind that a row holds at most, by
    vLLM's names; {}: texts alone, and a model's eyes and ears are not loaded. A row that has an error already is not
    asked and keeps it. A prompt that does not fit is too_many_tokens, a reply that met max_tokens or the end of the
    context truncated, an engine's error internal_error; they cost no other row. Raises UserError where vLLM is
    missing or pool and engine contradict each other, and while the dataset runs where the model does not load, has
    no chat template or takes no pictures or no sounds.
    """
    if not on_cluster():  # there, the driver's node needs none
        check_installed()
    quiet_vllm()
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    processor = build_processor(
        vLLMEngineProcessorConfig(
            model_source=config.model,
            engine_kwargs=engine_kwargs(config, engine, on_gpu=pool.gpus > 0, most=most),
            concurrency=_engines(engine, pool),
            batch_size=engine.batch_rows,
            max_concurrent_batches=max(CONCURRENT_BATCHES, -(-engine.max_sequences // engine.batch_rows)),
            placement_group_config={"bundles": _bundles(engine, pool)},
            should_continue_on_error=True,
            log_engine_metrics=False,  # vLLM's metrics for Ray want ray[serve], and the engine does not start without
            chat_template_stage=False,
            tokenize_stage=False,
            detokenize_stage=False,
        ),
        preprocess=_before,
    )
    stage = processor.get_stage_by_name("vLLMEngineStage")
    asked = EngineRequest(config, json.dumps(schema) if schema else None, system, schema_of)
    # a copy: an assignment would place the engines anew, and by then Ray has dropped the bundles and takes a GPU
    processor.stages["vLLMEngineStage"] = stage.model_copy(
        update={
            "fn": engine_actor(),
            "fn_constructor_kwargs": stage.fn_constructor_kwargs | {"asked": asked},
        }
    )
    return lambda rows: processor(rows).map_batches(_answers, batch_format="pyarrow")


def engine_kwargs(
    config: Vllm, engine: Engine, *, on_gpu: bool, most: dict[str, int] | None = None
) -> dict[str, Any]:
    """Arguments of vLLM's engine; those that are None are its own to choose."""
    kwargs = {
        "trust_remote_code": False,
        "revision": config.revision,
        "tokenizer_revision": config.revision,
        "dtype": config.dtype,
        "quantization": config.quantization,
        "max_model_len": config.context_tokens,
        "max_num_seqs": engine.max_sequences,
        "limit_mm_per_prompt": most or None,  # memory is set aside for what can come, and for no video
        "language_model_only": True if most == {} else None,
        "tensor_parallel_size": engine.tensor_parallel,
        "gpu_memory_utilization": engine.gpu_memory_share if on_gpu else None,
        "enforce_eager": None if on_gpu else True,  # on cores a minute or more of compiling wins nothing
        "enable_prefix_caching": True,  # the codebook comes first in every prompt
        # without the second, a schema lets a model write blanks until max_tokens
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    }
    return {name: value for name, value in kwargs.items() if value is not None}


def _bundles(engine: Engine, pool: Pool) -> list[dict[str, float]]:
    """What one engine holds of the cluster: a bundle per GPU."""
    gpus = engine.tensor_parallel
    if pool.gpus == 0 and gpus == 1:
        return [{"CPU": pool.cpus}]
    check_gpus(gpus if gpus > 1 else pool.gpus)
    if gpus == 1 and pool.gpus <= 1:
        return [{"CPU": pool.cpus, "GPU": pool.gpus}]
    if gpus > 1 and pool.gpus in (1, gpus):
        return [{"CPU": max(1, pool.cpus), "GPU": 1}] * gpus
    raise UserError(
        f"pool.gpus is {pool.gpus:g} and engine.tensor_parallel {gpus}: set both to the GPUs of one model"
    )


def _engines(engine: Engine, pool: Pool) -> tuple[int, int]:
    """How many, at least and at most."""
    import ray

    if isinstance(pool.actors, int):
        return pool.actors, pool.actors
    if pool.actors is not None:
        return min(pool.actors), max(pool.actors)
    if pool.gpus == 0:
        return 1, 1
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    room = int(resources.get("GPU", 0) / (engine.tensor_parallel if pool.gpus >= 1 else pool.gpus))
    return max(1, room), max(1, room)


def _before(row: dict[str, Any]) -> dict[str, Any]:
    """Ray lets a row with an `__inference_error__` by; `sampling_params` it only wants to see."""
    not_asked = row["error"] or ("" if row["prompt"] is not None else "there is nothing to ask")
    return {"__inference_error__": not_asked, "sampling_params": "", **NOT_ASKED}


def _answers(table: pa.Table) -> pa.Table:
    return pa.Table.from_pylist(table.to_pylist(), schema=arrow_schema(AnswerRow))
