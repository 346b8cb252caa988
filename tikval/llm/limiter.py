"""How many requests and tokens a server takes in any minute: a window that rolls, not a bucket that refills.

A bucket of n that refills at n a minute lets 2n through in the first minute; servers count what they took in the
last sixty seconds.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

Taken = tuple[float, int, int]  # when, requests, tokens
SECONDS: Final = 61.0  # one more than a minute: a request reaches the server a little after it was admitted


@dataclass
class Window:
    """What was admitted in the last minute. Times are seconds since the epoch, so that a later process can go on."""

    taken: deque[Taken] = field(default_factory=deque)  # oldest first
    requests: int = 0
    tokens: int = 0

    def wait_seconds(self, now: float, tokens: int, per_minute: int, tokens_per_minute: int) -> float:
        """How long until one more request of `tokens` may go; 0: now.

        A request larger than a minute's tokens goes alone.
        """
        self._forget(now)
        requests, sum_tokens = self.requests, self.tokens
        if self._fits(requests, sum_tokens, tokens, per_minute, tokens_per_minute):
            return 0.0
        for when, freed, freed_tokens in self.taken:
            requests, sum_tokens = requests - freed, sum_tokens - freed_tokens
            if self._fits(requests, sum_tokens, tokens, per_minute, tokens_per_minute):
                return max(when + SECONDS - now, 0.001)
        raise AssertionError("an empty window takes any request")

    @staticmethod
    def _fits(requests: int, held: int, tokens: int, per_minute: int, tokens_per_minute: int) -> bool:
        return requests < per_minute and (held + tokens <= tokens_per_minute or held == 0)

    def take(self, now: float, tokens: int, requests: int = 1) -> None:
        """Add tokens; `requests` 0: of a request that was admitted before, and turned out to be longer."""
        self.taken.append((now, requests, tokens))
        self.requests += requests
        self.tokens += tokens

    def seed(self, taken: Iterable[Sequence[float]]) -> None:
        """Add what another process admitted, as far as it is not known here."""
        known = set(self.taken)
        for when, requests, tokens in taken:
            if (when, requests, tokens) not in known:
                self.take(when, int(tokens), int(requests))
        self.taken = deque(sorted(self.taken))

    def recent(self, now: float) -> list[Taken]:
        self._forget(now)
        return list(self.taken)

    def _forget(self, now: float) -> None:
        while self.taken and self.taken[0][0] <= now - SECONDS:
            _, requests, tokens = self.taken.popleft()
            self.requests -= requests
            self.tokens -= tokens
