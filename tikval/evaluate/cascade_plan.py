"""What a cascade keeps beside its predictions: `plan.json`, made before most of it is paid, and `check.json` after.

Neither names a video; the sample is a table of its own (cascade_sample.py).
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.codebook import Codebook
from tikval.config import CascadeConfig, ExtractConfig, ScriptConfig
from tikval.evaluate.cascade_sample import CascadeSample, CheapAnswers, basis_of, strong_answers
from tikval.files import parse_json, read_bytes, write_bytes
from tikval.llm.gate import read_spent
from tikval.rows import Reason
from tikval.stats.arrays import Ints
from tikval.stats.cascade import CascadePlan
from tikval.stats.cascade_check import check_cascade
from tikval.stats.cascade_plan import plan_cascade
from tikval.store.folder import Folder

PLAN, CHECK = "plan.json", "check.json"
NOT_ASKED: Final = [Reason.OVER_BUDGET.value, Reason.NOT_ASKED.value]


@dataclass(frozen=True)
class PriceEach:
    """What the strong system takes for one more video, as the sample showed."""

    usd: float | None  # None: its calls have no price
    hours: float | None  # None: not known


@dataclass(frozen=True)
class KeptPlan:
    """plan.json."""

    basis: str  # a hash of the sample and of the cheap system's answers to it
    plan: CascadePlan
    price: PriceEach
    sampled: int  # videos
    planned_on: int  # of them, with the strong system's answer
    n_up: int  # of the other videos, when it was made; those without a cheap answer among them
    n_rest: int  # the other videos

    @classmethod
    def read(cls, folder: Folder) -> "KeptPlan | None":
        """The plan of a cascade's folder; None where there is none."""
        data = read_bytes(f"{folder.uri}/{PLAN}")
        if data is None:
            return None
        made = parse_json(data, f"{folder.uri}/{PLAN}")
        price = PriceEach(**made["price"])
        return cls(**{**made, "plan": CascadePlan.from_json(made["plan"]), "price": price})

    def write(self, folder: Folder) -> None:
        made = {**asdict(self), "plan": self.plan.as_json()}
        write_bytes(f"{folder.uri}/{PLAN}", json.dumps(made, indent=2).encode())


def plan_of_sample(
    config: CascadeConfig,
    codebook: Codebook,
    cheap: CheapAnswers,
    sample: CascadeSample,
    share: float | None = None,
) -> KeptPlan:
    """The plan, from the part of the sample that is not held out; `share`: of the others sent up, in place of the cut.

    Raises ValueError where the strong system has answered none of it.
    """
    at = cheap.at(sample.keys)
    planned = at[~sample.held_out]
    answers = strong_answers(Folder(config.strong.folder), cheap, planned, len(codebook.labels))
    plan = plan_cascade(
        *(cheap.scores, cheap.decisions, answers, planned, cheap.account, stance_numbers(codebook)),
        recall=config.recall,
        precision=config.precision,
        share=config.share if share is None else share,
        promise_for=config.promise_for,
        seed=config.seed,
    )
    up = plan.goes_up(cheap.scores)
    up[at] = False
    return KeptPlan(
        basis=basis_of(cheap, sample),
        plan=plan,
        price=price_of_sample(config, sample.keys),
        sampled=len(at),
        planned_on=int(np.isfinite(answers).all(1).sum()),
        n_up=int(up.sum()) + len(cheap.failed),
        n_rest=len(cheap.keys) - len(at) + len(cheap.failed),
    )


def check_plan(
    config: CascadeConfig, codebook: Codebook, cheap: CheapAnswers, sample: CascadeSample, plan: CascadePlan
) -> dict[str, Any]:
    """Whether the promise was kept, by the part of the sample that had no part in it: a CascadeCheck's fields.

    Or `why_none`, where it cannot be told.
    """
    at = cheap.at(sample.keys)
    answers = strong_answers(Folder(config.strong.folder), cheap, at, len(codebook.labels))
    given = (plan, cheap.scores, answers, at, sample.held_out, cheap.account, stance_numbers(codebook))
    try:
        return check_cascade(*given, seed=config.seed).as_json()
    except ValueError as err:
        return {"why_none": str(err)}


def stance_numbers(codebook: Codebook) -> Ints:
    """[L] 0 for labels of endorsed values, 1 of confronted ones."""
    return np.repeat(np.arange(2), len(codebook.slugs))


def price_of_sample(config: CascadeConfig, keys: np.ndarray) -> PriceEach:
    """USD and hours of a video, by what the sample cost."""
    usd, hours = [], []
    for stage in config.asked:
        folder = Folder(stage.folder)
        table = folder.read_listed(keys, ["error", "cost_usd"])
        asked = table.filter(pc.invert(pc.fill_null(pc.is_in(table["error"], pa.array(NOT_ASKED)), False)))
        paid = pc.sum(asked["cost_usd"]).as_py()
        if paid is not None:
            usd.append(paid / asked.num_rows)
        run = folder.finished()
        if run.computed:
            hours.append(run.seconds / run.computed / 3600)
    return PriceEach(sum(usd) if usd else None, sum(hours) if len(hours) == len(config.asked) else None)


def spent_on(stages: tuple[ScriptConfig | ExtractConfig, ...]) -> float:
    """USD that were paid for some stages, over all their runs."""
    return sum(spent.settled_usd for stage in stages if (spent := read_spent(stage.folder)))


def write_check(folder: Folder, check: dict[str, Any]) -> None:
    write_bytes(f"{folder.uri}/{CHECK}", json.dumps(check, indent=2).encode())


def read_check(folder: Folder) -> dict[str, Any] | None:
    """check.json: what `check_plan` found, and `answered_by`, the videos of each AnsweredBy; None: there is none."""
    data = read_bytes(f"{folder.uri}/{CHECK}")
    return None if data is None else dict(parse_json(data, f"{folder.uri}/{CHECK}"))
