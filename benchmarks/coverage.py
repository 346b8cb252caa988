"""How often 95 % intervals hold the truth, and how wide they are: on made truth, or on a table of annotations.

    python benchmarks/coverage.py                    # 1,200 studies of each size: some minutes on one core
    python benchmarks/coverage.py --quick            # 100 studies: seconds
    python benchmarks/coverage.py --truth TABLE.csv  # accounts and labels of the published table instead

Accounts are drawn with replacement from 91, each with all its videos. A system has hits 0.6 and false alarms 0.12, with
log-odds that differ by account and by account and label (standard deviations of 0.5). The truth is the score over all
accounts and over the labels that the study averages.

`means`: macro and weighted F1, and the difference of two systems that are alike. Intervals below five accounts are
not given; here they are computed none the less. `labels`: one label's F1 by its number of positives. `genres`: one
system with the same errors everywhere, in groups of accounts that are alike in their labels. `rates`: those of
coverage_rates.py. The last line is one JSON object; exit code 1 where a target is missed.

G accounts, N videos, L labels.
"""

import argparse
import json
import math
import platform
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks import coverage_rates
from tikval.evaluate.answers import Truth, answers_from_decisions
from tikval.evaluate.slices import COMMON, slices
from tikval.machine import cores
from tikval.sources.labels import read_labels
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.intervals import (
    Estimate,
    account_counts,
    jaccard_interval,
    logit_interval,
    mean_f1_estimate,
    t_interval,
)
from tikval.stats.limits import FEWEST_ACCOUNTS
from tikval.stats.metrics import label_f1
from tikval.stats.student import t_critical
from tikval.values import LABELS, SLUGS, binary

HITS, ALARMS, SPREAD = 0.6, 0.12, 0.5
N_ACCOUNTS, ALIKE = 91, 6.0  # the latter of Beta(ALIKE · rate, ALIKE · (1 - rate))
MIN_SHARE: Final = 0.05
# accounts, at most so many videos of each; median width of a macro F1's interval on the published table
SIZES: Final = {
    "2": (2, None, 0.67),
    "4x4": (4, 4, 0.375),
    "4": (4, None, 0.27),
    "5": (5, None, 0.22),
    "8": (8, None, 0.15),
    "15": (15, None, 0.10),
    "30": (30, None, 0.063),
    "91": (91, None, 0.035),
}
COVERS, TOLERANCE, WIDER = 0.94, 0.012, 1.1
POSITIVES, F1S, LABEL_COVERS = (1, 2, 5, 10, 50), (0.6, 0.95), 0.95
GENRES, LARGE, RANGE = 6, 100, 0.02
NARROWEST: Final = 0.01


class World(NamedTuple):
    """The videos of all accounts, and the labels that at least MIN_SHARE of them have."""

    true: Bools  # [N, L]
    account: Ints  # [N]


def made_world() -> World:
    """Accounts of 9 or 10 videos that differ in how often they have each of 19 labels, about as the published do."""
    rng = np.random.default_rng(0)
    account_N = np.repeat(np.arange(N_ACCOUNTS), rng.integers(9, 11, N_ACCOUNTS))
    rates_L = np.linspace(0.06, 0.35, 19)
    rate_GL = rng.beta(ALIKE * rates_L, ALIKE * (1 - rates_L), (N_ACCOUNTS, len(rates_L)))
    true_NL = rng.random((len(account_N), len(rates_L))) < rate_GL[account_N]
    return World(true_NL[:, true_NL.mean(0) >= MIN_SHARE], account_N)


def world_of(table: str) -> World:
    rows = read_labels(table, SLUGS, "schwartz-19")
    true_NL = np.array([binary(row["stances"]) for row in rows], dtype=bool).reshape(len(rows), len(LABELS))
    _, account_N = np.unique([row["account"] or row["video_id"] for row in rows], return_inverse=True)
    return World(true_NL[:, true_NL.mean(0) >= MIN_SHARE], account_N)


