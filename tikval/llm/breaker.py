"""When calls of a model go slower, wait or stop: what one call meets slows every call to that model.

429, 503          nobody is sent before the delay is over; calls in flight halve, and rise by one a round again
an outage         three rows fail without a reply between them: one call at a time probes, at growing intervals
a used-up quota, a delay or an outage longer than allowed: no call any more, and `stopped` says why and until when
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

_ROWS_OF_AN_OUTAGE: Final = 3  # that fail without a reply between them
_LONGEST_PAUSE: Final = 60.0  # seconds, where the server names none
_QUOTAS_BEGIN: Final = 8  # hours after midnight UTC: midnight in California, where Google counts the days

SPENDING: Final = "what may be spent is used up"
Trouble = Literal["busy", "down", "spent"]


class Met(NamedTuple):
    """What a call met, as far as it says something of its model."""

    trouble: Trouble | Literal["unknown"] | None = None  # None: any reply; unknown: nobody waited for it
    after_seconds: float | None = None  # that the server asks to wait
    detail: str = ""


class Pace(NamedTuple):
    """How fast and how long a model may be asked, by one run's configuration."""

    per_minute: int  # requests in any 60 seconds
    tokens_per_minute: int
    call_seconds: float  # that a call can take
    longest_wait_seconds: float  # of one delay that a server asks for
    outage_seconds: float  # without any reply


class Stop(NamedTuple):
    """Why no call is made any more."""

    why: str
    until: float | None = None  # seconds since the epoch; None: nobody knows

    def __str__(self) -> str:
        if self.until is None:
            return f"{self.why}; run the same command again once that has changed"
        return f"{self.why}; come again after {datetime.fromtimestamp(self.until, UTC):%Y-%m-%d %H:%M} UTC"


class _Out(NamedTuple):
    since: float
    given_up_at: float


@dataclass
class Breaker:
    """What is known of one model. All times are seconds since the epoch."""

    in_flight: dict[str, _Out] = field(default_factory=dict)
    allowed: float = math.inf  # calls in flight
    resume_at: float = 0.0  # nobody is sent before
    cut_at: float = -1.0  # faults of calls that went before are answered by the last cut
    replied_at: float = -1.0
    pauses: int = 0  # since the last reply
    failing: set[str] = field(default_factory=set)  # rows that failed since the last reply
    failing_since: float | None = None
    probing: bool = False  # one call at a time
    stopped: Stop | None = None

    def wait_seconds(self, now: float) -> float:
        """How long until one more call may go; infinite where one that is out has to come back first."""
        for call in [call for call, out in self.in_flight.items() if out.given_up_at <= now]:
            del self.in_flight[call]  # whoever sent it is gone
        if now < self.resume_at:
            return self.resume_at - now
        return 0.0 if len(self.in_flight) < (1 if self.probing else self.allowed) else math.inf

    def let_go(self, now: float, call: str, pace: Pace) -> None:
        self.in_flight[call] = _Out(now, now + 2 * pace.call_seconds)

    def ended(self, now: float, call: str, met: Met, pace: Pace) -> bool:
        """A call came back. True where its fault is the model's and not the row's: no row is to blame for it."""
        in_the_air = len(self.in_flight)
        since = self.in_flight.pop(call, _Out(now, now)).since
        if met.trouble is None:
            self._replied(now)
        if met.trouble in (None, "unknown"):
            return False
        served = self.replied_at >= since  # others, while this one was out
        if self.failing_since is None:
            self.failing_since = since
        self.failing.add(call.partition(".")[0])
        asked = met.after_seconds
        if met.trouble == "spent" or (asked or 0) > pace.longest_wait_seconds:
            self.stopped = self.stopped or _stop_of(now, met, pace)
            return True
        if since > self.cut_at:
            self._cut(now, met, in_the_air)
        if asked is not None:
            self.resume_at = max(self.resume_at, now + asked)
        several = len(self.failing) >= _ROWS_OF_AN_OUTAGE
        if several and now - self.failing_since > pace.outage_seconds:
            silence = _duration(now - self.failing_since)
            self.stopped = self.stopped or Stop(f"no reply for {silence} ({met.detail})")
        return several and not served

    def _cut(self, now: float, met: Met, in_the_air: int) -> None:
        """The first fault of a round: less at once, and a pause that grows as long as nothing is served."""
        outage = len(self.failing) >= _ROWS_OF_AN_OUTAGE
        if met.trouble == "down" and not outage:
            return
        self.pauses += 1
        if not self.probing:
            self.allowed = max(1.0, min(self.allowed, in_the_air) // 2)
        self.probing = self.probing or (outage and (met.trouble == "down" or self.pauses > 1))
        self.cut_at = now
        if met.after_seconds is None:
            self.resume_at = max(self.resume_at, now + min(_LONGEST_PAUSE, 2.0 ** min(self.pauses - 1, 10)))

    def _replied(self, now: float) -> None:
        self.replied_at, self.pauses, self.probing = now, 0, False
        self.failing.clear()
        self.failing_since = None
        if math.isfinite(self.allowed):
            self.allowed += 1 / self.allowed  # by one a round

    def try_again(self) -> None:
        """A new run may know better than what stopped the last one: its first call probes."""
        if self.stopped:
            self.stopped, self.probing = None, True
            self.failing.clear()
            self.failing_since = None


def _stop_of(now: float, met: Met, pace: Pace) -> Stop:
    if met.trouble == "spent":
        return Stop(met.detail, None if met.detail.startswith(SPENDING) else _next_day(now))
    asked = met.after_seconds or 0
    limit = f"longer than api.longest_wait_seconds allows ({pace.longest_wait_seconds:.0f})"
    return Stop(f"the server asks to wait {_duration(asked)}, {limit}: {met.detail}", now + asked)


def _next_day(now: float) -> float:
    """When Google's quotas of a day begin anew: at midnight in California, taken without summer time."""
    shifted = datetime.fromtimestamp(now, UTC) - timedelta(hours=_QUOTAS_BEGIN)
    midnight = shifted.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight + timedelta(hours=_QUOTAS_BEGIN)).timestamp()


def _duration(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
