"""One engine of vLLM as Ray Data's processor holds it: what is asked of it, and what comes back.

* The chat template and the tokens of a prompt are made here. Ray's own steps for them know no revision, tokenize a
  rendered template as if it were plain text, which puts a second beginning-of-text before it, and cost an actor each.
* Why a reply ended and how much of its prompt came from the prefix cache are passed on, which Ray drops.
* Pictures travel as JPEG and sounds as WAV, and are decoded when the engine has room for them.
"""

import asyncio
import functools
import importlib.util
import io
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from tikval.ask.sound_pieces import wav_samples
from tikval.config import UserError, Vllm
from tikval.media.reading import SAMPLE_RATE
from tikval.rows import AskRow, Reason

log = logging.getLogger(__name__)

NOT_ASKED: Final[dict[str, Any]] = {
    **dict.fromkeys(("reply", "tokens_in", "tokens_cached", "tokens_out")),
    **dict.fromkeys(("cost_usd", "ledger_key", "model_served")),
}
# vLLM has no exception of its own for it: of text alone, and of text with pictures, which widen in the engine
_TOO_LONG: Final = ("maximum context length is", "longer than the maximum model length")
MEDIA: Final = {"pictures": "image", "sounds": "audio"}  # columns of an AskRow, and vLLM's names for them
_QUIET: Final = {
    "VLLM_NO_USAGE_STATS": "1",  # vLLM reports each start to its makers otherwise
    "VLLM_LOGGING_LEVEL": "WARNING",  # of what is logged here and in the actor; engines write to Ray's log files
}


def check_installed() -> None:
    if importlib.util.find_spec("vllm") is None:
        raise UserError(
            "vLLM is not installed here: pip install 'tikval[vllm]' (a model behind an `endpoint:` needs none)"
        )


def quiet_vllm() -> None:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.llm").setLevel(logging.ERROR)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # what Ray Data LLM shares with it


@dataclass(frozen=True)
class EngineRequest:
    """What is the same in every row."""

    config: Vllm
    schema: str | None
    system: str | None = None
    schema_of: Callable[[AskRow], dict[str, Any]] | None = None  # for one row, where there is a schema

    @property
    def model_served(self) -> str:
        return f"{self.config.model}@{self.config.revision}" if self.config.revision else self.config.model


@dataclass
class Ending:
    """Rides in the place of a request's metrics, the one thing that Ray passes on as it is."""

    finish_reason: str | None
    cached: int | None  # tokens


@functools.cache
def engine_actor() -> type:
    """The class of the actors: made late, because its base takes seconds to import."""
    from ray.llm._internal.batch.stages.vllm_engine_stage import vLLMEngineStageUDF

    class EngineActor(vLLMEngineStageUDF):
        def __init__(self, *args: Any, asked: EngineRequest, **kwargs: Any) -> None:
            check_installed()
            quiet_vllm()
            self.asked = asked
            self.one_by_one = ThreadPoolExecutor(1)  # a tokenizer is not safe in two threads
            try:
                self.turn = Turn(asked)
                super().__init__(*args, **kwargs)
            except UserError:
                raise
            except Exception as err:
                log.exception("no engine")
                message = " ".join(f"{type(err).__name__}: {err}".split())[:300]
                raise UserError(f"{asked.config.model}: vLLM does not start with it: {message}") from err
            self.takes = _modalities(self.llm._vllm_config.model_config)
            self.llm.engine.generate = _with_ending(self.llm.engine.generate)

        async def _generate_with_error_handling(self, row: Any, batch_uuid: Any) -> dict[str, Any]:
            for name, modality in MEDIA.items():
                if has_some(row[name]) and modality not in self.takes:
                    raise UserError(
                        f"{self.asked.config.model} takes no {name}: name one that does, or give scripts"
                    )
            place = {self.IDX_IN_BATCH_COLUMN: row[self.IDX_IN_BATCH_COLUMN]}
            loop = asyncio.get_running_loop()
            request = await loop.run_in_executor(self.one_by_one, self.turn, row)
            output = await super()._generate_with_error_handling(place | request, batch_uuid)
            return place | _read(output, self.asked) | {"prompt": None, **dict.fromkeys(MEDIA)}

    return EngineActor


