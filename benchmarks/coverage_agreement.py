"""Do the intervals of coefficients of agreement hold what they should? A few seconds a size on one core.

    python benchmarks/coverage_agreement.py            # 1,000 studies of each number of accounts; --quick: 100

Made studies: accounts of eight videos, four labels; accounts differ in how often a label is true (0.30, sd 0.15) and in
how often an annotator errs (0.20, sd 0.10). Held: the coefficient over 60,000 such accounts. The last line is one JSON
object; exit code 1 where a coefficient is held less often than TARGET, less four standard errors, allows.

N videos, V labels.
"""

import argparse
import json
import math
from typing import Final

import numpy as np

from tikval.stats.agreement import COEFFICIENTS, AgreementLine, Codes, agreement_of
from tikval.stats.arrays import Ints

ACCOUNTS: Final = (5, 8, 15, 30, 91)
LABELS, VIDEOS, MANY = 4, 8, 60_000
TARGET: Final = 0.94
STUDIES, QUICK = 1_000, 100


def made_study(rng: np.random.Generator, accounts: int) -> tuple[Codes, Ints]:
    """Codes of two annotators [2, N, V], and each video's account [N]."""
    account = np.repeat(np.arange(accounts), VIDEOS)
    share = np.clip(rng.normal(0.3, 0.15, (accounts, LABELS)), 0.03, 0.9)[account]
    errs = np.clip(rng.normal(0.2, 0.1, accounts), 0.02, 0.6)[account]
    truth = rng.random(share.shape) < share
    codes = np.stack([truth ^ (rng.random(share.shape) < errs[:, None]) for _ in range(2)])
    return codes.astype(np.int8), account


def line_of_study(codes: Codes, account: Ints) -> AgreementLine:
    (line,) = agreement_of(codes, 2, 0, np.ones((1, LABELS), dtype=bool), account)
    return line


def measure(studies: int) -> dict[str, dict[str, float]]:
    """How often each coefficient's interval holds it, and the median width of alpha's, by number of accounts."""
    codes, account = made_study(np.random.default_rng(0), MANY)
    truth = {
        name: one.value for name, one in line_of_study(codes, np.zeros_like(account)).coefficients.items()
    }
    found = {}
    for accounts in ACCOUNTS:
        held, widths = dict.fromkeys(COEFFICIENTS, 0), list[float]()
        for seed in range(studies):
            line = line_of_study(*made_study(np.random.default_rng([accounts, seed]), accounts))
            for name, one in line.coefficients.items():
                held[name] += one.low <= truth[name] <= one.high
            widths.append(line.coefficients["alpha"].high - line.coefficients["alpha"].low)
        shares = {name: n / studies for name, n in held.items()}
        found[str(accounts)] = {**shares, "width_of_alpha": round(float(np.median(widths)), 4)}
    return found


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    studies = QUICK if parser.parse_args(words).quick else STUDIES
    found = measure(studies)
    least = TARGET - 4 * math.sqrt(TARGET * (1 - TARGET) / studies)
    missed = [
        f"{name} of {accounts} accounts is held by {shares[name]:.3f} of its intervals"
        for accounts, shares in found.items()
        for name in COEFFICIENTS
        if shares[name] < least
    ]
    for line in missed:
        print(f"missed: {line}")
    print(json.dumps({"studies": studies, "accounts": found}))
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
