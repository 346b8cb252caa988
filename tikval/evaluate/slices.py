"""F1 in each genre and without it, and how far it drops from endorsed to confronted values.

A genre's rows are over the same labels as the table of all videos. Where one genre carries a system, its score without
that genre is what others may expect. Whole accounts are drawn, the same in every part, so an interval of a drop is
that of a paired difference.
"""

from collections.abc import Mapping

import numpy as np

from tikval.evaluate.answer_counts import count_sums
from tikval.evaluate.answers import Answers, Truth
from tikval.evaluate.compare import METRICS
from tikval.rows import SliceRow
from tikval.stats.arrays import Bools
from tikval.stats.intervals import AccountDraws, Spread, of_mean

GENRE, WITHOUT, DROP = "genre", "without_genre", "drop"
FROM_TO = "endorsed - confronted"


def slices(
    answers: Answers, truth: Truth, draws: AccountDraws, genres: Mapping[str, str | None]
) -> list[SliceRow]:
    """Rows of one system; `genres` by video. Of genres there are none where all videos are of one."""
    if not truth.ids:
        return []
    use_L, every_N = answers.averaged(truth), np.ones(len(truth.ids), dtype=bool)
    whole = count_sums(answers, truth, draws)
    rows: list[SliceRow] = []

    def add(by: str, name: str, where_N: Bools, spreads: dict[str, Spread]) -> None:
        known_N = np.logical_or.reduce([run.known & at_N for run, at_N in answers.parts()]) & where_N
        n_groups = len(np.unique(truth.group[known_N]))
        for metric, spread in spreads.items():
            interval = spread.interval() if n_groups > 1 else None
            rows.append(
                {
                    "system": answers.system,
                    "by": by,
                    "slice": name,
                    "metric": metric,
                    "value": None if np.isnan(spread.here) else float(spread.here),
                    "lower": interval.lower if interval else None,
                    "upper": interval.upper if interval else None,
                    "n_videos": int(known_N.sum()),
                    "n_groups": n_groups,
                }
            )

    endorsed_L, confronted_L, _ = truth.masks
    drops = {
        metric: of_mean(whole, use_L & endorsed_L, how).minus(of_mean(whole, use_L & confronted_L, how))
        for metric, how in METRICS.items()
    }
    add(DROP, FROM_TO, every_N, drops)
    genre_N = np.array([genres.get(video) or "" for video in truth.ids])
    names = sorted(set(genre_N.tolist()) - {""})
    for name in names if len(set(genre_N.tolist())) > 1 else ():
        inside = count_sums(answers, truth, draws, genre_N == name)
        outside = [part.minus(one) for part, one in zip(whole, inside, strict=True)]
        for by, where_N, parts in ((GENRE, genre_N == name, inside), (WITHOUT, genre_N != name, outside)):
            add(by, name, where_N, {metric: of_mean(parts, use_L, how) for metric, how in METRICS.items()})
    return rows
