"""Which of the videos and accounts that a table names are listed, and what may be wrong where they are not.

Said before anything is computed: two tables that do not meet look like a study without annotations.
"""

import bisect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tikval.privacy import canonical_account
from tikval.rows import AccountRow

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

    `spelt`: what people call the listed ones, where their ids are pseudonyms. Both are read again and again.
    """
    names = list(dict.fromkeys(wanted))
    missing = [name for name in names if name not in listed]
    if not missing:
        return IdMatch(len(names), (), (), what)
    named, known = set(names), listed if spelt is None else spelt

    def others() -> Iterator[str]:
        return (name for name in known if name not in named)

    return IdMatch(len(names), tuple(missing), tuple(_first_of(others())), what, _suggestion(missing, others))


def _first_of(names: Iterable[str]) -> list[str]:
    """The first few names in their order, each once: of millions in the memory of these."""
    first = list[str]()
    for name in names:
        if name not in first and (len(first) < _EXAMPLES or name < first[-1]):
            bisect.insort(first, name)
            del first[_EXAMPLES:]
    return first


def _suggestion(missing: Sequence[str], others: Callable[[], Iterable[str]]) -> str | None:
    """The change of both sides after which most of the names would be listed, if there is one."""
    for words, change in _CHANGES.items():
        wanted = {changed for name in missing if (changed := change(name))}
        by_change: dict[str, str] = {}
        for name in others():
            if (changed := change(name)) in wanted:
                by_change[changed] = max(name, by_change.get(changed, name))
        if 2 * sum(change(name) in by_change for name in missing) > len(missing):
            return _in_example(words, missing, by_change, change)
    return None


def _in_example(
    words: str, missing: Sequence[str], by_change: Mapping[str, str], change: Callable[[str], str]
) -> str:
    given = next(name for name in missing if change(name) in by_change)
    there = by_change[change(given)]
    if given != there and given.startswith(there):
        return f"without {given.removeprefix(there)}"
    return f"{words} ({given} for {there})"


def accounts_without_videos(of_videos: Iterable[str], accounts: Iterable[AccountRow]) -> str:
    """The sentence on accounts of a table of whom no video is listed; empty where each has one."""
    there = set(map(canonical_account, of_videos))
    names = list(dict.fromkeys(row["account"] for row in accounts))
    missing = [name for name in names if canonical_account(name) not in there]
    if not missing:
        return ""
    some = ", ".join(missing[:_EXAMPLES]) + (", ..." if len(missing) > _EXAMPLES else "")
    known = ", ".join(sorted(there)[:_EXAMPLES])
    videos_of = f"; the videos are of e.g. {known}" if known else "; no video names its account"
    return f"{len(missing)} of {len(names)} accounts have no video: {some}{videos_of}"