class Turn:
    """AskRow -> a request of Ray's engine: one turn of the user in the model's own chat template, as tokens."""

    def __init__(self, asked: EngineRequest) -> None:
        """Raises UserError where the model has no chat template."""
        from transformers import AutoProcessor, AutoTokenizer
        from vllm.sampling_params import RequestOutputKind

        self.asked, config = asked, asked.config
        place: dict[str, Any] = {"revision": config.revision}
        self.tokenizer: Any = AutoTokenizer.from_pretrained(config.model, **place, trust_remote_code=False)
        self.template = getattr(self.tokenizer, "chat_template", None)
        if self.template is None:  # some models that see keep it elsewhere
            processor: Any = AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                config.model, **place, trust_remote_code=False
            )
            self.template = getattr(processor, "chat_template", None)
        if self.template is None:
            raise UserError(f"{config.model} has no chat template; take the model that was tuned to answer")
        # a schema holds the reply from its first token on: thoughts have no place, and a template that opens them by
        # itself would have the JSON written as one; templates that know none leave the word unread
        self.words: dict[str, Any] = {"enable_thinking": False} if asked.schema else {}
        self.system, self.before = asked.system, ""
        if asked.system and not self._knows_system():
            # as Mistral's own tokenizer has it: its first models know no system's turn
            log.info("%s: no system's turn in its chat template: its words begin the user's", config.model)
            self.system, self.before = None, f"{asked.system}\n\n"
        self.sampling = {
            "temperature": config.temperature,
            "seed": config.seed,
            "max_tokens": config.max_tokens,
            "output_kind": RequestOutputKind.FINAL_ONLY,  # nobody reads a reply while it grows
        }
        if asked.schema:
            self.sampling["structured_outputs"] = {"json": asked.schema}

    def __call__(self, row: AskRow) -> dict[str, Any]:
        given: Mapping[str, Any] = row
        media = {kind: list(given[name]) for name, kind in MEDIA.items() if has_some(given[name])}
        # the text first: the prefix cache matches from the first token on, and no two posts show the same pictures
        text = f"{self.before}{row['prompt']}"
        marks = ({"type": kind} for kind, some in media.items() for _ in some)
        content = [{"type": "text", "text": text}, *marks] if media else text
        tokens = self._rendered(self.system, content, tokenize=True)
        request = {"tokenized_prompt": tokens, "sampling_params": self.sampling | self._narrowed(row)}
        return request | ({"multimodal_data": media} if media else {})

    def _narrowed(self, row: AskRow) -> dict[str, Any]:
        if not (self.asked.schema and self.asked.schema_of):
            return {}
        return {"structured_outputs": {"json": json.dumps(self.asked.schema_of(row))}}

    def _rendered(self, system: str | None, content: Any, *, tokenize: bool) -> Any:
        turns = [{"role": "system", "content": system}] if system else []
        return self.tokenizer.apply_chat_template(
            [*turns, {"role": "user", "content": content}],
            chat_template=self.template,
            add_generation_prompt=True,
            tokenize=tokenize,
            return_dict=False,
            **self.words,
        )

    def _knows_system(self) -> bool:
        """Whether the template has a system's turn: some refuse one, and some leave it out without a word."""
        from jinja2 import TemplateError

        try:
            return "before all" in self._rendered("before all", "a post", tokenize=False)
        except TemplateError:
            return False


def _with_ending(generate: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    """The engine's `generate`, with media decoded on the way in and an Ending on the way out."""

    async def generate_(*, prompt: Any, **kwargs: Any) -> AsyncIterator[Any]:
        if prompt.get("multi_modal_data"):
            media = await asyncio.to_thread(decoded, prompt["multi_modal_data"])
            prompt = {**prompt, "multi_modal_data": media}
        async for output in generate(prompt=prompt, **kwargs):
            output.metrics = Ending(output.outputs[0].finish_reason, output.num_cached_tokens)
            yield output

    return generate_


def has_some(media: Any) -> bool:
    """Whether a row's column of media, which is None, a list or an array, holds any."""
    return media is not None and len(media) > 0


def decoded(media: dict[str, list[bytes]]) -> dict[str, list[Any]]:
    """Pictures as Pillow's, sounds as samples [S] at the rate that is every model's here."""
    from PIL import Image

    pictures = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in media.get("image", [])]
    sounds = [(wav_samples(sound), SAMPLE_RATE) for sound in media.get("audio", [])]
    return {kind: given for kind, given in (("image", pictures), ("audio", sounds)) if given}


def _modalities(config: Any) -> frozenset[str]:
    """What a model takes beside text, by vLLM's names."""
    from vllm.multimodal import MULTIMODAL_REGISTRY

    if not config.is_multimodal_model:
        return frozenset()
    return frozenset(MULTIMODAL_REGISTRY.create_processor(config).info.supported_mm_limits)


def _read(output: dict[str, Any], asked: EngineRequest) -> dict[str, Any]:
    """The columns of an AnswerRow that one output of Ray's engine fills."""
    message = output["__inference_error__"]
    if message:
        reason = (
            Reason.TOO_MANY_TOKENS if any(each in message for each in _TOO_LONG) else Reason.INTERNAL_ERROR
        )
        return NOT_ASKED | {"error": reason, "detail": message.splitlines()[0][:300]}
    ending, tokens_out = Ending(**output["metrics"]), output["num_generated_tokens"]
    answer = NOT_ASKED | {
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
