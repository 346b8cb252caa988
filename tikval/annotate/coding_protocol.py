"""protocol.json of a coding folder: who codes by which codebook and rules, what of, and what coders may be called."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from tikval.config import AnnotateConfig, UserError
from tikval.config.base import Config

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_SHEET_NUMBER: Final = re.compile(r"-\d+\Z")
# words that tables of annotations use for what is no coder, and names that Windows gives no file
_TAKEN: Final = frozenset(
    "absent consolidated third human guide main again practice con prn aux nul".split()
    + [f"{port}{n}" for port in ("com", "lpt") for n in range(10)]
)


class Coder(Config):
    name: str
    since: str  # ISO 8601, UTC
    left: str | None = None  # when; None: is still coding


class CodingBatch(Config):
    """A list of videos that was given, and the rules that it was assigned by."""

    list: str  # the file's name
    added_at: str
    videos: int  # that were new
    rules: AnnotateConfig


class CodingProtocol(Config):
    """protocol.json."""

    format: Literal[1] = 1
    codebook: str  # Codebook.mark of codebook.yaml
    coders: tuple[Coder, ...]
    third: str  # the name of the coder who decides
    study: str | None = (
        None  # its folder, relative to this one, or its address; None: the list alone was given
    )
    batches: tuple[CodingBatch, ...]

    @property
    def active(self) -> tuple[str, ...]:
        """The names of the coders who have not left."""
        return tuple(coder.name for coder in self.coders if coder.left is None)

    @property
    def rules(self) -> AnnotateConfig:
        """Those of the last list."""
        return self.batches[-1].rules if self.batches else AnnotateConfig()


def check_coder_names(names: Sequence[str], third: str) -> None:
    """Raise UserError for names that are no file names, that tables use for something else, or that are there twice."""
    for name in (*names, third):
        if not _NAME.fullmatch(name) or _SHEET_NUMBER.search(name):
            raise UserError(
                f"coder {name[:40]!r}: a coder's name has letters from a to z, digits, _ and - (up to 32, no number "
                "behind a - at its end): sheets are named by it; a short name or a code does"
            )
        if name.lower() in _TAKEN and not name == third == "third":
            raise UserError(
                f"coder {name}: this name means something else in tables of annotations; use another"
            )
    seen: dict[str, str] = {}
    for name in (*names, third):
        if (other := seen.setdefault(name.lower(), name)) is not name or [*names, third].count(name) > 1:
            raise UserError(f"coders {other} and {name}: names must differ in more than capital letters")


def coder_since(name: str) -> Coder:
    """Somebody who begins now."""
    return Coder(name=name, since=utc_now())


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
