"""Jobs that ask a language model: the steps of one, whichever model it is.

vLLM              read videos | engines of Ray Data | read replies       three pools; pictures stay off the driver
API or endpoint   read, ask, read the reply                              one pool of actors with many calls each
"""

import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Final

import pyarrow as pa

from tikval.ask.paid import PaidAnswers, asked_of
from tikval.ask.video import fixed_prompt
from tikval.codebook import load_codebook, render_prompt
from tikval.config import (
    Api,
    Endpoint,
    ExtractConfig,
    Gemini,
    LlmExtractor,
    LlmWriter,
    Pool,
    ScriptConfig,
    UserError,
    Vllm,
    find_file,
)
from tikval.flow.data import Chain, RayStep, Stage, Step
from tikval.flow.gate_actor import RemoteGate, open_gate
from tikval.flow.session import on_cluster
from tikval.llm.client import Client
from tikval.llm.ledger import Ledger
from tikval.llm.prices import load_prices
from tikval.media.fetch import local_copy
from tikval.rows import AskRow, arrow_schema
from tikval.store.folder import Folder

GEMINI_KEY, ENDPOINT_KEY = "GEMINI_API_KEY", "TIKVAL_ENDPOINT_KEY"
_READERS: Final = Pool(actors=1, cpus=0.25, batch_rows=32)  # of replies: a few milliseconds each

Beside = Callable[[], AbstractContextManager[None]]


def llm_steps(
    config: ScriptConfig | ExtractConfig,
    llm: Gemini | Vllm | Endpoint,
    *,
    ask: Callable[[], Stage],
    read: Callable[[], Stage],
    prompt: str,
    schema: dict[str, Any] | None,
    sample: int | None,
    out: pa.Schema,
    estimate: Callable[[], float | None],
) -> tuple[Sequence[Step | RayStep], Beside]:
    """Steps for run_stage and what has to run beside them. Raises UserError where a key or a library is missing."""
    if isinstance(llm, Vllm):
        from tikval.flow.vllm import vllm_answers
        from tikval.flow.vllm_engine import check_installed

        if not on_cluster():  # there, the driver's node needs none
            check_installed()
        engines = RayStep(
            lambda rows: vllm_answers(llm, config.engine, config.pool, schema)(rows), config.pool
        )  # once Ray runs: it asks for the cluster's GPUs
        return [
            Step(ask, arrow_schema(AskRow), config.read_pool),
            engines,
            Step(read, out, _READERS),
        ], nullcontext
    check_access(llm, config.api)
    prices = load_prices(config.api.prices) if isinstance(llm, Gemini) else None
    if prices is None and config.budget_usd is not None:
        raise UserError(f"budget_usd: nothing is known of what {llm.model} costs at an endpoint")
    gate, ledger = f"gate {config.fingerprint} {secrets.token_hex(4)}", Ledger(config.out)
    answer = partial(
        PaidAnswers,
        llm,
        config.api,
        asked_of(llm, prompt, schema, sample),
        partial(make_client, llm, config.api, schema),
        partial(RemoteGate, gate),
        ledger,
        prices,
        local_copy,
    )
    pool = config.pool.model_copy(update={"batch_rows": 1})  # one slow reply holds no other row up
    step = Step(partial(Chain, ask, answer, read), out, pool, calls=config.api.in_flight)

    def context() -> AbstractContextManager[None]:
        return open_gate(gate, config.folder, ledger, config.budget_usd, config.api, llm.model, estimate())

    return [step], context


def check_access(llm: Gemini | Endpoint, api: Api) -> None:
    """Before anything starts: raises UserError where the key or the address is missing."""
    if isinstance(llm, Gemini) and not os.environ.get(GEMINI_KEY):
        raise UserError(f"{GEMINI_KEY} is not set; get a key for the Gemini API and export it")
    if isinstance(llm, Endpoint) and not api.base_url:
        raise UserError("api.base_url: an endpoint needs its address, such as http://localhost:8000/v1")


def make_client(llm: Gemini | Endpoint, api: Api, schema: dict[str, Any] | None) -> Client:
    """In the actor: keys are read where they are used, and travel in no message."""
    if isinstance(llm, Gemini):
        from tikval.llm.gemini import GeminiClient

        key = os.environ.get(GEMINI_KEY)
        if not key:
            raise UserError(
                f"{GEMINI_KEY} is not set on a worker; pass it with ray job submit --runtime-env-json"
            )
        return GeminiClient(llm, api, key, schema)
    from tikval.llm.endpoint import EndpointClient

    return EndpointClient(llm, api, os.environ.get(ENDPOINT_KEY), schema)


def accounts_kept_back(catalog: Folder, llm: Gemini | Vllm | Endpoint, api: Api) -> frozenset[str]:
    """Accounts that feature a minor, where the model is not our own and nobody said that they may be sent."""
    if isinstance(llm, Vllm) or api.send_minors:
        return frozenset()
    return frozenset(row["account"] for row in catalog.read_side_table("accounts") if row["is_minor"])


def rows_kept_back(catalog: Folder, accounts: Iterable[str]) -> frozenset[str]:
    """Row keys of their videos."""
    if not (names := set(accounts)):
        return frozenset()
    rows = catalog.read(["row_key", "account"]).to_pylist()
    return frozenset(row["row_key"] for row in rows if row["account"] in names)


def fixed_prompt_of(config: ScriptConfig | ExtractConfig) -> str:
    """The prompt before the post: the same bytes for every row.

    Raises UserError where a file is missing or the template cannot be rendered.
    """
    if isinstance(config, ScriptConfig):
        assert isinstance(config.writer, LlmWriter)
        return fixed_prompt(config.writer.llm, _text(config.writer.prompt))
    extractor = config.extractor
    assert isinstance(extractor, LlmExtractor)
    try:
        prompt = render_prompt(
            load_codebook(find_file(config.codebook)),
            _text(extractor.prompt),
            "script" if config.scripts else "video",
            examples_per_value=extractor.examples_per_value,
            answer=extractor.answer,
        )
    except ValueError as err:
        raise UserError(str(err)) from err
    return prompt if config.scripts else fixed_prompt(extractor.llm, prompt)


def _text(path: str) -> str:
    try:
        return find_file(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as err:
        raise UserError(f"{path}: not UTF-8 text (byte {err.start})") from err
