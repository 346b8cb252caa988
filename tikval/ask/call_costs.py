"""What a call can cost at most, and what it did cost: unknown money is its most, served money is its usage."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tikval.ask.video import n_pictures
from tikval.config import Api, Endpoint, Gemini, UserError
from tikval.llm.client import Reply
from tikval.llm.prices import Price, Prices

_BYTES_PER_TOKEN: Final = 4  # of English, by Google's own figure
_JOB: Final = timedelta(days=2)  # from its making to its last reply
_LEAST_BYTES_PER_TOKEN: Final = 2  # of whatever somebody writes


class CallCosts:
    """The costs of one model's calls; without prices all are nothing, and known to nobody."""

    def __init__(
        self,
        llm: Gemini | Endpoint,
        api: Api,
        prices: Prices | None,
        system: str | None = None,
        *,
        batch: bool = False,
    ) -> None:
        """`system`: what is sent with every row, and counts as its prompt does. `batch`: of calls that go by a batch
        job, and are billed on any of its days."""
        self.system_bytes = len((system or "").encode())
        self.llm, self.batch = llm, batch
        self.call = _JOB if batch else timedelta(seconds=api.timeout_seconds)
        self.prices = prices if isinstance(llm, Gemini) else None

    def tokens_in(self, row: Any) -> int:
        """The tokens of an AskRow's call, as far as they can be told."""
        return self._bytes(row) // _BYTES_PER_TOKEN + sum(self._media(row))

    def most_usd(self, row: Any) -> float:
        """USD that an AskRow's call can cost at most, at the dearer price where it changes while the call is out."""
        if self.prices is None:
            return 0.0
        pictures, sound = self._media(row)
        tokens = self._bytes(row) // _LEAST_BYTES_PER_TOKEN + pictures + sound
        now = datetime.now(UTC)
        prices = [self._price(self.llm.model, now)]
        later = now + self.call
        with suppress(UserError):  # where nobody is known to answer any more
            prices.append(self._price(self.prices.answering(self.llm.model, later.date()), later))
        return max(price.most(tokens, sound, self.llm.max_tokens, batch=self.batch) for price in prices)

    def cost_usd(self, reply: Reply, most_usd: float) -> float | None:
        """USD of a reply, by the price of the model that answered, for that is what is billed.

        None where nothing has a price. What nobody can know counts as `most_usd`: tokens that were not counted, or
        whose model is not named or has no price here.
        """
        if self.prices is None:
            return None
        if not self.is_known(reply):
            return max(most_usd, self._cost(self.llm.model, reply))
        return self._cost(str(reply.model_served), reply)

    def is_known(self, reply: Reply) -> bool:
        """Whether it can be told what a reply cost."""
        if self.prices is None:
            return True
        if reply.model_served is None or not reply.usage.known:
            return False
        try:
            self._price(reply.model_served, datetime.now(UTC))
        except UserError:
            return False
        return True

    def _cost(self, model: str, reply: Reply) -> float:
        """The dearer price where it changed while a batch was out. Raises UserError where there is none today."""
        now = datetime.now(UTC)
        prices = [self._price(model, now)]
        if self.batch:
            with suppress(UserError):
                prices.append(self._price(model, now - self.call))
        return max(price.cost(reply.usage, batch=self.batch) for price in prices)

    def _bytes(self, row: Any) -> int:
        return self.system_bytes + len(row["prompt"].encode())

    def saved_usd(self, reply: Reply) -> float:
        """USD by which a reply is cheaper than the same with nothing cached; 0 where nobody can know."""
        usage = reply.usage
        if self.prices is None or reply.model_served is None:
            return 0.0
        try:
            price = self._price(reply.model_served, datetime.now(UTC))
        except UserError:
            return 0.0
        return price.cost(replace(usage, tokens_cached=0)) - price.cost(usage)

    def _media(self, row: Any) -> tuple[int, int]:
        """Tokens of a video's or a photo post's pictures and of its sound."""
        if self.prices is None or not (row["video"] or row["files"]):
            return 0, 0
        assert isinstance(self.llm, Gemini)
        seconds = row["seconds"] or 0
        if row["files"]:
            each = self.prices.picture_tokens(self.llm.model, self.llm.media_resolution)
            sound = self.prices.sound_tokens(self.llm.model, seconds) if row["has_sound"] else 0
            return each * n_pictures(row["files"]), sound
        pictures = self.prices.video_tokens(self.llm.model, seconds, self.llm.media_resolution)
        return pictures, self.prices.sound_tokens(self.llm.model, seconds)

    def _price(self, model: str, when: datetime) -> Price:
        assert self.prices is not None
        return self.prices.of(model, when.date())
