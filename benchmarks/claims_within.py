"""Contrasts within accounts, simulated for benchmarks/claims.py: does the interval hold the difference?"""

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from tikval.claims.measure import measure_claims
from tikval.claims.population import ClaimView, LabelWeights, Population
from tikval.claims.sides import Sides
from tikval.codebook import load_codebook
from tikval.config import find_file
from tikval.config.claims import Claim, ClaimsConfig, Time
from tikval.evaluate.corpus import SystemCorpus
from tikval.stats.arrays import Floats
from tikval.stats.decisions import Decisions
from tikval.values import LABELS


def by_account(rng: np.random.Generator, share_GL: Floats) -> Floats:
    """Shares whose log-odds differ by account, and by account and label (standard deviations 0.5)."""
    odds = np.log(share_GL / (1 - share_GL))
    odds += rng.normal(0, 0.5, (len(share_GL), 1)) + rng.normal(0, 0.5, share_GL.shape)
    return np.asarray(1 / (1 + np.exp(-odds)))


def within(studies: int) -> dict[str, Any]:
    """Contrasts within accounts: later videos against earlier ones, of accounts with few and many videos."""
    config = ClaimsConfig.model_validate(
        {
            "name": "within",
            "system": "made",
            "claims": {
                "later": Claim(label=LABELS[0], over_time=Time(before=date(2025, 1, 1)), direction="differ")
            },
        }
    )
    out: dict[str, Any] = {}
    for accounts in (10, 15, 30):
        for difference in (0.0, 0.1):
            covered = rejected = given = 0
            for seed in range(studies):
                rng = np.random.default_rng([seed, accounts, int(10 * difference)])
                one = _one_within(rng, accounts, difference, config)
                if one.p is None:
                    continue
                given += 1
                covered += one.lower <= difference <= one.upper
                rejected += one.p <= 0.05
            out[f"{accounts} accounts, difference {difference}"] = {
                "covers": round(covered / given, 3),
                "p <= 0.05": round(rejected / given, 3),
                "given": round(given / studies, 3),
            }
    return out


def _one_within(rng: np.random.Generator, accounts: int, difference: float, config: ClaimsConfig) -> Any:
    videos = rng.integers(10, 120, accounts)
    account = np.repeat(np.arange(accounts), videos)
    later = rng.random(len(account)) < 0.5
    own = rng.beta(2.4, 5.6, accounts) * (1 - abs(difference))
    change = difference + rng.normal(0, 0.05, accounts)
    rate = np.clip(own[account] + later * change[account], 0, 1)
    truth = rng.random(len(account)) < rate
    hits, alarms = (by_account(rng, np.full((2, accounts), mean)) for mean in (0.8, 0.1))
    period = later.astype(np.int64)
    predicted = rng.random(len(account)) < np.where(truth, hits[period, account], alarms[period, account])
    n = min(200, len(account) // 2)
    labelled = np.sort(rng.permutation(len(account))[:n])
    share = n / len(account)
    spread = np.zeros((len(account), len(LABELS)))
    spread[:, 0] = predicted
    truths = np.zeros((len(account), len(LABELS)), bool)
    truths[:, 0] = truth
    corpus = SystemCorpus(
        "made",
        load_codebook(find_file("prompts/codebook.yaml")),
        Decisions.of(spread),
        np.ones(len(LABELS), bool),
        pa.table({"video_id": pa.array([str(i) for i in range(len(account))])}),
        labelled,
        truths[labelled],
        np.full(n, np.nan),
        "random",
        {},
    )
    weights = LabelWeights(
        labelled, truths[labelled], np.full(n, 1 / share), np.full(n, (1 - share) / share**2)
    )
    view = ClaimView(
        "made", None, None, None, corpus, account, {"later": Sides(later, ~later, True)}, weights, None
    )
    return measure_claims(config, Population([view], LABELS, ()))[0]
