"""The lines of a coding folder's plan: who codes new videos, in which sheet and place."""

from collections.abc import Mapping, Sequence

from tikval.annotate.assignment import assign_coders, coding_order
from tikval.annotate.coding import Round
from tikval.annotate.coding_folder import CodingFolder, PlanLine
from tikval.annotate.material import CodingVideo
from tikval.config import AnnotateConfig
from tikval.evaluate.faithfulness_sample import in_random_order


def plan_videos(
    placed: Sequence[CodingVideo], folder: CodingFolder, active: Sequence[str], rules: AnnotateConfig
) -> list[PlanLine]:
    """The lines of new videos, in a new sheet of each coder; who has no sheet yet begins with practice."""
    before: dict[str, set[str]] = {}
    plan = folder.plan()
    for line in plan:
        if line.round == "main":
            before.setdefault(line.item, set()).add(line.coder)
    videos = {video.item: video for video in placed if video.gold is None}
    assigned = assign_coders(
        videos,
        active,
        rules.coders_per_video,
        by_all=rules.by_all,
        seed=rules.seed,
        before=before.values(),
    )
    gold = list(dict.fromkeys([*folder.practice(), *(video.item for video in placed if video.gold)]))
    drawn = {item: (video.probability, video.stratum) for item, video in videos.items()}
    lines = []
    for coder in active:
        mine = [item for item, who in assigned.items() if coder in who]
        order = coding_order(mine, coder, seed=rules.seed, again=rules.again, gap=rules.gap)
        if order:
            lines += sheet_lines(coder, order, drawn, plan, gold, rules.seed)
    return lines


def sheet_lines(
    coder: str,
    order: Sequence[tuple[str, Round]],
    drawn: Mapping[str, tuple[float | None, str]],
    plan: Sequence[PlanLine],
    gold: Sequence[str],
    seed: int,
) -> list[PlanLine]:
    """A new sheet of a coder: the items in order, after those to practise on if it is the first.

    `drawn` has the probability and the stratum of each item.
    """
    number = 1 + max((line.sheet for line in plan if line.coder == coder), default=0)
    first = sorted(gold, key=lambda item: in_random_order(f"{seed}/{coder}", item)) if number == 1 else []
    rounds: list[tuple[str, Round]] = [*((item, "practice") for item in first), *order]
    return [
        PlanLine(item, coder, round_, place, *drawn.get(item, (None, "")), number)
        for place, (item, round_) in enumerate(rounds, start=1)
    ]
