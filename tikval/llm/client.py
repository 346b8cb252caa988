"""What every client of a language model's server is and returns: one call, one reply or one fault."""

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from tikval.llm.breaker import Trouble
from tikval.rows import Reason

_MOST_TOKENS: Final = 10**8  # of one call: ten times the longest context there is
_LONGEST_NAME: Final = 200  # of a model
EMPTY: Final = "an empty reply"


@dataclass(frozen=True)
class Usage:
    """Tokens of one call as the server counted them."""

    tokens_in: int = 0  # all of the prompt, those below among them
    tokens_cached: int = 0  # of tokens_in: had by the server from an earlier call
    tokens_sound: int = 0  # of tokens_in: of sound, which some models price apart
    tokens_out: int = 0  # thinking included
    known: bool = True  # False: the server's counts are none, and are all 0 here

    def __post_init__(self) -> None:
        """Counts that are none are not taken: no whole number, below nothing, or more than any model takes."""
        counts = (self.tokens_in, self.tokens_cached, self.tokens_sound, self.tokens_out)
        if all(type(count) is int and 0 <= count <= _MOST_TOKENS for count in counts):
            return
        for name in ("tokens_in", "tokens_cached", "tokens_sound", "tokens_out"):
            object.__setattr__(self, name, 0)
        object.__setattr__(self, "known", False)


@dataclass(frozen=True)
class Question:
    """One user turn."""

    prompt: str  # the fixed prompt, unless the client has it as the system instruction; then the post as data
    video: str | None = None  # local path
    pictures: tuple[bytes, ...] = ()  # JPEG in order of time
    seed: int | None = None  # in place of the configuration's
    video_id: str | None = None  # sent to nobody: for the list of what lies on a server
    sound: bytes | None = None  # FLAC, of a photo post: behind its pictures
    sounds: tuple[bytes, ...] = ()  # WAV in order of time, of a video that is given as pictures: behind them


@dataclass(frozen=True)
class Reply:
    """A reply that was served, and so may be billed: stored before it is looked at.

    `reason`: why it is of no use; None if it is.
    """

    text: str
    model_served: str | None
    usage: Usage
    reason: Reason | None = None  # blocked, truncated or bad_reply (nothing in it)
    detail: str | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it and nothing says why."""
        return self.reason is Reason.BAD_REPLY and self.detail == EMPTY

    def __post_init__(self) -> None:
        """Whatever a server sends, the texts are valid Unicode, and a model's name is a line of at most 200 letters."""
        object.__setattr__(self, "text", _valid(self.text))
        if self.detail is not None:
            object.__setattr__(self, "detail", _valid(self.detail))
        if self.model_served is not None:
            name = "".join(letter if letter.isprintable() else "?" for letter in _valid(self.model_served))
            object.__setattr__(self, "model_served", name[:_LONGEST_NAME])


def _valid(text: object) -> str:
    """A text without halves of surrogate pairs, which no table and no file can hold."""
    return str(text).encode("utf-8", "replace").decode()


class Fault(Exception):  # noqa: N818
    """A call without a reply."""

    def __init__(
        self,
        reason: Reason,
        detail: str,
        *,
        retryable: bool,
        billed: Literal["no", "unknown"],
        trouble: Trouble | None = None,
        after_seconds: float | None = None,
    ) -> None:
        """`retryable`: another try may succeed; `billed`: whether the server may have counted it; `trouble`: what that
        says of the model, whoever asks it; `after_seconds`: what the server asks to wait before the next try."""
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail
        self.retryable, self.billed = retryable, billed
        self.trouble, self.after_seconds = trouble, after_seconds


class Admit(Protocol):
    async def __call__(self, gone: str | None = None) -> str | None:
        """Return when the request may go: with the name of a cache that holds the system instruction, or None.

        `gone`: a cache that was named before and was refused; the request goes without one.
        """
        ...


async def at_will(gone: str | None = None) -> None:
    """No gate, and no cache."""


class Client(Protocol):
    """Used by many calls at once, on one event loop."""

    async def ask(self, question: Question, admit: Admit = at_will) -> Reply:
        """One call without any retry; `admit` is awaited when all is ready and only the paid request is left.

        Raises Fault, what `admit` raises, and UserError for what no row can succeed with (a wrong key) and was not
        served.
        """
        ...

    async def close(self) -> None: ...
