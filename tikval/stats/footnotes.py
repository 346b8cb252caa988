"""Why numbers of a table have no interval: each reason stands once, below the table, and not in every cell."""

from collections import Counter
from collections.abc import Iterable
from string import ascii_lowercase


class Footnotes:
    """The reasons of one table.

    Where no number has an interval, nothing points to the reason of most; letters point to the others.
    """

    def __init__(self, whys: Iterable[str | None]) -> None:
        """`whys`: of every number that is shown, why it has no interval; None where it has one."""
        given = list(whys)
        often = [why for why, _ in Counter(why for why in given if why).most_common()]
        plain = often[:1] if None not in given else []
        self._marks = dict.fromkeys(plain, "")
        self._marks |= {why: f"({_letters(at)})" for at, why in enumerate(often[len(plain) :])}

    def mark(self, why: str | None) -> str:
        """What stands behind a number, `(a)`, or nothing."""
        return self._marks.get(why, "") if why else ""

    @property
    def reasons(self) -> list[str]:
        return list(self._marks)

    @property
    def lines(self) -> list[str]:
        """The reasons as lines below the table, that of most numbers first."""
        return [f"{mark} {why}".strip() for why, mark in self._marks.items()]


def _letters(at: int) -> str:
    return ascii_lowercase[at] if at < len(ascii_lowercase) else str(at + 1)
