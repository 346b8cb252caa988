"""A claim as a sentence, which a page and a paper can show: accounts that a file names are counted, not named."""

from collections.abc import Mapping
from datetime import date
from typing import Final

from tikval.config.claims import Claim, Part
from tikval.evaluate.video_groups import NAMING
from tikval.privacy import strip_handles

_VERBS: Final = {"+": "endorse", "-": "confront"}
_OFTEN: Final = {"more": "more often", "less": "less often", "differ": "at another rate"}
_THAN: Final = {"more": "more than", "less": "less than", "differ": "other than"}


def sentence_of(claim: Claim, titles: Mapping[str, str]) -> str:
    """`Accounts endorse Hedonism more often in videos with genre food than in videos with genre travel.`

    `titles`: of each value, by slug.
    """
    slug, where, often = claim.label[:-1], part_in_words(claim.group), _OFTEN[claim.direction]
    what = f"Accounts {_VERBS[claim.label[-1]]} {titles.get(slug, slug)}"
    if claim.over_time is not None:
        since, before = claim.over_time.begin_of_later, claim.over_time.before
        then = f" {_day(before)}" if before != since else ""
        return f"{what} {often} in their {where} since {_day(since)} than before{then}."
    if isinstance(claim.against, dict):
        return f"{what} {often} in {where} than in {part_in_words(claim.against)}."
    return f"{what} in {_THAN[claim.direction]} {100 * (claim.against or 0):g} % of their {where}."


def part_in_words(part: Part) -> str:
    """`videos with genre food or travel and is_ad yes`; accounts, paths, captions and music are counted."""
    words = []
    for column, value in part.items():
        values = [value] if isinstance(value, str) else value
        named = " or ".join(map(strip_handles, values))
        words.append(f"{column} {f'among {len(values)} chosen' if column in NAMING else named}")
    return f"videos with {' and '.join(words)}" if words else "videos"


def way_in_words(
    way: str, system: str | None, sample: int | None, seed: int | None, prompt_sha: str | None
) -> str:
    """`gemini, corrected, seed 2`."""
    parts = [f"{system}, {way}" if system else "the annotators' labels alone"]
    parts += [f"sample {sample}"] if sample is not None else []
    parts += [f"seed {seed}"] if seed is not None else []
    parts += [f"prompt {prompt_sha[:8]}"] if prompt_sha else []
    return ", ".join(parts)


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
