"""What a cascade's strong system will cost: between its sample and all videos, until a plan tells the share."""

from collections.abc import Sequence

import numpy as np

from tikval.config import CascadeConfig
from tikval.evaluate.cascade_plan import KeptPlan
from tikval.store.folder import Folder
from tikval.study.estimate import Spread, estimate_of, estimate_without_videos, way_of


def cascade_text(config: CascadeConfig, given: tuple[int, float] | None, gpu: str | None = None) -> str:
    """A sentence; `given`: so many videos of so many seconds on average, else those of the catalog still to do.

    Raises UserError without a finished catalog, or a price.
    """
    if given is None:
        stages = [estimate_of(stage, gpu=gpu) for stage in config.asked]
    else:
        stages = [estimate_without_videos(stage, *given, gpu=gpu) for stage in config.asked]
    usd = [
        cost for stage, one in zip(config.asked, stages, strict=True) if (cost := one.usd(way_of(stage.api)))
    ]
    takes = [(usd, "USD"), ([stage.gpu_hours for stage in stages if stage.gpu_hours], "GPU h")]

    def about(least: float, most: float) -> str:
        figures = [_figure(_sum(each), least, most, unit) for each, unit in takes if each]
        return " and ".join(figures) or "nothing to pay"

    n_left, who = stages[-1].calls, f"{config.system}: {config.strong.system}"
    kept = None if given else KeptPlan.read(Folder(config.folder))
    if kept is not None:
        share = min(1.0, max(kept.n_up - _done_of(config, kept), 0) / max(n_left, 1))
        return f"{who}, as planned, has about {share:.0%} of {n_left:,} videos still to judge: {about(share, share)}"
    first = min(config.sample, n_left)
    return (
        f"{who} judges {first:,} of {n_left:,} videos drawn at random, then those in doubt, whose share the sample "
        f"tells: {about(first / max(n_left, 1), 1.0)}, from the sample alone to all videos"
    )


def _done_of(config: CascadeConfig, kept: KeptPlan) -> int:
    """Videos outside the sample that the strong system has answered already."""
    return max(len(Folder(config.strong.folder).seen().done) - kept.sampled, 0)


def _sum(spreads: Sequence[Spread]) -> Spread:
    return Spread(*map(float, np.sum(spreads, axis=0)))


def _figure(spread: Spread, least: float, most: float, unit: str) -> str:
    if least == most:
        one = spread.times(least)
        return f"about {one.mid:,.2f} {unit} ({one.low:,.2f} to {one.high:,.2f})"
    return f"{spread.mid * least:,.2f} to {spread.mid * most:,.2f} {unit}"
