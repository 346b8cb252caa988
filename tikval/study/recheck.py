"""A study against what a platform still shows: ids to hand to a check, and the posts that a check found gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Final

import pyarrow.compute as pc

from tikval.config import UserError
from tikval.files import write_bytes
from tikval.sources.erased import still_there
from tikval.sources.ids import post_in
from tikval.sources.posts import read_posts
from tikval.store.runs import Study
from tikval.study.erased_names import ErasedNames
from tikval.study.erasure import names_to_erase

IDS_A_FILE: Final = 10_000  # as many as one task of the Research API takes
REFRESH_DAYS: Final = 15  # after which its terms want a check


@dataclass(frozen=True)
class RecheckPlan:
    """What a list of posts that are gone means for one study."""

    names: ErasedNames  # of all that is listed, under every name that the study has for it
    here: list[str]  # ids of the list that the study has
    erased: list[str]  # that it had, and that are erased already
    elsewhere: list[str]  # that it never had


def plan_recheck(out: str, ids: set[str]) -> RecheckPlan:
    """Look the ids up in a study; nothing is changed. Raises UserError where no study lies, or its key is missing."""
    names = names_to_erase(out, ids, set())
    here = ids & names.known_ids
    erased = still_there(Study(out).out, ids - here)
    return RecheckPlan(names, sorted(here), sorted(erased), sorted(ids - here - erased))


def ids_to_check(study: Study) -> tuple[list[str], int]:
    """The ids of a study's posts that a platform's check can take, and how many have none.

    A study of pseudonyms has them as aliases.
    """
    catalog = study.catalog()
    listed = catalog.read(["video_id", "alias"])
    aliases = dict(zip(listed["video_id"].to_pylist(), listed["alias"].to_pylist(), strict=True))
    posts = read_posts(catalog, ["video_id"])["video_id"].to_pylist()
    found = [_platform_id(name) or _platform_id(aliases.get(name) or "") for name in posts]
    return sorted({name for name in found if name}), found.count(None)


def _platform_id(name: str) -> str | None:
    post = post_in(name)
    return post.video_id if post else None


def write_ids(ids: Sequence[str], file: str) -> list[str]:
    """Write an id a line, at most IDS_A_FILE to a file: the one that is named, or ones numbered after it.

    Returns their names. Raises UserError where they cannot be written.
    """
    suffix = PurePath(file).suffix
    stem = file.removesuffix(suffix)
    parts = [ids[begin : begin + IDS_A_FILE] for begin in range(0, max(1, len(ids)), IDS_A_FILE)]
    places = [f"{stem}-{n}{suffix}" for n in range(1, len(parts) + 1)] if parts[1:] else [file]
    for place, part in zip(places, parts, strict=True):
        try:
            write_bytes(place, "".join(f"{name}\n" for name in part).encode())
        except OSError as err:
            raise UserError(f"{place}: cannot be written ({err.strerror or err})") from err
    return places


def age_of_study(study: Study, now: datetime | None = None) -> str:
    """When its posts were collected, and how many are due for a check, in a sentence."""
    times = read_posts(study.catalog(), ["collected_at"])["collected_at"]
    known = len(times) - times.null_count
    if not known:
        return "when its posts were collected is not known: no source tells it"
    now = now or datetime.now(UTC)
    first, last = (pc.min_max(times)[end].as_py() for end in ("min", "max"))
    due = pc.sum(pc.less(times, now - timedelta(days=REFRESH_DAYS))).as_py()
    when = f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
    some = "" if known == len(times) else f" of {known:,} of its {len(times):,} posts"
    oldest = f"the oldest {(now - first).days} days ago"
    return (
        f"collected{some} {when}, {oldest}; {due:,} are older than the {REFRESH_DAYS} days after which the Research "
        "API's terms want them checked"
    )
