"""Gemini's explicit caches of a system instruction: made, found by label, renewed and deleted. Each call waits."""

import re
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

from tikval.config import Api, UserError
from tikval.llm.faults import scrub
from tikval.llm.gemini_remote import connect
from tikval.llm.keys import GEMINI_KEY, read_key

if TYPE_CHECKING:
    from google import genai
    from google.genai import types

_NAMED: Final = re.compile(r"cached ?content", re.IGNORECASE)
_LONGEST: Final = 200  # characters of a message
_PAGE: Final = 100
_UNPAID: Final = (408, 429, 503)  # with all of 4xx: refused before anything was done

T = TypeVar("T")


class MadeCache(NamedTuple):
    """A cache on the server."""

    name: str  # the server's: cachedContents/...
    tokens: int | None  # None: the server did not count them


class CacheFault(Exception):  # noqa: N818
    """Something asked of a server's caches did not come to pass."""

    def __init__(self, detail: str, *, lasting: bool, gone: bool, billed: Literal["no", "unknown"]) -> None:
        """`lasting`: the same would be refused again; `gone`: for the cache is not there."""
        super().__init__(detail)
        self.lasting, self.gone, self.billed = lasting, gone, billed


def is_about_cache(err: BaseException) -> bool:
    """Whether a request was refused for the cache that it names: that is gone, or not to be used in this way."""
    return getattr(err, "code", None) in (400, 403, 404) and bool(
        _NAMED.search(str(getattr(err, "message", "")))
    )


class GeminiCaches:
    def __init__(self, model: str, system: str, api: Api) -> None:
        self.model, self.system, self.api = model, system, api

    def make(self, label: str, seconds: float) -> MadeCache:
        """Make a cache that lives for so long. An answer that is lost is looked for before anything else is done.

        Raises CacheFault, as all of these do.
        """
        config: Any = {"system_instruction": self.system, "display_name": label, "ttl": _ttl(seconds)}
        try:
            return self._on_server(
                lambda client: _made(client.caches.create(model=self.model, config=config))
            )
        except CacheFault as fault:
            if fault.billed == "no" or (found := self._looked_for(label)) is None:
                raise
            return found

    def find(self, label: str) -> MadeCache | None:
        """The cache of this label; None where there is none."""
        return self._on_server(lambda client: _found(client, label))

    def renew(self, name: str, seconds: float) -> None:
        """Let it live for so long from now on."""
        self._on_server(lambda client: client.caches.update(name=name, config={"ttl": _ttl(seconds)}))

    def delete(self, name: str) -> None:
        """Delete it; one that is not there is deleted."""
        try:
            self._on_server(lambda client: client.caches.delete(name=name))
        except CacheFault as fault:
            if not fault.gone:
                raise

    def _looked_for(self, label: str) -> MadeCache | None:
        try:
            return self.find(label)
        except CacheFault:
            return None

    def _on_server(self, ask: "Callable[[genai.Client], T]") -> T:
        try:
            with closing(connect(self.api)) as client:
                return ask(client)
        except UserError as err:
            raise CacheFault(str(err), lasting=True, gone=False, billed="no") from None
        except Exception as err:  # the SDK's, or what it makes of JSON that is none of the API's
            raise _fault(err) from None


def _fault(err: Exception) -> CacheFault:
    code, message = getattr(err, "code", None), str(getattr(err, "message", "") or err)
    refused = isinstance(code, int) and (400 <= code < 500 or code in _UNPAID)
    words = scrub(f"{code if isinstance(code, int) else type(err).__name__} {message}", read_key(GEMINI_KEY))
    return CacheFault(
        words[:_LONGEST],
        lasting=refused and code not in _UNPAID,
        gone=code in (403, 404) and is_about_cache(err),
        billed="no" if refused else "unknown",
    )


def _made(cache: "types.CachedContent") -> MadeCache:
    usage = cache.usage_metadata
    return MadeCache(str(cache.name), usage.total_token_count if usage else None)


def _found(client: "genai.Client", label: str) -> MadeCache | None:
    for cache in client.caches.list(config={"page_size": _PAGE}):
        if cache.display_name == label:
            return _made(cache)
    return None


def _ttl(seconds: float) -> str:
    return f"{max(1, round(seconds))}s"
