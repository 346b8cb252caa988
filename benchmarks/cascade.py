"""Is what a cascade promises kept, what does it save, and is it noticed where a promise rests on nothing?

    python benchmarks/cascade.py            # some minutes on one core; writes results/cascade.json
    python benchmarks/cascade.py --quick    # 50 resamplings of each, half a minute; writes nothing
    python benchmarks/cascade.py --record   # the local extractor's scores anew, minutes; writes data/cascade_scores.npz

Two pairs of recorded systems, 400 random videos of which are drawn again and again, half for the plan, half held out:

* arguments: the local extractor's scores of 5,393 real arguments (Touché23, development; data/cascade_scores.npz holds
  them), and a strong system made from the labels with made errors: hits and false alarms differ by label and by
  conclusion. Endorsed only. Not run where the arguments are not at hand.
* accounts: 3,000 videos of 100 made accounts, labels as frequent as the published ones, every third confronted; scores
  that tell a label with an AUC of 0.98, and a strong system made likewise.

`kept`: all recalls and precisions promised are reached on the videos outside the sample. `budget`: all lower bounds of
the share 0.5 hold. Faults: scores that have drifted between sample and rest, a plan made with answers of another strong
system, scores that drift before the hold-out, and a cheap system that is blind in a quarter of the accounts. What is
noticed where nothing is wrong is a false alarm. The last line is one JSON object; exit code 1 where a target is missed.

N videos, n sampled, L labels.
"""

import argparse
import json
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.arguments import are_here, development
from benchmarks.next_videos import ACCOUNT, PUBLISHED, SYSTEMS, world
from tikval.codebook import load_codebook
from tikval.config.extract import LocalExtractor
from tikval.extract.local import LocalValues, sentences_of
from tikval.extract.similarity import mean_share, sentence_windows, window_shares, winners
from tikval.machine import cores
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.cascade import CascadePlan
from tikval.stats.cascade_check import check_cascade
from tikval.stats.cascade_plan import plan_cascade
from tikval.stats.thresholds import logit, sigmoid
from tikval.values import VALUES

HERE: Final = Path(__file__).parent
SCORES: Final = HERE / "data" / "cascade_scores.npz"
RESULT: Final = HERE / "results" / "cascade.json"
SAMPLE: Final = 400  # half of it plans, half is held out
TARGET: Final = 0.9  # recall and precision
SHARE: Final = 0.5
MADE: Final = 5  # strong systems of each pair
KEPT, TOLERANCE = 0.95, 0.012
NOTICED, FALSE_ALARMS = 0.8, 0.07
FAULTS: Final = {"drift of the rest": "sample", "other strong system": "calibration", "drift": "calibration"}
BLIND: Final = "blind in some accounts"


class Pair(NamedTuple):
    """Two recorded systems."""

    scores: Floats  # [N, L] of the cheap one
    decisions: Bools  # [N, L]
    strong: Bools  # [N, L]
    account: Ints  # [N]
    stance: Ints  # [L]


def strong_of(
    rng: np.random.Generator, truth_NL: Bools, account_N: Ints, *, hits: float = 0.9, by_account: float = 0.5
) -> Bools:
    """Made errors: the log-odds of a hit, and of a false alarm, differ by label and by account."""
    shape, width = (int(account_N.max()) + 1, truth_NL.shape[1]), truth_NL.shape[1]

    def rates(rate: float) -> Floats:
        apart = rng.normal(0, 0.5, width) + by_account * rng.normal(0, 1, shape)
        return sigmoid(np.log(rate / (1 - rate)) + apart)[account_N]

    return rng.random(truth_NL.shape) < np.where(truth_NL, rates(hits), rates(0.01))


def record() -> None:
    """The shipped local extractor on the arguments, all sentences encoded together."""
    config, codebook = LocalExtractor(), load_codebook(HERE.parent / "prompts" / "codebook.yaml")
    extractor = LocalValues("local", codebook, config)
    windows = [sentence_windows(sentences_of(script), config.span) for script in development().scripts]
    every = sorted({window for some in windows for window in some}, key=len)
    place = {window: i for i, window in enumerate(every)}
    vectors_ND = extractor.encode(every)
    scores_NL = np.array(
        [
            mean_share(window_shares(vectors_ND[[place[w] for w in some]], extractor.vectors, config), config)
            for some in windows
        ]
    )
    decisions_NL = (scores_NL >= extractor.threshold) & winners(scores_NL)
    kept = slice(0, len(VALUES))  # endorsed
    np.savez_compressed(SCORES, scores=scores_NL[:, kept].astype(np.float16), decisions=decisions_NL[:, kept])


