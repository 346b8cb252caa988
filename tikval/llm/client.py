"""What every client of a language model's server is and says: one call, one reply or one fault."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from tikval.rows import Reason


@dataclass(frozen=True)
class Usage:
    """Tokens of one call as the server counted them."""

    tokens_in: int = 0  # all of the prompt, those below among them
    tokens_cached: int = 0  # of tokens_in: had by the server from an earlier call
    tokens_sound: int = 0  # of tokens_in: of sound, which some models price apart
    tokens_out: int = 0  # thinking included


@dataclass(frozen=True)
class Question:
    """One user turn."""

    prompt: str  # the fixed prompt, then the post as data
    video: str | None = None  # local path
    pictures: tuple[bytes, ...] = ()  # JPEG in order of time


@dataclass(frozen=True)
class Reply:
    """A reply that was paid for: kept before it is looked at. `reason` says why it is of no use, None if it is."""

    text: str
    model_served: str | None
    usage: Usage
    reason: Reason | None = None  # blocked, truncated or bad_reply (nothing in it)
    detail: str | None = None


class Fault(Exception):  # noqa: N818
    """A call without a reply."""

    def __init__(
        self,
        reason: Reason,
        detail: str,
        *,
        passing: bool,
        billed: Literal["no", "unknown"],
        after_seconds: float | None = None,
    ) -> None:
        """`passing`: another try may succeed; `billed`: whether the server may have counted it; `after_seconds`: what
        the server asks to wait before the next try."""
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
        self.passing, self.billed, self.after_seconds = passing, billed, after_seconds


Admit = Callable[[], Awaitable[None]]  # returns when the request may go


async def at_will() -> None:
    """No gate."""


class Client(Protocol):
    """Used by many calls at once, on one event loop."""

    async def ask(self, question: Question, admit: Admit = at_will) -> Reply:
        """One call without any retry; `admit` is awaited when all is ready and only the paid request is left.

        Raises Fault, what `admit` raises, and UserError for what no row can succeed with (a wrong key).
        """
        ...

    async def close(self) -> None: ...
