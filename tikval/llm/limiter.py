"""How many requests and tokens a server takes in any minute: a window that rolls, not a bucket that refills.

A bucket of n that refills at n a minute lets 2n through in the first minute; servers count what they took in the
last sixty seconds.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

SECONDS: Final = 61.0  # one more than a minute: a request reaches the server a little after it was let go


@dataclass
class Window:
    """What was let go in the last minute. Times are seconds since the epoch, so that a later process can go on."""

    taken: deque[tuple[float, int]] = field(default_factory=deque)  # (when, tokens), oldest first
    tokens: int = 0

    def wait_seconds(self, now: float, tokens: int, per_minute: int, tokens_per_minute: int) -> float:
        """How long until one more request of `tokens` may go; 0: now.

        A request larger than a minute's tokens goes alone.
        """
        self._forget(now)
        requests, sum_tokens = len(self.taken), self.tokens
        if self._fits(requests, sum_tokens, tokens, per_minute, tokens_per_minute):
            return 0.0
        for when, freed in self.taken:
            requests, sum_tokens = requests - 1, sum_tokens - freed
            if self._fits(requests, sum_tokens, tokens, per_minute, tokens_per_minute):
                return max(when + SECONDS - now, 0.001)
        raise AssertionError("an empty window takes any request")

    @staticmethod
    def _fits(requests: int, held: int, tokens: int, per_minute: int, tokens_per_minute: int) -> bool:
        return requests < per_minute and (held + tokens <= tokens_per_minute or requests == 0)

    def take(self, now: float, tokens: int) -> None:
        self.taken.append((now, tokens))
        self.tokens += tokens

    def seed(self, taken: list[tuple[float, int]]) -> None:
        """Add what another process let go, as far as it is not known here."""
        known = set(self.taken)
        for when, tokens in taken:
            if (when, tokens) not in known:
                self.take(when, tokens)
        self.taken = deque(sorted(self.taken))

    def recent(self, now: float) -> list[tuple[float, int]]:
        self._forget(now)
        return list(self.taken)

    def _forget(self, now: float) -> None:
        while self.taken and self.taken[0][0] <= now - SECONDS:
            self.tokens -= self.taken.popleft()[1]