def chances(mean: float, shifts: Floats) -> Floats:
    """Probabilities whose log-odds are those of `mean`, shifted."""
    odds: Floats = 1 / (1 + np.exp(-(math.log(mean / (1 - mean)) + shifts)))
    return odds


def predictions(rng: np.random.Generator, true_NL: Bools, account_N: Ints) -> Bools:
    """[N, L] what a system predicts."""
    n_groups = int(account_N.max()) + 1
    shift_GL = rng.normal(0, SPREAD, (n_groups, 1)) + rng.normal(0, SPREAD, (n_groups, true_NL.shape[1]))
    chance_NL = np.where(true_NL, chances(HITS, shift_GL)[account_N], chances(ALARMS, shift_GL)[account_N])
    predicted_NL: Bools = rng.random(true_NL.shape) < chance_NL
    return predicted_NL


def mean_chance(mean: float, spread: float) -> float:
    """The mean of `chances` over normal shifts."""
    points, weights = np.polynomial.hermite.hermgauss(64)
    return float(weights @ chances(mean, spread * math.sqrt(2) * points)) / math.sqrt(math.pi)


def drawn_study(
    rng: np.random.Generator, world: World, accounts: int, most: int | None
) -> tuple[Bools, Ints]:
    """True labels and accounts of the videos of one study: an account that is drawn twice counts as two."""
    rows, numbers = [], []
    for number, account in enumerate(rng.integers(0, int(world.account.max()) + 1, accounts)):
        own = np.flatnonzero(world.account == account)
        own = rng.permutation(own)[:most]
        rows.append(own)
        numbers.append(np.full(len(own), number))
    return world.true[np.concatenate(rows)], np.concatenate(numbers)


class Target(NamedTuple):
    """Expected counts over all accounts, by label."""

    f1: Floats  # [L]
    support: Floats  # [L]


def target_of(world: World, most: int | None) -> Target:
    videos_G = np.bincount(world.account).astype(np.float64)
    weight_N = np.minimum(1, (most or math.inf) / videos_G)[world.account]  # of a video, in a study of `most`
    support_L, n = weight_N @ world.true, weight_N.sum()
    hit, alarm = (mean_chance(mean, math.sqrt(2) * SPREAD) for mean in (HITS, ALARMS))
    hits_L = hit * support_L
    return Target(label_f1(hits_L, hits_L + alarm * (n - support_L), support_L), support_L)


def holds(low: float | None, high: float | None, truth: float) -> bool:
    return low is not None and high is not None and low <= truth <= high


def means(world: World, accounts: int, most: int | None, studies: int) -> dict[str, float]:
    """Coverage and median width of macro and weighted F1, and of the difference of two systems that are alike."""
    rng, target = np.random.default_rng(accounts + 100 * (most or 0)), target_of(world, most)
    held: dict[str, list[bool]] = {"macro": [], "weighted": [], "difference": [], "agree": [], "rejects": []}
    widths: dict[str, list[float]] = {"macro": [], "weighted": []}
    for _ in range(studies):
        true_NL, account_N = drawn_study(rng, world, accounts, most)
        sizes_G, use_L = np.bincount(account_N).astype(np.float64), true_NL.mean(0) >= MIN_SHARE
        first, second = (
            account_counts(true_NL, predictions(rng, true_NL, account_N), account_N, accounts).over(use_L)
            for _ in range(2)
        )
        for how, weights_L in (("macro", np.ones(int(use_L.sum()))), ("weighted", target.support[use_L])):
            estimate = mean_f1_estimate(first, sizes_G, how)
            truth = float(target.f1[use_L] @ weights_L / weights_L.sum())
            low, high = ends(estimate)
            held[how].append(holds(low, high, truth))
            widths[how].append(high - low)
            if how == "macro":
                gap = estimate.minus(mean_f1_estimate(second, sizes_G, how))
                low, high, _, p = t_interval(gap.value, gap.error, gap.degrees)  # type: ignore[assignment]
                assert p is not None
                held["difference"].append(holds(low, high, 0))
                held["rejects"].append(p < 0.05)
                held["agree"].append((p < 0.05) != holds(low, high, 0))
    coverage = {name: round(float(np.mean(found)), 4) for name, found in held.items()}
    found = {f"{how}_width": round(float(np.median(all_of)), 4) for how, all_of in widths.items()}
    return coverage | found | {"narrowest": round(min(min(all_of) for all_of in widths.values()), 4)}