def arguments(rng: np.random.Generator) -> Pair:
    given = development()
    with np.load(SCORES) as recorded:
        scores, decisions = recorded["scores"].astype(np.float64), recorded["decisions"]
    conclusion = np.unique(given.conclusions, return_inverse=True)[1]
    strong = strong_of(rng, given.truth, conclusion)
    return Pair(scores, decisions, strong, conclusion, np.zeros(scores.shape[1], int))


def accounts(rng: np.random.Generator, *, by_account: float = 0.5) -> Pair:
    """A corpus, new for each strong system; `by_account` 0: errors do not differ by account."""
    some = np.arange(len(ACCOUNT)) % 60 < 30
    every_truth, every_score = world(rng, PUBLISHED, SYSTEMS[0])
    truth, scores = every_truth[some], every_score[some]
    strong = strong_of(rng, truth, ACCOUNT[some], by_account=by_account)
    if (
        not by_account
    ):  # scores that know the strong system's answers, so that nothing but chance is between them
        strong = truth
    stance = (np.arange(len(PUBLISHED)) % 3 == 0).astype(int)
    return Pair(scores, scores >= 0.5, strong, ACCOUNT[some], stance)


def plan_of(pair: Pair, sampled_n: Ints, seed: int, **options: Any) -> CascadePlan:
    return plan_cascade(
        pair.scores,
        pair.decisions,
        pair.strong[sampled_n].astype(float),
        sampled_n,
        pair.account,
        pair.stance,
        seed=seed,
        **options,
    )


def reached(pair: Pair, answers_NL: Bools) -> Floats:
    """[S, 2] recall and precision of each stance."""
    out = []
    for stance in np.unique(pair.stance):
        answers, strong = answers_NL[:, pair.stance == stance], pair.strong[:, pair.stance == stance]
        hits = (answers & strong).sum()
        out.append((hits / max(1, strong.sum()), hits / max(1, answers.sum())))
    return np.array(out)


def outside(pair: Pair, sampled_n: Ints) -> Pair:
    rest = np.ones(len(pair.scores), bool)
    rest[sampled_n] = False
    return Pair(pair.scores[rest], pair.decisions[rest], pair.strong[rest], pair.account[rest], pair.stance)


