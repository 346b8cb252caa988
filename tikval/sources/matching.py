"""Which of the videos and accounts that a table names are listed, and what may be wrong where they are not.

Said before anything is computed: two tables that do not meet look like a study without annotations.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tikval.privacy import canonical_account
from tikval.rows import AccountRow, VideoRow

_EXAMPLES: Final = 3
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{2,4}$")
_CHANGES: Final[dict[str, Callable[[str], str]]] = {  # of both sides, in words
    "without the file's suffix": lambda name: _SUFFIX.sub("", name),
    "without .0 at the end": lambda name: name.removesuffix(".0"),
    "in the same case": str.casefold,
    "without the folder before it": lambda name: name.replace("\\", "/").rstrip("/").rpartition("/")[2],
    "without folder and suffix": lambda name: _SUFFIX.sub("", name.replace("\\", "/").rpartition("/")[2]),
    "without the account before it": lambda name: re.sub(
        r"^@?[^/]*?[_/-](?:video_|photo_)?(?=[^_/-]+$)", "", name
    ),
    "without leading zeros": lambda name: name.lstrip("0"),
    "without spaces and signs": lambda name: "".join(
        letter for letter in name if letter.isalnum()
    ).casefold(),
}


@dataclass(frozen=True)
class IdMatch:
    """Names of videos that people gave, against those that are listed."""

    wanted: int
    missing: tuple[str, ...]
    listed: tuple[str, ...]  # some of the ids that are there
    what: str  # whose names these are, for the sentence: "annotated videos"
    suggestion: str | None = None

    @property
    def none(self) -> bool:
        """Whether there were names, and not one is listed."""
        return 0 < self.wanted == len(self.missing) and bool(self.listed)

    @property
    def text(self) -> str:
        """The sentence to say; empty where every name is listed."""
        if not self.missing:
            return ""
        n = len(self.missing)
        some = ", ".join(self.missing[:_EXAMPLES]) + (", ..." if n > _EXAMPLES else "")
        if self.wanted == n:
            start = f"{n} of {n} {self.what} {'is' if n == 1 else 'are'} not in the catalog: {some}"
        else:
            start = (
                f"{self.wanted - n} of {self.wanted} {self.what} are in the catalog; "
                f"{n} {'is' if n == 1 else 'are'} not: {some}"
            )
        there = (
            f"; the catalog has e.g. {', '.join(self.listed)}"
            if self.listed
            else "; the catalog lists nothing"
        )
        return start + there + (f"; did you mean {self.suggestion}?" if self.suggestion else "")


def match_ids(
    wanted: Iterable[str],
    listed: Collection[str],
    spelt: Iterable[str] | None = None,
    what: str = "annotated videos",
) -> IdMatch:
    """Compare ids with those that are listed; ids are already resolved, and an alias counts as its video.

    `spelt`: what people call the listed ones, where their ids are pseudonyms.
    """
    names = list(dict.fromkeys(wanted))
    missing = [name for name in names if name not in listed]
    if not missing:
        return IdMatch(len(names), (), (), what)
    known = sorted(set(listed if spelt is None else spelt).difference(names))
    return IdMatch(len(names), tuple(missing), tuple(known[:_EXAMPLES]), what, _suggestion(missing, known))


def _suggestion(missing: Sequence[str], listed: Sequence[str]) -> str | None:
    """The change of both sides after which most of the names would be listed, if there is one."""
    for words, change in _CHANGES.items():
        there = {changed for name in listed if (changed := change(name))}
        if 2 * sum(change(name) in there for name in missing) > len(missing):
            return _in_example(words, missing, listed, change)
    return None


def _in_example(
    words: str, missing: Sequence[str], listed: Sequence[str], change: Callable[[str], str]
) -> str:
    by_change = {change(name): name for name in listed}
    given = next(name for name in missing if change(name) in by_change)
    there = by_change[change(given)]
    if given != there and given.startswith(there):
        return f"without {given.removeprefix(there)}"
    return f"{words} ({given} for {there})"


def accounts_without_videos(videos: Iterable[VideoRow], accounts: Iterable[AccountRow]) -> str:
    """The sentence on accounts of a table of whom no video is listed; empty where each has one."""
    there = {canonical_account(video["account"]) for video in videos if video["account"]}
    names = list(dict.fromkeys(row["account"] for row in accounts))
    missing = [name for name in names if canonical_account(name) not in there]
    if not missing:
        return ""
    some = ", ".join(missing[:_EXAMPLES]) + (", ..." if len(missing) > _EXAMPLES else "")
    known = ", ".join(sorted(there)[:_EXAMPLES])
    videos_of = f"; the videos are of e.g. {known}" if known else "; no video names its account"
    return f"{len(missing)} of {len(names)} accounts have no video: {some}{videos_of}"