def ends(estimate: Estimate) -> tuple[float, float]:
    """The interval of a score, also where it would not be given."""
    half = t_critical(estimate.degrees) * estimate.error / (estimate.value * (1 - estimate.value))
    low, high, *_ = logit_interval(estimate.value, half)
    assert low is not None
    assert high is not None
    return low, high


def one_label(f1: float, positives: int, studies: int, accounts: int = 30) -> dict[str, float]:
    """Coverage of one label's interval; precision and recall are both `f1` on average."""
    rng, n_videos = np.random.default_rng(positives + int(1_000 * f1)), 10 * accounts
    account_N = np.repeat(np.arange(accounts), 10)
    likes_G = rng.gamma(1.0, size=accounts)  # how often an account has the label
    share_N = (likes_G / likes_G.sum() / 10)[account_N]
    alarms = positives * (1 - f1) / (n_videos - positives)
    hit, alarm = (mean_chance(mean, SPREAD) for mean in (f1, alarms))
    truth = 2 * hit * positives / (hit * positives + alarm * (n_videos - positives) + positives)
    held, widths = [], []
    for _ in range(studies):
        true_N = np.zeros(n_videos, dtype=bool)
        true_N[rng.choice(n_videos, positives, replace=False, p=share_N)] = True
        shift_N = rng.normal(0, SPREAD, accounts)[account_N]
        predicted_N = rng.random(n_videos) < np.where(true_N, chances(f1, shift_N), chances(alarms, shift_N))
        counts = account_counts(true_N[:, None], predicted_N[:, None], account_N, accounts)
        here = float(label_f1(*(column.sum(0) for column in counts))[0])
        low, high, *_ = jaccard_interval(
            here, counts.hits[:, 0], (counts.predicted + counts.support - counts.hits)[:, 0]
        )
        assert low is not None
        assert high is not None
        held.append(holds(low, high, truth))
        widths.append(high - low)
    return {
        "coverage": round(float(np.mean(held)), 4),
        "width": round(float(np.median(widths)), 3),
        "narrowest": round(min(widths), 4),
    }


def alike(world: World) -> Ints:
    """[N] a group of accounts that have much the same labels (k-means of their rates)."""
    videos_G = np.bincount(world.account)
    rate_GL = np.stack([np.bincount(world.account, true_N) for true_N in world.true.T], 1) / videos_G[:, None]
    rng = np.random.default_rng(0)
    centres = rate_GL[rng.choice(len(rate_GL), GENRES, replace=False)]
    for _ in range(50):
        nearest_G = ((rate_GL[:, None] - centres) ** 2).sum(-1).argmin(1)
        centres = np.stack(
            [rate_GL[nearest_G == k].mean(0) if (nearest_G == k).any() else centres[k] for k in range(GENRES)]
        )
    of_video_N: Ints = nearest_G[world.account]
    return of_video_N


