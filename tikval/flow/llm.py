"""Language models on vLLM inside Ray Data: AskRow -> AnswerRow, row for row.

    AskRow -> [Ray Data LLM's processor: engine actors, each with one vLLM] -> AnswerRow

Ray places, feeds and restarts the engines. Of its steps only that of the engine is used, and is widened:
* the chat template and the tokens of a prompt are made in the engine's actor. Ray's own steps for them know no
  revision, tokenize a rendered template as if it were plain text, which puts a second beginning-of-text before it,
  and cost an actor each;
* why a reply ended and how much of its prompt came from the prefix cache are passed on, which Ray drops;
* pictures travel as JPEG and are decoded when the engine has room for them.
"""

import asyncio
import functools
import importlib.util
import io
import json
import logging
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tikval.config import Engine, Pool, UserError, Vllm
from tikval.flow.session import check_gpus, on_cluster
from tikval.rows import AnswerRow, AskRow, Reason, arrow_schema

if TYPE_CHECKING:
    import ray.data

log = logging.getLogger(__name__)

CONCURRENT_BATCHES: Final = 8  # of one engine, at least: while one batch ends, the next ones fill the engine
_NOT_ASKED: Final[dict[str, Any]] = {
    **dict.fromkeys(("reply", "tokens_in", "tokens_cached", "tokens_out")),
    **dict.fromkeys(("cost_usd", "ledger_key", "model_served")),
}
_QUIET: Final = {
    "VLLM_NO_USAGE_STATS": "1",  # vLLM reports each start to its makers otherwise
    "VLLM_LOGGING_LEVEL": "WARNING",  # of what is said here and in the actor; engines write to Ray's log files
}


