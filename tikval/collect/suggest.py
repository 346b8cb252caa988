"""Ask several language models for accounts, each once: the ledger first, then the call, and what came as a file.

<out>/prompt.txt             what every model was asked
<out>/models/NAME.json       a model's reply as it came, what was read in it, or why nothing was
<out>/ledger/, <out>/calls-NAME/calls.json    replies and money, as of every paid stage (tikval.llm)
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, NamedTuple

from jinja2 import StrictUndefined
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tikval.ask.paid import PaidAnswers, asked_of
from tikval.collect.candidates import ACCOUNTS_SCHEMA, AccountList, read_suggestions
from tikval.config import AskedModel, Gemini, SuggestConfig, UserError, find_file
from tikval.extract.strict_reply import BadReply
from tikval.files import write_bytes
from tikval.llm.clients import make_client
from tikval.llm.gate import FolderGate, read_spent
from tikval.llm.keys import check_access
from tikval.llm.ledger import Ledger
from tikval.llm.limiter import Limiter, LocalLimiter
from tikval.llm.prices import load_prices
from tikval.rows import AnswerRow, Reason, sha256

_ID: Final = "accounts"  # the one row that each model is asked


class ModelsList(NamedTuple):
    """What became of one model's question."""

    model: str
    accounts: AccountList | None
    error: str | None  # a Reason
    detail: str | None
    cost_usd: float | None


def accounts_prompt(path: str, about: Mapping[str, Any]) -> str:
    """The prompt that all models get. Raises UserError where the template does not render."""
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        autoescape=False,  # plain text
    )
    try:
        return env.from_string(find_file(path).read_text(encoding="utf-8")).render(**about)
    except (TemplateError, UnicodeDecodeError) as err:
        raise UserError(f"{path}: {' '.join(str(err).split())}") from err


def ask_models(
    config: SuggestConfig, prompt: str, out: str, budget_usd: float | None, say: Callable[[str], None]
) -> list[ModelsList]:
    """Ask each model, one after another, and keep each list; what fails is that model's failure alone.

    `budget_usd`: of all models, over all runs in this folder; models of an endpoint have no price here. Raises
    UserError, before anything is asked, where a key or an address is missing.
    """
    for model in config.models:
        check_access(model.llm, model.api)
    folders = {model.title: f"{out}/calls-{_slug(model.title)}" for model in config.models}
    write_bytes(f"{out}/prompt.txt", prompt.encode())
    found = []
    for model in config.models:
        say(f"{model.title}: asked for a list of accounts")
        spent = sum(account.settled_usd for name in folders.values() if name != folders[model.title]
                    if (account := read_spent(name)))  # fmt: skip
        left = None if budget_usd is None else max(0.0, budget_usd - spent)
        answer = _answer(model, prompt, out, folders[model.title], left)
        found.append(_kept(model, answer, out))
    return found


def _answer(model: AskedModel, prompt: str, out: str, folder: str, budget_usd: float | None) -> AnswerRow:
    """The model's row, out of the ledger where it is paid for already."""
    row: dict[str, Any] = {
        "video_id": _ID,
        "row_key": sha256(prompt)[:32],
        "attempt": 1,
        "carried": "{}",
        "error": None,
        "detail": None,
        "prompt": prompt,
        "input_sha": sha256(prompt),
        "video": None,
        "files": None,
        "pictures": None,
        "sounds": None,
        "seconds": None,
    }
    ledger, limiter = Ledger(out), LocalLimiter(Limiter(), model.api)
    gate = FolderGate(folder, ledger, budget_usd, limiter, call_seconds=model.api.timeout_seconds)
    answers = PaidAnswers(
        model.llm,
        model.api,
        asked_of(model.llm, prompt, ACCOUNTS_SCHEMA, None),
        partial(make_client, model.llm, model.api, ACCOUNTS_SCHEMA),
        lambda: gate,
        ledger,
        load_prices(model.api.prices) if isinstance(model.llm, Gemini) else None,
        _no_video,
    )
    try:
        return answers([row])[0]
    except UserError as err:  # a wrong key, another model in its place: the others may well answer
        return answers.failure(row, Reason.REJECTED, str(err))
    finally:
        for end in (gate.close(), answers.client.close()):
            asyncio.run_coroutine_threadsafe(end, answers.loop).result()


def _no_video(path: str | Sequence[str], sha: str | None) -> AbstractContextManager[str]:
    raise AssertionError("no video is sent")


def _kept(model: AskedModel, answer: AnswerRow, out: str) -> ModelsList:
    """Read a reply, and write it as it came with what was read."""
    accounts, error, detail = None, answer["error"], answer["detail"]
    if error is None:
        try:
            accounts = read_suggestions(model.title, answer["reply"] or "")
        except BadReply as err:
            error, detail = Reason.BAD_REPLY.value, str(err)
    facts = {
        "model": model.llm.model_dump(mode="json"),
        **{name: answer[name] for name in ("model_served", "cost_usd", "ledger_key", "reply")},
        "error": error,
        "detail": detail,
        "accounts": [{"account": name, "genre": accounts.genres.get(name)} for name in accounts.ranks]
        if accounts
        else [],
        "entries_that_are_no_account": accounts.not_names if accounts else 0,
    }
    place = f"{out}/models/{_slug(model.title)}.json"
    write_bytes(place, json.dumps(facts, indent=2, ensure_ascii=False).encode())
    return ModelsList(model.title, accounts, error, detail, answer["cost_usd"])


def _slug(title: str) -> str:
    """A model's name as a file has it; what two names share a plain spelling of tells them apart."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-.")[:60]
    return plain if plain == title else f"{plain}-{sha256(title)[:6]}"
