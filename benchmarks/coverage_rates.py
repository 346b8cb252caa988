"""Do the intervals of raw and corrected rates cover what they should, and are corrected rates right on average?

    python benchmarks/coverage_rates.py            # half a minute on one core; --quick: a few seconds, fewer studies
    python benchmarks/coverage_rates.py --published tiktok_annotations.csv

`rates`: studies of G accounts with some 9 videos each, 38 labels in 0.2 to 45 % of all videos; accounts differ by a
Beta distribution. Covered: the rate over all such accounts. With `--published`, accounts drawn from that table too.
`corrected`: corpora of 2,000 videos of 100 accounts in four genres, whose rates are 0.4 to 1.6 times the mean; a system
has 0.8 of the hits and 0.1 false alarms, more or less by account. Annotated are videos at random, videos of which 60 %
are from the genre with the highest rate, with their probabilities, or whole accounts. Covered: the rate over all such
accounts, or that of this corpus. The last line is one JSON object; exit code 1 where a target is missed.

C clusters, N videos, K corpora or labels.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from tikval.sources.labels import read_labels
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.prevalence import (
    RateInterval,
    RateSample,
    RateSums,
    Target,
    corrected_rates,
    rate_sums,
    raw_rates,
    sums_by_cluster,
)
from tikval.values import SLUGS, binary

ACCOUNTS: Final = (4, 5, 8, 15, 30, 91)
LABEL_RATES: Final = np.geomspace(0.002, 0.45, 38)
ALIKE: Final = (
    7.0  # of Beta(ALIKE * rate, ALIKE * (1 - rate)): a design effect of 2, as the published accounts have
)
GENRES: Final = np.array([0.4, 0.8, 1.2, 1.6])
COVERAGE, COVERAGE_CORRECTED, COVERAGE_CORPUS = 0.95, 0.93, 0.94
WIDTH_AT_30: Final = 0.08  # median, of all labels
RATIO: Final = 0.05  # by how much the mean corrected rate may differ from the truth


class Case(NamedTuple):
    how: str  # random, weights or accounts
    annotated: int
    rate: float
    corpus_width: float | None = None  # at most, on average

    @property
    def name(self) -> str:
        return f"{self.how}, {self.annotated}, {self.rate:.0%}"


CASES: Final = (
    *(Case("random", n, 0.1, {200: 0.07}.get(n)) for n in (50, 100, 200)),
    *(Case("random", n, 0.3, {200: 0.09}.get(n)) for n in (50, 100, 200, 400)),
    *(Case("weights", n, rate) for rate in (0.1, 0.3) for n in (50, 100, 200)),
    *(Case("accounts", n, 0.3) for n in (100, 200)),
)

World = Callable[
    [np.random.Generator, int], tuple[Floats, Floats]
]  # videos [C], and of them with each label [C, K]


def made_accounts(rng: np.random.Generator, accounts: int) -> tuple[Floats, Floats]:
    videos = np.maximum(1, rng.poisson(9, accounts))
    shares = rng.beta(ALIKE * LABEL_RATES, ALIKE * (1 - LABEL_RATES), (accounts, len(LABEL_RATES)))
    return videos.astype(float), rng.binomial(videos[:, None], shares).astype(float)


def published_accounts(file: str) -> tuple[World, Floats]:
    """Accounts drawn from those of a table with replacement, and the rates over all of them."""
    rows = read_labels(file, SLUGS, "schwartz-19")
    account = np.unique([str(row["account"]) for row in rows], return_inverse=True)[1]
    truth = np.array([binary(row["stances"]) for row in rows], float)
    videos, sums = np.bincount(account), sums_by_cluster(truth, account, int(account.max()) + 1)

    def drawn(rng: np.random.Generator, accounts: int) -> tuple[Floats, Floats]:
        at = rng.integers(0, len(videos), accounts)
        return videos[at].astype(float), sums[at]

    return drawn, truth.mean(0)


def of_rates(world: World, target_K: Floats, accounts: int, studies: int) -> dict[str, float]:
    """Coverage and width of raw rates, and how often what nobody has may be more frequent than what somebody has."""
    covered, widths, given, above = list[Bools](), list[Floats](), 0, 0
    width = len(target_K)
    empty = RateSample(np.zeros(0, int), np.zeros((0, width)), np.zeros((0, width)), None)
    for seed in range(studies):
        found = raw_rates(RateSums(*world(np.random.default_rng([accounts, seed]), accounts), empty))
        if np.isnan(found.high).all():
            continue
        nobody = found.estimate == 0
        given += 1
        covered.append((found.low <= target_K) & (target_K <= found.high))
        widths.append(found.high - found.low)
        above += bool(nobody.any() and found.high[nobody].max() > found.high[~nobody].min(initial=1))
    return {
        "given": given / studies,
        "zero_above_others": above,
        **({} if not given else _spread(covered, widths)),
    }


def _spread(covered: list[Bools], widths: list[Floats]) -> dict[str, float]:
    numbers = {"coverage": np.mean(covered), "width": np.median(widths), "narrowest": np.min(widths)}
    return {name: round(float(number), 4) for name, number in numbers.items()}


def corpora(rng: np.random.Generator, rate: float, many: int) -> tuple[Ints, Ints, Bools, Bools]:
    """[N] account and genre, [N, K] true and predicted: K corpora of the same accounts."""
    accounts, videos = 100, 2000
    sizes = rng.lognormal(0, 0.6, accounts)
    account = np.repeat(np.arange(accounts), rng.multinomial(videos, sizes / sizes.sum()))
    genre = np.arange(accounts) % 4
    rates = rate * GENRES[genre][:, None]
    shape = (accounts, many)
    endorses, hits, alarms = (
        rng.beta(4 * rates, 4 * (1 - rates), shape),
        rng.beta(6.4, 1.6, shape),
        rng.beta(0.8, 7.2, shape),
    )
    truth = rng.random((videos, many)) < endorses[account]
    predicted = rng.random((videos, many)) < np.where(truth, hits[account], alarms[account])
    return account, genre[account], truth, predicted


def drawn(rng: np.random.Generator, case: Case, account: Ints, genre: Ints) -> tuple[Ints, Floats | None]:
    """The annotated videos, and the probability of each where they differ."""
    n, m = len(account), case.annotated
    if case.how == "random":
        return rng.choice(n, m, replace=False), None
    if case.how == "accounts":
        many = int(account.max()) + 1
        return np.flatnonzero(np.isin(account, rng.permutation(many)[: m * many // n])), None
    inside, outside = np.flatnonzero(genre == 3), np.flatnonzero(genre != 3)
    most = int(0.6 * m)
    parts = [(inside, most), (outside, m - most)]
    rows = np.concatenate([rng.choice(some, size, replace=False) for some, size in parts])
    return rows, np.concatenate([np.full(size, size / len(some)) for some, size in parts])


def of_corrected(case: Case, designs: int, many: int = 10) -> dict[str, dict[str, float]]:
    """By target: the mean estimate over the truth, coverage, width, and how often there is an estimate."""
    totals: dict[Target, Floats] = {"accounts": np.zeros(6)}
    if case.how != "accounts":
        totals["corpus"] = np.zeros(6)
    for seed in range(designs):
        rng = np.random.default_rng([seed, case.annotated, round(100 * case.rate)])
        account, genre, truth, predicted = corpora(rng, case.rate, many)
        rows, probability = drawn(rng, case, account, genre)
        sums = rate_sums(predicted, account, rows, truth[rows], probability)
        for target, total in totals.items():
            right = np.full(many, case.rate) if target == "accounts" else truth.mean(0)
            total += _counts(corrected_rates(sums, target), right)
    return {
        target: {
            "estimate_over_truth": round(float(total[0] / total[1]), 4),
            "coverage": round(float(total[2] / total[3]), 4),
            "width": round(float(total[4] / total[3]), 4),
            "given": round(float(total[5] / designs / many), 4),
        }
        for target, total in totals.items()
    }


def _counts(found: RateInterval, right_K: Floats) -> Floats:
    given, ends = ~np.isnan(found.estimate), ~np.isnan(found.low)
    covered = (found.low <= right_K) & (right_K <= found.high)
    width = (found.high - found.low)[ends].sum()
    return np.array(
        [
            found.estimate[given].sum(),
            right_K[given].sum(),
            covered[ends].sum(),
            ends.sum(),
            width,
            given.sum(),
        ]
    )


def measure(quick: bool, published: str | None = None) -> dict[str, Any]:
    """Everything above; `missed` names the targets that were not reached, with a tolerance for fewer studies."""
    begin = time.process_time()
    studies, designs, slack = (40, 60, 0.02) if quick else (600, 300, 0.005)
    worlds: dict[str, tuple[World, Floats]] = {"made": (made_accounts, LABEL_RATES)}
    if published:
        worlds["published"] = published_accounts(published)
    rates = {
        name: {str(accounts): of_rates(world, target, accounts, studies) for accounts in ACCOUNTS}
        for name, (world, target) in worlds.items()
    }
    corrected = {case.name: of_corrected(case, designs) for case in CASES}
    missed = [*_missed_rates(rates, slack), *_missed_corrected(corrected, slack)]
    seconds = round(time.process_time() - begin, 1)
    return {
        "rates": rates,
        "corrected": corrected,
        "missed": missed,
        "met": not missed,
        "cpu_seconds": seconds,
    }


def _missed_rates(rates: dict[str, dict[str, dict[str, float]]], slack: float) -> list[str]:
    missed = []
    for name, found in rates.items():
        if found["4"]["given"]:
            missed.append(f"{name}, 4 accounts: an interval is given")
        for accounts in ACCOUNTS[1:]:
            one = found[str(accounts)]
            if one["coverage"] < COVERAGE - slack:
                missed.append(f"{name}, {accounts} accounts: covers {one['coverage']:.3f}")
            if one["zero_above_others"]:
                missed.append(f"{name}, {accounts} accounts: the upper end at 0 % is above another")
            if accounts <= 8 and one["narrowest"] < 0.01:
                missed.append(f"{name}, {accounts} accounts: an interval of {one['narrowest']:.4f}")
        if found["30"]["width"] > WIDTH_AT_30:
            missed.append(f"{name}, 30 accounts: width {found['30']['width']:.3f}")
    return missed


def _missed_corrected(corrected: dict[str, dict[str, dict[str, float]]], slack: float) -> list[str]:
    missed = []
    for case in CASES:
        for target, one in corrected[case.name].items():
            least = COVERAGE_CORPUS if target == "corpus" else COVERAGE_CORRECTED
            if one["coverage"] < least - slack:
                missed.append(f"{case.name}, {target}: covers {one['coverage']:.3f}")
            if abs(one["estimate_over_truth"] - 1) > RATIO + slack:
                missed.append(f"{case.name}, {target}: estimate / truth {one['estimate_over_truth']:.3f}")
            if target == "corpus" and case.corpus_width and one["width"] > case.corpus_width:
                missed.append(f"{case.name}: width {one['width']:.3f}")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--published", help="the published annotations, to draw accounts from")
    arguments = parser.parse_args()
    result = measure(arguments.quick, arguments.published)
    result["command"] = "python benchmarks/coverage_rates.py" + " --quick" * arguments.quick
    print(json.dumps(result))
    return 0 if result["met"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
