"""The gate of a folder and the limiter of a model as Ray actors: one of each, whoever asks from wherever."""

import functools
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from tikval.config import Api
from tikval.llm.batch_gate import BatchFolderGate
from tikval.llm.breaker import Met, Stop
from tikval.llm.cache import MakeCache
from tikval.llm.ledger import Ledger
from tikval.llm.letters import Answering, ByLetters, Letters
from tikval.llm.limiter import Limiter, Taken, pace_of

NAMESPACE: Final = "tikval"
_AT_ONCE: Final = 100_000  # calls that may wait in an actor


class _LimiterActor(Answering, Limiter):
    pass


class _RemoteLimiter:
    """The limiter of a model as a gate reaches it."""

    def __init__(self, actor: Any, api: Api) -> None:
        self.letters, self.pace = Letters(actor.letter.remote), pace_of(api)

    async def acquire(self, call: str, tokens: int) -> float | Stop:
        when: float | Stop = await self.letters.ask("acquire", call, tokens, self.pace)
        return when

    async def late(self, when: float, seconds: float, tokens: int) -> None:
        await self.letters.ask("late", when, seconds, tokens)

    async def ended(self, call: str, met: Met, more_tokens: int) -> bool:
        return bool(await self.letters.ask("ended", call, met, more_tokens, self.pace))


class _GateActor(Answering, BatchFolderGate):
    """Lives on the driver's node and dies with the driver; what it knew lies in the folder."""

    def __init__(self, limiter: Any, api: Api, cache: MakeCache | None, *given: Any) -> None:
        super().__init__(*given, _RemoteLimiter(limiter, api), cache, call_seconds=api.timeout_seconds)

    async def opened(self) -> tuple[Sequence[Taken], Sequence[Taken]]:
        return self.earlier


@functools.cache  # Ray keeps every class that is made remote for as long as the process lives
def _remote(actor: type) -> Any:
    import ray

    return ray.remote(actor)


@contextmanager
def open_gate(
    name: str,
    folder: str,
    ledger: Ledger,
    budget_usd: float | None,
    api: Api,
    model: str,
    estimate_usd: float | None,
    cache: MakeCache | None = None,
) -> Iterator[None]:
    """Keep the gate `name` open. The limiter outlives it: other runs on this cluster share the model's minute."""
    import ray
    import ray.exceptions
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    limiter: Any = (
        _remote(_LimiterActor)
        .options(
            name=f"limiter of {model} at {api.base_url}",
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            num_cpus=0,
            max_concurrency=_AT_ONCE,
        )
        .remote()
    )
    gate: Any = (
        _remote(_GateActor)
        .options(
            name=name, namespace=NAMESPACE, num_cpus=0, max_concurrency=_AT_ONCE, scheduling_strategy=here
        )
        .remote(limiter, api, cache, folder, ledger, budget_usd)
    )
    try:
        ray.get(limiter.begin.remote(*ray.get(gate.opened.remote())))
        ray.get(gate.expect.remote(estimate_usd))
        yield
    finally:
        with suppress(ray.exceptions.RayError):  # it died with its Ray: what it knew is written down
            ray.get(gate.close.remote(), timeout=30)
            if stop := ray.get(gate.why_stopped.remote(), timeout=30):
                print(f"tikval: {model} is not asked any more: {stop}", file=sys.stderr)
            ray.kill(gate)


def reach_gate(name: str) -> Any:
    """Reach the gate that `open_gate` keeps open, as Gate and as BatchGate."""
    import ray

    return ByLetters(ray.get_actor(name, namespace=NAMESPACE).letter.remote)