def vllm_answers(
    config: Vllm, engine: Engine, pool: Pool, schema: dict[str, Any] | None
) -> Callable[["ray.data.Dataset"], "ray.data.Dataset"]:
    """What turns a dataset of AskRow into one of AnswerRow, on `pool.actors` engines. Ray must have been started.

    `pool.actors`: None is one engine for every `tensor_parallel` GPUs there are, one at least. `schema`: JSON schema
    that every reply keeps to. A row that has an error already is not asked and keeps it. A prompt that does not fit is
    too_many_tokens, a reply that met max_tokens or the end of the context truncated, an engine's error internal_error;
    they cost no other row. Raises UserError where vLLM is missing or pool and engine contradict each other, and while
    the dataset runs where the model does not load, has no chat template or takes no pictures.
    """
    if not on_cluster():  # there, the driver's node needs none
        check_installed()
    _quiet()
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    processor = build_processor(
        vLLMEngineProcessorConfig(
            model_source=config.model,
            engine_kwargs=_engine_kwargs(config, engine, on_gpu=pool.gpus > 0),
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
    asked = Asked(config, json.dumps(schema) if schema else None)
    # a copy: an assignment would place the engines anew, and by then Ray has dropped the bundles and takes a GPU
    processor.stages["vLLMEngineStage"] = stage.model_copy(
        update={
            "fn": _engine_actor(),
            "fn_constructor_kwargs": stage.fn_constructor_kwargs | {"asked": asked},
        }
    )
    return lambda rows: processor(rows).map_batches(_answers, batch_format="pyarrow")


def check_installed() -> None:
    if importlib.util.find_spec("vllm") is None:
        raise UserError(
            "vLLM is not installed here: pip install 'tikval[vllm]' (a model behind an `endpoint:` needs none)"
        )


def _quiet() -> None:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.llm").setLevel(logging.ERROR)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # what Ray Data LLM shares with it


def _engine_kwargs(config: Vllm, engine: Engine, *, on_gpu: bool) -> dict[str, Any]:
    """Arguments of vLLM's engine; those that are None are its own to choose."""
    kwargs = {
        "revision": config.revision,
        "tokenizer_revision": config.revision,
        "dtype": config.dtype,
        "quantization": config.quantization,
        "max_model_len": config.context_tokens,
        "max_num_seqs": engine.max_sequences,
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


@dataclass(frozen=True)
class Asked:
    """What is the same in every row."""

    config: Vllm
    schema: str | None

    @property
    def model_served(self) -> str:
        return f"{self.config.model}@{self.config.revision}" if self.config.revision else self.config.model


@dataclass
class Ending:
    """Rides in the place of a request's metrics, the one thing that Ray passes on as it is."""

    finish_reason: str | None
    cached: int | None  # tokens


def _before(row: dict[str, Any]) -> dict[str, Any]:
    """Ray lets a row with an `__inference_error__` by; `sampling_params` it only wants to see."""
    return {"__inference_error__": row["error"] or "", "sampling_params": "", **_NOT_ASKED}


def _answers(table: pa.Table) -> pa.Table:
    return pa.Table.from_pylist(table.to_pylist(), schema=arrow_schema(AnswerRow))


@functools.cache
def _engine_actor() -> type:
    """The class of the actors: made late, because its base takes seconds to import."""
    from ray.llm._internal.batch.stages.vllm_engine_stage import vLLMEngineStageUDF

    class EngineActor(vLLMEngineStageUDF):
        def __init__(self, *args: Any, asked: Asked, **kwargs: Any) -> None:
            check_installed()
            _quiet()
            self.asked = asked
            self.one_by_one = ThreadPoolExecutor(1)  # a tokenizer is not safe in two threads
            try:
                self.turn = Turn(asked)
                super().__init__(*args, **kwargs)
            except UserError:
                raise
            except Exception as err:
                log.exception("no engine")
                said = " ".join(f"{type(err).__name__}: {err}".split())[:300]
                raise UserError(f"{asked.config.model}: vLLM does not start with it: {said}") from err
            self.sees = self.llm._vllm_config.model_config.is_multimodal_model
            self.llm.engine.generate = _with_ending(self.llm.engine.generate)

        async def _generate_with_error_handling(self, row: Any, batch_uuid: Any) -> dict[str, Any]:
            if row["pictures"] is not None and len(row["pictures"]) and not self.sees:
                raise UserError(
                    f"{self.asked.config.model} takes no pictures: name one that does, or give scripts"
                )
            place = {self.IDX_IN_BATCH_COLUMN: row[self.IDX_IN_BATCH_COLUMN]}
            loop = asyncio.get_running_loop()
            request = await loop.run_in_executor(self.one_by_one, self.turn, row)
            output = await super()._generate_with_error_handling(place | request, batch_uuid)
            return place | _read(output, self.asked) | {"prompt": None, "pictures": None}

    return EngineActor


class Turn:
    """AskRow -> a request of Ray's engine: one turn of the user in the model's own chat template, as tokens."""

    def __init__(self, asked: Asked) -> None:
        """Raises UserError where the model has no chat template."""
        from transformers import AutoProcessor, AutoTokenizer
        from vllm.sampling_params import RequestOutputKind

        config = asked.config
        self.tokenizer: Any = AutoTokenizer.from_pretrained(config.model, revision=config.revision)
        self.template = getattr(self.tokenizer, "chat_template", None)
        if self.template is None:  # some models that see keep it elsewhere
            processor: Any = AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                config.model, revision=config.revision
            )
            self.template = getattr(processor, "chat_template", None)
        if self.template is None:
            raise UserError(f"{config.model} has no chat template; take the model that was tuned to answer")
        self.sampling = {
            "temperature": config.temperature,
            "seed": config.seed,
            "max_tokens": config.max_tokens,
            "output_kind": RequestOutputKind.FINAL_ONLY,  # nobody reads a reply while it grows
        }
        if asked.schema:
            self.sampling["structured_outputs"] = {"json": asked.schema}

    def __call__(self, row: AskRow) -> dict[str, Any]:
        pictures = list(row["pictures"]) if row["pictures"] is not None else []
        # the text first: the prefix cache matches from the first token on, and no two posts show the same pictures
        parts = [{"type": "text", "text": row["prompt"]}, *({"type": "image"} for _ in pictures)]
        turn = {"role": "user", "content": parts if pictures else row["prompt"]}
        tokens = self.tokenizer.apply_chat_template(
            [turn], chat_template=self.template, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        request = {"tokenized_prompt": tokens, "sampling_params": dict(self.sampling)}
        return request | ({"multimodal_data": {"image": pictures}} if pictures else {})


def _with_ending(generate: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    """The engine's `generate`, with pictures decoded on the way in and an Ending on the way out."""

    async def generate_(*, prompt: Any, **kwargs: Any) -> AsyncIterator[Any]:
        if prompt.get("multi_modal_data"):
            pictures = await asyncio.to_thread(decoded, prompt["multi_modal_data"]["image"])
            prompt = {**prompt, "multi_modal_data": {"image": pictures}}
        async for output in generate(prompt=prompt, **kwargs):
            output.metrics = Ending(output.outputs[0].finish_reason, output.num_cached_tokens)
            yield output

    return generate_


def decoded(pictures: list[bytes]) -> list[Any]:
    from PIL import Image

    return [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]


def _read(output: dict[str, Any], asked: Asked) -> dict[str, Any]:
    """The columns of an AnswerRow that one output of Ray's engine fills."""
    said = output["__inference_error__"]
    if said:
        reason = Reason.TOO_MANY_TOKENS if any(each in said for each in _TOO_LONG) else Reason.INTERNAL_ERROR
        return _NOT_ASKED | {"error": reason, "detail": said.splitlines()[0][:300]}
    ending, tokens_out = Ending(**output["metrics"]), output["num_generated_tokens"]
    answer = _NOT_ASKED | {
        "tokens_in": output["num_input_tokens"],
        "tokens_cached": ending.cached,
        "tokens_out": tokens_out,
        "model_served": asked.model_served,
    }
    if ending.finish_reason == "stop":
        return answer | {"reply": output["generated_text"]}
    if ending.finish_reason == "length":
        whole = tokens_out >= asked.config.max_tokens
        end = "max_tokens" if whole else "the end of the context"
        met = f"the reply met {end} after {tokens_out} tokens"
        return answer | {"error": Reason.TRUNCATED, "detail": met}
    ended = f"the engine ended the reply: {ending.finish_reason}"
    return answer | {"error": Reason.INTERNAL_ERROR, "detail": ended}


# vLLM has no exception of its own for it: of text alone, and of text with pictures, which widen in the engine
_TOO_LONG: Final = ("maximum context length is", "longer than the maximum model length")
