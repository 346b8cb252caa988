"""Do the intervals of raw and corrected rates cover what they should? Simulated corpora; a few seconds.

python benchmarks/prevalence.py

Accounts differ in size (log-normal around 12 videos), in how often they endorse (Beta, concentration 4), in hits
(0.8 on average) and in false alarms (0.1). A share of the videos, or of the accounts, is annotated.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tikval.stats.prevalence import RateInterval, RateSums, corrected_rates, rate_sums, raw_rates

DESIGNS, CORPORA = 18, 100  # accounts and annotated videos drawn so often, and corpora of each


class Case(NamedTuple):
    rate: float
    accounts: int = 80
    videos: float = 12  # median of an account
    share: float = 1 / 3  # annotated
    whole_accounts: bool = False


CASES = (
    Case(0.3),
    Case(0.1),
    Case(0.1, whole_accounts=True),
    Case(0.1, accounts=20),
    Case(0.1, accounts=400, videos=20, share=0.05),
    Case(0.05),
    Case(0.02),
)


def corpora(case: Case, seed: int) -> RateSums:
    rng = np.random.default_rng(seed)
    sizes = np.maximum(1, rng.lognormal(np.log(case.videos), 0.8, case.accounts).astype(int))
    account, shape = np.repeat(np.arange(case.accounts), sizes), (case.accounts, CORPORA)
    endorses = rng.beta(case.rate * 4, (1 - case.rate) * 4, shape)
    hits, alarms = rng.beta(8, 2, shape), rng.beta(1, 9, shape)
    truth = rng.random((len(account), CORPORA)) < endorses[account]
    predicted = rng.random(truth.shape) < np.where(truth, hits[account], alarms[account])
    if case.whole_accounts:
        drawn = rng.choice(case.accounts, int(case.share * case.accounts), replace=False)
        labelled = np.flatnonzero(np.isin(account, drawn))
    else:
        labelled = rng.choice(len(account), int(case.share * len(account)), replace=False)
    return rate_sums(predicted, account, labelled, truth[labelled])


def covered(intervals: RateInterval, target: float) -> NDArray[np.bool_]:
    return (intervals.low <= target) & (target <= intervals.high)


def line(case: Case) -> list[float]:
    found = []
    predicted_rate = case.rate * 0.8 + (1 - case.rate) * 0.1
    for seed in range(DESIGNS):
        sums = corpora(case, seed)
        raw, mended = raw_rates(sums), corrected_rates(sums)
        alone = raw_rates(RateSums(sums.labelled, sums.true_labelled, *sums[2:]))
        given = ~np.isnan(mended.estimate)
        found.append(
            [
                raw.estimate.mean(),
                covered(raw, predicted_rate).mean(),
                covered(raw, case.rate).mean(),
                mended.estimate[given].mean(),
                covered(mended, case.rate)[given].mean(),
                (mended.high - mended.low)[given].mean() / (alone.high - alone.low)[given].mean(),
                given.mean(),
            ]
        )
    return [float(mean) for mean in np.mean(found, axis=0)]


if __name__ == "__main__":
    print("raw | covers its own | covers the truth | corrected | covers | width / annotated only | given")
    for case in CASES:
        print(" | ".join(f"{number:.3f}" for number in line(case)), f"  {case}")
