"""What workers tell: counts through Ray's own metrics exporter, and failures as structured logs.

    tikval_rows        rows that came out, by stage and outcome ("ok" or a failure's reason)
    tikval_seconds     seconds that a stage's actors worked, by stage

Logs are JSON lines in Ray's log files (Ray adds job, node, worker and task); `run` is the output folder's name.
"""

import logging
from collections import Counter
from typing import Any

log = logging.getLogger("tikval")


class Observer:
    """One actor's voice."""

    def __init__(self, run: str) -> None:
        from ray.util.metrics import Counter as Metric

        self.run, self.stage = run, run.partition("-")[0]
        self.rows = Metric("tikval_rows", "Rows that came out.", tag_keys=("stage", "outcome"))
        self.seconds = Metric("tikval_seconds", "Seconds of work in actors.", tag_keys=("stage",))

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
