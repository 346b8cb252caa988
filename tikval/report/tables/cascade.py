"""What a cascade promises and whether it was kept, in words and as a table: terminal, report and dataset card."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tikval.evaluate.cascade_plan import KeptPlan, read_check
from tikval.stats.cascade import CascadePlan, CascadeRow, Reached
from tikval.store.folder import Folder
from tikval.store.runs import Study

STANCES: Final = ("endorsed", "confronted")
COLUMNS: Final = (
    "answers",
    "sent up",
    *(f"{stance}: {metric}" for stance in STANCES for metric in ("recall", "precision")),
)
BELOW: Final = "in brackets: at least so much, with 95 % confidence for the four of a line"
NAMES: Final = {
    "nothing": "nothing is ever there",
    "cheap": "the cheap system alone",
    "cascade": "the cascade",
    "random": "as many sent up at random",
    "strong": "the strong system on all",
}


def plan_lines(plan: CascadePlan) -> Iterator[tuple[str, ...]]:
    """The table's cells, a line for each of NAMES and share."""
    for row in plan.rows:
        yield NAMES.get(row.name, row.name), f"{row.share:.0%}", *_cells(row)


def plan_table(plan: CascadePlan) -> Table:
    """The table for a terminal."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, caption=BELOW, caption_justify="left")
    for n, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if n == 0 else "right")
    for cells in plan_lines(plan):
        table.add_row(*cells)
    return table


def _cells(row: CascadeRow) -> Iterator[str]:
    for reached in row.reached:
        for estimate, lower in _pairs(reached):
            if estimate is None:
                yield "-"
            else:
                yield f"{estimate:.2f}" if lower is None else f"{estimate:.2f} ({lower:.2f})"


def _pairs(reached: Reached | None) -> tuple[tuple[float | None, float | None], ...]:
    if reached is None:
        return (None, None), (None, None)
    return (reached.recall, reached.recall_lower), (reached.precision, reached.precision_lower)


def promise_text(plan: CascadePlan) -> str:
    """What is promised of each stance, or why nothing is, in one sentence without its full stop."""
    parts = []
    for stance, promised, why, needed in zip(STANCES, plan.promised, plan.why_none, plan.needed, strict=True):
        if promised is not None:
            recall, precision = promised
            parts.append(f"{stance}: recall of {recall:.2f} and precision of {precision:.2f} at least")
        elif why is not None:
            more = f"; a sample of {2 * needed:,} may allow it" if needed else ""
            parts.append(f"{stance}: no promise ({why}{more})")
    sure = f" with {1 - plan.error:.0%} confidence" if any(plan.promised) else ""
    return f"of the strong system's answers{sure}, {'; '.join(parts)}"


def plan_sentences(kept: KeptPlan) -> Iterator[str]:
    """What is sent up, and what is promised."""
    plan = kept.plan
    yield (
        f"planned on {kept.planned_on:,} of {kept.sampled:,} videos drawn at random; of the other {kept.n_rest:,} "
        f"go up {kept.n_up:,} ({kept.n_up / max(kept.n_rest, 1):.0%})"
    )
    whose = "these videos" if plan.promise_for == "corpus" else "videos of other accounts like these"
    yield f"promised for {whose}, {promise_text(plan)}"


def left_sentence(kept: KeptPlan, todo: int, all_todo: int) -> str:
    """What the plan still takes. `todo`: videos left to ask, `all_todo`: were all to be asked."""
    price, hours = kept.price.usd, kept.price.hours
    cost = "" if price is None else f", about {price * todo:.2f} USD of {price * all_todo:.2f} USD for all"
    wait = (
        ""
        if hours is None
        else f", {_hours(hours * todo)} of {_hours(hours * all_todo)} at the sample's speed"
    )
    return f"left to ask: {todo:,} of {all_todo:,} videos{cost}{wait}" if todo else "nothing is left to ask"


def _hours(hours: float) -> str:
    return f"{hours * 60:.0f} minutes" if hours < 1 else f"{hours:.1f} hours"


def check_sentences(check: Mapping[str, Any]) -> Iterator[str]:
    """check.json in words: the verdict, and who answered."""
    if why := check.get("why_none"):
        yield f"the promise was not checked: {why}"
    else:
        reached = "; ".join(
            f"{stance}: recall {_estimate(one, 'recall')}, precision {_estimate(one, 'precision')}"
            for stance, one in zip(STANCES, check["reached"], strict=True)
            if one is not None
        )
        yield f"the promise, on {check['videos']:,} held-out videos: {check['verdict']} ({reached})"
    by = check["answered_by"]
    instead = by.get("cheap_instead", 0)
    alone = f", {instead:,} of them where the strong one cannot or may not judge" if instead else ""
    cheap = by.get("cheap", 0) + instead
    yield f"answered by the strong system {by.get('strong', 0):,}, by the cheap one {cheap:,}{alone}"


def promise_of(folder: Folder) -> str | None:
    """The promise of a finished cascade and its check, in words without a full stop; None where nothing is told."""
    kept, check = KeptPlan.read(folder), read_check(folder)
    if kept is None or check is None:
        return None
    return "; ".join([*plan_sentences(kept), *check_sentences(check)])


def show_promises(study: Study, console: Console) -> None:
    """Print for each cascade of a study what it promised, and what its check found."""
    for name, (folder, _) in sorted(study.systems().items()):
        if told := promise_of(folder):
            console.print(f"* {name}: {told}", highlight=False, markup=False)
        for line in check_warnings(name, read_check(folder) or {}):
            console.print(f"* {line}", highlight=False, markup=False)


def check_warnings(system: str, check: Mapping[str, Any]) -> Iterator[str]:
    """Why the promise may not hold, in sentences; none where nothing speaks against it."""
    if check.get("verdict") == "broken":
        yield f"{system} did not keep its promise on the held-out videos."
    for test in check.get("tests", ()):
        if test["fired"]:
            yield f"{system}: {FIRED[test['name']]} (p {test['p']:.3f}), so its promise may not hold."


FIRED: Final = {
    "sample": "the sample does not look like the other videos",
    "calibration": "the calibrated doubt does not fit the held-out answers",
    "accounts": "errors differ between accounts by more than chance",
}


def _estimate(reached: Mapping[str, Any], metric: str) -> str:
    estimate, lower = reached[metric], reached[f"{metric}_lower"]
    if estimate is None:
        return "-"
    return f"{estimate:.2f}" if lower is None else f"{estimate:.2f} (at least {lower:.2f})"
