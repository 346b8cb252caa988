"""What workers tell: counts through Ray's own metrics exporter (METRICS), and failures as structured logs.

Logs are JSON lines in Ray's log files (Ray adds job, node, worker and task); `run` is the output folder's name.
"""

import logging
from collections import Counter
from typing import Any, Final, NamedTuple

log = logging.getLogger("tikval")


class CounterMetric(NamedTuple):
    name: str  # Ray's exporter writes ray_NAME_total
    meaning: str
    tags: tuple[str, ...]


ROWS: Final = CounterMetric("tikval_rows", "rows that came out, as results or failures", ("stage", "outcome"))
SECONDS: Final = CounterMetric("tikval_seconds", "seconds that actors worked", ("stage",))
METRICS: Final = (ROWS, SECONDS)


class Observer:
    """One actor's voice."""

    def __init__(self, run: str) -> None:
        from ray.util.metrics import Counter as Metric

        self.run, self.stage = run, run.partition("-")[0]
        self.rows = Metric(ROWS.name, ROWS.meaning, tag_keys=ROWS.tags)
        self.seconds = Metric(SECONDS.name, SECONDS.meaning, tag_keys=SECONDS.tags)

    def came_out(self, rows: list[Any], seconds: float) -> None:
        """Count a batch, and log each failure in it."""
        self.seconds.inc(max(seconds, 1e-9), {"stage": self.stage})
        for outcome, n in Counter(row["error"] or "ok" for row in rows).items():
            self.rows.inc(n, {"stage": self.stage, "outcome": outcome})
        for row in rows:
            if row["error"] is not None:
                log.warning(
                    "failed", extra=self._about(row) | {"reason": row["error"], "detail": row["detail"]}
                )

    def _about(self, row: Any) -> dict[str, Any]:
        return {"run": self.run, "video_id": row["video_id"], "attempt": row["attempt"]}
