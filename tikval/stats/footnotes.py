"""Why numbers of a table have no interval: each reason stands once, below the table, and not in every cell."""

from collections.abc import Iterable
from string import ascii_lowercase


class Footnotes:
    """The reasons of one table. Where one holds for all its numbers, nothing in the table points to it."""

    def __init__(self, whys: Iterable[str | None]) -> None:
        """`whys`: of every number that is shown, why it has no interval; None where it has one."""
        given = list(whys)
        reasons = list(dict.fromkeys(why for why in given if why))
        self._whole = len(reasons) == 1 and None not in given
        self._letter = {why: _letters(at) for at, why in enumerate(reasons)}

    def mark(self, why: str | None) -> str:
        """What stands behind a number, `(a)`, or nothing."""
        return f"({self._letter[why]})" if why and not self._whole else ""

    @property
    def lines(self) -> list[str]:
        """The reasons as lines below the table, the first met first."""
        return [f"{self.mark(why)} {why}".strip() for why in self._letter]


def _letters(at: int) -> str:
    return ascii_lowercase[at] if at < len(ascii_lowercase) else str(at + 1)
