"""The sheets of points with intervals, which stand where a chart around a circle would be read from too little."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np

from tikval.codebook import Codebook
from tikval.report.figures.numbers import Radar, radar_csv
from tikval.report.figures.points import (
    ROUND_SUPPORT,
    Points,
    points,
    points_data,
    points_of_radar,
    points_of_rates,
)
from tikval.report.figures.rates import GroupRates, rates_csv
from tikval.report.figures.sheets import Sheet, not_drawn, titles_of

_FEW: Final = (
    f"As points, hollow where there is no interval: fewer than {ROUND_SUPPORT} videos have most of the values, too few "
    "for a chart around a circle."
)


def value_rates_sheet(sources: Sequence[GroupRates], book: Codebook) -> Sheet:
    """What stands in the circle's place where too few videos have most of the values."""
    found = points_of_rates(sources)
    whys = "".join(
        dict.fromkeys(f" {why[0].upper()}{why[1:]}." for one in sources for why in one.why_none if why)
    )
    return _points_sheet(
        "value_rates",
        "How often each value is endorsed and confronted",
        "In which share of the videos each value is endorsed and confronted"
        f"{', with 95 % intervals' if any(np.isfinite(one.low).any() for one in sources) else ''}.",
        found,
        rates_csv(sources, book.slugs, "videos_of"),
        f"{whys} {_FEW}",
        titles_of(book),
    )


def value_f1_sheet(found: Radar, book: Codebook) -> Sheet:
    """What stands in the radar's place where too few annotated videos have most of the values."""
    return _points_sheet(
        f"value_f1_{found.stance}",
        f"F1 of each value {found.stance}",
        f"F1 of each value {found.stance} over {found.videos:,} annotated videos, failed ones left out, with 95 % "
        "intervals where enough videos have it; in brackets how many do.",
        points_of_radar(found, book.slugs),
        radar_csv(found),
        f" {_FEW}",
        [f"{title} ({n:,})" for title, n in zip(titles_of(book), found.support, strict=True)],
    )


def _points_sheet(
    name: str, title: str, shows: str, found: Points, numbers: bytes, why: str, titles: Sequence[str]
) -> Sheet:
    return Sheet(
        name,
        title,
        f"{shows}{why}{not_drawn(found.has_row)}",
        tuple(one.name for one in next(iter(found.panels.values()))),
        partial(points, found, titles),
        numbers,
        points_data(found, titles),
    )