def resampled(pair: Pair, seed: int, *, budget: bool) -> dict[str, Any]:
    """One sample: whether its promise is kept, what goes up, and what as many videos at random would reach."""
    rng = np.random.default_rng(seed)
    sampled_n = rng.permutation(len(pair.scores))[:SAMPLE]
    rest = outside(pair, sampled_n)
    ours = sampled_n[: SAMPLE // 2]
    plan = plan_of(pair, ours, seed, recall=TARGET, precision=TARGET)
    up, stay = plan.goes_up(rest.scores), plan.answers(rest.scores)
    got = reached(rest, np.where(up[:, None], rest.strong, stay))
    random = rng.permutation(len(up)) < up.sum()
    by_chance = reached(rest, np.where(random[:, None], rest.strong, stay))
    promised = [one for one in plan.promised if one]
    out: dict[str, Any] = {
        "promised": len(promised) == len(got),
        "kept": all((found >= one).all() for found, one in zip(got, promised, strict=False)),
        "share": up.mean(),
        "reached": got.min(),
        "random": by_chance.min(),
    }
    if budget:
        out["verdict"] = check_of(plan, pair, sampled_n, seed).verdict
        half = plan_of(pair, ours, seed, recall=TARGET, precision=TARGET, share=SHARE)
        up = half.goes_up(rest.scores)
        got = reached(rest, np.where(up[:, None], rest.strong, half.answers(rest.scores)))
        out["budget"] = all(
            (found >= one).all() for found, one in zip(got, half.promised, strict=False) if one
        )
    return out


def check_of(plan: CascadePlan, pair: Pair, sampled_n: Ints, seed: int) -> Any:
    held_out = np.arange(len(sampled_n)) >= SAMPLE // 2
    strong = pair.strong[sampled_n].astype(float)
    return check_cascade(plan, pair.scores, strong, sampled_n, held_out, pair.account, pair.stance, seed=seed)


def of_promise(make: Any, resamplings: int, every: int) -> dict[str, Any]:
    begin = time.process_time()
    pairs = [make(np.random.default_rng(seed)) for seed in range(MADE)]
    found = [resampled(pairs[i % MADE], i, budget=i % every == 0) for i in range(resamplings)]
    verdicts = [one["verdict"] for one in found if "verdict" in one]
    return {
        "resamplings": resamplings,
        "promised": np.mean([one["promised"] for one in found]),
        "kept": np.mean([one["kept"] for one in found]),
        "budget_kept": np.mean([one["budget"] for one in found if "budget" in one]),
        "share_sent_up": np.mean([one["share"] for one in found]),
        "lowest_reached": np.mean([one["reached"] for one in found]),
        "lowest_at_random": np.mean([one["random"] for one in found]),
        **{f"checked_{verdict}": verdicts.count(verdict) / len(verdicts) for verdict in ("kept", "broken")},
        "cpu_seconds": time.process_time() - begin,
    }


def shifted(scores_NL: Floats, by: float) -> Floats:
    return sigmoid(logit(scores_NL) + by)


def with_fault(pair: Pair, fault: str | None, seed: int) -> tuple[str, ...]:
    """What the check notices."""
    rng = np.random.default_rng(seed)
    sampled_n = rng.permutation(len(pair.scores))[:SAMPLE]
    ours = sampled_n[: SAMPLE // 2]
    if fault == "drift of the rest":
        scores = shifted(pair.scores, 0.5)
        scores[sampled_n] = pair.scores[sampled_n]
        pair = pair._replace(scores=scores)
    if fault == BLIND:
        blind = np.isin(pair.account, rng.permutation(int(pair.account.max()) + 1)[::4])[:, None]
        pair = pair._replace(scores=np.where(blind, pair.scores[rng.permutation(len(blind))], pair.scores))
    planned = pair
    if fault == "other strong system":
        fewer = pair.strong & (rng.random(pair.strong.shape) < 0.6)
        planned = pair._replace(strong=fewer)
    plan = plan_of(planned, ours, seed, recall=TARGET, precision=TARGET)
    if fault == "drift":
        pair = pair._replace(scores=shifted(pair.scores, 1.0))
    notices: tuple[str, ...] = check_of(plan, pair, sampled_n, seed).notices
    return notices


def of_faults(resamplings: int) -> dict[str, Any]:
    begin = time.process_time()
    pairs = [accounts(np.random.default_rng([seed, 1]), by_account=0) for seed in range(MADE)]

    def notices(fault: str | None, times: int) -> list[tuple[str, ...]]:
        return [with_fault(pairs[i % MADE], fault, i) for i in range(times)]

    sound = notices(None, 4 * resamplings)
    return {
        "resamplings": resamplings,
        "false_alarms": {
            name: np.mean([name in one for one in sound]) for name in ("sample", "calibration", "accounts")
        },
        "any_false_alarm": np.mean([bool(one) for one in sound]),
        "noticed": {
            fault: np.mean([name in one for one in notices(fault, resamplings)])
            for fault, name in {**FAULTS, BLIND: "accounts"}.items()
        },
        "cpu_seconds": time.process_time() - begin,
    }


def measure(quick: bool) -> dict[str, Any]:
    """Everything above; `missed` names the targets that were not reached."""
    resamplings = 50 if quick else 1000
    worlds = {"accounts": accounts, **({"arguments": arguments} if are_here() else {})}
    with ProcessPoolExecutor() as pool:
        promises = {name: pool.submit(of_promise, make, resamplings, 5) for name, make in worlds.items()}
        faults = pool.submit(of_faults, 15 if quick else 100)
        result: dict[str, Any] = {
            "promises": {name: one.result() for name, one in promises.items()},
            "faults": faults.result(),
        }
    seconds = sum(one.pop("cpu_seconds") for one in (*result["promises"].values(), result["faults"]))
    if not are_here():
        result["not_run"] = ["arguments"]
    missed = _missed(result, quick)
    rounded: dict[str, Any] = _rounded(
        {
            **result,
            "missed": missed,
            "met": not missed,
            "cpu_seconds": seconds,
            "machine": f"{platform.machine()}, {cores()} cores, no GPU, other work beside it",
        }
    )
    return rounded


def _missed(result: dict[str, Any], quick: bool) -> list[str]:
    missed = []
    for name, one in result["promises"].items():
        slack = 0.08 if quick else TOLERANCE
        for what in ("kept", "budget_kept"):
            if one[what] < KEPT - slack:
                missed.append(f"{name}: {what} {one[what]:.3f}")
        if one["lowest_reached"] <= one["lowest_at_random"]:
            missed.append(f"{name}: no better than at random")
        if one["checked_broken"] > 1 - KEPT + slack:
            missed.append(f"{name}: {one['checked_broken']:.3f} called broken")
    faults = result["faults"]
    missed += [
        f"{name} notices nothing in {share:.3f}"
        for name, share in faults["false_alarms"].items()
        if share > FALSE_ALARMS + 0.1 * quick
    ]
    missed += [
        f"{fault}: noticed in {share:.3f}"
        for fault, share in faults["noticed"].items()
        if share < NOTICED - 0.15 * quick
    ]
    return missed


def _rounded(x: Any) -> Any:
    if isinstance(x, dict):
        return {name: _rounded(value) for name, value in x.items()}
    return round(float(x), 4) if isinstance(x, float | np.floating) else x


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    if given.record:
        record()
        return 0
    quick = given.quick
    result = measure(quick)
    result["command"] = "python benchmarks/cascade.py" + " --quick" * quick
    if not quick:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0 if result["met"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