def genres(world: World, studies: int) -> dict[str, Any]:
    """A system that errs alike in all genres: the range of its mean F1 over large ones, raw and at one prevalence."""
    rng, genre_N = np.random.default_rng(1), alike(world)
    n_labels = world.true.shape[1]
    truth = Truth(
        ids=tuple(str(i) for i in range(len(genre_N))),
        labels=tuple(str(i) for i in range(n_labels)),
        label_set="",
        true=world.true,
        accounts=tuple(str(g) for g in world.account),
        group=world.account,
        frequent=np.ones(n_labels, dtype=bool),
        enough=np.ones(n_labels, dtype=bool),
    )
    names = {video: str(genre) for video, genre in zip(truth.ids, genre_N, strict=True)}
    large = [str(k) for k, n in enumerate(np.bincount(genre_N)) if n > LARGE]
    plain: dict[str, list[float]] = {name: [] for name in large}
    common: dict[str, list[float]] = {name: [] for name in large}
    labels = set()
    for _ in range(studies):
        predicted_NL = predictions(rng, world.true, world.account)
        for row in slices(answers_from_decisions("s", truth, [predicted_NL]), truth, names):
            if row["by"] == "genre" and row["metric"] == COMMON and row["value"] is not None:
                labels.add(row["n_labels"])
                if row["slice"] in common:
                    common[row["slice"]].append(row["value"])
        for name in large:
            at_N = genre_N == int(name)
            counts = account_counts(
                world.true[at_N], predicted_NL[at_N], np.zeros(int(at_N.sum()), dtype=np.int64), 1
            )
            plain[name].append(mean_f1_estimate(counts, np.ones(1), "macro").value)

    def span(values: dict[str, list[float]]) -> float:
        found = [np.mean(own) for own in values.values() if own]
        return round(float(max(found) - min(found)), 4)

    return {
        "videos": np.bincount(genre_N).tolist(),
        "labels": sorted(n for n in labels if n),
        "compared": sum(bool(own) for own in common.values()),
        "range": span(common),
        "range_of_macro_f1": span(plain),
    }


def misses(found: dict[str, Any], *, widths: bool, slack: float) -> list[str]:
    """The targets that were not reached; `slack`: of a coverage, as there are fewer studies."""
    missed = []
    for name, here in found["means"].items():
        accounts, _, width = SIZES[name]
        # no difference of fewer accounts is tested
        for what in ("macro", "weighted", *(["difference"] if accounts >= FEWEST_ACCOUNTS else [])):
            if here[what] < COVERS - slack:
                missed.append(f"{what} F1, {name} accounts: covers {here[what]}")
        if here["agree"] < 1:
            missed.append(f"{name} accounts: an interval and its p disagree")
        if accounts <= 8 and here["narrowest"] < NARROWEST:
            missed.append(f"{name} accounts: an interval of {here['narrowest']}")
        if widths and here["macro_width"] > WIDER * width:
            missed.append(f"macro F1, {name} accounts: {here['macro_width']} wide")
    for name, here in found["labels"].items():
        if here["coverage"] < LABEL_COVERS - slack:
            missed.append(f"one label, {name}: covers {here['coverage']}")
        if here["narrowest"] < NARROWEST:
            missed.append(f"one label, {name}: an interval of {here['narrowest']}")
    if found["genres"]["range"] > RANGE or found["genres"]["compared"] < 2:
        missed.append(f"genres: a range of {found['genres']['range']}")
    return [*missed, *found["rates"]["missed"]]


def measure_all(table: str | None, *, quick: bool) -> dict[str, Any]:
    """Everything above; `missed` names the targets that were not reached."""
    studies, world = 100 if quick else 1_200, world_of(table) if table else made_world()
    found: dict[str, Any] = {
        "studies": studies,
        "means": {name: means(world, accounts, most, studies) for name, (accounts, most, _) in SIZES.items()},
        "labels": {f"{n} positives, F1 {f1}": one_label(f1, n, studies) for f1 in F1S for n in POSITIVES},
        "genres": genres(world, studies // 4),
        "rates": coverage_rates.measure(quick, table),
    }
    # three standard errors of a coverage of 0.95, where there are fewer studies
    slack = max(TOLERANCE, 3 * math.sqrt(0.95 * 0.05 / studies)) if quick else TOLERANCE
    return found | {"missed": misses(found, widths=not quick, slack=slack)}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer studies")
    parser.add_argument("--truth", help="a table of annotations with the 19 values")
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    found = measure_all(options.truth, quick=options.quick)
    found["seconds"] = round(time.monotonic() - begin)
    found["truth"] = Path(options.truth).name if options.truth else "made"
    found["machine"] = f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}"
    found["command"] = " ".join(["python benchmarks/coverage.py", *(arguments or sys.argv[1:])])
    print(json.dumps(found))
    return 1 if found["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
