"""The steps in Ray Data of a job that asks a language model, whichever it is.

vLLM              read videos | engines of Ray Data | read replies       three pools; pictures stay off the driver
API or endpoint   read, ask, read the reply                              one pool of actors with many calls each
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Final

import pyarrow as pa

from tikval.ask.batch import HandedInRow
from tikval.ask.batch_jobs import make_tools
from tikval.ask.batch_route import BatchRoute
from tikval.ask.paid import PaidAnswers, asked_of
from tikval.ask.samples import Samples
from tikval.ask.video import most_media
from tikval.config import Endpoint, ExtractConfig, Gemini, Pool, ScriptConfig, UserError, Vllm
from tikval.flow.data import Ahead, Chain, RayStep, Stage, Step
from tikval.flow.gate_actor import open_gate, reach_gate
from tikval.flow.session import on_cluster
from tikval.llm.cache import make_cache_of
from tikval.llm.clients import make_client
from tikval.llm.gemini_remote import delete_abandoned, start_deleting_abandoned
from tikval.llm.keys import check_access
from tikval.llm.ledger import Ledger
from tikval.llm.prices import load_prices
from tikval.llm.uploads import Uploads
from tikval.media.fetch import StrippedVideos
from tikval.rows import AskRow, arrow_schema
from tikval.study.call_tokens import sends_videos

_ROWS: Final = 16  # in each call of the stage at most: a call takes 10 ms of Ray's
_AHEAD: Final = 4  # times the calls of the stage that a model is asked by at once
_READERS: Final = Pool(actors=1, cpus=0.25, batch_rows=32)  # of replies: a few milliseconds each

SchemaOf = Callable[[Any], dict[str, Any]]  # of an AskRow
LlmContext = Callable[[int], AbstractContextManager[Any]]  # of the number of rows to do


def llm_steps(
    config: ScriptConfig | ExtractConfig,
    llm: Gemini | Vllm | Endpoint,
    *,
    ask: Callable[[], Stage],
    read: Callable[[], Stage],
    prompt: str,
    system: str | None,
    schema: dict[str, Any] | None,
    schema_of: SchemaOf | None = None,
    sample: int | None,
    samples: Samples | None = None,
    out: pa.Schema,
    estimate: Callable[[], float | None],
) -> tuple[Sequence[Step | RayStep], LlmContext, Ahead | None]:
    """The steps for run_stage, the context that they need, and what goes ahead of them.

    `schema_of`: a narrower `schema` for each AskRow, of vLLM. Raises UserError where a key or a library is missing.
    """
    if isinstance(llm, Vllm):
        first, last = Step(ask, arrow_schema(AskRow), config.read_pool), Step(read, out, _READERS)
        return [first, _engines(config, llm, schema, schema_of, system), last], nullcontext, None
    check_access(llm, config.api)
    prices = load_prices(config.api.prices) if isinstance(llm, Gemini) else None
    if prices is None and config.budget_usd is not None:
        raise UserError(f"budget_usd: nothing is known of what {llm.model} costs at an endpoint")
    if uploads := Uploads(config.out) if isinstance(llm, Gemini) else None:
        start_deleting_abandoned(uploads, config.api)
    gate, ledger = f"gate {config.fingerprint} {secrets.token_hex(4)}", Ledger(config.out)
    asked = asked_of(llm, prompt, schema, sample, as_system=system is not None)
    client = partial(make_client, llm, config.api, schema, uploads, system)
    given = ledger, prices, StrippedVideos(config.limits), samples, system
    reach, ahead, hold = partial(reach_gate, gate), None, list[Callable[[], Stage]]()
    answer = partial(PaidAnswers, llm, config.api, asked, client, reach, *given)
    if isinstance(llm, Gemini):
        tools = partial(make_tools, config.out, client, reach)
        route = BatchRoute(llm, config.api, asked, config.folder, tools, *given)
        by_job = config.pool.model_copy(update={"batch_rows": config.api.batch.rows})
        submit = Step(route.submit, arrow_schema(HandedInRow), by_job)
        ahead = Ahead([Step(ask, arrow_schema(AskRow), config.read_pool), submit], route.run, route.waits)
        hold.append(route.hold_late)
    # A call of the stage has few rows, and several times as many are under way as keep `in_flight` calls of the model
    # out: one slow reply holds up the few rows that came with it, and no call of others.
    rows = min(_ROWS, -(-config.api.in_flight // 4))
    pool, working = config.pool.model_copy(update={"batch_rows": rows}), -(-config.api.in_flight // rows)
    step = Step(partial(Chain, ask, *hold, answer, read), out, pool, _AHEAD * working, (_AHEAD - 1) * working)

    @contextmanager
    def context(n_rows: int) -> Iterator[None]:
        calls = n_rows * (samples.n if samples else 1)
        cache = make_cache_of(llm.model, config.api, system, calls, config.folder, prices)
        given = gate, config.folder, ledger, config.budget_usd, config.api, llm.model
        try:
            with open_gate(*given, estimate(), cache):
                yield
        finally:
            if uploads:  # actors are ended in the middle of what they delete
                delete_abandoned(uploads, config.api, held=config.folder)

    return [step], context, ahead


def _engines(
    config: ScriptConfig | ExtractConfig,
    llm: Vllm,
    schema: dict[str, Any] | None,
    schema_of: SchemaOf | None,
    system: str | None,
) -> RayStep:
    from tikval.flow.vllm import vllm_answers
    from tikval.flow.vllm_engine import check_installed

    if not on_cluster():  # there, the driver's node needs none
        check_installed()
    part = config.writer if isinstance(config, ScriptConfig) else config.extractor
    most = most_media(part.look) if part.kind == "llm" and sends_videos(config) else {}
    given = llm, config.engine, config.pool, schema, system, most, schema_of
    # once Ray runs: it asks for the GPUs
    return RayStep(lambda rows: vllm_answers(*given)(rows), config.pool)
